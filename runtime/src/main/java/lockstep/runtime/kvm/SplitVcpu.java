package lockstep.runtime.kvm;

import lockstep.runtime.accelerator.VcpuModel;
import lockstep.runtime.chip.ChipSet;
import lockstep.runtime.cpu.CpuidLeaf;

import java.util.List;

/**
 * A vCPU whose local APIC is in the kernel, and the PIC is not: the first vCPU takes the PIC's interrupts when the kernel
 * is ready for one.
 */
final class SplitVcpu extends KvmVcpu {
    private final ChipSet chips;

    /** The PIC's output. */
    private volatile boolean external;

    /** The guest may have left an access to a device that the next entry completes. */
    private boolean accessing;

    /**
     * The kernel has a vector that it did not pass on to the processor yet. It cannot be fetched from there, so the guest
     * is entered before the state may be moved.
     */
    private boolean given;

    SplitVcpu(
            KvmVm vm,
            VcpuModel model,
            List<CpuidLeaf> supported,
            RunGate gate,
            Owner owner,
            ChipSet chips)
            throws KvmException {
        super(vm, model, supported, gate, owner);
        this.chips = chips;
    }

    /** The PIC's output changed. Any thread. */
    void external(boolean level) {
        external = level;
        if (level) {
            disturb();
        }
    }

    @Override
    protected boolean enterBriefly() {
        if (given) {
            return false;
        }
        if (external && !accessing && !stopping() && readyForInterrupt()) {
            int vector = chips.acknowledgePic();
            if (vector >= 0) {
                transfer().wake();
                interrupt(vector);
                given = true;
            }
        }
        requestWindow(external);
        return !given && stopping();
    }

    @Override
    protected void left(int reason) {
        accessing = reason == EXIT_IO || reason == EXIT_MMIO;
        if (reason == EXIT_EOI) {
            chips.endOfInterrupt(endedVector());
        } else {
            given = false;
        }
    }
}
