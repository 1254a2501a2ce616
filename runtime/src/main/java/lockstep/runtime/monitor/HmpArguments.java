package lockstep.runtime.monitor;

import org.jspecify.annotations.Nullable;

import java.util.HashMap;
import java.util.Map;

/** The parsed arguments of one HMP command, by the names of its pattern. */
public final class HmpArguments {
    private final Map<String, Object> values = new HashMap<>();

    void put(String name, Object value) {
        values.put(name, value);
    }

    /** An argument that is given, as the pattern guarantees. */
    public String string(String name) {
        String value = optional(name);
        if (value == null) {
            throw new IllegalArgumentException(name + " is not in the command's pattern");
        }
        return value;
    }

    /** A text argument or null. */
    public @Nullable String optional(String name) {
        return (String) values.get(name);
    }

    /** An integer argument or its default. */
    public long integer(String name, long fallback) {
        return values.get(name) instanceof Long number ? number : fallback;
    }

    /** Whether an argument is given. */
    public boolean has(String name) {
        return values.containsKey(name);
    }

    /** A flag such as {@code -n}, or an on/off argument. */
    public boolean flag(String name) {
        return Boolean.TRUE.equals(values.get(name));
    }
}
