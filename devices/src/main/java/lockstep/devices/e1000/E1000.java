package lockstep.devices.e1000;

import lockstep.devices.pci.PciFunction;
import lockstep.devices.pci.PciSpec;
import lockstep.net.MacAddress;
import lockstep.net.NetException;
import lockstep.net.NicClient;
import lockstep.net.NicPort;
import lockstep.net.Nics;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.Timer;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

/** The 82540EM as a PCI function (8086:100e): registers in BAR0, an inert port range in BAR1, option ROM. */
public final class E1000 extends PciFunction implements StateSection, NicClient {
    private static final int DEVICE = 0x100e;
    private static final int REVISION = 3;
    private static final int CLASS_ETHERNET = 0x0200;
    private static final int REGISTER_BAR = 0x20000;
    private static final int PORT_BAR = 64;

    // Configuration.
    private final Attachment attachment;

    // Wiring.
    private @Nullable E1000Chip chip;
    private @Nullable NicPort port;
    private @Nullable Timer mitigation;
    private @Nullable Timer negotiation;
    private @Nullable Timer transmission;

    /** Gets the port for a NIC that now exists. */
    @FunctionalInterface
    interface Attachment {
        NicPort attach(Nics nics, NicClient client) throws NetException;
    }

    E1000(Attachment attachment) {
        super("e1000", PciSpec.VENDOR_INTEL, DEVICE, REVISION, CLASS_ETHERNET);
        this.attachment = attachment;
        interruptPin(1);
    }

    /** Plugs the card into the network; before it goes onto the bus. */
    void connect(Nics nics, DeviceScope holder) throws NetException {
        NicPort p = attachment.attach(nics, this);
        holder.onClose(p::close);
        port = p;
    }

    @Override
    protected void realize() {
        E1000Chip c = new E1000Chip(new Wiring(), machine().dma(), port().mac().bytes(), DEVICE);
        chip = c;
        mitigation = scope().timer(ClockType.VIRTUAL, c::mitigationOver);
        negotiation = scope().timer(ClockType.VIRTUAL, c::negotiated);
        transmission = scope().timer(ClockType.VIRTUAL, c.transmitter::run);
        memoryBar(0, "e1000-mmio", REGISTER_BAR, false, new Registers(c));
        portBar(1, "e1000-io", PORT_BAR, new Ports());
    }

    private NicPort port() {
        NicPort p = port;
        if (p == null) {
            throw new IllegalStateException("the NIC is not connected yet");
        }
        return p;
    }

    /** The configured address. */
    public MacAddress mac() {
        return port().mac();
    }

    private E1000Chip chip() {
        E1000Chip c = chip;
        if (c == null) {
            throw new IllegalStateException("the NIC is not on a bus yet");
        }
        return c;
    }

    @Override
    protected void reset() {
        chip().reset();
        cancel(transmission);
    }

    @Override
    protected void configWritten(int offset, int size) {
        if (touches(offset, size, PciSpec.COMMAND, 2) && busMaster()) {
            port().flush();
        }
    }

    private static void cancel(@Nullable Timer timer) {
        if (timer != null) {
            timer.cancel();
        }
    }

    private void after(@Nullable Timer timer, long nanos) {
        if (timer != null) {
            if (nanos < 0) {
                timer.cancel();
            } else {
                timer.arm(machine().clocks().virtual() + nanos);
            }
        }
    }

    // ---- Network ----------------------------------------------------------------------------

    @Override
    public boolean canReceive() {
        E1000Chip c = chip;
        return c != null && c.receiver.ready() && c.receiver.hasRoom(1);
    }

    @Override
    public void receive(byte[] frame, int offset, int length) {
        chip().receiver.receive(frame, offset, length);
    }

    @Override
    public void sendAgain() {
        E1000Chip c = chip;
        if (c != null && c.transmitter.waits()) {
            after(transmission, 0);
        }
    }

    @Override
    public void linkChanged(boolean up) {
        chip().cableChanged();
    }

    /** The chip's surroundings. */
    private final class Wiring implements E1000Chip.Board {
        @Override
        public void interrupt(boolean level) {
            setIrq(level);
        }

        @Override
        public void send(byte[] frame, int offset, int length) {
            port().send(frame, offset, length);
        }

        @Override
        public boolean heldBack() {
            return port().heldBack();
        }

        @Override
        public void flush() {
            if (chip != null) {
                port().flush();
            }
        }

        @Override
        public void transmitLater() {
            after(transmission, 0);
        }

        @Override
        public boolean busMaster() {
            return E1000.this.busMaster();
        }

        @Override
        public boolean cable() {
            return port().linkUp();
        }

        @Override
        public void addressChanged(byte[] mac) {
            port().addressChanged(MacAddress.of(mac, 0));
        }

        @Override
        public void mitigate(long nanos) {
            after(mitigation, nanos);
        }

        @Override
        public void negotiate(long nanos) {
            after(negotiation, nanos);
        }
    }

    private record Registers(E1000Chip chip) implements IoHandler {
        @Override
        public long read(long offset, int size) {
            return Integer.toUnsignedLong(chip.read((int) offset >> 2 & E1000Spec.REGISTERS - 1));
        }

        @Override
        public void write(long offset, int size, long value) {
            chip.write((int) offset >> 2 & E1000Spec.REGISTERS - 1, (int) value);
        }

        @Override
        public int minAccess() {
            return 4;
        }
    }

    /** The indirect access ports exist, and do nothing: drivers use memory. */
    private record Ports() implements IoHandler {
        @Override
        public long read(long offset, int size) {
            return 0;
        }

        @Override
        public void write(long offset, int size, long value) {}
    }

    // ---- Section ----------------------------------------------------------------------------

    @Override
    public int version() {
        return 2;
    }

    @Override
    public int minimumVersion() {
        return 1;
    }

    @Override
    public void beforeSave() {
        E1000Chip c = chip();
        // The stream has no field for a negotiation under way on a card without cable.
        if (!port().linkUp() && c.phy.autonegotiates()) {
            c.phy.negotiationDone();
        }
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        describePci("parent_obj", c);
        E1000State.describe(c, chip());
    }

    @Override
    public void afterLoad(int version) {
        cancel(transmission);
        cancel(negotiation);
        chip().loaded();
    }
}
