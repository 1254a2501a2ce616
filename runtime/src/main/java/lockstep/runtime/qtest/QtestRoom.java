package lockstep.runtime.qtest;

import lockstep.api.ObjectOptions;
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
        offer.objectType(QtestObject.TYPE, ObjectOptions.Qtest.class, QtestObject::create);
    }

    @Override
    public int order() {
        return 1;
    }
}
