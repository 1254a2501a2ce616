package lockstep.devices.parallel;

import lockstep.api.IsaParallelOptions;
import lockstep.devices.board.PcBoard;
import lockstep.devices.isa.IsaBus;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevFrontend;
import lockstep.runtime.machine.Irq;
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

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;

/** The device {@code isa-parallel}. QEMU: vmstate "parallel_isa" v1. Used under the machine lock. */
public final class IsaParallel implements IoHandler, ChardevFrontend, StateSection, Device {
    private static final String DRIVER = "isa-parallel";

    /** The type. */
    public static final DeviceType<IsaParallelOptions> TYPE =
            DeviceType.of(
                    DRIVER,
                    IsaParallelOptions::read,
                    IsaParallelOptions::write,
                    IsaParallelOptions.builder()
                            .index(IsaBus.ANY)
                            .iobase(IsaBus.ANY)
                            .irq(7L)
                            .build(),
                    IsaBus.HOME,
                    IsaParallel::create);

    private static final long BACKLOG = 64 << 10;

    private static final int STATUS_READY = 0xd9;
    private static final int STATUS_BUSY = 0x80;
    private static final int STATUS_ACK = 0x40;
    private static final int CONTROL_IDLE = 0xcc;
    private static final int CONTROL_STROBE = 0x01;
    private static final int CONTROL_INIT = 0x04;
    private static final int CONTROL_SELECT = 0x08;
    private static final int CONTROL_INTERRUPT = 0x10;
    private static final int CONTROL_INPUT = 0x20;

    private final IsaBus.Place place;
    private final Irq irq;
    private final ByteBuffer one = ByteBuffer.allocate(1);
    private final Chardev.Attachment host;
    private final List<QomProperty> properties;

    private int written = 0xff;
    private int input = 0xff;
    private int status = STATUS_READY;
    private int control = CONTROL_IDLE;
    private boolean pending;
    private int eppTimeout;

    private IsaParallel(DeviceScope scope, IsaBus.Place place, Chardev chardev)
            throws DeviceException {
        this.place = place;
        PcBoard board = PcBoard.of(scope);
        irq = board.isa().irq(place.irq());
        host = IsaBus.attach(chardev, this, scope, DRIVER);
        scope.ports("parallel", place.base(), IsaBus.PORT_SIZE, this);
        scope.onReset(this::reset);
        scope.section(this);
        board.acpi().addIsa(place.aml("LPT", "PNP0400", 8), scope);
        properties = place.properties();
    }

    private static Device create(DeviceRequest<IsaParallelOptions> request, DeviceScope scope)
            throws DeviceException {
        IsaParallelOptions o = request.options();
        Chardev chardev = IsaBus.chardev(o.chardev(), scope, DRIVER);
        if (chardev == null) {
            throw new DeviceException("Can't create parallel device, empty char device");
        }
        IsaBus.Place place =
                PcBoard.of(scope)
                        .isa()
                        .place(IsaBus.Kind.PARALLEL, DRIVER, o.index(), o.iobase(), o.irq(), scope);
        return new IsaParallel(scope, place, chardev);
    }

    @Override
    public List<QomProperty> properties() {
        return properties;
    }

    private void reset() {
        written = 0xff;
        input = 0xff;
        status = STATUS_READY;
        control = CONTROL_IDLE;
        pending = false;
        eppTimeout = 0;
        irq.set(false);
    }

    @Override
    public int canReceive() {
        return 0;
    }

    @Override
    public void receive(ByteBuffer data) {
        data.position(data.limit());
    }

    @Override
    public int maxAccess() {
        return 1;
    }

    @Override
    public long read(long offset, int size) {
        switch ((int) offset) {
            case 0:
                return (control & CONTROL_INPUT) != 0 ? input : written;
            case 1:
                int was = status;
                pending = false;
                if ((status & STATUS_BUSY) == 0 && (control & CONTROL_STROBE) == 0) {
                    // The printer acknowledges with a pulse, then is ready again.
                    if ((status & STATUS_ACK) != 0) {
                        status &= ~STATUS_ACK;
                    } else {
                        status |= STATUS_ACK | STATUS_BUSY;
                    }
                }
                irq.set(pending);
                return was;
            case 2:
                return control;
            default:
                return 0xff;
        }
    }

    @Override
    public void write(long offset, int size, long value) {
        int v = (int) value & 0xff;
        if (offset == 0) {
            written = v;
        } else if (offset == 2) {
            int next = v | 0xc0;
            if ((next & CONTROL_INIT) == 0) {
                status = STATUS_READY;
            } else if ((next & CONTROL_SELECT) != 0) {
                if ((next & CONTROL_STROBE) != 0) {
                    status &= ~STATUS_BUSY;
                    if ((control & CONTROL_STROBE) == 0) {
                        print(written);
                    }
                } else if ((control & CONTROL_INTERRUPT) != 0) {
                    pending = true;
                }
            }
            control = next;
            irq.set(pending);
        }
    }

    private void print(int character) {
        if (host.pending() >= BACKLOG) {
            return;
        }
        one.clear();
        one.put((byte) character).flip();
        try {
            host.write(one);
        } catch (IOException e) {
            // No printer: the character is lost, as it would be on a cut cable.
            return;
        }
    }

    @Override
    public String name() {
        return "parallel_isa";
    }

    @Override
    public int instance() {
        return place.ordinal();
    }

    @Override
    public int version() {
        return 1;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        written = c.u8("state.dataw", written);
        input = c.u8("state.datar", input);
        status = c.u8("state.status", status);
        control = c.u8("state.control", control);
        pending = c.i32("state.irq_pending", pending ? 1 : 0) != 0;
        eppTimeout = c.i32("state.epp_timeout", eppTimeout);
    }

    @Override
    public void afterLoad(int version) {
        irq.set(pending);
    }
}
