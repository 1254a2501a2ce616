package lockstep.devices.dma;

import lockstep.api.I8257Options;
import lockstep.devices.board.PcBoard;
import lockstep.devices.isa.DmaChannel;
import lockstep.devices.isa.IsaBus;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

import java.util.Objects;

/** One 8237A with its page registers. QEMU: vmstate "dma" v1. Used under the machine lock. */
public final class DmaController implements StateSection, Device {
    /** The type. */
    public static final DeviceType<I8257Options> TYPE =
            DeviceType.of(
                            "i8257",
                            I8257Options::read,
                            I8257Options::write,
                            I8257Options.builder()
                                    .base(0)
                                    .dshift(0)
                                    .pageBase(128)
                                    .pagehBase(1152)
                                    .build(),
                            IsaBus.HOME,
                            DmaController::new)
                    .builtIn();

    private static final int CHANNELS = 4;

    /** Bits of the mode register: 8237A, page "mode register". */
    private static final int MODE_TRANSFER = 0x0c;

    private static final int MODE_DOWN = 0x20;

    /** Which channel the page register at each offset from the page base belongs to; -1: none. */
    private static final int[] PAGE_CHANNEL = {-1, 2, 3, 1, -1, -1, -1, 0};

    private final GuestMemory memory;
    private final int instance;
    private final int shift;
    private int command;
    private int mask;
    private int status;
    private int flipFlop;
    private final Channel[] channels = new Channel[CHANNELS];

    /** One channel: the guest's registers and the device's end. */
    private final class Channel implements DmaChannel {
        final int number;
        final int[] now = new int[2];
        final int[] base = new int[2];
        int mode;
        int page;
        int pageHigh;
        int dack;
        int eop;
        @Nullable User user;
        boolean granted;

        Channel(int number) {
            this.number = number;
        }

        private int bit() {
            return 1 << number;
        }

        private int size() {
            return base[1] + 1 << shift;
        }

        /** Grants the bus to a device that waits for it. */
        void run() {
            User waiting = user;
            boolean asked = (status & bit() << 4) != 0;
            if (asked && (mask & bit()) == 0 && !granted && waiting != null) {
                granted = true;
                waiting.granted(size());
            }
        }

        @Override
        public void connect(User to) {
            user = to;
        }

        @Override
        public void request() {
            status |= bit() << 4;
            run();
        }

        @Override
        public void release() {
            status &= ~(bit() << 4);
            granted = false;
        }

        private boolean onlyVerifies() {
            return (mode & MODE_TRANSFER) == 0;
        }

        private boolean downwards() {
            return (mode & MODE_DOWN) != 0;
        }

        private long address(int position) {
            int start = (pageHigh & 0x7f) << 24 | page << 16 | now[0];
            return (downwards() ? start - position : start + position) & 0xffff_ffffL;
        }

        @Override
        public void toMemory(int position, byte[] source, int length) {
            if (onlyVerifies()) {
                return;
            }
            if (downwards()) {
                for (int i = 0; i < length; i++) {
                    memory.writeByte(address(position + i), source[i]);
                }
            } else {
                memory.write(address(position), source, 0, length);
            }
        }

        @Override
        public void fromMemory(int position, byte[] target, int length) {
            if (onlyVerifies()) {
                return;
            }
            if (downwards()) {
                for (int i = 0; i < length; i++) {
                    target[i] = (byte) memory.readByte(address(position + i));
                }
            } else {
                memory.read(address(position), target, 0, length);
            }
        }

        @Override
        public void moved(int bytes) {
            now[1] = bytes;
            if (bytes == size()) {
                status |= bit();
            }
        }
    }

    private DmaController(DeviceRequest<I8257Options> request, DeviceScope scope) {
        I8257Options o = request.options();
        shift = Objects.requireNonNullElse(o.dshift(), 0);
        // The controller of 16-bit channels is the second.
        instance = shift;
        memory = scope.machine().dma();
        IsaBus isa = PcBoard.of(scope).isa();
        for (int i = 0; i < CHANNELS; i++) {
            channels[i] = new Channel(i);
            isa.provide(CHANNELS * instance + i, channels[i], scope);
        }
        int base = Objects.requireNonNullElse(o.base(), 0);
        int pages = Objects.requireNonNullElse(o.pageBase(), 0x80);
        scope.ports("dma-chan", base, 8 << shift, channelPorts());
        scope.ports("dma-cont", base + (8 << shift), 8 << shift, controlPorts());
        scope.ports("dma-page", pages + 1, 3, pagePorts(1));
        scope.ports("dma-page", pages + 7, 1, pagePorts(7));
        scope.onReset(this::reset);
        scope.section(this);
    }

