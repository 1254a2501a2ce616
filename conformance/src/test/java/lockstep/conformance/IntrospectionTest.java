package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonValue;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * What a running monitor says of itself is whole and true: management programs decide by it what they use.
 */
class IntrospectionTest {
    /**
     * Queries that cannot be answered by a machine without devices, with the beginning of what they say.
     */
    private static final Map<String, String> REFUSED =
            Map.of(
                    "query-firmware-log", "The firmware keeps no log",
                    "query-hv-balloon-status-report", "No hv-balloon device",
                    "query-acpi-ospm-status", "command is not supported, missing ACPI device",
                    "query-balloon", "No balloon device has been activated",
                    "query-hotpluggable-cpus", "machine does not support hot-plugging CPUs",
                    "query-sev", "SEV is not available",
                    "query-sev-capabilities", "SEV is not available",
                    "query-sgx", "SGX support is not compiled in",
                    "query-sgx-capabilities", "SGX support is not compiled in",
                    "query-vm-generation-id", "VM Generation ID device not found");

    private static ProbedMonitor monitor;
    private static Map<String, JsonObject> schema;

    @BeforeAll
    static void ask() {
        monitor = ProbedMonitor.start(Host.binary().toString(), "-machine", "none", "-nodefaults");
        schema = new LinkedHashMap<>();
        for (JsonObject entity : monitor.list("query-qmp-schema", "")) {
            assertNull(schema.put(ProbedMonitor.text(entity, "name"), entity), "named twice");
        }
    }

    @AfterAll
    static void quit() {
        monitor.execute("quit");
        monitor.close();
    }

    private static String kind(JsonObject entity) {
        return ProbedMonitor.text(entity, "meta-type");
    }

    private static List<JsonObject> objects(JsonObject entity, String member) {
        List<JsonObject> list = new ArrayList<>();
        if (entity.get(member) instanceof JsonArray array) {
            for (JsonValue v : array) {
                if (v instanceof JsonObject o) {
                    list.add(o);
                }
            }
        }
        return list;
    }

    /** The types that an entity refers to. */
    private static Set<String> references(JsonObject entity) {
        Set<String> names = new TreeSet<>();
        for (String member : List.of("arg-type", "ret-type", "element-type")) {
            names.add(ProbedMonitor.text(entity, member));
        }
        for (String list : List.of("members", "variants")) {
            objects(entity, list).forEach(m -> names.add(ProbedMonitor.text(m, "type")));
        }
        if (!kind(entity).equals("enum")) {
            names.remove("");
        }
        names.remove("");
        return names;
    }

    @Test
    void everyTypeThatIsReferredToIsThere() {
        Map<String, Set<String>> dangling = new TreeMap<>();
        schema.forEach(
                (name, entity) -> {
                    Set<String> missing = new TreeSet<>(references(entity));
                    missing.removeAll(schema.keySet());
                    if (!missing.isEmpty()) {
                        dangling.put(name, missing);
                    }
                });
        assertEquals(Map.of(), dangling);
    }

    @Test
    void everyTypeIsReachedFromACommandOrEvent() {
        Set<String> reached = new TreeSet<>();
        schema.values().stream()
                .filter(e -> kind(e).equals("command") || kind(e).equals("event"))
                .forEach(e -> reach(ProbedMonitor.text(e, "name"), reached));
        Set<String> rest = new TreeSet<>(schema.keySet());
        rest.removeAll(reached);
        assertEquals(Set.of(), rest);
    }

    private static void reach(String name, Set<String> reached) {
        JsonObject entity = schema.get(name);
        if (entity != null && reached.add(name)) {
            references(entity).forEach(n -> reach(n, reached));
        }
    }

    @Test
    void commandsOfTheSchemaAreThoseThatRun() {
        Set<String> told = new TreeSet<>();
        schema.forEach(
                (name, e) -> {
                    if (kind(e).equals("command")) {
                        told.add(name);
                    }
                });
        Set<String> known = new TreeSet<>();
        monitor.list("query-commands", "").forEach(c -> known.add(ProbedMonitor.text(c, "name")));
        assertEquals(known, told);
    }

    /** As QEMU's own test of its queries does: each that needs no argument is run. */
    @Test
    void everyQueryAnswersOrSaysWhyNot() {
        Map<String, String> wrong = new TreeMap<>();
        int asked = 0;
        for (Map.Entry<String, JsonObject> e : schema.entrySet()) {
            if (!kind(e.getValue()).equals("command") || !e.getKey().startsWith("query-")) {
                continue;
            }
            JsonObject arguments = schema.get(ProbedMonitor.text(e.getValue(), "arg-type"));
            assertNotNull(arguments, e.getKey());
            if (objects(arguments, "members").stream().anyMatch(m -> !m.has("default"))) {
                continue;
            }
            asked++;
            JsonValue answer = monitor.answer(e.getKey(), "");
            String refusal =
                    ProbedMonitor.failed(answer)
                            ? ProbedMonitor.text(((JsonObject) answer).get("error"), "desc")
                            : "";
            String expected = REFUSED.getOrDefault(e.getKey(), "");
            if (expected.isEmpty() != refusal.isEmpty() || !refusal.startsWith(expected)) {
                wrong.put(e.getKey(), String.valueOf(answer));
            }
        }
        assertEquals(Map.of(), wrong);
        assertTrue(asked > 40, "only " + asked + " queries");
    }

