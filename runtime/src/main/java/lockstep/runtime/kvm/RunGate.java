package lockstep.runtime.kvm;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * Keeps vCPUs out of the guest while memory slots change: a slot that is replaced is gone for a moment, and
 * a vCPU must not see that. A vCPU at the gate holds no lock; one that waits for the machine lock, which
 * the changer holds, is not in the guest.
 */
final class RunGate {
    private final List<KvmVcpu> vcpus = new CopyOnWriteArrayList<>();
    private volatile boolean closed;

    void add(KvmVcpu vcpu) {
        vcpus.add(vcpu);
    }

    /** Before KVM_RUN, on the vCPU's thread. */
    void enter(KvmVcpu vcpu) {
        vcpu.inGuest = true;
        while (closed) {
            leave(vcpu);
            synchronized (this) {
                while (closed) {
                    await();
                }
            }
            vcpu.inGuest = true;
        }
    }

    /** After KVM_RUN. */
    void leave(KvmVcpu vcpu) {
        vcpu.inGuest = false;
        if (closed) {
            synchronized (this) {
                notifyAll();
            }
        }
    }

    /** Returns when no vCPU is in the guest; none enters until {@link #open}. Under the machine lock. */
    void close() {
        closed = true;
        for (KvmVcpu v : vcpus) {
            if (v.inGuest) {
                v.kick();
            }
        }
        synchronized (this) {
            while (vcpus.stream().anyMatch(v -> v.inGuest)) {
                await();
            }
        }
    }

    void open() {
        synchronized (this) {
            closed = false;
            notifyAll();
        }
    }

    private void await() {
        try {
            wait();
        } catch (InterruptedException e) {
            // Nobody interrupts these threads for a reason; the condition is looked at again.
            Thread.onSpinWait();
        }
    }
}
