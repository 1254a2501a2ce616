package lockstep.runtime.cpu;

import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

/**
 * The place of the task-priority patcher in the stream (QEMU: vmstate "kvm-tpr-opt" v1), an optimisation
 * for old guests that is not offered here: written as inactive, refused when a guest has been patched.
 */
public final class TprPatching implements StateSection {
    private static final int ACTIVE = 1;
    private static final String[] HEADER = {
        "vaddr",
        "fixup_start",
        "fixup_end",
        "vapic_vaddr",
        "vapic_size",
        "vcpu_shift",
        "real_tpr_addr"
    };

    private final int[] header = new int[HEADER.length];
    private final Handlers up = new Handlers();
    private final Handlers mp = new Handlers();
    private int state;
    private int realTpr;
    private int romVirtual;
    private int vapicPhysical;
    private int romPhysical;

    /** Inactive. */
    public TprPatching() {}

    private static final class Handlers {
        int setTpr;
        int setTprEax;
        final int[] getTpr = new int[8];
        int getTprStack;

        void describe(StateCodec c) throws StateException {
            setTpr = c.u32("set_tpr", setTpr);
            setTprEax = c.u32("set_tpr_eax", setTprEax);
            c.u32s("get_tpr", getTpr);
            getTprStack = c.u32("get_tpr_stack", getTprStack);
        }
    }

    @Override
    public String name() {
        return "kvm-tpr-opt";
    }

    @Override
    public int version() {
        return 1;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        c.struct(
                "rom_state",
                "kvmvapic-guest-rom",
                1,
                s -> {
                    s.pad("unused", 8);
                    for (int i = 0; i < HEADER.length; i++) {
                        header[i] = s.u32(HEADER[i], header[i]);
                    }
                    s.struct("up", "kvmvapic-handlers", 1, up::describe);
                    s.struct("mp", "kvmvapic-handlers", 1, mp::describe);
                });
        state = c.u32("state", state);
        realTpr = c.u32("real_tpr_addr", realTpr);
        romVirtual = c.u32("rom_state_vaddr", romVirtual);
        vapicPhysical = c.u32("vapic_paddr", vapicPhysical);
        romPhysical = c.u32("rom_state_paddr", romPhysical);
    }

    @Override
    public void afterLoad(int version) throws StateException {
        if (state == ACTIVE) {
            throw new StateException(
                    "the guest was patched for a paravirtual task priority register, which this"
                            + " machine does not have; start the sender with -cpu ...,-kvm or"
                            + " without the kvmvapic ROM");
        }
    }
}
