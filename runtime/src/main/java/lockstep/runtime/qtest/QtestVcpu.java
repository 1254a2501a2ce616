package lockstep.runtime.qtest;

import lockstep.runtime.accelerator.Vcpu;
import lockstep.runtime.accelerator.VcpuModel;
import lockstep.runtime.chip.Apic;
import lockstep.runtime.chip.ChipSet;
import lockstep.runtime.chip.InterruptTarget;

import java.util.concurrent.Semaphore;

/** A vCPU that executes nothing. Its local APIC takes interrupts and keeps them. */
final class QtestVcpu extends Vcpu implements InterruptTarget {
    private final Apic chip;
    private final Semaphore kicks = new Semaphore(0);

    QtestVcpu(VcpuModel model, ChipSet chips, Owner owner) {
        super(model, "QTest", owner);
        chip = chips.newApic(apic, this);
    }

    @Override
    protected void prepare() {}

    @Override
    protected boolean enter() {
        kicks.acquireUninterruptibly();
        kicks.drainPermits();
        return true;
    }

    @Override
    public void kick() {
        kicks.release();
    }

    @Override
    protected void fetch(long now) {}

    @Override
    protected void store(long now) {
        chip.loaded();
    }

    @Override
    protected void injectNmi() {
        chip.request(Apic.NMI);
    }

    @Override
    protected void tellStopped() {}

    @Override
    protected void free() {}

    @Override
    public void changed() {}

    @Override
    public boolean current() {
        return false;
    }
}
