package lockstep.runtime.object;

import lockstep.qmp.InputVisitor;
import lockstep.qmp.JsonInputVisitor;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonValue;
import lockstep.qmp.KeyvalInputVisitor;
import lockstep.qmp.QmpException;
import lockstep.qmp.ValueReader;

import java.util.List;
import java.util.function.Function;

/**
 * What values a property has: the name that clients see, how a value is read, and how it is shown.
 *
 * @param name QEMU's name, such as {@code uint32}
 * @param reader reads a value
 * @param shown gives what {@link QomProperty} takes for a value
 * @param <V> the values in Java
 */
public record QomKind<V>(String name, ValueReader<V> reader, Function<V, Object> shown) {
    /** True and false. */
    public static final QomKind<Boolean> BOOL = of("bool", InputVisitor::bool);

    /** Text. */
    public static final QomKind<String> STRING = of("string", InputVisitor::string);

    /** A whole number of 64 bits, with sign. */
    public static final QomKind<Long> INT = of("int", InputVisitor::int64);

    /** A whole number of 32 bits, with sign. */
    public static final QomKind<Integer> INT32 = of("int32", InputVisitor::int32);

    /** A whole number of 32 bits, without sign. */
    public static final QomKind<Long> UINT32 = of("uint32", InputVisitor::uint32);

    /** A number of bytes. */
    public static final QomKind<Long> SIZE = of("int", InputVisitor::size);

    /** A list of numbers of 16 bits. */
    public static final QomKind<List<Integer>> NUMBERS =
            of("int", (v, n) -> v.list(n, InputVisitor::uint16));

    private static <V> QomKind<V> of(String name, ValueReader<V> reader) {
        return new QomKind<>(name, reader, value -> value);
    }

    /** A whole number of 16 bits, without sign. */
    public static final QomKind<Integer> UINT16 = of("uint16", InputVisitor::uint16);

    /** One of some words. */
    public static QomKind<String> choice(String name, String... words) {
        return of(
                name,
                (visitor, property) -> {
                    String text = visitor.string(property);
                    if (!List.of(words).contains(text)) {
                        throw new QmpException(
                                "Parameter '"
                                        + property
                                        + "' does not accept value '"
                                        + text
                                        + "'");
                    }
                    return text;
                });
    }

    /** The same values without some, for which {@code check} throws. */
    public QomKind<V> checked(Check<V> check) {
        return new QomKind<>(
                name,
                (visitor, property) -> {
                    V value = reader.read(visitor, property);
                    check.check(value);
                    return value;
                },
                shown);
    }

    /** Refuses values of the right type. */
    @FunctionalInterface
    public interface Check<V> {
        /** The exception's message is what the user reads. */
        void check(V value) throws QmpException;
    }

    /** The path of an object of that type, or nothing. */
    public static QomKind<String> link(String type) {
        return of("link<" + type + ">", InputVisitor::string);
    }

    /** The same values under another name. */
    public QomKind<V> as(String other) {
        return new QomKind<>(other, reader, shown);
    }

    /** Reads the value of a property, with the errors of every other command. */
    V read(String property, JsonValue value) throws QmpException {
        return read(property, new JsonInputVisitor(new JsonObject().put(property, value)));
    }

    /** Reads the value of a property from the command line. */
    public V readText(String property, String text) throws QmpException {
        JsonObject members = new JsonObject().put(property, text);
        return read(property, new KeyvalInputVisitor(members, KeyvalInputVisitor.Style.PROPERTY));
    }

    private V read(String property, InputVisitor visitor) throws QmpException {
        visitor.startStruct(null);
        return reader.read(visitor, property);
    }
}
