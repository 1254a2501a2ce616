package lockstep.codegen.tool;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;

/** The command line as a user of the shell sees it. */
class MainTest {
    private record Result(int status, String out, String err) {}

    @TempDir private Path directory;
    private Path schema;

    @BeforeEach
    void writeSchema() throws IOException {
        schema = directory.resolve("s.json");
        Files.writeString(
                schema,
                """
                { 'enum': 'Mode', 'data': [ 'fast', { 'name': 'slow', 'if': 'SLOW' } ] }
                { 'command': 'run', 'data': { '*mode': 'Mode', 'times': [ 'uint8' ] },
                  'allow-oob': true }
                { 'event': 'DONE', 'if': { 'not': 'QUIET' } }
                """);
    }

    private static Result run(String... args) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        int status =
                Main.run(
                        args,
                        new PrintStream(out, false, StandardCharsets.UTF_8),
                        new PrintStream(err, false, StandardCharsets.UTF_8));
        return new Result(
                status, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
    }

    @Test
    void checkIsSilentAboutAGoodSchema() {
        assertEquals(new Result(0, "", ""), run("check", schema.toString()));
    }

    @Test
    void checkReportsAllErrorsOrTheFirst() throws IOException {
        Files.writeString(
                schema,
                """
                { 'command': 'one', 'data': 'NoSuch' }
                { 'command': 'two', 'data': 'NoSuch' }
                """);
        String first =
                schema
                        + ": In command 'one':\n"
                        + schema
                        + ":1: command's 'data' uses unknown type 'NoSuch'\n";
        assertEquals(new Result(1, "", first), run("check", "--first-error", schema.toString()));
        assertEquals(
                new Result(1, "", first + first.replace("one", "two").replace(":1:", ":2:")),
                run("check", schema.toString()));
        assertEquals(1, run("dump", schema.toString()).status());
        assertEquals(
                "can't read schema file 'none.json': No such file or directory\n",
                run("check", "none.json").err());
    }

    @Test
    void dumpWritesWhatIsImplied() {
        Result dump = run("dump", schema.toString());
        assertEquals(0, dump.status());
        assertTrue(dump.out().contains("object q_obj_run-arg\n"), dump.out());
    }

    @Test
    void introspectLeavesOutWhatConditionsExclude() {
        assertEquals(
                """
                [
                {"allow-oob": true, "arg-type": "0", "meta-type": "command", "name": "run", "ret-type": "1"},
                {"members": [{"default": null, "name": "mode", "type": "2"}, {"name": "times", "type": "[int]"}], \
                "meta-type": "object", "name": "0"},
                {"members": [], "meta-type": "object", "name": "1"},
                {"members": [{"name": "fast"}], "meta-type": "enum", "name": "2", "values": ["fast"]},
                {"element-type": "int", "meta-type": "array", "name": "[int]"},
                {"json-type": "int", "meta-type": "builtin", "name": "int"}
                ]
                """,
                run("introspect", schema.toString(), "-D", "QUIET").out());
        String all = run("introspect", "--unmask", "-DSLOW", schema.toString()).out();
        assertTrue(all.contains("\"arg-type\": \"q_obj_run-arg\""), all);
        assertTrue(all.contains("\"values\": [\"fast\", \"slow\"]"), all);
        assertTrue(all.contains("\"name\": \"DONE\""), all);
    }

    @Test
    void generateWritesOnlyWhatChanged() throws IOException {
        Path output = directory.resolve("java");
        String[] command = {
            "generate", schema.toString(), "--package=a.b", "--output", output.toString(), "-DSLOW"
        };
        assertEquals(new Result(0, "", ""), run(command));
        Path mode = output.resolve("a/b/Mode.java");
        assertTrue(Files.readString(mode).contains("SLOW(\"slow\")"));
        Path stale = output.resolve("a/b/Stale.java");
        Files.writeString(stale, "// Written by lockstep-codegen-plugin; changes are lost.\n");
        Path own = output.resolve("a/b/Own.java");
        Files.writeString(own, "package a.b; class Own {}");
        FileTime old = FileTime.fromMillis(0);
        Files.setLastModifiedTime(mode, old);
        assertEquals(0, run(command).status());
        assertEquals(old, Files.getLastModifiedTime(mode));
        assertTrue(Files.notExists(stale));
        assertTrue(Files.exists(own), "what the generator did not write stays");
    }

    @Test
    void wrongUsageExitsWithTwo() {
        String[][] wrong = {
            {},
            {"frobnicate"},
            {"check"},
            {"check", "a", "b"},
            {"check", "-D", "X", "a"},
            {"introspect", "a", "-D"},
            {"generate", "a", "--package", "p"},
            {"generate", "a", "--package", "not a name", "--output", "o"},
        };
        for (String[] args : wrong) {
            Result result = run(args);
            assertEquals(2, result.status(), String.join(" ", args));
            assertTrue(result.err().startsWith("usage: lockstep-qapi"), result.err());
        }
        assertEquals(0, run("--help").status());
        assertEquals(0, run("generate", "--help").status());
    }
}
