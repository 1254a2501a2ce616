package lockstep.runtime.qtest;

import lockstep.runtime.accelerator.Accelerator;
import lockstep.runtime.accelerator.AcceleratorType;
import lockstep.runtime.accelerator.GuestClock;
import lockstep.runtime.accelerator.InterruptControllers;
import lockstep.runtime.accelerator.IntervalTimer;
import lockstep.runtime.accelerator.Vcpu;
import lockstep.runtime.accelerator.VcpuModel;
import lockstep.runtime.chip.ChipSet;
import lockstep.runtime.cpu.CpuidLeaf;
import lockstep.runtime.loop.Clocks;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.VmClocks;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.AnonymousRam;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.MemoryAccelerator;

import java.util.List;
import java.util.Optional;

/** A machine in which nothing runs. */
final class QtestAccelerator implements Accelerator {
    private static final int MAX_VCPUS = 255;

    private final QtestType type;
    private final ChipSet chips;

    QtestAccelerator(QtestType type, EventLoop loop) {
        this.type = type;
        chips = new ChipSet(loop);
        if (loop.clocks() instanceof VmClocks clocks) {
            clocks.step();
        }
    }

    @Override
    public AcceleratorType type() {
        return type;
    }

    @Override
    public List<CpuidLeaf> supportedCpuid() {
        return type.supportedCpuid();
    }

    @Override
    public int maxVcpus() {
        return MAX_VCPUS;
    }

    @Override
    public MemoryAccelerator memory() {
        // Whoever writes to memory marks it dirty by himself.
        return new MemoryAccelerator() {
            @Override
            public void map(List<Piece> pieces) {}

            @Override
            public void logWrites(boolean on) {}

            @Override
            public void syncLog(AnonymousRam block) {}
        };
    }

    @Override
    public InterruptControllers interrupts() {
        return chips;
    }

    @Override
    public void map(AddressSpace memory, AddressSpace ports) {
        chips.map(memory, ports);
    }

    @Override
    public IntervalTimer newTimer(Clocks clocks) {
        return chips.timer();
    }

    @Override
    public Vcpu newVcpu(VcpuModel model, Vcpu.Owner owner) {
        return new QtestVcpu(model, chips, owner);
    }

    @Override
    public Optional<GuestClock> newGuestClock(Vcpu first, GuestMemory memory) {
        return Optional.empty();
    }

    @Override
    public void close() {}
}
