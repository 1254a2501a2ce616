package lockstep.runtime.jvm;

import lockstep.runtime.spi.Registration;
import lockstep.runtime.spi.Room;
import lockstep.runtime.spi.Vmm;

/** Offers the accelerator. */
public final class JvmRoom implements Room {
    /** For ServiceLoader. */
    public JvmRoom() {}

    @Override
    public void install(Registration offer, Vmm vmm) {
        offer.acceleratorType(new JvmType());
    }

    @Override
    public int order() {
        return 1; // behind KVM
    }
}
