package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** {@code lockstep-qmp} as a script uses it, on QEMU and on our own monitor. */
class QmpShellTest {
    @TempDir Path directory;

    /** What a run of the shell gave. */
    private record Run(int status, String out, String err) {}

    private interface Check {
        void run(Path socket) throws Exception;
    }

    private Run shell(String input, String... arguments) throws Exception {
        List<String> command = new ArrayList<>();
        command.add(Host.home().resolve("bin/lockstep-qmp").toString());
        command.addAll(List.of(arguments));
        Path in = Files.writeString(directory.resolve("in"), input);
        Path out = directory.resolve("out");
        Path err = directory.resolve("err");
        Process process =
                new ProcessBuilder(command)
                        .redirectInput(in.toFile())
                        .redirectOutput(out.toFile())
                        .redirectError(err.toFile())
                        .start();
        assertTrue(process.waitFor(60, TimeUnit.SECONDS), "the shell did not end");
        return new Run(
                process.exitValue(),
                Files.readString(out, StandardCharsets.UTF_8),
                Files.readString(err, StandardCharsets.UTF_8));
    }

    private void on(String program, Check check) throws Exception {
        Path socket = directory.resolve("qmp.sock");
        Process vm =
                new ProcessBuilder(
                                program,
                                "-machine",
                                "none",
                                "-display",
                                "none",
                                "-name",
                                "shell",
                                "-qmp",
                                "unix:" + socket + ",server=on,wait=off")
                        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                        .redirectError(ProcessBuilder.Redirect.INHERIT)
                        .start();
        try {
            assertEquals(0, shell("", "--wait", socket.toString(), "query-name").status());
            check.run(socket);
        } finally {
            vm.destroyForcibly().waitFor();
            Files.deleteIfExists(socket);
        }
    }

    private List<DynamicTest> checks(String program) {
        return List.of(
                dynamicTest("one command", () -> on(program, this::oneCommand)),
                dynamicTest("a script", () -> on(program, this::aScript)),
                dynamicTest("errors", () -> on(program, this::errors)),
                dynamicTest("the human monitor", () -> on(program, this::human)),
                dynamicTest("the end", () -> on(program, this::end)));
    }

    @TestFactory
    @Tag("qemu")
    List<DynamicTest> onQemu() {
        Host.assumeProgram(Host.qemu());
        return checks(Host.qemu());
    }

    @TestFactory
    List<DynamicTest> onLockstep() {
        return checks(Host.binary().toString());
    }

    private void oneCommand(Path socket) throws Exception {
        assertEquals(
                new Run(0, "{\"return\": {\"name\": \"shell\"}}\n", ""),
                shell("", socket.toString(), "query-name"));
        assertEquals(
                new Run(
                        0,
                        "{\n"
                                + "    \"return\": {\n"
                                + "        \"name\": \"shell\"\n"
                                + "    },\n"
                                + "    \"id\": 3\n"
                                + "}\n",
                        ""),
                shell("", "-p", socket.toString(), "--", "{'execute': 'query-name', 'id': 3}"));
        assertEquals(
                0,
                shell(
                                "",
                                socket.toString(),
                                "blockdev-add",
                                "driver=null-co",
                                "node-name=n",
                                "size=1M")
                        .status());
        assertTrue(
                shell("", socket.toString(), "query-named-block-nodes")
                        .out()
                        .contains("\"virtual-size\": 1048576"));
    }

    private void aScript(Path socket) throws Exception {
        String script =
                """
                # What a bare socket needs first does no harm.
                {"execute": "qmp_capabilities"}
                query-name
                {"execute":
                   "query-name", "id": "x"} {"execute": "query-uuid"}

                stop
                exec-oob query-yank
                """;
        Run run = shell(script, "--events", socket.toString());
        List<String> lines = run.out().lines().toList();
        assertEquals(0, run.status());
        assertEquals("{\"return\": {\"name\": \"shell\"}}", lines.get(0));
        assertEquals("{\"return\": {\"name\": \"shell\"}, \"id\": \"x\"}", lines.get(1));
        assertTrue(lines.get(2).contains("UUID"), run.out());
        assertTrue(run.out().contains("\"event\": \"STOP\""), run.out());
        assertTrue(lines.getLast().startsWith("{\"return\": ["), run.out());
        // On the wire the event stands in front of the answer of the command that caused it.
        List<String> alone = shell("", "-e", socket.toString(), "cont").out().lines().toList();
        assertEquals(2, alone.size(), alone.toString());
        assertTrue(alone.get(0).contains("\"event\": \"RESUME\""), alone.toString());
        assertEquals("{\"return\": {}}", alone.get(1));
        Path file = Files.writeString(directory.resolve("script"), "query-name\n");
        assertEquals(
                "{\"return\": {\"name\": \"shell\"}}\n",
                shell("", "--file", file.toString(), socket.toString()).out());
    }

    private void errors(Path socket) throws Exception {
        String notFound =
                "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command nosuch has"
                        + " not been found\"}}\n";
        assertEquals(new Run(1, notFound, ""), shell("", socket.toString(), "nosuch"));
        assertEquals(new Run(1, notFound, ""), shell("nosuch\nquery-name\n", socket.toString()));
        assertEquals(
                new Run(1, notFound + "{\"return\": {\"name\": \"shell\"}}\n", ""),
                shell("nosuch\nquery-name\n", "-k", socket.toString()));
        assertEquals(
                new Run(2, "", "lockstep-qmp: 'x' is not KEY=VALUE\n"),
                shell("", socket.toString(), "stop", "x"));
        assertEquals(
                new Run(2, "", "lockstep-qmp: line 2: the JSON text ends early\n"),
                shell("\n{\"execute\":\n", socket.toString()));
    }

    @Test
    void aFileThatIsMissingIsNamedWithTheReason() throws Exception {
        assertEquals(
                new Run(2, "", "lockstep-qmp: cannot read 'nofile': No such file or directory\n"),
                shell("", "-f", "nofile", "/nosuch.sock"));
    }

    private void human(Path socket) throws Exception {
        Run run = shell("", "--hmp", socket.toString(), "info", "name");
        assertEquals(new Run(0, "shell\n", ""), run);
        assertEquals(
                "shell\nshell\n",
                shell("info name\ninfo name\n", "--hmp", socket.toString()).out());
    }

    private void end(Path socket) throws Exception {
        assertEquals(new Run(0, "{\"return\": {}}\n", ""), shell("quit\n", socket.toString()));
        Run run = shell("", socket + "x", "query-name");
        assertEquals(2, run.status());
        assertEquals(
                "lockstep-qmp: Cannot connect to unix:" + socket + "x: No such file or directory\n",
                run.err());
    }

    @Test
    void itSaysWhatItIs() throws Exception {
        Run help = shell("", "--help");
        assertEquals(0, help.status());
        assertTrue(help.out().startsWith("Usage: lockstep-qmp"), help.out());
        assertEquals(0, shell("", "--version").status());
        assertTrue(shell("", "--version").out().startsWith("lockstep-qmp "));
        assertEquals(2, shell("").status());
        assertEquals(
                new Run(2, "", "lockstep-qmp: there is no option --nosuch\n"),
                shell("", "--nosuch"));
    }
}
