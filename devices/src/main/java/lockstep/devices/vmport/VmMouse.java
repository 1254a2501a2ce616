package lockstep.devices.vmport;

import lockstep.api.NoDeviceOptions;
import lockstep.devices.board.PcBoard;
import lockstep.devices.isa.IsaBus;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import java.util.Arrays;
import java.util.List;

/** The pointer's state. QEMU: vmstate "vmmouse" v0. */
public final class VmMouse implements StateSection, Device {
    /** The type. */
    public static final DeviceType<NoDeviceOptions> TYPE =
            DeviceType.of(
                            "vmmouse",
                            NoDeviceOptions::read,
                            NoDeviceOptions::write,
                            new NoDeviceOptions(),
                            IsaBus.HOME,
                            (request, scope) -> new VmMouse(scope))
                    .builtIn();

    private static final int QUEUE = 1024;

    private final int[] queue = new int[QUEUE];
    private int queued;
    private int status = 0xffff;
    private int absolute;

    private final PcBoard board;

    private VmMouse(DeviceScope scope) {
        board = PcBoard.of(scope);
        scope.onReset(this::reset);
        scope.section(this);
    }

    @Override
    public List<QomProperty> properties() {
        return List.of(QomProperty.of("i8042", "link<i8042>", () -> board.pathOf("i8042")));
    }

    private void reset() {
        Arrays.fill(queue, 0);
        queued = 0;
        status = 0xffff;
        absolute = 0;
    }

    @Override
    public String name() {
        return "vmmouse";
    }

    @Override
    public int version() {
        return 0;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        c.equalI32("queue_size", QUEUE);
        c.u32s("queue", queue);
        queued = c.u16("nb_queue", queued);
        status = c.u16("status", status);
        absolute = c.u8("absolute", absolute);
        if (c.loading() && queued > QUEUE) {
            throw c.invalid("vmmouse: nb_queue " + queued + " is out of range");
        }
    }
}
