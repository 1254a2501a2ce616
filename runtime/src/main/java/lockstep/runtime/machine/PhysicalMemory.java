package lockstep.runtime.machine;

import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.GuestMemory;

/** The memory of a guest by its physical addresses. Used under the machine lock. */
public interface PhysicalMemory {
    /** What is at which address. */
    AddressSpace memory();

    /** Its bytes, as bus masters see them. */
    GuestMemory dma();
}
