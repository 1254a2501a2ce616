package lockstep.qmp;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** What generated types write themselves to. Names are null in lists and for the whole document. */
public interface OutputVisitor {
    /** Starts an object. */
    void startStruct(@Nullable String name);

    /** Ends the object started last. */
    void endStruct();

    /** Starts an array. */
    void startList(@Nullable String name);

    /** Ends the array started last. */
    void endList();

    /** A leaf, or a whole tree. */
    void any(@Nullable String name, JsonValue value);

    /** A string. */
    default void string(@Nullable String name, String value) {
        any(name, new JsonString(value));
    }

    /** A signed integer. */
    default void integer(@Nullable String name, long value) {
        any(name, JsonNumber.of(value));
    }

    /** An unsigned integer given by its 64 bits. */
    default void unsigned(@Nullable String name, long value) {
        any(name, JsonNumber.ofUnsigned(value));
    }

    /** A double. */
    default void number(@Nullable String name, double value) {
        any(name, JsonNumber.of(value));
    }

    /** A boolean. */
    default void bool(@Nullable String name, boolean value) {
        any(name, new JsonBoolean(value));
    }

    /** An array of values of one type. */
    default <T> void list(@Nullable String name, List<? extends T> values, ValueWriter<T> writer) {
        startList(name);
        for (T value : values) {
            writer.write(value, this, null);
        }
        endList();
    }
}
