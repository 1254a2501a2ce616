package lockstep.runtime.kvm;

import lockstep.api.RunState;
import lockstep.api.ShutdownCause;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.machine.CpuRegisters;
import lockstep.runtime.machine.RunControl;
import lockstep.runtime.machine.VcpuGroup;
import lockstep.runtime.memory.RegionMap;
import lockstep.runtime.spi.Vmm;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.locks.Condition;

/** The vCPUs of a machine. Under the machine lock, except for what the vCPU threads call back. */
final class KvmVcpus implements VcpuGroup, KvmVcpu.Owner {
    /** Told when the vCPUs stop and before they go on. Under the machine lock. */
    interface Switched {
        void paused() throws KvmException;

        void resuming() throws KvmException;
    }

    private final Vmm vmm;
    private final MachineLock lock;
    private final Condition changed;
    private final RegionMap memory;
    private final RegionMap ports;
    private final List<KvmVcpu> vcpus = new ArrayList<>();
    private final List<Switched> switched = new ArrayList<>();
    private boolean running;
    private boolean complained;

    private final RunGate gate;

    KvmVcpus(Vmm vmm, RegionMap memory, RegionMap ports, RunGate gate) {
        this.gate = gate;
        this.vmm = vmm;
        this.lock = vmm.lock();
        this.changed = lock.condition();
        this.memory = memory;
        this.ports = ports;
    }

    void add(KvmVcpu vcpu) {
        vcpus.add(vcpu);
        gate.add(vcpu);
    }

    void onSwitch(Switched listener) {
        switched.add(listener);
    }

    List<KvmVcpu> all() {
        return vcpus;
    }

    boolean running() {
        return running;
    }

    @Override
    public void pauseAll() {
        for (KvmVcpu v : vcpus) {
            v.requestStop();
        }
        for (KvmVcpu v : vcpus) {
            // A vCPU that stops the machine in the middle of an access of its own parks right after
            // it.
            while (!v.parked() && !v.isCurrentThread()) {
                changed.awaitUninterruptibly();
            }
        }
        if (running) {
            running = false;
            for (Switched s : switched) {
                attempt(s::paused);
            }
        }
    }

    @Override
    public void resumeAll() {
        if (!running) {
            running = true;
            for (Switched s : switched) {
                attempt(s::resuming);
            }
            for (KvmVcpu v : vcpus) {
                v.transfer().tellStopped();
            }
        }
        for (KvmVcpu v : vcpus) {
            v.letGo();
        }
        changed.signalAll();
    }

    private interface Step {
        void run() throws KvmException;
    }

    private void attempt(Step step) {
        try {
            step.run();
        } catch (KvmException e) {
            vmm.report(e.getMessage());
        }
    }

    @Override
    public void stopCurrent() {
        for (KvmVcpu v : vcpus) {
            if (v.isCurrentThread()) {
                v.requestStop();
            }
        }
    }

    @Override
    public void resetAll() {
        long now = vmm.clocks().virtual();
        for (KvmVcpu v : vcpus) {
            boolean bootstrap = v.index == 0;
            v.apic.reset(bootstrap);
            v.state.reset(v.signature, bootstrap);
            attempt(() -> v.transfer().store(v.state, v.apic, now));
        }
    }

    /** Brings the state objects up to date with the kernel. */
    void fetch(KvmVcpu v) throws KvmException {
        v.transfer().fetch(v.state, v.apic, vmm.clocks().virtual());
    }

    /** Puts loaded state into the kernel. */
    void store(KvmVcpu v) throws KvmException {
        v.transfer().store(v.state, v.apic, vmm.clocks().virtual());
    }

    @Override
    public void injectNmi() {
        still(() -> vcpus.forEach(v -> v.transfer().injectNmi()));
    }

    /** The kernel takes calls about a vCPU only while it is not in the guest, which may be for ever. */
    private void still(Step step) {
        boolean resume = running;
        pauseAll();
        attempt(step);
        if (resume) {
            resumeAll();
        }
    }

    private VcpuState still(int index) {
        KvmVcpu v = vcpus.get(index);
        still(() -> fetch(v));
        return v.state;
    }

    @Override
    public String describe(int index) {
        return "\nCPU#" + index + '\n' + RegisterDump.of(still(index));
    }

    @Override
    public @Nullable CpuRegisters registers(int index) {
        if (index < 0 || index >= vcpus.size()) {
            return null;
        }
        VcpuState s = still(index);
        return new CpuRegisters(
                Arrays.stream(s.regs).boxed().toList(),
                s.rip,
                s.rflags,
                Arrays.stream(s.segs)
                        .map(g -> new CpuRegisters.Segment(g.selector, g.base, g.limit))
                        .toList(),
                s.cr0,
                s.cr2,
                s.cr3,
                s.cr4,
                s.efer);
    }

    @Override
    public List<Integer> threads() {
        return vcpus.stream().map(KvmVcpu::threadId).toList();
    }

    @Override
    public void close() {
        for (KvmVcpu v : vcpus) {
            v.requestEnd();
        }
        changed.signalAll();
        for (KvmVcpu v : vcpus) {
            // The thread may need the lock to finish: it is given up while waiting.
            while (!v.ended()) {
                changed.awaitUninterruptibly();
            }
            v.free();
        }
        vcpus.clear();
        running = false;
    }

    // ---- called by the vCPU threads

    @Override
    public MachineLock lock() {
        return lock;
    }

    @Override
    public RegionMap memory() {
        return memory;
    }

    @Override
    public RegionMap ports() {
        return ports;
    }

    @Override
    public RunGate gate() {
        return gate;
    }

    @Override
    public void parked() {
        changed.signalAll();
    }

    @Override
    public void awaitChange() {
        changed.awaitUninterruptibly();
    }

    @Override
    public void event(KvmVcpu vcpu, KvmVcpu.Event event, String text) {
        vmm.mainLoop().execute(() -> tell(vcpu, event, text));
    }

    private void tell(KvmVcpu vcpu, KvmVcpu.Event event, String text) {
        if (event == KvmVcpu.Event.INTERNAL_ERROR && !complained) {
            complained = true;
            StringBuilder message = new StringBuilder(text);
            pauseAll();
            attempt(() -> fetch(vcpu));
            vmm.report(message.append('\n').append(vcpu.describe()).toString());
        }
        RunControl control = vmm.run();
        switch (event) {
            case TRIPLE_FAULT, RESET -> control.requestReset(ShutdownCause.GUEST_RESET);
            case SHUTDOWN -> control.requestShutdown(ShutdownCause.GUEST_SHUTDOWN);
            case CRASH -> control.requestStop(RunState.GUEST_PANICKED);
            case INTERNAL_ERROR -> control.requestStop(RunState.INTERNAL_ERROR);
        }
    }
}
