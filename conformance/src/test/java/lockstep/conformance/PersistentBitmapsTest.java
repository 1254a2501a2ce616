package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import lockstep.qmp.JsonObject;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Bitmaps that an image keeps: each program reads what the other one wrote, and tells the same of it. */
@Tag("qemu")
class PersistentBitmapsTest {
    private static final String ADD = "block-dirty-bitmap-add";
    private static final List<String> NAMES = List.of("b", "fine", "off");

    @TempDir Path directory;

    private final String ours = Host.binary().toString();

    @BeforeEach
    void programs() {
        Host.assumeProgram(Host.qemu());
        Host.assumeProgram("qemu-io");
    }

    /** A program that uses one image, as node {@code a}. */
    private static final class Machine implements AutoCloseable {
        final ProbedMonitor monitor;
        final List<String> heard;
        private final Path image;

        Machine(String program, Path image, boolean readOnly, List<String> heard) {
            this.heard = heard;
            this.image = image;
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
                            "qcow2,node-name=a,read-only="
                                    + (readOnly ? "on" : "off")
                                    + ",file.driver=file,file.filename="
                                    + image);
        }

        void say(String command, String arguments) {
            heard.add(command + " " + arguments + " -> " + monitor.answer(command, arguments));
        }

        void bitmap(String verb, String more) {
            say("block-dirty-bitmap-" + verb, "{'node': 'a', " + more + "}");
        }

        void show() {
            for (JsonObject o : monitor.list("query-named-block-nodes", "")) {
                if (ProbedMonitor.text(o, "node-name").equals("a")) {
                    heard.add("in memory " + o.get("dirty-bitmaps"));
                    JsonObject image = (JsonObject) o.get("image");
                    JsonObject specific = (JsonObject) image.get("format-specific");
                    heard.add("kept " + ((JsonObject) specific.get("data")).get("bitmaps"));
                }
            }
        }

        void hashes() {
            for (String name : NAMES) {
                say("x-debug-block-dirty-bitmap-sha256", "{'node': 'a', 'name': '" + name + "'}");
            }
        }

        void reopen(boolean readOnly) {
            say(
                    "blockdev-reopen",
                    "{'options': [{'driver': 'qcow2', 'node-name': 'a', 'read-only': "
                            + readOnly
                            + ", 'file': {'driver': 'file', 'filename': '"
                            + image
                            + "'}}]}");
        }

        @Override
        public void close() {
            monitor.execute("quit");
            monitor.close();
        }
    }

    /** Makes an image with bitmaps, and changes it. */
    private Path written(String program, String name, List<String> heard) {
        Path image = directory.resolve(name);
        Path socket = directory.resolve(name + ".nbd");
        // A cluster has the bits of 16 MiB, so that some hold none, some only such that are set.
        Host.run(
                "qemu-img",
                "create",
                "-q",
                "-fqcow2",
                "-ocluster_size=4k",
                image.toString(),
                "64M");
        try (Machine m = new Machine(program, image, false, heard)) {
            m.say(ADD, "{'node': 'a', 'name': 'b', 'persistent': true}");
            m.say(ADD, "{'node': 'a', 'name': 'fine', 'persistent': true, 'granularity': 512}");
            m.say(ADD, "{'node': 'a', 'name': 'off', 'persistent': true, 'disabled': true}");
            m.say(ADD, "{'node': 'a', 'name': 'lost'}");
            m.say(ADD, "{'node': 'a', 'name': '" + "n".repeat(1024) + "', 'persistent': true}");
            m.monitor.execute(
                    "nbd-server-start",
                    "{'addr': {'type': 'unix', 'data': {'path': '%s'}}}".formatted(socket));
            m.monitor.execute("nbd-server-add", "{'device': 'a', 'writable': true}");
            Host.run(
                    "qemu-io",
                    "-fraw",
                    "-c",
                    "write 65536 200000",
                    "-c",
                    "write 32M 20M",
                    "-c",
                    "write 67108352 512",
                    "nbd+unix:///a?socket=" + socket);
            m.hashes();
            m.show();
        }
        Host.run("qemu-img", "check", "-q", image.toString());
        return image;
    }

    private Path copy(Path image, String suffix) {
        try {
            return Files.copy(image, directory.resolve(image.getFileName() + suffix));
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    /** Uses an image with bitmaps; answers what it was while it was in use. */
    private Path used(String program, Path image, List<String> heard) {
        try (Machine m = new Machine(program, image, true, heard)) {
            m.show();
            m.hashes();
            for (String verb : List.of("clear", "remove", "enable", "disable")) {
                m.bitmap(verb, "'name': 'b'");
            }
        }
        Path killed;
        try (Machine m = new Machine(program, image, false, heard)) {
            m.show();
            m.bitmap("disable", "'name': 'b'");
            m.bitmap("remove", "'name': 'off'");
            m.reopen(true);
            m.show();
            m.bitmap("clear", "'name': 'fine'");
            m.reopen(false);
            m.show();
            m.bitmap("clear", "'name': 'fine'");
            m.say("block_resize", "{'node-name': 'a', 'size': 134217728}");
            m.say(ADD, "{'node': 'a', 'name': 'off', 'persistent': true}");
            m.show();
            m.hashes();
            killed = copy(image, ".killed");
        }
        Host.run("qemu-img", "check", "-q", image.toString());
        try (Machine m = new Machine(program, image, true, heard)) {
            m.show();
            m.hashes();
        }
        return killed;
    }

    /** Uses an image that nobody left in order. */
    private static void mended(String program, Path image, List<String> heard) {
        try (Machine m = new Machine(program, image, false, heard)) {
            m.show();
            for (String verb : List.of("clear", "enable", "disable")) {
                m.bitmap(verb, "'name': 'b'");
            }
            m.bitmap("merge", "'target': 'b', 'bitmaps': ['fine']");
            m.bitmap("add", "'name': 'fresh'");
            m.bitmap("merge", "'target': 'fresh', 'bitmaps': ['fine']");
            m.bitmap("add", "'name': 'b'");
            m.say("block_resize", "{'node-name': 'a', 'size': 268435456}");
            m.bitmap("remove", "'name': 'b'");
            m.bitmap("remove", "'name': 'fine'");
            m.show();
            m.bitmap("add", "'name': 'b', 'persistent': true");
        }
        Host.run("qemu-img", "check", "-q", image.toString());
    }

    private static String lines(List<String> heard, String image) {
        return String.join("\n", heard).replace(image, "IMAGE");
    }

    @Test
    void eachReadsTheOthers() {
        List<String> expected = null;
        for (String writer : List.of(Host.qemu(), ours)) {
            for (String reader : List.of(Host.qemu(), ours)) {
                List<String> heard = new ArrayList<>();
                String name = (writer.equals(ours) ? "o" : "q") + (reader.equals(ours) ? "o" : "q");
                Path image = written(writer, name, heard);
                mended(reader, used(reader, image, heard), heard);
                List<String> lines = lines(heard, image.toString()).lines().toList();
                if (expected == null) {
                    expected = lines;
                }
                assertEquals(String.join("\n", expected), String.join("\n", lines), "case " + name);
            }
        }
    }
}
