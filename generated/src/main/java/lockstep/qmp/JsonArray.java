package lockstep.qmp;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;

/** A JSON array. */
public final class JsonArray implements JsonValue, Iterable<JsonValue> {
    private final List<JsonValue> elements = new ArrayList<>();

    /** An empty array. */
    public JsonArray() {}

    /** An array of the given values. */
    public static JsonArray of(List<? extends JsonValue> values) {
        JsonArray array = new JsonArray();
        array.elements.addAll(values);
        return array;
    }

    /** Appends a value. */
    public JsonArray add(JsonValue value) {
        elements.add(value);
        return this;
    }

    /** Number of elements. */
    public int size() {
        return elements.size();
    }

    /** The element at an index from 0. */
    public JsonValue get(int index) {
        return elements.get(index);
    }

    /** The elements; a view that cannot be changed. */
    public List<JsonValue> elements() {
        return Collections.unmodifiableList(elements);
    }

    @Override
    public Iterator<JsonValue> iterator() {
        return elements().iterator();
    }

    @Override
    public Kind kind() {
        return Kind.ARRAY;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof JsonArray array && array.elements.equals(elements);
    }

    @Override
    public int hashCode() {
        return elements.hashCode();
    }

    @Override
    public String toString() {
        return JsonPrinter.compact(this);
    }
}
