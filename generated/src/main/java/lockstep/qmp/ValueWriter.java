package lockstep.qmp;

import org.jspecify.annotations.Nullable;

/** Writes a value of one type; generated types give theirs as {@code Type::write}. */
@FunctionalInterface
public interface ValueWriter<T> {
    /**
     * Writes.
     *
     * @param name the member it is, or null for an element of a list and for the whole document
     */
    void write(T value, OutputVisitor visitor, @Nullable String name);
}
