package lockstep.qmp;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.OptionalLong;

/** Reads from JSON, strict about types, as QMP and JSON command-line arguments are read. */
public final class JsonInputVisitor extends InputVisitor {
    /** Reads that value, strict about what the schema lacks. */
    public JsonInputVisitor(JsonValue root) {
        this(root, false);
    }

    private JsonInputVisitor(JsonValue root, boolean lenient) {
        super(root, lenient);
    }

    /** Reads that value as a client should, lenient about what the schema lacks. */
    public static JsonInputVisitor lenient(JsonValue root) {
        return new JsonInputVisitor(root, true);
    }

    @Override
    String indexText(int index) {
        return "[" + index + "]";
    }

    @Override
    String unexpected(String path, JsonValue value) {
        return "Parameter '" + path + "' is unexpected";
    }

    @Override
    <T> @Nullable List<T> single(@Nullable String name, JsonValue value, ValueReader<T> reader) {
        return null;
    }

    @Override
    public boolean bool(@Nullable String name) throws QmpException {
        JsonValue value = take(name);
        if (value instanceof JsonBoolean bool) {
            return bool.value();
        }
        if (absent(value)) {
            return false;
        }
        throw wrongType(name, "boolean");
    }

    @Override
    public double number(@Nullable String name) throws QmpException {
        JsonValue value = take(name);
        if (value instanceof JsonNumber number) {
            return number.doubleValue();
        }
        if (absent(value)) {
            return 0;
        }
        throw wrongType(name, "number");
    }

    @Override
    public long int64(@Nullable String name) throws QmpException {
        JsonValue value = take(name);
        if (value instanceof JsonNumber number) {
            OptionalLong integer = number.signed();
            if (integer.isPresent()) {
                return integer.getAsLong();
            }
        }
        if (absent(value)) {
            return 0;
        }
        throw wrongType(name, "integer");
    }

    @Override
    public long uint64(@Nullable String name) throws QmpException {
        JsonValue value = take(name);
        if (value instanceof JsonNumber number) {
            OptionalLong integer = unsigned(number);
            if (integer.isPresent()) {
                return integer.getAsLong();
            }
        }
        if (absent(value)) {
            return 0;
        }
        throw expects(name, "uint64");
    }

    @Override
    public long size(@Nullable String name) throws QmpException {
        return uint64(name);
    }
}
