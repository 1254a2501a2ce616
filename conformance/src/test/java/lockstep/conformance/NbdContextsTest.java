package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** What NBD clients are told of bitmaps and layers: the same by ours and by QEMU's server, to libnbd and to both clients. */
@Tag("qemu")
class NbdContextsTest {
    private static final String BITMAP = "qemu:dirty-bitmap:";
    private static final String DEPTH = "qemu:allocation-depth";

    @TempDir Path directory;

    @BeforeEach
    void programs() {
        Host.assumeProgram(Host.qemu());
        Host.assumeProgram("qemu-io");
        Host.assumeProgram("nbdinfo");
    }

    /** A server over a chain of three images, the middle one shorter, the lowest shorter still. */
    private final class Server implements AutoCloseable {
        final List<String> heard = new ArrayList<>();
        private final Path own;
        private final ProbedMonitor monitor;

        Server(String name, String program) {
            own = directory.resolve(name);
            own.toFile().mkdirs();
            create("short", "1M");
            create("base", "8M", "-b", path("short"), "-Fqcow2");
            create("top", "12M", "-b", path("base"), "-Fqcow2");
            Host.run("qemu-img", "bitmap", "--add", path("base"), "below");
            Host.run("qemu-img", "bitmap", "--add", "-g4k", path("top"), "b");
            io("short", "write 128k 64k");
            io("base", "write 1M 1M");
            io("top", "write 3M 64k", "write -z 5M 128k", "write 8M 1M");
            monitor =
                    ProbedMonitor.start(
                            program,
                            "-machine",
                            "none",
                            "-nodefaults",
                            "-S",
                            "-display",
                            "none",
                            "-blockdev",
                            "qcow2,node-name=base,read-only=on,file.driver=file,file.filename="
                                    + path("base"),
                            "-blockdev",
                            "qcow2,node-name=top,backing=base,file.driver=file,file.filename="
                                    + path("top"));
        }

        private String path(String image) {
            return own.resolve(image).toString();
        }

        private void create(String image, String size, String... more) {
            List<String> command = new ArrayList<>(List.of("qemu-img", "create", "-q", "-fqcow2"));
            command.addAll(List.of(more));
            command.addAll(List.of(path(image), size));
            Host.run(command.toArray(String[]::new));
        }

        private void io(String image, String... commands) {
            List<String> line = new ArrayList<>(List.of("qemu-io"));
            for (String command : commands) {
                line.addAll(List.of("-c", command));
            }
            line.add(path(image));
            Host.run(line.toArray(String[]::new));
        }

        void say(String command, String arguments) {
            heard.add(command + " " + arguments + " -> " + monitor.answer(command, arguments));
        }

        void add(String arguments) {
            say("block-export-add", "{'type': 'nbd', " + arguments + "}");
        }

        void run(String... command) {
            heard.add(String.join(" ", command) + "\n" + Host.run(command));
        }

        String uri(String export) {
            return "nbd+unix:///" + export + "?socket=" + own.resolve("nbd");
        }

        void map(String export, String context) {
            run("nbdinfo", "--map=" + context, uri(export));
        }

        /** What a client makes of it. */
        String seen(String client, String export, String context) {
            return Host.run(
                    client,
                    "map",
                    "--output=json",
                    "--image-opts",
                    "driver=nbd,export="
                            + export
                            + ",server.type=unix,server.path="
                            + own.resolve("nbd")
                            + ",x-dirty-bitmap="
                            + context);
        }

        String text() {
            return String.join("\n", heard).replace(own.toString(), "OWN");
        }

        @Override
        public void close() {
            monitor.execute("quit");
            monitor.close();
        }
    }

    private static void talk(Server s) {
        s.say("nbd-server-add", "{'device': 'top', 'bitmap': 'b'}");
        s.say(
                "nbd-server-start",
                "{'addr': {'type': 'unix', 'data': {'path': '" + s.own.resolve("nbd") + "'}}}");
        s.say("nbd-server-add", "{'device': 'top', 'bitmap': 'b'}");
        s.say("nbd-server-add", "{'device': 'top', 'bitmap': 'nope'}");
        s.say("nbd-server-add", "{'device': 'top', 'bitmap': 'b', 'writable': true}");
        for (String verb : List.of("clear", "remove", "enable", "disable")) {
            s.say("block-dirty-bitmap-" + verb, "{'node': 'top', 'name': 'b'}");
        }
        s.add("'id': 'e', 'node-name': 'top', 'bitmaps': ['b'], 'writable': true, 'name': 'x'");
        s.add("'id': 'e', 'node-name': 'base', 'bitmaps': [{'node': 'base', 'name': 'nope'}]");
        s.add("'id': 'e', 'node-name': 'base', 'bitmaps': [{'node': 'nope', 'name': 'b'}]");
        s.add(
                "'id': 'two', 'node-name': 'top', 'name': 'two', 'bitmaps': ['below'],"
                        + " 'allocation-depth': true");
        for (String export : List.of("top", "two")) {
            s.run("nbdinfo", "--json", s.uri(export));
            s.run("nbdinfo", "--map", s.uri(export));
        }
        s.map("top", BITMAP + "b");
        s.map("two", BITMAP + "below");
        s.map("two", DEPTH);
        s.run("nbdinfo", "--list", s.uri(""));
    }

    @Test
    void serversTellTheSame() {
        String[] clients = {"qemu-img", Host.binary().resolveSibling("lockstep-img").toString()};
        try (Server qemu = new Server("qemu", Host.qemu());
                Server ours = new Server("ours", Host.binary().toString())) {
            talk(qemu);
            talk(ours);
            for (String[] asked :
                    new String[][] {
                        {"top", BITMAP + "b"}, {"two", BITMAP + "below"}, {"two", DEPTH}
                    }) {
                String expected = qemu.seen(clients[0], asked[0], asked[1]);
                assertTrue(expected.lines().count() > 2, expected);
                assertEquals(expected, qemu.seen(clients[1], asked[0], asked[1]));
                assertEquals(expected, ours.seen(clients[0], asked[0], asked[1]));
            }
            for (Server s : List.of(qemu, ours)) {
                s.say("block-export-del", "{'id': 'top'}");
                s.say("block-dirty-bitmap-disable", "{'node': 'top', 'name': 'b'}");
                s.say("nbd-server-add", "{'device': 'top', 'bitmap': 'b'}");
                s.say("block-dirty-bitmap-remove", "{'node': 'top', 'name': 'b'}");
                s.say("nbd-server-stop", "");
                s.say("block-dirty-bitmap-remove", "{'node': 'top', 'name': 'b'}");
            }
            assertEquals(qemu.text(), ours.text());
        }
    }
}
