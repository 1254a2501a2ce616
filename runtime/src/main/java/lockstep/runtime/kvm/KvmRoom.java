package lockstep.runtime.kvm;

import lockstep.runtime.spi.Room;
import lockstep.runtime.spi.Vmm;

/** Offers KVM. */
public final class KvmRoom implements Room {
    /** For ServiceLoader. */
    public KvmRoom() {}

    @Override
    public void install(Vmm vmm) {
        vmm.acceleratorType(new KvmType());
    }

    @Override
    public int order() {
        return 0;
    }
}
