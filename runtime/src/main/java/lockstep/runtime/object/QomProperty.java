package lockstep.runtime.object;

import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpException;

import org.jspecify.annotations.Nullable;

import java.util.function.Supplier;

/**
 * One property of an object in the tree. Values are those of JSON: {@code String}, {@code Long}, {@code
 * Double}, {@code Boolean}, {@code List}, {@code Map<String, Object>}.
 *
 * @param name the property's name
 * @param type QEMU's name of the type: {@code str}, {@code string}, {@code bool}, {@code uint32}, ...
 * @param reader gives the present value, under the machine lock
 * @param writer changes it, or null for one that is read only
 */
public record QomProperty(
        String name, String type, Supplier<? extends Object> reader, @Nullable Writer writer) {
    /** Changes a property. */
    @FunctionalInterface
    public interface Writer {
        /** Takes a value; the exception's message is what the user reads. */
        void set(JsonValue value) throws QmpException;
    }

    /** Changes a property to a value of the right kind. */
    @FunctionalInterface
    public interface Setter<V> {
        /** Takes a value; the exception's message is what the user reads. */
        void set(V value) throws QmpException;
    }

    /** A property that can be changed. */
    public static <V> QomProperty of(
            String name, QomKind<V> kind, Supplier<V> reader, Setter<V> setter) {
        return new QomProperty(
                name,
                kind.name(),
                () -> kind.shown().apply(reader.get()),
                json -> setter.set(kind.read(name, json)));
    }

    /**
     * A property of a device that was an option when it was made.
     *
     * @param device the type of the device
     * @param id what the user calls the device, or null
     */
    public static QomProperty fixed(
            String name,
            String type,
            Supplier<? extends Object> reader,
            String device,
            @Nullable String id) {
        return new QomProperty(
                name,
                type,
                reader,
                value -> {
                    throw new QmpException(
                            "Attempt to set property '%s' on %s (type '%s') after it was realized"
                                    .formatted(
                                            name,
                                            id == null ? "anonymous device" : "device '" + id + "'",
                                            device));
                });
    }

    /** A property that cannot be changed. */
    public static QomProperty of(String name, String type, Supplier<? extends Object> reader) {
        return new QomProperty(name, type, reader, null);
    }
}
