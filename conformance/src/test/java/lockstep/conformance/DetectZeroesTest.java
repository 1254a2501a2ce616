package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.qmp.JsonObject;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What {@code detect-zeroes} makes of written zeroes, and write thresholds, beside the installed QEMU. */
@Tag("qemu")
class DetectZeroesTest {
    private static final String QEMU = Host.qemu();
    private static final Duration LIMIT = Duration.ofSeconds(60);
    private static final int MIB = 1 << 20;
    private static final Pattern RUN = Pattern.compile("\"start\": (\\d+),.* \"data\": (\\w+)");

    @TempDir Path directory;

    /** A node over the image that the test makes. */
    private record Case(String format, String options, String fileOptions) {
        String node(Path image) {
            return "{'driver': '%s', 'node-name': 'n', %s 'file': {'driver': 'file', %s 'filename': '%s'}}"
                    .formatted(format, options, fileOptions, image);
        }
    }

    private static List<Case> cases() {
        List<Case> cases = new ArrayList<>();
        for (String format : List.of("qcow2", "raw")) {
            for (String zeroes : List.of("off", "on", "unmap")) {
                for (String discard : List.of("unmap", "ignore")) {
                    String options =
                            "'detect-zeroes': '%s', 'discard': '%s',".formatted(zeroes, discard);
                    cases.add(new Case(format, options, ""));
                }
            }
            cases.add(new Case(format, "", "'detect-zeroes': 'on',"));
            cases.add(new Case(format, "", "'detect-zeroes': 'unmap', 'discard': 'unmap',"));
            cases.add(new Case(format, "'discard': 'unmap',", "'discard': 'ignore',"));
        }
        return cases;
    }

    private final class Side implements AutoCloseable {
        private final Path home;
        private final Path image;
        private final ProbedMonitor monitor;

        Side(String program, String name) throws IOException {
            home = Files.createDirectory(directory.resolve(name));
            image = home.resolve("image");
            monitor =
                    ProbedMonitor.start(
                            program, "-machine", "none", "-nodefaults", "-display", "none");
            monitor.execute(
                    "nbd-server-start",
                    "{'addr': {'type': 'unix', 'data': {'path': '%s'}}}"
                            .formatted(home.resolve("nbd")));
        }

        /** What came of a node: the error it was refused with, or what the image holds in the end. */
        String use(Case c, String reopened) throws IOException {
            Host.run("qemu-img", "create", "-q", "-f", c.format, image.toString(), "8M");
            StringBuilder seen = new StringBuilder();
            var added = monitor.answer("blockdev-add", c.node(image));
            if (ProbedMonitor.failed(added)) {
                return added.toString();
            }
            if (!reopened.isEmpty()) {
                String options = reopened.formatted(image);
                seen.append(monitor.answer("blockdev-reopen", "{'options': [" + options + "]}"));
            }
            for (JsonObject node : monitor.list("query-named-block-nodes", "{'flat': true}")) {
                seen.append(ProbedMonitor.text(node, "detect_zeroes")).append(' ');
            }
            monitor.execute(
                    "block-export-add",
                    "{'type': 'nbd', 'id': 'x', 'node-name': 'n', 'writable': true}");
            try (NbdClient client = new NbdClient(home.resolve("nbd"), "n", LIMIT)) {
                write(client, 0, MIB, 7);
                write(client, 0, 4 * 65536, 0);
                write(client, 6 * 65536, 65536, 0);
                write(client, MIB - 512, 1024, 0);
                // Not all zeroes: written as it is.
                byte[] mixed = new byte[2 * 65536];
                mixed[mixed.length - 1] = 1;
                assertEquals(
                        0,
                        client.request(NbdClient.Command.WRITE, 2 * MIB, mixed.length, mixed)
                                .error());
                write(client, 3 * MIB, 65536, 0);
                client.request(NbdClient.Command.TRIM, 10 * 65536, 65536, new byte[0]);
                client.request(NbdClient.Command.FLUSH, 0, 0, new byte[0]);
            }
            monitor.execute("block-export-del", "{'id': 'x', 'mode': 'hard'}");
            Host.await("the node is free", LIMIT, this::deleted);
            for (String run :
                    Host.run("qemu-img", "map", "--output=json", "-f", c.format, image.toString())
                            .lines()
                            .toList()) {
                Matcher m = RUN.matcher(run);
                if (m.find()) {
                    add(seen, Long.parseLong(m.group(1)), m.group(2).equals("true"));
                }
            }
            return seen.toString();
        }

