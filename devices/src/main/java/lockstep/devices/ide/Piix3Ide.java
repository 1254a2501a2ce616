package lockstep.devices.ide;

import static lockstep.runtime.memory.LittleEndian.put16;

import lockstep.api.PciDeviceOptions;
import lockstep.devices.board.PcBoard;
import lockstep.devices.pci.PciDevice;
import lockstep.devices.pci.PciFunction;
import lockstep.devices.pci.PciSpec;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.Timer;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Optional;

/** The IDE function of the PIIX3 (82371SB, section 2.4): two channels at the legacy addresses, BAR4. */
public final class Piix3Ide extends PciFunction implements StateSection {
    /** The type. */
    public static final DeviceType<PciDeviceOptions> TYPE =
            PciDevice.type(
                            "piix3-ide",
                            PciDeviceOptions::read,
                            PciDeviceOptions::write,
                            PciDeviceOptions.builder().build(),
                            Piix3Ide::create)
                    .builtIn();

    private static final int DEVICE = 0x7010;
    private static final int CLASS_IDE = 0x0101;
    private static final int[] COMMAND_BLOCK = {0x1f0, 0x170};
    private static final int[] CONTROL_BLOCK = {0x3f6, 0x376};
    private static final int[] INTERRUPT = {14, 15};

    // Wiring.
    private @Nullable Channel primary;
    private @Nullable Channel secondary;
    private @Nullable Timer resume;

    private Piix3Ide() {
        super("ide", PciSpec.VENDOR_INTEL, DEVICE, 0, CLASS_IDE);
        // A bus master whose channels are fixed at the legacy addresses.
        programmingInterface(0x80);
        put16(config, PciSpec.STATUS, PciSpec.STATUS_FAST_BACK | PciSpec.STATUS_DEVSEL_MEDIUM);
    }

    /** The function of a board. */
    static Piix3Ide of(PcBoard board) {
        for (PciFunction function : board.pci().functions()) {
            if (function instanceof Piix3Ide ide) {
                return ide;
            }
        }
        throw new IllegalStateException("the board has no IDE function");
    }

    private static Device create(DeviceRequest<PciDeviceOptions> request, DeviceScope scope)
            throws DeviceException {
        PcBoard board = PcBoard.of(scope);
        Piix3Ide function = new Piix3Ide();
        PciDevice.attach(board.pci(), function, request, scope);
        return new PciDevice(function, List.of(), List.of(bus(0), bus(1)));
    }

    private static Device.Bus bus(int channel) {
        return new Device.Bus("ide." + channel, "IDE");
    }

    @Override
    protected void realize() {
        primary = channel(0);
        secondary = channel(1);
        portBar(4, "piix-bmdma", 16, new Masters());
        resume = scope().timer(ClockType.VIRTUAL, this::restart);
    }

    private Channel channel(int index) {
        Channel ch = new Channel(machine().gsi(INTERRUPT[index]), machine().dma());
        scope().ports("ide", COMMAND_BLOCK[index], 8, new CommandBlock(ch));
        scope().ports("ide", CONTROL_BLOCK[index], 1, new ControlBlock(ch));
        return ch;
    }

    private Channel channelAt(int index) {
        Channel ch = index == 0 ? primary : secondary;
        if (ch == null) {
            throw new IllegalStateException("the IDE function is not on a bus yet");
        }
        return ch;
    }

    /** Whether position {@code unit} (0 or 1) of channel {@code bus} (0 or 1) is free. */
    public boolean free(int bus, int unit) {
        return !channelAt(bus).drives[unit].present();
    }

    /** The geometry of the disk at position {@code unit} of channel {@code bus}, if there is a disk. */
    public Optional<DriveIdentity.Geometry> geometry(int bus, int unit) {
        Drive d = channelAt(bus).drives[unit];
        return d.kind == Drive.Kind.DISK ? Optional.of(d.identity.geometry()) : Optional.empty();
    }

    void plug(int bus, int unit, Drive drive) {
        channelAt(bus).plug(unit, drive);
    }

    /** Tells the guest of something on channel {@code bus} that it has not asked for. */
    void interrupt(int bus) {
        channelAt(bus).interrupt();
    }

    /** Waits until no request to a medium is in flight. Under the machine lock. */
    public void drain() {
        channelAt(0).drain();
        channelAt(1).drain();
    }

    @Override
    protected void reset() {
        channelAt(0).reset();
        channelAt(1).reset();
    }

    private void restart() {
        channelAt(0).restart();
        channelAt(1).restart();
    }

    @Override
    public int version() {
        return 3;
    }

    @Override
    public int minimumVersion() {
        return 0;
    }

    @Override
    public void beforeSave() {
        drain();
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        describePci("parent_obj", c);
        IdeState.describe(c, new Channel[] {channelAt(0), channelAt(1)});
    }

    @Override
    public void afterLoad(int version) {
        boolean pending = false;
        for (Channel ch : List.of(channelAt(0), channelAt(1))) {
            ch.loaded();
            pending |= ch.restartPending();
        }
        Timer timer = resume;
        if (pending && timer != null) {
            // The guest's clock stands still until the machine runs: then the request starts again.
            timer.arm(machine().clocks().virtual());
        }
    }

    /** Ports 0x1f0 to 0x1f7 and 0x170 to 0x177. */
    private record CommandBlock(Channel channel) implements IoHandler {
        @Override
        public long read(long offset, int size) {
            if (offset == 0) {
                return channel.readData(size);
            }
            return size == 1 ? channel.read((int) offset) : -1;
        }

        @Override
        public void write(long offset, int size, long value) {
            if (offset == 0) {
                channel.writeData(size, (int) value);
            } else if (size == 1) {
                channel.write((int) offset, (int) value & 0xff);
            }
        }
    }

    /** Ports 0x3f6 and 0x376. */
    private record ControlBlock(Channel channel) implements IoHandler {
        @Override
        public long read(long offset, int size) {
            return channel.alternateStatus();
        }

        @Override
        public void write(long offset, int size, long value) {
            channel.writeControl((int) value & 0xff);
        }

        @Override
        public int maxAccess() {
            return 1;
        }
    }

    /** BAR4: eight bus master registers per channel. */
    private final class Masters implements IoHandler {
        @Override
        public long read(long offset, int size) {
            Channel ch = channelAt((int) offset >> 3);
            long value = 0;
            for (int i = 0; i < size; i++) {
                value |= (long) ch.master.read((int) offset + i & 7) << 8 * i;
            }
            return value;
        }

        @Override
        public void write(long offset, int size, long value) {
            Channel ch = channelAt((int) offset >> 3);
            for (int i = 0; i < size; i++) {
                ch.writeMaster((int) offset + i & 7, (int) (value >>> 8 * i) & 0xff);
            }
        }
    }
}
