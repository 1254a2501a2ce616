package lockstep.runtime.qtest;

import lockstep.runtime.spi.Registration;
import lockstep.runtime.spi.Room;
import lockstep.runtime.spi.Vmm;

/** Offers the accelerator. */
public final class QtestRoom implements Room {
    /** For ServiceLoader. */
    public QtestRoom() {}

    @Override
    public void install(Registration offer, Vmm vmm) {
        offer.acceleratorType(new QtestType());
    }

    @Override
    public int order() {
        return 1;
    }
}
