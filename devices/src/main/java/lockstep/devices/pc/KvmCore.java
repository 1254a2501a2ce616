package lockstep.devices.pc;

import lockstep.devices.pcspk.Speaker;
import lockstep.runtime.kvm.KvmMachine;
import lockstep.runtime.machine.IntervalTimer;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.machine.VcpuGroup;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.DirtyLog;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.spi.Vmm;
import lockstep.runtime.vmstate.StateRegistry;

import java.util.List;

/** The KVM machine as the board's core. */
record KvmCore(KvmMachine kvm) implements PcCore {
    private static final int SPEAKER_CHANNEL = 2;

    @Override
    public Speaker.Counter counter2() {
        IntervalTimer timer = kvm.intervalTimer();
        return new Speaker.Counter() {
            @Override
            public boolean gate() {
                return timer.gate(SPEAKER_CHANNEL);
            }

            @Override
            public void gate(boolean level) {
                timer.gate(SPEAKER_CHANNEL, level);
            }

            @Override
            public boolean output() {
                return timer.output(SPEAKER_CHANNEL);
            }
        };
    }

    @Override
    public int physicalBits() {
        return kvm.physicalBits();
    }

    @Override
    public void timerReplaced(boolean replaced) {
        kvm.timerReplaced(replaced);
    }

    @Override
    public void registerInterruptControllers() {
        kvm.registerInterruptControllers();
    }

    @Override
    public void registerIntervalTimer() {
        kvm.registerIntervalTimer();
    }

    @Override
    public Vmm vmm() {
        return kvm.vmm();
    }

    @Override
    public String type() {
        return kvm.type();
    }

    @Override
    public AddressSpace memory() {
        return kvm.memory();
    }

    @Override
    public AddressSpace ports() {
        return kvm.ports();
    }

    @Override
    public GuestMemory dma() {
        return kvm.dma();
    }

    @Override
    public long ramSize() {
        return kvm.ramSize();
    }

    @Override
    public RamBlock ram() {
        return kvm.ram();
    }

    @Override
    public RamBlock newBlock(String name, long length, long maxLength) {
        return kvm.newBlock(name, length, maxLength);
    }

    @Override
    public List<RamBlock> blocks() {
        return kvm.blocks();
    }

    @Override
    public DirtyLog dirtyLog() {
        return kvm.dirtyLog();
    }

    @Override
    public Irq gsi(int n) {
        return kvm.gsi(n);
    }

    @Override
    public StateRegistry state() {
        return kvm.state();
    }

    @Override
    public VcpuGroup vcpus() {
        return kvm.vcpus();
    }

    @Override
    public void onReset(Runnable reset) {
        kvm.onReset(reset);
    }

    @Override
    public void reset() {
        kvm.reset();
    }
}