    /**
     * Follows a path as libvirt writes it: {@code arg-type} or {@code ret-type}, then member names,
     * {@code *} in front of one that must be optional, {@code +} in front of a variant, {@code ^} in front
     * of an enumeration's value, {@code $} in front of a feature.
     */
    private static boolean has(String path) {
        String[] parts = path.split("/");
        JsonObject at = schema.get(parts[0]);
        for (int i = 1; i < parts.length && at != null; i++) {
            String part = parts[i];
            String plain = part.substring(1);
            at =
                    switch (part.charAt(0)) {
                        case '+' -> type(variant(at, plain));
                        case '*' -> type(member(at, plain, true));
                        case '^' -> value(at, plain);
                        case '$' -> feature(at, plain);
                        default ->
                                part.equals("arg-type") || part.equals("ret-type")
                                        ? element(schema.get(ProbedMonitor.text(at, part)))
                                        : type(member(at, part, false));
                    };
        }
        return at != null;
    }

    private static JsonObject element(JsonObject type) {
        return type != null && kind(type).equals("array")
                ? schema.get(ProbedMonitor.text(type, "element-type"))
                : type;
    }

    private static JsonObject type(JsonObject member) {
        return member == null ? null : element(schema.get(ProbedMonitor.text(member, "type")));
    }

    private static JsonObject member(JsonObject object, String name, boolean optional) {
        return objects(object, "members").stream()
                .filter(m -> ProbedMonitor.text(m, "name").equals(name))
                .filter(m -> !optional || m.has("default"))
                .findFirst()
                .orElse(null);
    }

    private static JsonObject variant(JsonObject object, String value) {
        return objects(object, "variants").stream()
                .filter(v -> ProbedMonitor.text(v, "case").equals(value))
                .findFirst()
                .orElse(null);
    }

    private static JsonObject value(JsonObject type, String name) {
        return objects(type, "members").stream()
                .filter(m -> ProbedMonitor.text(m, "name").equals(name))
                .findFirst()
                .orElse(null);
    }

    private static JsonObject feature(JsonObject entity, String name) {
        return entity.get("features") instanceof JsonArray features
                        && features.elements().stream()
                                .anyMatch(f -> f.equals(new lockstep.qmp.JsonString(name)))
                ? entity
                : null;
    }

    @Test
    void pathsOfManagementProgramsLeadSomewhere() {
        List<String> missing = new ArrayList<>();
        for (String path :
                List.of(
                        "block-commit/arg-type/*top-node",
                        "block-stream/arg-type/base-node",
                        "blockdev-add/arg-type/+nbd/server/+unix/path",
                        "blockdev-add/arg-type/+nbd/*reconnect-delay",
                        "blockdev-add/arg-type/+qcow2/*backing",
                        "blockdev-add/arg-type/+quorum/children",
                        "blockdev-add/arg-type/+replication/mode/^secondary",
                        "blockdev-add/arg-type/auto-read-only",
                        "blockdev-mirror/arg-type/*target-is-zero",
                        "blockdev-mirror/arg-type/sync/^full",
                        "BLOCK_JOB_READY/arg-type/device",
                        "chardev-add/arg-type/backend/+socket/data/addr/+inet/data/host",
                        "chardev-add/arg-type/backend/+file/data/*logfile",
                        "device_add/$json-cli-hotplug",
                        "JOB_STATUS_CHANGE/arg-type/status/^concluded",
                        "migrate/arg-type/*channels",
                        "migrate-set-parameters/arg-type/*x-checkpoint-delay",
                        "migrate-set-capabilities/arg-type/capabilities/capability/^x-colo",
                        "netdev_add/arg-type/+tap/*vhost",
                        "object-add/arg-type/+colo-compare/*max_queue_size",
                        "object-add/arg-type/+filter-redirector/*position",
                        "object-add/arg-type/+iothread/*poll-max-ns",
                        "query-block-jobs/ret-type/+mirror/actively-synced",
                        "query-cpus-fast/ret-type/thread-id",
                        "query-machines/ret-type/cpu-max",
                        "query-named-block-nodes/arg-type/*flat",
                        "set-action/arg-type/*shutdown",
                        "transaction/arg-type/actions/+block-dirty-bitmap-add/data/name",
                        "yank/arg-type/instances/+block-node/node-name")) {
            if (!has(path)) {
                missing.add(path);
            }
        }
        assertEquals(List.of(), missing);
        assertTrue(!has("blockdev-add/arg-type/+nosuch") && !has("migrate/arg-type/nosuch"));
    }
}
