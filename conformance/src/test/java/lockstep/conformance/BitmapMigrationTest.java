package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.qmp.JsonObject;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** Dirty bitmaps move with a migration between any two of both programs, and arrive as between two QEMU. */
@Tag("qemu")
class BitmapMigrationTest {
    private static final String OURS = Host.binary().toString();

    @TempDir Path directory;

    @BeforeEach
    void programs() {
        Host.assumeProgram(Host.qemu());
        Host.assumeProgram("qemu-io");
    }

    private static ProbedMonitor machine(String program, String node, Path image, String... more) {
        List<String> arguments =
                new ArrayList<>(
                        List.of(
                                "-machine",
                                "pc-i440fx-7.2",
                                "-accel",
                                program.equals(OURS) ? "jvm" : "tcg",
                                "-cpu",
                                "qemu64",
                                "-m",
                                "16",
                                "-nodefaults",
                                "-S",
                                "-display",
                                "none",
                                "-blockdev",
                                "qcow2,node-name="
                                        + node
                                        + ",file.driver=file,file.filename="
                                        + image));
        arguments.addAll(List.of(more));
        ProbedMonitor monitor = ProbedMonitor.start(program, arguments.toArray(String[]::new));
        monitor.execute(
                "migrate-set-capabilities",
                "{'capabilities': [{'capability': 'dirty-bitmaps', 'state': true}]}");
        return monitor;
    }

    private static String bitmaps(ProbedMonitor monitor, String node) {
        for (JsonObject o : monitor.list("query-named-block-nodes", "")) {
            if (ProbedMonitor.text(o, "node-name").equals(node)) {
                return o.get("dirty-bitmaps") + "";
            }
        }
        return "no node";
    }

    private static String hash(ProbedMonitor monitor, String node, String name) {
        return monitor.answer(
                        "x-debug-block-dirty-bitmap-sha256",
                        "{'node': '" + node + "', 'name': '" + name + "'}")
                .toString();
    }

    private static String status(ProbedMonitor monitor) {
        return ProbedMonitor.text((JsonObject) monitor.execute("query-migrate"), "status");
    }

    private Path image(String name, String... bitmaps) {
        Path image = directory.resolve(name);
        Host.run("qemu-img", "create", "-q", "-fqcow2", image.toString(), "64M");
        for (String bitmap : bitmaps) {
            Host.run("qemu-img", "bitmap", "--add", "-g4k", image.toString(), bitmap);
        }
        return image;
    }

    private void write(ProbedMonitor monitor, Path socket) {
        monitor.execute(
                "nbd-server-start",
                "{'addr': {'type': 'unix', 'data': {'path': '" + socket + "'}}}");
        monitor.execute("nbd-server-add", "{'device': 'n', 'writable': true}");
        Host.run(
                "qemu-io",
                "-fraw",
                "-c",
                "write 1M 3M",
                "-c",
                "write 67108352 512",
                "nbd+unix:///n?socket=" + socket);
        monitor.execute("nbd-server-stop", "");
    }

    /** Moves; answers what is there afterwards. */
    private String moved(String from, String to, boolean renamed) {
        String name = (from.equals(OURS) ? "o" : "q") + (to.equals(OURS) ? "o" : "q") + renamed;
        Path here = image(name, "kept", "left");
        Path there = renamed ? image(name + "2") : here;
        String node = renamed ? "m" : "n";
        Path door = directory.resolve(name + ".door");
        StringBuilder heard = new StringBuilder();
        try (ProbedMonitor source = machine(from, "n", here);
                ProbedMonitor target = machine(to, node, there, "-incoming", "unix:" + door)) {
            source.execute("block-dirty-bitmap-add", "{'node': 'n', 'name': 'volatile'}");
            write(source, directory.resolve(name + ".nbd"));
            if (renamed) {
                source.execute(
                        "migrate-set-parameters",
                        "{'block-bitmap-mapping': [{'node-name': 'n', 'alias': 'disk', 'bitmaps':"
                            + " [{'name': 'kept', 'alias': 'one'}, {'name': 'volatile', 'alias':"
                            + " 'two', 'transform': {'persistent': true}}]}]}");
                target.execute(
                        "migrate-set-parameters",
                        "{'block-bitmap-mapping': [{'node-name': 'm', 'alias': 'disk', 'bitmaps':"
                                + " [{'name': 'first', 'alias': 'one'}, {'name': 'second', 'alias':"
                                + " 'two'}]}]}");
            }
            source.execute("migrate", "{'uri': 'unix:" + door + "'}");
            Host.await(
                    "the migration ends",
                    Duration.ofMinutes(2),
                    () -> List.of("completed", "failed").contains(status(source)));
            assertEquals("completed", status(source), name);
            Host.await(
                    "the migration has arrived",
                    Duration.ofMinutes(2),
                    () -> status(target).equals("completed"));
            target.execute("cont", "");
            heard.append(bitmaps(target, node)).append('\n');
            for (String[] pair :
                    renamed
                            ? new String[][] {{"kept", "first"}, {"volatile", "second"}}
                            : new String[][] {{"kept", "kept"}, {"volatile", "volatile"}}) {
                String hash = hash(source, "n", pair[0]);
                assertTrue(hash.contains("sha256"), hash);
                assertEquals(hash, hash(target, node, pair[1]), name);
                heard.append(hash).append('\n');
            }
            source.execute("quit", "");
            target.execute("quit", "");
        }
        Host.run("qemu-img", "check", "-q", there.toString());
        String info = Host.run("qemu-img", "info", there.toString());
        return heard.append(info.substring(info.indexOf("bitmaps:"))).toString();
    }

    @Test
    void underTheirOwnNames() {
        String expected = moved(Host.qemu(), Host.qemu(), false);
        assertEquals(expected, moved(OURS, OURS, false));
        assertEquals(expected, moved(OURS, Host.qemu(), false));
    }

    @Test
    void underOtherNames() {
        String expected = moved(Host.qemu(), Host.qemu(), true);
        assertEquals(expected, moved(OURS, Host.qemu(), true));
        assertEquals(expected, moved(Host.qemu(), OURS, true));
    }

    @Test
    void stayWhenTheMigrationFails() {
        Path image = image("failing", "kept");
        try (ProbedMonitor m = machine(OURS, "n", image)) {
            write(m, directory.resolve("failing.nbd"));
            String before = hash(m, "n", "kept");
            m.execute("migrate", "{'uri': 'exec:head -c 100 > /dev/null'}");
            Host.await(
                    "the migration ends",
                    Duration.ofMinutes(2),
                    () -> List.of("completed", "failed").contains(status(m)));
            assertEquals("failed", status(m));
            assertEquals(before, hash(m, "n", "kept"));
            m.execute("block-dirty-bitmap-disable", "{'node': 'n', 'name': 'kept'}");
            m.execute("quit", "");
        }
        String info = Host.run("qemu-img", "info", image.toString());
        assertTrue(info.contains("kept") && !info.contains("in-use"), info);
    }
}
