package lockstep.qmp;

import org.jspecify.annotations.Nullable;

import java.util.ArrayDeque;
import java.util.Deque;

/** Builds a tree of values, which can then be printed in QEMU's member order. */
public final class JsonOutputVisitor implements OutputVisitor {
    private final Deque<JsonValue> open = new ArrayDeque<>();
    private @Nullable JsonValue root;

    /** Starts with nothing. */
    public JsonOutputVisitor() {}

    /** The tree of one value. */
    public static <T> JsonValue toJson(T value, ValueWriter<T> writer) {
        JsonOutputVisitor visitor = new JsonOutputVisitor();
        writer.write(value, visitor, null);
        return visitor.result();
    }

    /** What was written; only complete when everything started has ended. */
    public JsonValue result() {
        JsonValue result = root;
        if (result == null || !open.isEmpty()) {
            throw new IllegalStateException("The value is not complete.");
        }
        return result;
    }

    @Override
    public void startStruct(@Nullable String name) {
        push(name, new JsonObject());
    }

    @Override
    public void endStruct() {
        open.pop();
    }

    @Override
    public void startList(@Nullable String name) {
        push(name, new JsonArray());
    }

    @Override
    public void endList() {
        open.pop();
    }

    private void push(@Nullable String name, JsonValue value) {
        any(name, value);
        open.push(value);
    }

    @Override
    public void any(@Nullable String name, JsonValue value) {
        JsonValue parent = open.peek();
        if (parent == null) {
            root = value;
        } else if (parent instanceof JsonArray array) {
            array.add(value);
        } else if (parent instanceof JsonObject object && name != null) {
            object.put(name, value);
        } else {
            throw new IllegalArgumentException("A member needs a name.");
        }
    }
}
