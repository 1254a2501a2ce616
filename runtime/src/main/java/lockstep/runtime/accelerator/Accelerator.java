package lockstep.runtime.accelerator;

import lockstep.runtime.cpu.CpuidLeaf;
import lockstep.runtime.loop.Clocks;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.MemoryAccelerator;

import java.util.List;
import java.util.Optional;

/** What runs one machine. Made, used and closed under the machine lock. */
public interface Accelerator extends AutoCloseable {
    /** Its kind. */
    AcceleratorType type();

    /** What the object tree calls its chips. */
    default ChipNames namesOfChips() {
        return type().chipNames();
    }

    /** The CPUID leaves that it can give to a guest. */
    List<CpuidLeaf> supportedCpuid();

    /** The most vCPUs. */
    int maxVcpus();

    /** The memory slots and their log of guest writes. */
    MemoryAccelerator memory();

    /** The two 8259A and the 82093AA. */
    InterruptControllers interrupts();

    /** Maps what the guest reaches through its address spaces, where the chips are not in the kernel. Once. */
    default void map(AddressSpace memory, AddressSpace ports) {}

    /** Makes the 8254. Once. */
    IntervalTimer newTimer(Clocks clocks);

    /** Makes a vCPU, which stands still; its state is that after power-on once it is reset. */
    Vcpu newVcpu(VcpuModel model, Vcpu.Owner owner) throws AcceleratorException;

    /** The clock of a paravirtual guest, of the vCPU that is the first; empty where there is none. */
    Optional<GuestClock> newGuestClock(Vcpu first, GuestMemory memory);

    /** Frees the machine; its vCPUs have ended. */
    @Override
    void close();
}
