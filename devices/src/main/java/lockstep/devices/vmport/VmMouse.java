package lockstep.devices.vmport;

import lockstep.runtime.machine.Machine;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import java.util.Arrays;

/** The pointer's state. QEMU: vmstate "vmmouse" v0. */
public final class VmMouse implements StateSection {
    private static final int QUEUE = 1024;

    private final int[] queue = new int[QUEUE];
    private int queued;
    private int status = 0xffff;
    private int absolute;

    /** Registers the section. */
    public VmMouse(Machine machine) {
        machine.onReset(this::reset);
        machine.state().register(this);
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
