package lockstep.runtime.jvm;

import lockstep.runtime.accelerator.Accelerator;
import lockstep.runtime.accelerator.AcceleratorType;
import lockstep.runtime.accelerator.GuestClock;
import lockstep.runtime.accelerator.InterruptControllers;
import lockstep.runtime.accelerator.IntervalTimer;
import lockstep.runtime.accelerator.Vcpu;
import lockstep.runtime.accelerator.VcpuModel;
import lockstep.runtime.chip.ChipSet;
import lockstep.runtime.cpu.CpuidLeaf;
import lockstep.runtime.linux.HostProcess;
import lockstep.runtime.loop.Clocks;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.MemoryAccelerator;

import java.util.List;
import java.util.Optional;

/** One machine whose processors are software, and so are its interrupt controllers and its timer. */
final class JvmAccelerator implements Accelerator {
    private static final int MAX_VCPUS = 255;

    /**
     * The JVM's optimizing compiler. While an operating system starts it has more to do than the guest has, and what it
     * makes is worth little yet: on few processors it must not take them from the guest.
     */
    private static final String OPTIMIZER = "C2 Compiler";

    private static final int BEHIND = 5;

    private final JvmType type;
    private final Clocks clocks;
    private final ChipSet chips;
    private final Turn turn;
    private final JvmMemory memory;

    /** Processors that run at a time: {@code most}. */
    JvmAccelerator(JvmType type, EventLoop loop, int most) {
        turn = new Turn(most);
        memory = new JvmMemory(turn);
        this.type = type;
        clocks = loop.clocks();
        chips = new ChipSet(loop);
        HostProcess.standBehind(OPTIMIZER, BEHIND);
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
        return memory;
    }

    @Override
    public InterruptControllers interrupts() {
        return chips;
    }

    @Override
    public void map(AddressSpace space, AddressSpace ports) {
        chips.map(space, ports);
    }

    @Override
    public IntervalTimer newTimer(Clocks clocks) {
        return chips.timer();
    }

    @Override
    public Vcpu newVcpu(VcpuModel model, Vcpu.Owner owner) {
        return new JvmVcpu(model, chips, memory, turn, clocks, owner);
    }

    @Override
    public Optional<GuestClock> newGuestClock(Vcpu first, GuestMemory guestMemory) {
        return Optional.empty();
    }

    @Override
    public void close() {
        memory.close();
    }
}
