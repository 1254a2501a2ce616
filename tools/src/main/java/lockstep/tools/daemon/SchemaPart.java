package lockstep.tools.daemon;

import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;

import org.jspecify.annotations.Nullable;

import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/** The part of the answer to query-qmp-schema that some commands and events need. */
final class SchemaPart {
    private final Map<String, JsonObject> byName = new LinkedHashMap<>();
    private final Set<String> wanted = new HashSet<>();
    private final Deque<String> open = new ArrayDeque<>();

    private SchemaPart(JsonArray schema) {
        for (JsonValue entry : schema) {
            if (entry instanceof JsonObject object) {
                byName.put(string(object.get("name")), object);
            }
        }
    }

    /** The entries with these names and all that they refer to, in their order. */
    static JsonArray of(JsonArray schema, Collection<String> names) {
        SchemaPart part = new SchemaPart(schema);
        names.forEach(part::want);
        for (String name = part.open.poll(); name != null; name = part.open.poll()) {
            JsonObject entry = part.byName.get(name);
            if (entry != null) {
                part.follow(entry);
            }
        }
        JsonArray all = new JsonArray();
        part.byName.forEach(
                (name, entry) -> {
                    if (part.wanted.contains(name)) {
                        all.add(entry);
                    }
                });
        return all;
    }

    private void want(String name) {
        if (!name.isEmpty() && wanted.add(name)) {
            open.add(name);
        }
    }

    private void follow(JsonObject entry) {
        for (String key : new String[] {"arg-type", "ret-type", "element-type", "type"}) {
            want(string(entry.get(key)));
        }
        for (String key : new String[] {"members", "variants"}) {
            if (entry.get(key) instanceof JsonArray parts) {
                for (JsonValue each : parts) {
                    if (each instanceof JsonObject part) {
                        want(string(part.get("type")));
                    }
                }
            }
        }
    }

    private static String string(@Nullable JsonValue value) {
        return value instanceof JsonString s ? s.value() : "";
    }
}
