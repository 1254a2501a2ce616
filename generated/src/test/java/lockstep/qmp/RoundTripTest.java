package lockstep.qmp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.stream.Stream;

/**
 * JSON made at random from what a schema says of itself comes back unchanged from the generated types:
 * arguments and results of every command, of the awkward schema of the tests and of the product's.
 */
class RoundTripTest {
    private static final int VALUES = 60;

    /** Values of a schema's types, from its introspection data. */
    private static final class Values {
        private static final int DEEP = 5;
        private final Map<String, JsonObject> infos = new HashMap<>();
        private final Random random = new Random(1);

        Values(JsonArray schema) {
            for (JsonValue info : schema) {
                infos.put(string((JsonObject) info, "name"), (JsonObject) info);
            }
        }

        JsonObject info(String name) {
            return Objects.requireNonNull(infos.get(name), name);
        }

        private static JsonValue present(JsonObject object, String member) {
            return Objects.requireNonNull(object.get(member), member);
        }

        static String string(JsonObject object, String member) {
            return ((JsonString) present(object, member)).value();
        }

        private static List<JsonObject> objects(JsonObject object, String member) {
            List<JsonObject> list = new ArrayList<>();
            ((JsonArray) present(object, member)).forEach(o -> list.add((JsonObject) o));
            return list;
        }

        JsonValue value(String type, int depth) {
            JsonObject info = info(type);
            return switch (string(info, "meta-type")) {
                case "builtin" -> builtin(string(info, "json-type"));
                case "enum" -> new JsonString(string(pick(objects(info, "members")), "name"));
                case "array" -> {
                    JsonArray array = new JsonArray();
                    int size = depth > DEEP ? 0 : random.nextInt(3);
                    for (int i = 0; i < size; i++) {
                        array.add(value(string(info, "element-type"), depth + 1));
                    }
                    yield array;
                }
                case "alternate" -> {
                    List<JsonObject> members = objects(info, "members");
                    if (depth > DEEP) {
                        // An alternative that is no object ends a recursion.
                        members.removeIf(
                                m -> string(info(string(m, "type")), "meta-type").equals("object"));
                    }
                    JsonObject chosen = pick(members);
                    yield value(string(chosen, "type"), depth + 1);
                }
                default -> {
                    JsonObject object = new JsonObject();
                    members(info, object, depth);
                    yield object;
                }
            };
        }

        private void members(JsonObject info, JsonObject object, int depth) {
            for (JsonObject member : objects(info, "members")) {
                if (!member.has("default") || (depth <= DEEP && random.nextInt(3) > 0)) {
                    object.put(string(member, "name"), value(string(member, "type"), depth + 1));
                }
            }
            if (info.has("tag")) {
                List<JsonObject> variants = objects(info, "variants");
                // The last is one without members, if there is any.
                JsonObject chosen = depth > DEEP ? variants.getLast() : pick(variants);
                object.put(string(info, "tag"), string(chosen, "case"));
                members(info(string(chosen, "type")), object, depth + 1);
            }
        }

        private <T> T pick(List<T> list) {
            return list.get(random.nextInt(list.size()));
        }

        private JsonValue builtin(String type) {
            return switch (type) {
                case "string" -> new JsonString("text" + random.nextInt(9));
                // Small enough for the smallest integer type, whose name introspection hides.
                case "int" -> JsonNumber.of(random.nextInt(128));
                case "number" -> JsonNumber.of(random.nextInt(99) + 0.5);
                case "boolean" -> new JsonBoolean(random.nextBoolean());
                case "null" -> JsonNull.NULL;
                default -> new JsonObject().put("free", "form");
            };
        }
    }

    @TestFactory
    Stream<DynamicTest> awkwardSchema() throws IOException {
        return tests("lockstep.corners", lockstep.corners.Introspection.schemaInfo());
    }

    @TestFactory
    Stream<DynamicTest> schemaOfTheProduct() throws IOException {
        return tests("lockstep.api", lockstep.api.Introspection.schemaInfo());
    }

    private static Stream<DynamicTest> tests(String javaPackage, JsonArray schema)
            throws IOException {
        Values values = new Values(schema);
        List<QmpCommand<?, ?>> commands = commands(javaPackage);
        assertTrue(commands.size() > 5, commands.size() + " commands");
        return commands.stream()
                .map(c -> DynamicTest.dynamicTest(c.name(), () -> check(c, values)));
    }

    private static <A, R> void check(QmpCommand<A, R> command, Values values) throws QmpException {
        JsonObject info = values.info(command.name());
        for (int i = 0; i < VALUES; i++) {
            JsonValue arguments = values.value(Values.string(info, "arg-type"), 0);
            same(arguments, command.arguments(), command.argumentsWriter());
            JsonValue result = values.value(Values.string(info, "ret-type"), 0);
            same(result, command.result(), command.resultWriter());
        }
    }

    private static <T> void same(JsonValue json, ValueReader<T> reader, ValueWriter<T> writer)
            throws QmpException {
        T strict = reader.read(new JsonInputVisitor(json), null);
        assertEquals(json, JsonOutputVisitor.toJson(strict, writer));
        JsonInputVisitor lenient = JsonInputVisitor.lenient(json);
        assertEquals(strict, reader.read(lenient, null));
        assertEquals(Map.of(), lenient.unrecognized());
    }

    /** The commands are constants of the interfaces of a package; only tests look for them so. */
    private static List<QmpCommand<?, ?>> commands(String javaPackage) throws IOException {
        List<QmpCommand<?, ?>> commands = new ArrayList<>();
        String folder = javaPackage.replace('.', '/');
        for (String root : List.of("target/classes", "target/test-classes")) {
            Path classes = Path.of(root, folder);
            if (!Files.isDirectory(classes)) {
                continue;
            }
            try (Stream<Path> files = Files.list(classes)) {
                for (Path file : files.sorted().toList()) {
                    String name = file.getFileName().toString().replace(".class", "");
                    if (name.endsWith("Commands")) {
                        addConstants(javaPackage + "." + name, commands);
                    }
                }
            }
        }
        return commands;
    }

    private static void addConstants(String type, List<QmpCommand<?, ?>> commands) {
        try {
            for (Field field : Class.forName(type).getFields()) {
                if (Modifier.isStatic(field.getModifiers())
                        && field.get(null) instanceof QmpCommand<?, ?> command) {
                    commands.add(command);
                }
            }
        } catch (ReflectiveOperationException e) {
            throw new AssertionError(e);
        }
    }
}
