package lockstep.devices.debugcon;

import lockstep.devices.isa.IsaBus;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevFrontend;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceOptions;
import lockstep.runtime.spi.QomProperty;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;

/** The device {@code isa-debugcon}. Used under the machine lock. */
public final class DebugConsole implements IoHandler, ChardevFrontend, Device {
    private static final String DRIVER = "isa-debugcon";
    private static final int PORT = 0xe9;
    private static final int PRESENT = 0xe9;

    /** What may wait in the back end; more is lost, as the guest cannot be told to wait. */
    private static final long BACKLOG = 1 << 20;

    private final Chardev.Attachment host;
    private final ByteBuffer one = ByteBuffer.allocate(1);
    private final List<QomProperty> properties;
    private final int readback;

    private DebugConsole(Machine machine, Chardev chardev, int port, int readback)
            throws DeviceException {
        this.readback = readback;
        host = IsaBus.attach(chardev, this, machine, DRIVER);
        machine.ports().mapIo("isa-debugcon", port, 1, 0, this);
        properties =
                List.of(
                        QomProperty.of("iobase", "uint32", () -> (long) port),
                        QomProperty.of(
                                "readback", "uint32", () -> Integer.toUnsignedLong(readback)),
                        QomProperty.of("chardev", "str", chardev::id));
    }

    /** The factory. */
    public static Device create(DeviceOptions options, Machine machine) throws DeviceException {
        IsaBus.bus(options);
        int port = (int) options.integer("iobase", PORT, 0, 0xffff);
        long readback = options.integer("readback", PRESENT, 0, 0xffff_ffffL);
        Chardev chardev = IsaBus.chardev(options, machine, DRIVER);
        options.finish();
        if (chardev == null) {
            throw new DeviceException("Can't create debugcon device, empty char device");
        }
        return new DebugConsole(machine, chardev, port, (int) readback);
    }

    @Override
    public List<QomProperty> properties() {
        return properties;
    }

    @Override
    public String bus() {
        return IsaBus.NAME;
    }

    @Override
    public int maxAccess() {
        return 1;
    }

    @Override
    public long read(long offset, int size) {
        return readback;
    }

    @Override
    public void write(long offset, int size, long value) {
        if (host.pending() >= BACKLOG) {
            return;
        }
        one.clear();
        one.put((byte) value).flip();
        try {
            host.write(one);
        } catch (IOException e) {
            // Nobody listens.
            return;
        }
    }

    @Override
    public int canReceive() {
        return 0;
    }

    @Override
    public void receive(ByteBuffer data) {
        data.position(data.limit());
    }
}
