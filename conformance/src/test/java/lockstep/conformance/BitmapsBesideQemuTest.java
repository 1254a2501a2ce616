package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonValue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Dirty bitmaps: a client hears the same of ours and of QEMU's. */
@Tag("qemu")
class BitmapsBesideQemuTest {
    private static final String ADD = "block-dirty-bitmap-add";
    private static final String MERGE = "block-dirty-bitmap-merge";

    @TempDir Path directory;

    @BeforeEach
    void programs() {
        Host.assumeProgram(Host.qemu());
        Host.assumeProgram("qemu-io");
    }

    /** One program, and what it has answered. */
    private final class Machine implements AutoCloseable {
        final Path own;
        final ProbedMonitor monitor;
        final List<String> heard = new ArrayList<>();

        Machine(String name, String program) {
            own = directory.resolve(name);
            own.toFile().mkdirs();
            List<String> arguments =
                    new ArrayList<>(
                            List.of("-machine", "none", "-nodefaults", "-S", "-display", "none"));
            for (String disk : List.of("a:1M:64k", "s:1M:4k", "l:8M:2M")) {
                String[] d = disk.split(":");
                String image = own.resolve(d[0]).toString();
                Host.run(
                        "qemu-img",
                        "create",
                        "-q",
                        "-fqcow2",
                        "-ocluster_size=" + d[2],
                        image,
                        d[1]);
                arguments.add("-blockdev");
                arguments.add(
                        "qcow2,discard=unmap,node-name="
                                + d[0]
                                + ",file.driver=file,file.filename="
                                + image);
            }
            arguments.addAll(List.of("-blockdev", "null-co,node-name=r,size=1000448"));
            arguments.addAll(List.of("-drive", "if=none,id=empty"));
            monitor = ProbedMonitor.start(program, arguments.toArray(String[]::new));
        }

        void say(String command, String arguments) {
            heard.add(command + " " + arguments + " -> " + monitor.answer(command, arguments));
        }

        /** What is told of a node's bitmaps. */
        void show(String node) {
            for (JsonObject o : monitor.list("query-named-block-nodes", "")) {
                if (ProbedMonitor.text(o, "node-name").equals(node)) {
                    JsonValue bitmaps = o.get("dirty-bitmaps");
                    heard.add(node + " has " + bitmaps);
                }
            }
        }

        void export(String... nodes) {
            monitor.execute(
                    "nbd-server-start",
                    "{'addr': {'type': 'unix', 'data': {'path': '%s'}}}".formatted(socket()));
            for (String node : nodes) {
                monitor.execute(
                        "nbd-server-add", "{'device': '%s', 'writable': true}".formatted(node));
            }
        }

        private Path socket() {
            return own.resolve("nbd");
        }

        void io(String node, String command) {
            Host.run(
                    "qemu-io",
                    "-fraw",
                    "-c",
                    command,
                    "nbd+unix:///" + node + "?socket=" + socket());
        }

        @Override
        public void close() {
            monitor.execute("quit");
            monitor.close();
        }
    }

    private interface Conversation {
        void with(Machine machine);
    }

    private void compare(Conversation conversation) {
        try (Machine qemu = new Machine("qemu", Host.qemu());
                Machine ours = new Machine("ours", Host.binary().toString())) {
            conversation.with(qemu);
            conversation.with(ours);
            assertTrue(!qemu.heard.isEmpty());
            assertEquals(String.join("\n", qemu.heard), String.join("\n", ours.heard));
        }
    }

    @Test
    void mistakes() {
        compare(
                m -> {
                    m.say(ADD, "{'node': 'nope', 'name': 'b'}");
                    m.say(ADD, "{'node': 'empty', 'name': 'b'}");
                    m.say(ADD, "{'node': 'a', 'name': ''}");
                    m.say(ADD, "{'node': 'a', 'name': '" + "n".repeat(1024) + "'}");
                    m.say(ADD, "{'node': 'a', 'name': 'b'}");
                    m.say(ADD, "{'node': 'a', 'name': 'b'}");
                    for (String granularity : List.of("0", "256", "511", "4294967296", "-1")) {
                        m.say(
                                ADD,
                                "{'node': 'a', 'name': 'g', 'granularity': " + granularity + "}");
                    }
                    m.say(ADD, "{'node': 'r', 'name': 'p', 'persistent': true}");
                    for (String verb : List.of("remove", "clear", "enable", "disable")) {
                        m.say("block-dirty-bitmap-" + verb, "{'node': 'a', 'name': 'x'}");
                        m.say("block-dirty-bitmap-" + verb, "{'node': 'nope', 'name': 'x'}");
                        m.say("block-dirty-bitmap-" + verb, "{'node': 'empty', 'name': 'x'}");
                    }
                    m.say("x-debug-block-dirty-bitmap-sha256", "{'node': 'a', 'name': 'x'}");
                    m.say(ADD, "{'node': 'r', 'name': 'b'}");
                    m.say(MERGE, "{'node': 'a', 'target': 'x', 'bitmaps': []}");
                    m.say(MERGE, "{'node': 'a', 'target': 'b', 'bitmaps': ['x']}");
                    m.say(
                            MERGE,
                            "{'node': 'a', 'target': 'b', 'bitmaps': [{'node': 'r', 'name':"
                                    + " 'b'}]}");
                    m.say(
                            MERGE,
                            "{'node': 'a', 'target': 'b', 'bitmaps': [{'node': 'n', 'name':"
                                    + " 'b'}]}");
                });
    }

