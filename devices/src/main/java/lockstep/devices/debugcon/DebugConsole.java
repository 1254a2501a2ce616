package lockstep.devices.debugcon;

import lockstep.api.IsaDebugconOptions;
import lockstep.devices.isa.IsaBus;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevFrontend;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;

import java.io.IOException;
import java.nio.ByteBuffer;

/** The device {@code isa-debugcon}. Used under the machine lock. */
public final class DebugConsole implements IoHandler, ChardevFrontend, Device {
    private static final String DRIVER = "isa-debugcon";
    private static final long LAST_PORT = 0xffff;

    /** The type. */
    public static final DeviceType<IsaDebugconOptions> TYPE =
            DeviceType.of(
                    DRIVER,
                    IsaDebugconOptions::read,
                    IsaDebugconOptions::write,
                    IsaDebugconOptions.builder().iobase(0xe9L).readback(0xe9L).build(),
                    IsaBus.HOME,
                    DebugConsole::create);

    /** What may wait in the back end; more is lost, as the guest cannot be told to wait. */
    private static final long BACKLOG = 1 << 20;

    private final Chardev.Attachment host;
    private final ByteBuffer one = ByteBuffer.allocate(1);
    private final int readback;

    private DebugConsole(DeviceScope scope, Chardev chardev, int port, int readback)
            throws DeviceException {
        this.readback = readback;
        host = IsaBus.attach(chardev, this, scope, DRIVER);
        scope.ports("isa-debugcon", port, 1, this);
    }

    private static Device create(DeviceRequest<IsaDebugconOptions> request, DeviceScope scope)
            throws DeviceException {
        IsaDebugconOptions o = request.options();
        Long port = o.iobase();
        Long readback = o.readback();
        if (port == null || port > LAST_PORT) {
            throw request.refused("iobase", String.valueOf(port));
        }
        Chardev chardev = IsaBus.chardev(o.chardev(), scope, DRIVER);
        if (chardev == null) {
            throw new DeviceException("Can't create debugcon device, empty char device");
        }
        return new DebugConsole(
                scope, chardev, port.intValue(), readback == null ? 0 : readback.intValue());
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
