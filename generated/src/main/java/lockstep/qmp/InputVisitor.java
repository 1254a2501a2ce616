package lockstep.qmp;

import org.jspecify.annotations.Nullable;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
import java.util.function.Function;

/**
 * What generated types fill themselves from. Errors have QEMU's texts, with the full path of the
 * member. {@link JsonInputVisitor} is strict about types; {@link KeyvalInputVisitor} converts text.
 * Names are null for elements of a list and for the whole document. Not for use by several threads.
 *
 * <p>A <b>lenient</b> visitor is for what another program wrote with a newer schema: members, enum
 * values, branches and alternatives that the schema lacks are no errors but read as {@code
 * UNRECOGNIZED} and {@code Unrecognized} or passed over, and are listed by {@link #unrecognized}. For
 * one that wrote with an older schema, members that it did not have yet read as empty, zero or false,
 * and are listed by {@link #missing}.
 */
public abstract sealed class InputVisitor
        permits JsonInputVisitor, KeyvalInputVisitor, OutlineVisitor {
    /** An object or array being read. */
    private static final class Frame {
        final @Nullable String name;
        final JsonValue value;
        final Set<String> read = new HashSet<>();
        int index = -1;

        Frame(@Nullable String name, JsonValue value) {
            this.name = name;
            this.value = value;
        }
    }

    /** Stands for a member that is missing; told from others by its identity. */
    private static final JsonObject ABSENT = new JsonObject();

    private final JsonValue root;
    private final boolean lenient;
    private final Deque<Frame> stack = new ArrayDeque<>();
    private final Map<String, JsonValue> unrecognized = new LinkedHashMap<>();
    private final List<String> missing = new ArrayList<>();

    InputVisitor(JsonValue root, boolean lenient) {
        this.root = root;
        this.lenient = lenient;
    }

    /** What a lenient visitor has met that the schema lacks, by path; always empty when strict. */
    public Map<String, JsonValue> unrecognized() {
        return Collections.unmodifiableMap(unrecognized);
    }

    /** The members that a lenient visitor has missed, by path; always empty when strict. */
    public List<String> missing() {
        return Collections.unmodifiableList(missing);
    }

    /** How an element of a list appears in the path of a member. */
    abstract String indexText(int index);

    /** The text for a member that nothing has read. */
    abstract String unexpected(String path, JsonValue value);

    /** The list that a value which is not an array stands for, or null when it stands for none. */
    abstract <T> @Nullable List<T> single(
            @Nullable String name, JsonValue value, ValueReader<T> reader) throws QmpException;

    /** Starts reading an object. */
    public void startStruct(@Nullable String name) throws QmpException {
        JsonValue value = take(name);
        if (!(value instanceof JsonObject)) {
            throw wrongType(name, "object");
        }
        stack.push(new Frame(name, value));
    }

    /**
     * Ends reading an object.
     *
     * @throws QmpException when it has members that were not read and the visitor is strict
     */
    public void endStruct() throws QmpException {
        Frame frame = stack.element();
        if (frame.value instanceof JsonObject object && frame.read.size() != object.size()) {
            for (Map.Entry<String, JsonValue> member : object.inWireOrder()) {
                if (frame.read.contains(member.getKey())) {
                    continue;
                }
                String path = path(member.getKey());
                if (!lenient) {
                    throw new QmpException(unexpected(path, member.getValue()));
                }
                unrecognized.put(path, member.getValue());
            }
        }
        stack.pop();
    }

    /** The whole object being read. */
    public JsonObject object() {
        if (stack.peek() instanceof Frame frame && frame.value instanceof JsonObject object) {
            return object;
        }
        throw new IllegalStateException("No object is being read.");
    }

    /** Whether the object being read has that member. */
    public boolean has(String name) {
        Frame frame = stack.peek();
        return frame != null && frame.value instanceof JsonObject object && object.has(name);
    }

    /** Reads an array. */
    public <T> List<T> list(@Nullable String name, ValueReader<T> reader) throws QmpException {
        JsonValue value = take(name);
        if (absent(value)) {
            return List.of();
        }
        if (!(value instanceof JsonArray array)) {
            List<T> single = single(name, value, reader);
            if (single != null) {
                return single;
            }
            throw wrongType(name, "array");
        }
        Frame frame = new Frame(name, value);
        stack.push(frame);
        List<T> result = new ArrayList<>(array.size());
        for (int i = 0; i < array.size(); i++) {
            frame.index = i;
            result.add(reader.read(this, null));
        }
        stack.pop();
        return List.copyOf(result);
    }

    /** The kind of value that comes next, for alternates; nothing is read yet. */
    public JsonValue.Kind kind(@Nullable String name) throws QmpException {
        return peek(name).kind();
    }

    /** Reads a string. */
    public String string(@Nullable String name) throws QmpException {
        JsonValue value = take(name);
        if (value instanceof JsonString string) {
            return string.value();
        }
        if (absent(value)) {
            return "";
        }
        throw wrongType(name, "string");
    }

    /**
     * Reads an enumeration by its wire name.
     *
     * @param find the value of a wire name, or null when there is none
     * @param unrecognizedValue what a lenient visitor reads then
     */
    public <E> E enumeration(
            @Nullable String name, Function<String, @Nullable E> find, E unrecognizedValue)
            throws QmpException {
        String text = string(name);
        E value = find.apply(text);
        if (value != null) {
            return value;
        }
        if (!lenient) {
            throw new QmpException(
                    "Parameter '" + last(name) + "' does not accept value '" + text + "'");
        }
        if (!text.isEmpty()) {
            unrecognized.put(path(name), new JsonString(text));
        }
        return unrecognizedValue;
    }

    /**
     * Reads a value for which an alternate has no alternative.
     *
     * @param alternate name of the alternate
     * @throws QmpException when the visitor is strict
     */
    public JsonValue alternative(@Nullable String name, String alternate) throws QmpException {
        if (!lenient) {
            throw new QmpException(
                    "Invalid parameter type for '" + last(name) + "', expected: " + alternate);
        }
        JsonValue value = any(name);
        if (value != JsonNull.NULL) {
            unrecognized.put(path(name), value);
        }
        return value;
    }

    /** Reads a boolean. */
    public abstract boolean bool(@Nullable String name) throws QmpException;

    /** Reads a double. */
    public abstract double number(@Nullable String name) throws QmpException;

    /** Reads a 64-bit signed integer. */
    public abstract long int64(@Nullable String name) throws QmpException;

    /** Reads a 64-bit unsigned integer. */
    public abstract long uint64(@Nullable String name) throws QmpException;

    /** Reads a number of bytes, 64 bits unsigned. */
    public abstract long size(@Nullable String name) throws QmpException;

    /** Reads an 8-bit signed integer. */
    public int int8(@Nullable String name) throws QmpException {
        return (int) signed(name, Byte.MIN_VALUE, Byte.MAX_VALUE, "int8_t");
    }

    /** Reads a 16-bit signed integer. */
    public int int16(@Nullable String name) throws QmpException {
        return (int) signed(name, Short.MIN_VALUE, Short.MAX_VALUE, "int16_t");
    }

    /** Reads a 32-bit signed integer. */
    public int int32(@Nullable String name) throws QmpException {
        return (int) signed(name, Integer.MIN_VALUE, Integer.MAX_VALUE, "int32_t");
    }

    /** Reads an 8-bit unsigned integer. */
    public int uint8(@Nullable String name) throws QmpException {
        return (int) unsigned(name, 0xFFL, "uint8_t");
    }

    /** Reads a 16-bit unsigned integer. */
    public int uint16(@Nullable String name) throws QmpException {
        return (int) unsigned(name, 0xFFFFL, "uint16_t");
    }

    /** Reads a 32-bit unsigned integer. */
    public long uint32(@Nullable String name) throws QmpException {
        return unsigned(name, 0xFFFF_FFFFL, "uint32_t");
    }

    /** Reads null. */
    public JsonNull nul(@Nullable String name) throws QmpException {
        if (any(name) instanceof JsonNull value) {
            return value;
        }
        throw wrongType(name, "null");
    }

    /** Reads any value. */
    public JsonValue any(@Nullable String name) throws QmpException {
        JsonValue value = take(name);
        return absent(value) ? JsonNull.NULL : value;
    }

    /** The error for a value that is not of the wanted type. */
    public QmpException wrongType(@Nullable String name, String expected) {
        return new QmpException(
                "Invalid parameter type for '" + path(name) + "', expected: " + expected);
    }

    /** The error for a value that is not one of the wanted ones. */
    QmpException expects(@Nullable String name, String what) {
        return new QmpException("Parameter '" + path(name) + "' expects " + what);
    }

    private long signed(@Nullable String name, long min, long max, String type)
            throws QmpException {
        long value = int64(name);
        if (value < min || value > max) {
            throw new QmpException("Parameter '" + last(name) + "' expects " + type);
        }
        return value;
    }

    private long unsigned(@Nullable String name, long max, String type) throws QmpException {
        long value = uint64(name);
        if (Long.compareUnsigned(value, max) > 0) {
            throw new QmpException("Parameter '" + last(name) + "' expects " + type);
        }
        return value;
    }

    static String last(@Nullable String name) {
        return name == null ? "null" : name;
    }

    static OptionalLong unsigned(JsonNumber number) {
        // Negative numbers have always been taken for their 64 bits; clients rely on it.
        OptionalLong unsigned = number.unsigned();
        return unsigned.isPresent() ? unsigned : number.signed();
    }

    private JsonValue peek(@Nullable String name) throws QmpException {
        Frame frame = stack.peek();
        if (frame == null) {
            return root;
        }
        if (frame.value instanceof JsonArray array) {
            return array.get(frame.index);
        }
        JsonValue value =
                frame.value instanceof JsonObject object && name != null ? object.get(name) : null;
        if (value != null) {
            return value;
        }
        if (!lenient) {
            throw new QmpException("Parameter '" + path(name) + "' is missing");
        }
        return ABSENT;
    }

    /** Whether it only stands for a member that is missing. */
    @SuppressWarnings("ReferenceEquality")
    static boolean absent(JsonValue value) {
        return value == ABSENT;
    }

    /** The value of that name, which counts as read from now on. */
    final JsonValue take(@Nullable String name) throws QmpException {
        JsonValue value = peek(name);
        Frame frame = stack.peek();
        if (absent(value) && frame != null && !absent(frame.value)) {
            missing.add(path(name));
        } else if (frame != null && name != null) {
            frame.read.add(name);
        }
        return value;
    }

    /** The path of a member of what is being read, such as {@code capabilities[0].state}. */
    final String path(@Nullable String member) {
        StringBuilder text = new StringBuilder();
        String name = member;
        for (Frame frame : stack) {
            if (frame.value instanceof JsonObject) {
                text.insert(0, name == null ? "<anonymous>" : name).insert(0, '.');
            } else {
                text.insert(0, indexText(frame.index));
            }
            name = frame.name;
        }
        if (name != null) {
            return text.insert(0, name).toString();
        }
        if (text.length() > 0 && text.charAt(0) == '.') {
            return text.substring(1);
        }
        return lenient && text.length() > 0 ? text.toString() : "<anonymous>";
    }
}
