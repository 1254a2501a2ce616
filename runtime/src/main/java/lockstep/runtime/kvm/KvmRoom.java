package lockstep.runtime.kvm;

import lockstep.runtime.spi.Registration;
import lockstep.runtime.spi.Room;
import lockstep.runtime.spi.Vmm;

/** Offers KVM. */
public final class KvmRoom implements Room {
    /** For ServiceLoader. */
    public KvmRoom() {}

    @Override
    public void install(Registration offer, Vmm vmm) {
        offer.acceleratorType(new KvmType());
    }

    @Override
    public int order() {
        return 0;
    }
}