        /** Where data is and where zeroes without data are; how these are told is the image's business. */
        private static void add(StringBuilder seen, long start, boolean data) {
            String kind = data ? "data" : "zeroes";
            if (seen.lastIndexOf(kind) < seen.lastIndexOf(data ? "zeroes" : "data")
                    || seen.lastIndexOf(kind) < 0) {
                seen.append(start).append(' ').append(kind).append("; ");
            }
        }

        private boolean deleted() {
            return !ProbedMonitor.failed(monitor.answer("blockdev-del", "{'node-name': 'n'}"));
        }

        private void write(NbdClient client, long offset, int length, int value)
                throws IOException {
            byte[] data = new byte[length];
            Arrays.fill(data, (byte) value);
            assertEquals(0, client.request(NbdClient.Command.WRITE, offset, length, data).error());
        }

        @Override
        public void close() {
            monitor.execute("quit");
            monitor.close();
        }
    }

    @Test
    void zeroesAreStoredAsQemuStoresThem() throws Exception {
        Host.assumeProgram(QEMU);
        Map<String, String> different = new TreeMap<>();
        try (Side ours = new Side(Host.binary().toString(), "ours");
                Side theirs = new Side(QEMU, "theirs")) {
            for (Case c : cases()) {
                String a = ours.use(c, "");
                String b = theirs.use(c, "");
                if (!a.equals(b)) {
                    different.put(c.toString(), a + "\ninstead of\n" + b + "\n");
                }
            }
            Case plain = new Case("qcow2", "", "");
            for (String zeroes : List.of("on", "unmap", "off")) {
                for (String discard : List.of("", "'discard': 'unmap', ")) {
                    String reopened =
                            "{'driver': 'qcow2', 'node-name': 'n', 'detect-zeroes': '"
                                    + zeroes
                                    + "', "
                                    + discard
                                    + "'file': {'driver': 'file', 'filename': '%s'}}";
                    String a = ours.use(plain, reopened);
                    String b = theirs.use(plain, reopened);
                    if (!a.equals(b)) {
                        different.put(reopened, a + "\ninstead of\n" + b + "\n");
                    }
                }
            }
        }
        assertEquals(Map.of(), different, different::toString);
    }

    private static List<String> thresholds(ProbedMonitor monitor, Path socket) throws IOException {
        List<String> seen = new ArrayList<>();
        monitor.execute("blockdev-add", "{'driver': 'null-co', 'node-name': 'n', 'size': 1048576}");
        monitor.execute("blockdev-add", "{'driver': 'raw', 'node-name': 'r', 'file': 'n'}");
        for (String arguments :
                List.of(
                        "{'node-name': 'x', 'write-threshold': 1}",
                        "{'node-name': 'n', 'write-threshold': -1}",
                        "{'node-name': 'n'}",
                        "{'node-name': 'n', 'write-threshold': 65536}")) {
            seen.add(monitor.answer("block-set-write-threshold", arguments).toString());
        }
        monitor.execute(
                "nbd-server-start",
                "{'addr': {'type': 'unix', 'data': {'path': '%s'}}}".formatted(socket));
        monitor.execute(
                "block-export-add",
                "{'type': 'nbd', 'id': 'x', 'node-name': 'r', 'writable': true}");
        try (NbdClient client = new NbdClient(socket, "r", LIMIT)) {
            for (int offset : new int[] {0, 65536 - 512, 65536, 70000, 80000}) {
                client.request(NbdClient.Command.WRITE, offset, 512, new byte[512]);
                for (JsonObject node : monitor.list("query-named-block-nodes", "{'flat': true}")) {
                    seen.add(
                            ProbedMonitor.text(node, "node-name")
                                    + " "
                                    + node.get("write_threshold"));
                }
            }
        }
        seen.add(monitor.event("BLOCK_WRITE_THRESHOLD").toString());
        return seen;
    }

    @Test
    void thresholdsAreToldOnce() throws Exception {
        Host.assumeProgram(QEMU);
        String[] none = {"-machine", "none", "-nodefaults", "-display", "none"};
        try (ProbedMonitor ours = ProbedMonitor.start(Host.binary().toString(), none);
                ProbedMonitor theirs = ProbedMonitor.start(QEMU, none)) {
            List<String> expected = thresholds(theirs, directory.resolve("theirs"));
            assertTrue(expected.getLast().contains("amount-exceeded"), expected::toString);
            assertEquals(expected, thresholds(ours, directory.resolve("ours")));
            ours.execute("quit");
            theirs.execute("quit");
        }
    }
}
