package lockstep.runtime.spi;

import lockstep.api.ObjectOptions;
import lockstep.qmp.QmpException;
import lockstep.runtime.object.UserObject;

/**
 * Makes the objects of one type of {@code -object} and object-add. Called under the machine lock.
 *
 * @param <O> the type's branch of the options
 */
@FunctionalInterface
public interface ObjectFactory<O extends ObjectOptions> {
    /** Makes an object from options that the schema has checked. */
    UserObject create(O options, Vmm vmm) throws QmpException;
}
