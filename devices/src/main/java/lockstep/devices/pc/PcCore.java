package lockstep.devices.pc;

import lockstep.devices.pcspk.Speaker;
import lockstep.runtime.machine.Machine;

/** What the board needs of the accelerator's machine besides {@link Machine}. */
interface PcCore extends Machine {
    /** Counter 2 of the interval timer. */
    Speaker.Counter counter2();

    /** Bits of the guest's physical addresses. */
    int physicalBits();

    /** Whether the HPET has taken over the interval timer's interrupt. */
    void timerReplaced(boolean replaced);

    /** Registers the sections of PIC and IOAPIC. */
    void registerInterruptControllers();

    /** Registers the section of the interval timer. */
    void registerIntervalTimer();
}
