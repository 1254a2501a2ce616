package lockstep.qmp;

import org.jspecify.annotations.Nullable;

/** Reads a value of one type; generated types give theirs as {@code Type::read}. */
@FunctionalInterface
public interface ValueReader<T> {
    /**
     * Reads.
     *
     * @param name the member it is, or null for an element of a list and for the whole document
     * @throws QmpException naming the member that is missing, unexpected or ill-typed
     */
    T read(InputVisitor visitor, @Nullable String name) throws QmpException;
}
