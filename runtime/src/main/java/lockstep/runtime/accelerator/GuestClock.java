package lockstep.runtime.accelerator;

import lockstep.runtime.vmstate.StateSection;

/** The clock that a paravirtual guest reads; it stands still while the guest is stopped. Under the machine lock. */
public interface GuestClock extends StateSection, RunSwitch {}
