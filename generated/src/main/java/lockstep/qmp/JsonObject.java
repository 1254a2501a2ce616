package lockstep.qmp;

import org.jspecify.annotations.Nullable;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A JSON object. It remembers the order of insertion, and knows the order in which QEMU would print
 * its members, which is that of the 512 buckets of QEMU's dictionary.
 */
public final class JsonObject implements JsonValue {
    private static final int BUCKETS = 512;

    private final Map<String, JsonValue> members = new LinkedHashMap<>();

    /** An object without members. */
    public JsonObject() {}

    /** Sets a member; one that was there keeps its place. */
    public JsonObject put(String name, JsonValue value) {
        members.put(name, value);
        return this;
    }

    /** Sets a member to a string. */
    public JsonObject put(String name, String value) {
        return put(name, new JsonString(value));
    }

    /** Sets a member to an integer. */
    public JsonObject put(String name, long value) {
        return put(name, JsonNumber.of(value));
    }

    /** Sets a member to a boolean. */
    public JsonObject put(String name, boolean value) {
        return put(name, new JsonBoolean(value));
    }

    /** Takes a member away and gives its value, or null when there was none. */
    public @Nullable JsonValue remove(String name) {
        return members.remove(name);
    }

    /** The member's value, or null when there is none. */
    public @Nullable JsonValue get(String name) {
        return members.get(name);
    }

    /** Whether there is such a member. */
    public boolean has(String name) {
        return members.containsKey(name);
    }

    /** Number of members. */
    public int size() {
        return members.size();
    }

    /** Whether there are no members. */
    public boolean isEmpty() {
        return members.isEmpty();
    }

    /** The members in the order of insertion; a view that cannot be changed. */
    public Map<String, JsonValue> members() {
        return Collections.unmodifiableMap(members);
    }

    /** The members in the order in which QEMU prints and checks them. */
    public List<Map.Entry<String, JsonValue>> inWireOrder() {
        List<Map.Entry<String, JsonValue>> entries = new ArrayList<>(members.entrySet());
        // A bucket is a list that grows at its head, so later members come first within it.
        Collections.reverse(entries);
        if (entries.size() > 1) {
            entries.sort(Comparator.comparingInt(e -> bucket(e.getKey())));
        }
        return entries;
    }

    /** The bucket of a name, from 0 to 511. */
    static int bucket(String name) {
        byte[] bytes = name.getBytes(StandardCharsets.UTF_8);
        int value = 0x238F13AF * bytes.length;
        for (int i = 0; i < bytes.length; i++) {
            value += (bytes[i] & 0xFF) << (i * 5 % 24);
        }
        return (1103515243 * value + 12345) & (BUCKETS - 1);
    }

    @Override
    public Kind kind() {
        return Kind.OBJECT;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof JsonObject object && object.members.equals(members);
    }

    @Override
    public int hashCode() {
        return members.hashCode();
    }

    @Override
    public String toString() {
        return JsonPrinter.compact(this);
    }
}
