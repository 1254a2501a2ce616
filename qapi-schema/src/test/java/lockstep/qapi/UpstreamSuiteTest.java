package lockstep.qapi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
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

    /** What QEMU's own program says of a schema; skipped where there is no Python to run it. */
    private static String dumpOfQemu(Path tree, String file) throws Exception {
        String program =
                "import runpy, sys; sys.stdout.reconfigure(encoding='utf-8');"
                        + " runpy.run_path(sys.argv[1])['test_frontend'](sys.argv[2])";
        String tests = tree.resolve("tests/qapi-schema/test-qapi.py").toString();
        ProcessBuilder python = new ProcessBuilder("python3", "-c", program, tests, file);
        python.environment().put("PYTHONPATH", tree.resolve("scripts").toString());
        python.environment().put("PYTHONDONTWRITEBYTECODE", "1");
        python.redirectError(ProcessBuilder.Redirect.INHERIT);
        Process process;
        try {
            process = python.start();
        } catch (IOException e) {
            return abort("no python3 to run QEMU's program: " + e.getMessage());
        }
        String dump = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor());
        return dump;
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "qapi/qapi-schema.json",
                "qga/qapi-schema.json",
                "storage-daemon/qapi/qapi-schema.json"
            })
    void wholeSchemas(String name) throws Exception {
        Path tree = tree();
        String file = tree.resolve(name).toString();
        assertEquals(dumpOfQemu(tree, file), SchemaDump.of(SchemaLoader.load(file)));
    }

    @Test
    void qemuReadsOurSchemaAsWeDo() throws Exception {
        String file = "src/main/qapi/lockstep.json";
        assertEquals(dumpOfQemu(tree(), file), SchemaDump.of(SchemaLoader.load(file)));
    }
}
