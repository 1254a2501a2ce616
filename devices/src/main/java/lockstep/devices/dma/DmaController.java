package lockstep.devices.dma;

import lockstep.api.I8257Options;
import lockstep.devices.isa.IsaBus;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

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

    /** Which channel the page register at each offset from the page base belongs to; -1: none. */
    private static final int[] PAGE_CHANNEL = {-1, 2, 3, 1, -1, -1, -1, 0};

    private final int instance;
    private final int shift;
    private int command;
    private int mask;
    private int status;
    private int flipFlop;
    private final Channel[] channels = new Channel[CHANNELS];

    private static final class Channel {
        final int[] now = new int[2];
        final int[] base = new int[2];
        int mode;
        int page;
        int pageHigh;
        int dack;
        int eop;
    }

    private DmaController(DeviceRequest<I8257Options> request, DeviceScope scope) {
        I8257Options o = request.options();
        shift = Objects.requireNonNullElse(o.dshift(), 0);
        // The controller of 16-bit channels is the second.
        instance = shift;
        for (int i = 0; i < CHANNELS; i++) {
            channels[i] = new Channel();
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
                                : c.now[0] >> shift;
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
            }
            case 2 -> {
                int bit = 1 << (v & 3);
                mask = (v & 4) != 0 ? mask | bit : mask & ~bit;
            }
            case 3 -> channels[v & 3].mode = v;
            case 4 -> flipFlop = 0;
            case 5 -> reset();
            case 6 -> mask = 0;
            default -> mask = v;
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
