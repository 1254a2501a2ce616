package lockstep.runtime.accelerator;

import lockstep.runtime.machine.Irq;
import lockstep.runtime.vmstate.StateSection;

import java.util.List;

/** The PC's two 8259A and its 82093AA. Under the machine lock; inputs may be driven from any thread. */
public interface InterruptControllers {
    /** Input {@code n}: 0 to 15 reach PIC and IOAPIC, 16 to 23 the IOAPIC. */
    Irq gsi(int n);

    /** Delivers a message-signalled interrupt; whether some APIC took it. */
    boolean signalMsi(long address, int data);

    /** The state after power-on. */
    void reset() throws AcceleratorException;

    /** The sections: the first PIC, the second, the IOAPIC. */
    List<StateSection> sections();
}
