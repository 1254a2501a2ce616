package lockstep.runtime.accelerator;

import lockstep.runtime.machine.Machine;
import lockstep.runtime.vmstate.StateSection;

import java.util.List;

/** What a PC board needs of the machine that it completes, besides what devices see. Under the machine lock. */
public interface CoreMachine extends Machine {
    /** What the object tree calls the chips that the accelerator brings. */
    ChipNames chipNames();

    /** The 8254; its section is the board's to register. */
    IntervalTimer intervalTimer();

    /** Bits of the guest's physical addresses. */
    int physicalBits();

    /** The sections of PIC and IOAPIC, which the board registers at their place among its own. */
    List<StateSection> interruptSections();
}