    private void reset() {
        command = 0;
        status = 0;
        flipFlop = 0;
        mask = 0xff;
    }

    private interface Ports extends IoHandler {
        @Override
        default int maxAccess() {
            return 1;
        }
    }

    private boolean secondByte() {
        boolean second = flipFlop != 0;
        flipFlop ^= 1;
        return second;
    }

    private IoHandler channelPorts() {
        return new Ports() {
            @Override
            public long read(long offset, int size) {
                int register = (int) offset >> shift;
                Channel c = channels[register >> 1 & 3];
                int value =
                        (register & 1) != 0
                                ? (c.base[1] << shift) - c.now[1] >> shift
                                : c.now[0] + (c.downwards() ? -c.now[1] : c.now[1]) >> shift;
                return value >> (secondByte() ? 8 : 0) & 0xff;
            }

            @Override
            public void write(long offset, int size, long value) {
                int register = (int) offset >> shift;
                Channel c = channels[register >> 1 & 3];
                int which = register & 1;
                int v = (int) value & 0xff;
                if (secondByte()) {
                    c.base[which] = c.base[which] & 0xff | v << 8;
                    c.now[0] = c.base[0] << shift;
                    c.now[1] = 0;
                } else {
                    c.base[which] = c.base[which] & 0xff00 | v;
                }
            }
        };
    }

    private IoHandler controlPorts() {
        return new Ports() {
            @Override
            public long read(long offset, int size) {
                switch ((int) offset >> shift) {
                    case 0:
                        int was = status;
                        status &= 0xf0;
                        return was;
                    case 7:
                        return mask;
                    default:
                        return 0;
                }
            }

            @Override
            public void write(long offset, int size, long value) {
                control((int) offset >> shift, (int) value & 0xff);
            }
        };
    }

    private void control(int register, int v) {
        switch (register) {
            case 0 -> command = v;
            case 1 -> {
                int bit = 1 << (v & 3);
                status = (v & 4) != 0 ? status | bit << 4 : status & ~(bit << 4);
                status &= ~bit;
                channels[v & 3].run();
            }
            case 2 -> {
                int bit = 1 << (v & 3);
                mask = (v & 4) != 0 ? mask | bit : mask & ~bit;
                channels[v & 3].run();
            }
            case 3 -> channels[v & 3].mode = v;
            case 4 -> flipFlop = 0;
            case 5 -> reset();
            default -> {
                mask = register == 6 ? 0 : v;
                for (Channel c : channels) {
                    c.run();
                }
            }
        }
    }

    private IoHandler pagePorts(int first) {
        return new Ports() {
            @Override
            public long read(long offset, int size) {
                int channel = PAGE_CHANNEL[first + (int) offset];
                return channel < 0 ? 0 : channels[channel].page;
            }

            @Override
            public void write(long offset, int size, long value) {
                int channel = PAGE_CHANNEL[first + (int) offset];
                if (channel >= 0) {
                    channels[channel].page = (int) value & 0xff;
                }
            }
        };
    }

    @Override
    public String name() {
        return "dma";
    }

    @Override
    public int instance() {
        return instance;
    }

    @Override
    public int version() {
        return 1;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        command = c.u8("command", command);
        mask = c.u8("mask", mask);
        flipFlop = c.u8("flip_flop", flipFlop) & 1;
        c.i32("dshift", shift);
        c.structs(
                "regs",
                "dma_regs",
                1,
                CHANNELS,
                (s, i) -> {
                    Channel r = channels[i];
                    r.granted &= !s.loading();
                    s.i32s("now", r.now);
                    s.u16s("base", r.base);
                    r.mode = s.u8("mode", r.mode);
                    r.page = s.u8("page", r.page);
                    r.pageHigh = s.u8("pageh", r.pageHigh);
                    r.dack = s.u8("dack", r.dack);
                    r.eop = s.u8("eop", r.eop);
                });
    }
}
