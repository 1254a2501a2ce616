package lockstep.devices.serial;

import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevException;
import lockstep.runtime.chardev.ChardevFrontend;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.Clocks;
import lockstep.runtime.loop.Timer;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;

/** One of a PC's four serial ports on the ISA bus. Used under the machine lock. */
public final class IsaSerial implements IoHandler, ChardevFrontend, StateSection {
    private static final int[] BASES = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
    private static final int[] IRQS = {4, 3, 4, 3};

    /** Bytes that may wait in the back end before the transmitter stops. */
    private static final long BACKLOG = 64 << 10;

    // Wiring.
    private final int index;
    private final Irq irq;
    private final Clocks clocks;
    private final Timer timeout;
    private Chardev.@Nullable Attachment host;
    private final ByteBuffer one = ByteBuffer.allocate(1);

    private final Uart uart =
            new Uart(
                    new Uart.Line() {
                        @Override
                        public boolean ready() {
                            return lineReady();
                        }

                        @Override
                        public void send(int character) {
                            lineSend(character);
                        }
                    });

    /**
     * Serial port {@code index}, 0 to 3.
     *
     * @throws ChardevException when the chardev has a user already
     */
    public IsaSerial(Machine machine, int index, @Nullable Chardev chardev)
            throws ChardevException {
        this.index = index;
        this.irq = machine.gsi(IRQS[index]);
        this.clocks = machine.vmm().clocks();
        this.timeout = machine.vmm().mainLoop().timer(ClockType.VIRTUAL, this::timedOut);
        if (chardev != null) {
            host = chardev.attach(this, machine.vmm().mainLoop());
        }
        machine.ports().mapIo("serial", BASES[index], 8, 0, this);
        machine.onReset(this::reset);
        machine.state().register(this);
    }

    /** The first port's address of serial port {@code index}. */
    public static int base(int index) {
        return BASES[index];
    }

    private void reset() {
        uart.reset();
        timeout.cancel();
        irq.set(false);
    }

    private boolean lineReady() {
        Chardev.Attachment h = host;
        if (h == null || h.pending() < BACKLOG) {
            return true;
        }
        h.whenDrained(this::drained);
        return false;
    }

    private void drained() {
        uart.sent();
        update();
    }

    private void lineSend(int character) {
        Chardev.Attachment h = host;
        if (h == null) {
            return;
        }
        one.clear();
        one.put((byte) character).flip();
        try {
            h.write(one);
        } catch (IOException e) {
            // Nobody listens: on a real line the character would be lost as well.
            return;
        }
    }

    private void timedOut() {
        uart.timeout();
        update();
    }

    private void update() {
        irq.set(uart.irq());
    }

    @Override
    public int maxAccess() {
        return 1;
    }

    @Override
    public long read(long offset, int size) {
        boolean full = uart.space() == 0;
        long value = uart.read((int) offset & 7);
        if (offset == 0) {
            armTimeout();
            Chardev.Attachment h = host;
            if (full && uart.space() > 0 && h != null) {
                h.acceptInput();
            }
        }
        update();
        return value;
    }

    @Override
    public void write(long offset, int size, long value) {
        boolean full = uart.space() == 0;
        uart.write((int) offset & 7, (int) value & 0xff);
        Chardev.Attachment h = host;
        if (full && uart.space() > 0 && h != null) {
            h.acceptInput();
        }
        update();
    }

    private void armTimeout() {
        if (uart.timeoutWanted()) {
            timeout.arm(clocks.virtual() + uart.timeoutNanos());
        } else {
            timeout.cancel();
        }
    }

    @Override
    public int canReceive() {
        return uart.space();
    }

    @Override
    public void receive(ByteBuffer data) {
        while (data.hasRemaining()) {
            uart.received(data.get() & 0xff);
        }
        armTimeout();
        update();
    }

    @Override
    public void broken() {
        uart.receivedBreak();
        update();
    }

    @Override
    public String name() {
        return "serial";
    }

    @Override
    public int instance() {
        return index;
    }

    @Override
    public int version() {
        return 3;
    }

    @Override
    public int minimumVersion() {
        return 2;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        c.struct(
                "state",
                "serial",
                3,
                s ->
                        uart.describe(
                                s,
                                timeout.deadline(),
                                deadline -> {
                                    if (s.loading()) {
                                        timeout.arm(deadline);
                                    }
                                }));
    }

    @Override
    public void afterLoad(int version) {
        if (uart.sending()) {
            uart.sent();
        }
        update();
        Chardev.Attachment h = host;
        if (h != null) {
            h.acceptInput();
        }
    }
}
