package lockstep.runtime.accelerator;

import lockstep.api.RunState;
import lockstep.api.ShutdownCause;
import lockstep.runtime.cpu.RegisterDump;
import lockstep.runtime.cpu.VcpuState;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.machine.CpuRegisters;
import lockstep.runtime.machine.Host;
import lockstep.runtime.machine.RunControl;
import lockstep.runtime.machine.VcpuGroup;
import lockstep.runtime.memory.RegionMap;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.locks.Condition;

/** The vCPUs of a machine. Under the machine lock, except for what the vCPU threads call back. */
final class Vcpus implements VcpuGroup, Vcpu.Owner {
    private final Host host;
    private final MachineLock lock;
    private final Condition changed;
    private final RegionMap memory;
    private final RegionMap ports;
    private final List<Vcpu> vcpus = new ArrayList<>();
    private final List<RunSwitch> switched = new ArrayList<>();
    private boolean running;
    private boolean complained;

    Vcpus(Host host, RegionMap memory, RegionMap ports) {
        this.host = host;
        this.lock = host.lock();
        this.changed = lock.condition();
        this.memory = memory;
        this.ports = ports;
    }

    void add(Vcpu vcpu) {
        vcpus.add(vcpu);
    }

    void onSwitch(RunSwitch listener) {
        switched.add(listener);
    }

    List<Vcpu> all() {
        return vcpus;
    }

    @Override
    public void pauseAll() {
        for (Vcpu v : vcpus) {
            v.requestStop();
        }
        for (Vcpu v : vcpus) {
            // A vCPU that stops the machine in the middle of an access of its own parks right after
            // it.
            while (!v.parked() && !v.isCurrentThread()) {
                changed.awaitUninterruptibly();
            }
        }
        if (running) {
            running = false;
            for (RunSwitch s : switched) {
                attempt(s::paused);
            }
        }
    }

    @Override
    public void resumeAll() {
        if (!running) {
            running = true;
            for (RunSwitch s : switched) {
                attempt(s::resuming);
            }
            for (Vcpu v : vcpus) {
                v.tellStopped();
            }
        }
        for (Vcpu v : vcpus) {
            v.letGo();
        }
        changed.signalAll();
    }

    private interface Step {
        void run() throws AcceleratorException;
    }

    private void attempt(Step step) {
        try {
            step.run();
        } catch (AcceleratorException e) {
            host.report(e.getMessage());
        }
    }

    @Override
    public void stopCurrent() {
        for (Vcpu v : vcpus) {
            if (v.isCurrentThread()) {
                v.requestStop();
            }
        }
    }

    @Override
    public void resetAll() {
        long now = host.clocks().virtual();
        for (Vcpu v : vcpus) {
            attempt(() -> v.reset(now));
        }
    }

    /** Brings the state objects up to date with the accelerator. */
    void fetch(Vcpu v) throws AcceleratorException {
        v.fetch(host.clocks().virtual());
    }

    /** Puts loaded state in force. */
    void store(Vcpu v) throws AcceleratorException {
        v.store(host.clocks().virtual());
    }

    @Override
    public void injectNmi() {
        still(() -> vcpus.forEach(Vcpu::injectNmi));
    }

    /** A vCPU answers only while it is not in the guest, which may be for ever. */
    private void still(Step step) {
        boolean resume = running;
        pauseAll();
        attempt(step);
        if (resume) {
            resumeAll();
        }
    }

    private VcpuState still(int index) {
        Vcpu v = vcpus.get(index);
        still(() -> fetch(v));
        return v.state;
    }

    @Override
    public String describe(int index) {
        return "\nCPU#" + index + '\n' + RegisterDump.of(still(index));
    }

    @Override
    public @Nullable String describeLocalApic(int index) {
        if (index < 0 || index >= vcpus.size()) {
            return null;
        }
        still(index);
        return InterruptDump.of(index, vcpus.get(index).apic, host.clocks().virtual());
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
        return vcpus.stream().map(Vcpu::threadId).toList();
    }

    @Override
    public void close() {
        for (Vcpu v : vcpus) {
            v.requestEnd();
        }
        changed.signalAll();
        for (Vcpu v : vcpus) {
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
    public void parked() {
        changed.signalAll();
    }

    @Override
    public void awaitChange() {
        changed.awaitUninterruptibly();
    }

    @Override
    public void event(Vcpu vcpu, Vcpu.Event event, String text) {
        host.mainLoop().execute(() -> tell(vcpu, event, text));
    }

    private void tell(Vcpu vcpu, Vcpu.Event event, String text) {
        if (event == Vcpu.Event.INTERNAL_ERROR && !complained) {
            complained = true;
            StringBuilder message = new StringBuilder(text);
            pauseAll();
            attempt(() -> fetch(vcpu));
            host.report(message.append('\n').append(RegisterDump.of(vcpu.state)).toString());
        }
        RunControl control = host.run();
        switch (event) {
            case TRIPLE_FAULT, RESET -> control.requestReset(ShutdownCause.GUEST_RESET);
            case SHUTDOWN -> control.requestShutdown(ShutdownCause.GUEST_SHUTDOWN);
            case CRASH -> control.guestPanicked();
            case INTERNAL_ERROR -> control.requestStop(RunState.INTERNAL_ERROR);
        }
    }
}
