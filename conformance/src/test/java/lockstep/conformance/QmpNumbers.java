package lockstep.conformance;

import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonValue;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Finds every number in the arguments of QMP commands, from what query-qmp-schema says of them. */
final class QmpNumbers {
    /**
     * A number in a command's arguments.
     *
     * @param text the least arguments that have it, as JSON with {@code @} in its place
     */
    record Place(String command, String text) {
        String arguments(String number) {
            return text.replace("@", number);
        }
    }

    private static final int DEEPEST = 3;

    /** They end the process, or wait. */
    private static final Set<String> EXCEPT =
            Set.of("quit", "stop", "cont", "system_powerdown", "pmemsave", "memsave");

    /** Members that say how long something takes: who asks for a year waits a year. */
    private static final Set<String> WAITS = Set.of("open-timeout", "latency-ns");

    /** What a text should be for a command to get far. */
    private static final Map<String, String> TEXTS =
            Map.ofEntries(
                    Map.entry("netdev", "n1"),
                    Map.entry("throttle-group", "t1"),
                    Map.entry("outdev", "c1"),
                    Map.entry("iothread", "i1"),
                    Map.entry("host", "127.0.0.1"),
                    Map.entry("port", "1"),
                    Map.entry("mem-path", "/dev/shm"),
                    Map.entry("file", "/dev/null"),
                    Map.entry("out", "/dev/null"),
                    Map.entry("filename", "/nonexistent/x"),
                    Map.entry("path", "/nonexistent/x"));

    private final Map<String, JsonObject> types = new LinkedHashMap<>();

    QmpNumbers(List<JsonObject> schema) {
        schema.forEach(e -> types.put(ProbedMonitor.text(e, "name"), e));
    }

    List<Place> places() {
        List<Place> places = new ArrayList<>();
        for (JsonObject entity : types.values()) {
            String name = ProbedMonitor.text(entity, "name");
            if (meta(entity).equals("command") && !EXCEPT.contains(name)) {
                with(ProbedMonitor.text(entity, "arg-type"), 0)
                        .forEach(text -> places.add(new Place(name, text)));
            }
        }
        return places;
    }

    private JsonObject type(String name) {
        JsonObject type = types.get(name);
        if (type == null) {
            throw new AssertionError("the schema has no " + name);
        }
        return type;
    }

    private static String meta(JsonObject type) {
        return ProbedMonitor.text(type, "meta-type");
    }

    private static List<JsonObject> list(JsonObject type, String member) {
        List<JsonObject> list = new ArrayList<>();
        if (type.get(member) instanceof JsonArray array) {
            for (JsonValue v : array) {
                list.add((JsonObject) v);
            }
        }
        return list;
    }

    /** Values of a type, each as small as can be around one number. */
    private List<String> with(String name, int depth) {
        JsonObject type = type(name);
        if (depth > DEEPEST) {
            return List.of();
        }
        return switch (meta(type)) {
            case "builtin" ->
                    Set.of("int", "number").contains(ProbedMonitor.text(type, "json-type"))
                            ? List.of("@")
                            : List.of();
            case "array" ->
                    with(ProbedMonitor.text(type, "element-type"), depth + 1).stream()
                            .map(v -> "[" + v + "]")
                            .toList();
            case "alternate" ->
                    list(type, "members").stream()
                            .flatMap(m -> with(ProbedMonitor.text(m, "type"), depth + 1).stream())
                            .toList();
            case "object" -> objectsWith(type, depth).stream().map(QmpNumbers::text).toList();
            default -> List.of();
        };
    }

    private List<Map<String, String>> objectsWith(JsonObject type, int depth) {
        List<Map<String, String>> found = new ArrayList<>();
        Map<String, String> least = least(type, depth, null);
        for (JsonObject m : list(type, "members")) {
            String name = ProbedMonitor.text(m, "name");
            if (WAITS.contains(name)) {
                continue;
            }
            for (String value : with(ProbedMonitor.text(m, "type"), depth + 1)) {
                Map<String, String> object = new LinkedHashMap<>(least);
                object.put(name, value);
                found.add(object);
            }
        }
        for (JsonObject v : list(type, "variants")) {
            Map<String, String> base = least(type, depth, ProbedMonitor.text(v, "case"));
            for (Map<String, String> more :
                    objectsWith(type(ProbedMonitor.text(v, "type")), depth)) {
                Map<String, String> object = new LinkedHashMap<>(base);
                object.putAll(more);
                found.add(object);
            }
        }
        return found;
    }

    private static String text(Map<String, String> object) {
        List<String> members = new ArrayList<>();
        object.forEach((name, value) -> members.add("'" + name + "': " + value));
        return "{" + String.join(", ", members) + "}";
    }

    /** The members that must be there, for one branch of a union or for any. */
    private Map<String, String> least(JsonObject type, int depth, @Nullable String branch) {
        Map<String, String> object = new LinkedHashMap<>();
        String tag = ProbedMonitor.text(type, "tag");
        for (JsonObject m : list(type, "members")) {
            String name = ProbedMonitor.text(m, "name");
            if (name.equals(tag) && branch != null) {
                object.put(name, "'" + branch + "'");
            } else if (m.get("default") == null) {
                boolean plain = meta(type(ProbedMonitor.text(m, "type"))).equals("builtin");
                String text = plain ? TEXTS.get(name) : null;
                object.put(
                        name,
                        text != null
                                ? "'" + text + "'"
                                : value(ProbedMonitor.text(m, "type"), depth + 1));
            }
        }
        if (tag.equals("driver") && depth == 0) {
            object.put("node-name", "'x'");
        }
        if (!tag.isEmpty()) {
            String chosen = object.getOrDefault(tag, "''").replace("'", "");
            for (JsonObject v : list(type, "variants")) {
                if (ProbedMonitor.text(v, "case").equals(chosen)) {
                    least(type(ProbedMonitor.text(v, "type")), depth + 1, null)
                            .forEach(object::putIfAbsent);
                }
            }
        }
        return object;
    }

    private String value(String name, int depth) {
        JsonObject type = type(name);
        return switch (meta(type)) {
            case "builtin" ->
                    switch (ProbedMonitor.text(type, "json-type")) {
                        case "string" -> "'x'";
                        case "boolean" -> "true";
                        case "null" -> "null";
                        default -> "1";
                    };
            case "enum" -> {
                List<String> values =
                        list(type, "members").stream()
                                .map(m -> ProbedMonitor.text(m, "name"))
                                .toList();
                yield "'" + (values.contains("null-co") ? "null-co" : values.getFirst()) + "'";
            }
            case "alternate" ->
                    list(type, "members").stream()
                            .map(m -> ProbedMonitor.text(m, "type"))
                            .filter(t -> !meta(type(t)).equals("object"))
                            .findFirst()
                            .map(
                                    t ->
                                            meta(type(t)).equals("builtin")
                                                    ? "'b1'"
                                                    : value(t, depth + 1))
                            .orElse("{}");
            case "object" -> depth > DEEPEST ? "{}" : text(least(type, depth, null));
            default -> "[]";
        };
    }
}
