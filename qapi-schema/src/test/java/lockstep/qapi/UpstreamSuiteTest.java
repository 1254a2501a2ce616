package lockstep.qapi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import lockstep.qapi.model.Definition;
import lockstep.qapi.model.Schema;

import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * QEMU's own schema tests, dumps and errors compared byte for byte. The system property {@code
 * qemu.source} names an unpacked QEMU source tree; nothing of it is part of this repository.
 */
@Tag("qemu")
class UpstreamSuiteTest {
    private static final Pattern CASES = Pattern.compile("\\bschemas = \\[(.*?)]", Pattern.DOTALL);
    private static final Pattern NAME = Pattern.compile("^\\s*'([^']+)\\.json'", Pattern.MULTILINE);

    private static Path tree() {
        String given = System.getProperty("qemu.source", "");
        assumeTrue(!given.isEmpty(), "-Dqemu.source=DIR names no QEMU source tree");
        Path tree = Path.of(given).toAbsolutePath();
        assertTrue(
                Files.exists(tree.resolve("tests/qapi-schema/meson.build")),
                tree + " is no QEMU source tree");
        return tree;
    }

    private static List<String> cases(Path directory) throws IOException {
        Matcher list = CASES.matcher(Files.readString(directory.resolve("meson.build")));
        assertTrue(list.find());
        Matcher name = NAME.matcher(list.group(1));
        List<String> cases = new ArrayList<>();
        while (name.find()) {
            cases.add(name.group(1));
        }
        // Listed apart, because it does not exist.
        cases.add("missing-schema");
        return cases;
    }

    @TestFactory
    List<DynamicTest> schemas() throws IOException {
        Path directory = tree().resolve("tests/qapi-schema");
        List<DynamicTest> tests = new ArrayList<>();
        for (String name : cases(directory)) {
            tests.add(DynamicTest.dynamicTest(name, () -> compare(directory, name)));
        }
        return tests;
    }

    private static void compare(Path directory, String name) throws IOException {
        String file = directory.resolve(name + ".json").toString();
        String dump = "";
        String errors = "";
        try {
            dump = SchemaDump.of(SchemaLoader.loadFirstError(file));
        } catch (InvalidSchemaException e) {
            errors = shown(directory, e);
        }
        assertEquals(Files.readString(directory.resolve(name + ".err")), errors);
        assertEquals(Files.readString(directory.resolve(name + ".out")), dump);
        String all = "";
        try {
            SchemaLoader.load(file);
        } catch (InvalidSchemaException e) {
            all = shown(directory, e);
        }
        assertTrue(all.startsWith(errors), "the first of all errors is another one:\n" + all);
        assertEquals(errors.isEmpty(), all.isEmpty());
    }

    private static String shown(Path directory, InvalidSchemaException e) {
        return String.valueOf(e.getMessage()).replace(directory + "/", "") + "\n";
    }

    @Test
    void theSchemaOfTheProgramIsReadWhole() throws Exception {
        Schema schema = SchemaLoader.load(tree().resolve("qapi/qapi-schema.json").toString());
        assertTrue(schema.definitions().filter(Definition.Command.class::isInstance).count() > 200);
        assertTrue(SchemaDump.of(schema).startsWith("module ./builtin\nobject q_empty\n"));
    }

    @Test
    void theSchemasOfTheAgentAndTheStorageDaemonAreReadWhole() throws Exception {
        for (String file :
                List.of("qga/qapi-schema.json", "storage-daemon/qapi/qapi-schema.json")) {
            Schema schema = SchemaLoader.load(tree().resolve(file).toString());
            assertTrue(schema.definitions().count() > 50, file);
        }
    }
}
