package lockstep.devices.usb;

import lockstep.devices.pci.PciFunction;
import lockstep.devices.pci.PciSpec;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.Timer;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

/** The PIIX3's USB function (8086:7020): a UHCI controller with a bus of two ports. */
public final class Uhci extends PciFunction implements StateSection {
    private static final int DEVICE = 0x7020;
    private static final int REVISION = 1;
    private static final int CLASS_USB = 0x0c03;
    private static final int PORT_BAR = 32;

    /** Serial bus release number: USB 1.0. */
    private static final int SBRN = 0x60;

    /** Miscellaneous support 2: the clock selection (82371SB, 2.5). */
    private static final int MISC_SUPPORT = 0x6a;

    // Configuration.
    private final String busName;

    // Wiring.
    private @Nullable UhciChip chip;
    private @Nullable Timer frames;
    private final boolean[] taken = new boolean[UhciChip.PORTS];

    /** A controller whose bus has the given name, such as {@code usb-bus.0}. */
    Uhci(String busName) {
        super("uhci", PciSpec.VENDOR_INTEL, DEVICE, REVISION, CLASS_USB);
        this.busName = busName;
        interruptPin(4);
        config[SBRN] = 0x10;
        config[MISC_SUPPORT] = 0x01;
    }

    /** The bus's name. */
    public String busName() {
        return busName;
    }

    @Override
    protected void realize() {
        var clocks = machine().clocks();
        UhciChip c =
                new UhciChip(
                        new UhciChip.Board() {
                            @Override
                            public void interrupt(boolean level) {
                                setIrq(level);
                            }

                            @Override
                            public long now() {
                                return clocks.virtual();
                            }

                            @Override
                            public void nextFrame(long deadline) {
                                Timer timer = frames;
                                if (timer != null) {
                                    timer.arm(deadline);
                                }
                            }
                        },
                        machine().dma());
        chip = c;
        frames = scope().timer(ClockType.VIRTUAL, c::frame);
        portBar(4, "uhci", PORT_BAR, new Registers(c));
    }

    private UhciChip chip() {
        UhciChip c = chip;
        if (c == null) {
            throw new IllegalStateException("the controller is not on a bus yet");
        }
        return c;
    }

    /**
     * The port for a new device.
     *
     * @param wanted the port number from 1 on, or null for the first free one
     */
    int takePort(@Nullable String wanted, String device, DeviceScope holder)
            throws DeviceException {
        for (int i = 0; i < taken.length; i++) {
            if (!taken[i] && (wanted == null || wanted.equals(String.valueOf(i + 1)))) {
                taken[i] = true;
                int port = i;
                holder.onClose(() -> taken[port] = false);
                return port;
            }
        }
        if (wanted != null) {
            throw new DeviceException(
                    "usb port " + wanted + " (bus " + busName + ") not found (in use?)");
        }
        throw new DeviceException(
                "tried to attach usb device "
                        + device
                        + " to a bus with no free ports; hubs are not available");
    }

    /** Whether a port is free. */
    boolean hasFreePort() {
        for (boolean t : taken) {
            if (!t) {
                return true;
            }
        }
        return false;
    }

    /** Plugs a human interface device in and adds its section, until the scope is closed. */
    void plug(
            int port, HidDevice device, String vmstate, StateCodec.Body body, DeviceScope holder) {
        holder.within(scope());
        var clocks = machine().clocks();
        device.clock(clocks::virtual, holder.timer(ClockType.VIRTUAL, device::idleOver));
        chip().attach(port, device);
        holder.onClose(() -> chip().detach(port));
        String name = path() + "/" + (port + 1) + "/" + vmstate;
        holder.section(
                new StateSection() {
                    @Override
                    public String name() {
                        return name;
                    }

                    @Override
                    public int version() {
                        return 1;
                    }

                    @Override
                    public void describe(StateCodec c) throws StateException {
                        body.describe(c);
                    }

                    @Override
                    public void afterLoad(int version) {
                        device.armIdle();
                    }
                });
    }

    @Override
    protected void reset() {
        chip().reset();
    }

    @Override
    public int version() {
        return 3;
    }

    @Override
    public int minimumVersion() {
        return 1;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        describePci("dev", c);
        chip().describe(c);
    }

    @Override
    public void afterLoad(int version) {
        chip().loaded();
    }

    /** The chip's registers are words; a byte access reaches the word around it. */
    private record Registers(UhciChip chip) implements IoHandler {
        @Override
        public long read(long offset, int size) {
            int word = chip.read((int) offset & ~1);
            return (offset & 1) == 0 ? word : word >>> 8;
        }

        @Override
        public void write(long offset, int size, long value) {
            if ((offset & 1) == 0) {
                chip.write((int) offset, (int) value & 0xffff);
            }
        }

        @Override
        public int maxAccess() {
            return 2;
        }
    }
}
