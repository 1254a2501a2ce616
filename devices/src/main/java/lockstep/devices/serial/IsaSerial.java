package lockstep.devices.serial;

import lockstep.api.IsaSerialOptions;
import lockstep.devices.board.PcBoard;
import lockstep.devices.isa.IsaBus;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevFrontend;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.Clocks;
import lockstep.runtime.loop.Timer;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.machine.Sleep;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;

/** The device {@code isa-serial}, one of a PC's four serial ports. Used under the machine lock. */
public final class IsaSerial implements IoHandler, ChardevFrontend, StateSection, Device {
    /** The type. A guest that sleeps in S3 is woken by the power button alone here. */
    public static final DeviceType<IsaSerialOptions> TYPE =
            DeviceType.of(
                    "isa-serial",
                    IsaSerialOptions::read,
                    IsaSerialOptions::write,
                    IsaSerialOptions.builder()
                            .index(IsaBus.ANY)
                            .iobase(IsaBus.ANY)
                            .irq(IsaBus.ANY)
                            .baudbase(115_200L)
                            .wakeup(false)
                            .build(),
                    IsaBus.HOME,
                    IsaSerial::create);

    /** The part of the device that QEMU gives the properties of the line. */
    private static final String OWNER = "serial";

    private static final long BAUD_BASE = 115_200;

    /** Bytes that may wait in the back end before the transmitter stops. */
    private static final long BACKLOG = 64 << 10;

    // Wiring.
    private final IsaBus.Place place;
    private final PcBoard board;
    private final boolean wakes;
    private final Irq irq;
    private final Clocks clocks;
    private final Timer timeout;
    private Chardev.@Nullable Attachment host;
    private final ByteBuffer one = ByteBuffer.allocate(1);

    private final List<QomProperty> properties;
    private final Uart uart;

    /**
     * A serial port.
     *
     * @param chardev what it is connected to, or null: a port without a cable
     * @param baudBase the speed at divisor 1
     * @param wakes whether what arrives wakes the guest
     * @throws DeviceException when the chardev has a user already
     */
    private IsaSerial(
            DeviceScope scope,
            IsaBus.Place place,
            @Nullable Chardev chardev,
            long baudBase,
            boolean wakes)
            throws DeviceException {
        this.place = place;
        this.wakes = wakes;
        board = PcBoard.of(scope);
        this.irq = board.isa().irq(place.irq());
        this.clocks = scope.machine().clocks();
        this.timeout = scope.timer(ClockType.VIRTUAL, this::timedOut);
        this.uart = new Uart(new Wire(), baudBase);
        if (chardev != null) {
            host = IsaBus.attach(chardev, this, scope, OWNER);
        }
        scope.ports("serial", place.base(), IsaBus.PORT_SIZE, this);
        scope.onReset(this::reset);
        scope.section(this);
        board.acpi().addIsa(place.aml("COM", "PNP0501", 0), scope);
        properties = place.properties();
    }

    private static Device create(DeviceRequest<IsaSerialOptions> request, DeviceScope scope)
            throws DeviceException {
        IsaSerialOptions o = request.options();
        Chardev chardev = IsaBus.chardev(o.chardev(), scope, OWNER);
        IsaBus.Place place =
                PcBoard.of(scope)
                        .isa()
                        .place(
                                IsaBus.Kind.SERIAL,
                                TYPE.name(),
                                o.index(),
                                o.iobase(),
                                o.irq(),
                                scope);
        Long baudBase = o.baudbase();
        return new IsaSerial(
                scope,
                place,
                chardev,
                baudBase == null ? BAUD_BASE : baudBase,
                Boolean.TRUE.equals(o.wakeup()));
    }

    private final class Wire implements Uart.Line {
        @Override
        public boolean ready() {
            return lineReady();
        }

        @Override
        public void send(int character) {
            lineSend(character);
        }
    }

    @Override
    public List<QomProperty> properties() {
        return properties;
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
        if (wakes) {
            board.wakeUp(Sleep.Reason.OTHER);
        }
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
        return place.ordinal();
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
