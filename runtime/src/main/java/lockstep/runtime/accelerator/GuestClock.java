package lockstep.runtime.accelerator;

import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

/** The clock that a paravirtual guest reads; it stands still while the guest is stopped. Under the machine lock. */
public interface GuestClock extends StateSection, RunSwitch {
    /** What follows from the section's arrival. */
    @FunctionalInterface
    interface Arrival {
        /** Does it. */
        void run() throws StateException;
    }

    /** Has something done when the section has been loaded: only a kernel's virtual machine has one. */
    void onArrival(Arrival arrival);
}
