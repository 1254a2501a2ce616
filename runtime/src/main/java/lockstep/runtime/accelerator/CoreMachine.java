package lockstep.runtime.accelerator;

import lockstep.runtime.machine.Machine;

/** What a PC board needs of the machine that it completes, besides what devices see. Under the machine lock. */
public interface CoreMachine extends Machine {
    /** What the object tree calls the chips that the accelerator brings. */
    ChipNames chipNames();

    /** The 8254. */
    IntervalTimer intervalTimer();

    /** Bits of the guest's physical addresses. */
    int physicalBits();

    /** Registers the sections of PIC and IOAPIC, at their place among the board's. */
    void registerInterruptControllers();

    /** Registers the section of the interval timer likewise. */
    void registerIntervalTimer();
}
