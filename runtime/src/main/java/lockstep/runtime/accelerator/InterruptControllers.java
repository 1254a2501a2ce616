package lockstep.runtime.accelerator;

import lockstep.runtime.machine.Irq;
import lockstep.runtime.vmstate.StateSection;

import java.util.List;

/** The PC's two 8259A and its 82093AA. Under the machine lock; inputs may be driven from any thread. */
public interface InterruptControllers {
    /** Told of each level that an input is driven to, before a chip sees it. With the machine lock held. */
    @FunctionalInterface
    interface Tap {
        /** {@code input} is a number as of {@link #gsi}. */
        void driven(int input, boolean level);
    }

    /** Input {@code n}: 0 to 15 reach PIC and IOAPIC, 16 to 23 the IOAPIC. */
    Irq gsi(int n);

    /** Has somebody told what the inputs are driven to; false where nobody can be. */
    default boolean tap(Tap tap) {
        return false;
    }

    /** Input {@code n} of one of the PICs alone, 0 to 7 of the first, up to 15 of the second. */
    default Irq pic(int n) {
        return Irq.NONE;
    }

    /** Input {@code n} of the IOAPIC alone; 0 reaches pin 2. */
    default Irq ioapic(int n) {
        return Irq.NONE;
    }

    /** How often each input of the IOAPIC was raised; empty where nobody counts. */
    default long[] ioapicCounts() {
        return new long[0];
    }

    /** How often each input of the PICs was raised likewise. */
    default long[] picCounts() {
        return new long[0];
    }

    /** Delivers a message-signalled interrupt; whether some APIC took it. */
    boolean signalMsi(long address, int data);

    /** The state after power-on. */
    void reset() throws AcceleratorException;

    /** The sections: the first PIC, the second, the IOAPIC. */
    List<StateSection> sections();
}
