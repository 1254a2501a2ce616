package lockstep.runtime.spi;

import lockstep.api.ObjectOptions;
import lockstep.qmp.QmpException;
import lockstep.runtime.Vmm;

/** Makes the objects of one type of {@code -object} and object-add. Called under the machine lock. */
@FunctionalInterface
public interface ObjectFactory {
    /** Makes an object from options that the schema has checked. */
    UserObject create(ObjectOptions options, Vmm vmm) throws QmpException;
}
