package lockstep.runtime.object;

import java.util.List;

/** An object that a user made with {@code -object} or object-add. Used under the machine lock. */
public interface UserObject extends AutoCloseable {
    /** What qom-get shows, apart from {@code type}, in the order of declaration. */
    default List<QomProperty> properties() {
        return List.of();
    }

    /**
     * Whether object-del may take it away now. While something uses it the answer is {@code object 'x' is
     * in use, can not be deleted}.
     */
    default boolean removable() {
        return true;
    }

    /** Ends its work and lets go of everything it holds. Called once. */
    @Override
    void close();
}