    @Test
    void marks() {
        compare(
                m -> {
                    m.export("a", "s", "r");
                    m.say(ADD, "{'node': 'a', 'name': 'default'}");
                    m.say(ADD, "{'node': 'a', 'name': 'fine', 'granularity': 512}");
                    m.say(ADD, "{'node': 'a', 'name': 'off', 'disabled': true}");
                    m.say(ADD, "{'node': 's', 'name': 'small'}");
                    m.say(ADD, "{'node': 'l', 'name': 'large'}");
                    m.say(ADD, "{'node': 'r', 'name': 'odd'}");
                    m.io("a", "write 69632 512");
                    m.io("a", "write -z 200192 100352");
                    m.io("a", "discard 524288 65536");
                    m.io("s", "write 0 8192");
                    m.io("r", "write 999936 512");
                    for (String node : List.of("a", "s", "l", "r")) {
                        m.show(node);
                    }
                    hashes(m, "default", "fine", "off");
                    m.say("block-dirty-bitmap-enable", "{'node': 'a', 'name': 'off'}");
                    m.say("block-dirty-bitmap-disable", "{'node': 'a', 'name': 'fine'}");
                    m.io("a", "write 0 512");
                    hashes(m, "default", "fine", "off");
                    m.say(
                            MERGE,
                            "{'node': 'a', 'target': 'off',"
                                    + " 'bitmaps': ['fine', {'node': 's', 'name': 'small'}]}");
                    hashes(m, "off");
                    m.say("block-dirty-bitmap-clear", "{'node': 'a', 'name': 'fine'}");
                    m.say(MERGE, "{'node': 'a', 'target': 'fine', 'bitmaps': ['off', 'default']}");
                    hashes(m, "fine");
                    m.say("block-dirty-bitmap-remove", "{'node': 'a', 'name': 'off'}");
                    m.show("a");
                });
    }

    private static void hashes(Machine m, String... names) {
        for (String name : names) {
            m.say("x-debug-block-dirty-bitmap-sha256", "{'node': 'a', 'name': '" + name + "'}");
        }
    }

    @Test
    void lengths() {
        compare(
                m -> {
                    m.say(ADD, "{'node': 'a', 'name': 'b'}");
                    m.say(ADD, "{'node': 's', 'name': 'b'}");
                    m.export("s");
                    m.io("s", "write 0 1M");
                    m.say(
                            MERGE,
                            "{'node': 'a', 'target': 'b', 'bitmaps': [{'node': 's', 'name':"
                                    + " 'b'}]}");
                    m.say("block_resize", "{'node-name': 'a', 'size': 8388608}");
                    m.show("a");
                    hashes(m, "b");
                    m.say(
                            MERGE,
                            "{'node': 'a', 'target': 'b', 'bitmaps': [{'node': 's', 'name':"
                                    + " 'b'}]}");
                });
    }

    @Test
    void transactions() {
        compare(
                m -> {
                    m.export("a");
                    m.say(ADD, "{'node': 'a', 'name': 'b'}");
                    m.io("a", "write 0 512");
                    m.say("transaction", "{'actions': []}");
                    String add = action("add", "'name': 't'");
                    String merge = action("merge", "'target': 't', 'bitmaps': ['b']");
                    String clear = action("clear", "'name': 'b'");
                    String remove = action("remove", "'name': 'b'");
                    String abort = "{'type': 'abort', 'data': {}}";
                    List<List<String>> attempts =
                            List.of(
                                    List.of(add, merge, clear, abort),
                                    List.of(add, merge, remove, abort),
                                    List.of(add, action("remove", "'name': 'x'")),
                                    List.of(remove, action("add", "'name': 'b'")),
                                    List.of(remove, clear),
                                    List.of(action("disable", "'name': 'b'"), abort),
                                    List.of(add, merge, clear),
                                    List.of(
                                            action("enable", "'name': 't'"),
                                            action("disable", "'name': 'b'")),
                                    List.of(remove, action("clear", "'name': 't'")));
                    for (List<String> attempt : attempts) {
                        m.say("transaction", "{'actions': [" + String.join(", ", attempt) + "]}");
                        m.show("a");
                    }
                });
    }

    private static String action(String verb, String data) {
        return "{'type': 'block-dirty-bitmap-" + verb + "', 'data': {'node': 'a', " + data + "}}";
    }
}
