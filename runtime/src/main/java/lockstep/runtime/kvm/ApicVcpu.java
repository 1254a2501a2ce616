package lockstep.runtime.kvm;

import lockstep.runtime.accelerator.VcpuModel;
import lockstep.runtime.chip.Apic;
import lockstep.runtime.chip.ChipSet;
import lockstep.runtime.chip.InterruptTarget;
import lockstep.runtime.cpu.CpuidLeaf;
import lockstep.runtime.cpu.VcpuState;

import java.util.List;

/**
 * A vCPU whose local APIC is not in the kernel. The kernel is told of one interrupt at a time, when it is ready for one; it
 * knows neither HLT nor the wait for a start-up message, which keep the thread out of the guest.
 */
final class ApicVcpu extends KvmVcpu implements InterruptTarget {
    private static final int INTERRUPT_FLAG = 1 << 9;
    private static final int UNTIL_STARTED = Apic.INIT | Apic.SIPI;

    private final Apic chip;
    private final int signature;
    private final int physicalBits;
    private final Object work = new Object();

    /** The next entry has no access to complete: the vCPU stands between two instructions. */
    private boolean between = true;

    private boolean halted;
    private boolean interruptible;

    ApicVcpu(
            KvmVm vm,
            VcpuModel model,
            List<CpuidLeaf> supported,
            RunGate gate,
            Owner owner,
            ChipSet chips)
            throws KvmException {
        super(vm, model, supported, gate, owner);
        signature = model.signature();
        physicalBits = model.physicalBits();
        chip = chips.newApic(apic, this);
    }

    // ---- the vCPU's thread

    @Override
    protected boolean stayOut() {
        int asked = chip.requests();
        if ((asked & Apic.SMI) != 0) {
            chip.take(Apic.SMI); // there is no system management mode
        }
        if (between && (asked & UNTIL_STARTED) != 0) {
            restart((asked & Apic.INIT) != 0);
            return true;
        }
        if (idle()) {
            sleep();
            return true;
        }
        halted = false;
        return false;
    }

    /** Whether there is nothing to do in the guest. */
    private boolean idle() {
        int asked = chip.requests();
        boolean wakes = (asked & Apic.NMI) != 0 || interruptible && (asked & Apic.INTERRUPT) != 0;
        return chip.waiting() || halted && !wakes;
    }

    private void sleep() {
        synchronized (work) {
            while (!stopping() && idle() && (chip.requests() & UNTIL_STARTED) == 0) {
                try {
                    work.wait();
                } catch (InterruptedException e) {
                    Thread.onSpinWait();
                }
            }
        }
    }

    /** INIT, or the start-up message behind it. */
    private void restart(boolean init) {
        try {
            transfer().fetch(state, apic, 0);
            if (init) {
                chip.init();
                state.init(signature);
            } else {
                int vector = chip.start();
                if (vector < 0) {
                    return;
                }
                VcpuState.Segment cs = state.segs[VcpuState.CS];
                cs.set(vector << 8, (long) vector << 12, 0xffff, cs.flags);
                state.rip = 0;
            }
            transfer().storeProcessor(state, apic);
            halted = false;
            followFlags();
        } catch (KvmException e) {
            fail(e.getMessage());
        }
    }

    private void followFlags() {
        between = true;
        interruptible = (state.rflags & INTERRUPT_FLAG) != 0;
        notReady();
    }

    @Override
    protected boolean enterBriefly() {
        int asked = chip.requests();
        if (stopping() || (asked & UNTIL_STARTED) != 0) {
            return true;
        }
        if ((asked & Apic.NMI) != 0 && chip.take(Apic.NMI)) {
            transfer().injectNmi();
        }
        if ((asked & Apic.INTERRUPT) != 0 && interruptible && readyForInterrupt()) {
            int vector = chip.acknowledge();
            if (vector >= 0) {
                interrupt(vector);
            }
        }
        requestWindow((chip.requests() & Apic.INTERRUPT) != 0);
        taskPriority(chip.cr8());
        return false;
    }

    @Override
    protected void left(int reason) {
        halted = reason == EXIT_HLT;
        between = halted || reason == INTERRUPTED;
        interruptible = interruptFlag();
        int priority = taskPriority();
        if (priority != chip.cr8()) {
            chip.cr8(priority);
        }
        long base = apicBase();
        if (base != chip.base()) {
            chip.base(base, physicalBits);
        }
    }

    @Override
    public void kick() {
        super.kick();
        wake();
    }

    private void wake() {
        synchronized (work) {
            work.notifyAll();
        }
    }

    // ---- the APIC's side

    @Override
    public void changed() {
        disturb();
        wake();
    }

    @Override
    public boolean current() {
        return isCurrentThread();
    }

    // ---- state

    @Override
    protected void fetch(long now) throws KvmException {
        transfer().fetch(state, apic, now);
        if (chip.waiting()) {
            state.mpState = VcpuState.NOT_STARTED;
        } else {
            state.mpState = halted ? VcpuState.HALTED : VcpuState.RUNNABLE;
        }
        state.tscDeadline = 0;
        int asked = chip.requests();
        requests =
                ((asked & Apic.INTERRUPT) != 0 ? HARD : 0)
                        | ((asked & Apic.NMI) != 0 || state.nmiPending != 0 ? NMI : 0)
                        | ((asked & Apic.INIT) != 0 ? INIT : 0)
                        | ((asked & Apic.SIPI) != 0 ? SIPI : 0);
    }

    @Override
    protected void store(long now) throws KvmException {
        transfer().store(state, apic, now);
        chip.loaded();
        halted = state.mpState == VcpuState.HALTED && state.nmiPending == 0;
        followFlags();
        if ((requests & INIT) != 0) {
            chip.request(Apic.INIT);
        }
        if ((requests & SIPI) != 0) {
            chip.request(Apic.SIPI);
        }
    }

    @Override
    protected void injectNmi() {
        chip.request(Apic.NMI);
    }
}
