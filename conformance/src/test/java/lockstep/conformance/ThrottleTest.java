package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonValue;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;

/** Throttle groups, the driver and the limits of drives, beside the installed QEMU. */
@Tag("qemu")
class ThrottleTest {
    private static final String QEMU = Host.qemu();

    /** Bytes in a second that a client may read. */
    private static final long RATE = 8 << 20;

    private static final int PIECE = 256 << 10;
    private static final int PIECES = 48;
    private static final byte[] NOTHING = {};

    @TempDir Path directory;

    private record Step(String command, String arguments) {}

    private static Step step(String command, String arguments) {
        return new Step(command, "{" + arguments + "}");
    }

    private static Step limits(String limits) {
        return step(
                "qom-set", "'path': '/objects/t', 'property': 'limits', 'value': {" + limits + "}");
    }

    private static Step drive(String limits) {
        return step("block_set_io_throttle", limits);
    }

    private static final String NONE =
            "'bps_rd': 0, 'bps_wr': 0, 'iops': 0, 'iops_rd': 0, 'iops_wr': 0";

    private static final List<Step> STEPS =
            List.of(
                    step("object-add", "'qom-type': 'throttle-group', 'id': 't'"),
                    limits("'iops-total': -1"),
                    limits("'iops-total': 10, 'iops-read': 1"),
                    limits("'iops-total': 1000000000000001"),
                    limits("'iops-total-max-length': 0"),
                    limits("'iops-total-max-length': 2"),
                    limits("'iops-total-max-length': -1"),
                    limits("'iops-total-max-length': 4294967296"),
                    limits(
                            "'bps-read': 5, 'bps-read-max': 10, 'bps-read-max-length':"
                                    + " 100000000000000"),
                    limits(
                            "'bps-read': 5, 'bps-read-max': 1000000000000000,"
                                    + " 'bps-read-max-length': 2"),
                    limits("'iops-write-max': 5"),
                    limits("'iops-write': 6, 'iops-write-max': 5"),
                    limits("'iops-size': 5"),
                    limits("'bogus': 1"),
                    limits("'iops-total': '5'"),
                    limits("'iops-size': 5, 'iops-read': 3"),
                    limits(""),
                    limits("'bps-total': 100, 'bps-total-max': 200, 'bps-total-max-length': 7"),
                    step("qom-get", "'path': '/objects/t', 'property': 'limits'"),
                    step("qom-get", "'path': '/objects/t', 'property': 'x-bps-total-max'"),
                    step("object-add", "'qom-type': 'throttle-group', 'id': 'u', 'x-bps-read': -1"),
                    step(
                            "object-add",
                            "'qom-type': 'throttle-group', 'id': 'u', 'limits': {'iops-total': 5},"
                                    + " 'x-iops-read': 4"),
                    step(
                            "object-add",
                            "'qom-type': 'throttle-group', 'id': 'u', 'x-bps-read': 4,"
                                    + " 'x-bps-read-max': 40"),
                    step("qom-get", "'path': '/objects/u', 'property': 'limits'"),
                    step("object-add", "'qom-type': 'throttle-group', 'id': 'group'"),
                    step("blockdev-add", "'driver': 'null-co', 'node-name': 'n'"),
                    step(
                            "blockdev-add",
                            "'driver': 'throttle', 'node-name': 'f', 'file': 'n',"
                                    + " 'throttle-group': 'nosuch'"),
                    step("blockdev-add", "'driver': 'throttle', 'node-name': 'f', 'file': 'n'"),
                    step(
                            "blockdev-add",
                            "'driver': 'throttle', 'node-name': 'f', 'throttle-group': 't'"),
                    step(
                            "blockdev-add",
                            "'driver': 'throttle', 'node-name': 'f', 'file': 'n',"
                                    + " 'throttle-group': 't'"),
                    step("object-del", "'id': 't'"),
                    step("blockdev-del", "'node-name': 'n'"),
                    step("blockdev-del", "'node-name': 'f'"),
                    step("object-del", "'id': 't'"),
                    drive("'device': 'd', 'bps': 1, " + NONE),
                    drive("'device': 'e', 'bps': 1, " + NONE),
                    drive("'device': 'nosuch', 'bps': 1, " + NONE),
                    drive("'id': 'nosuch', 'bps': 1, " + NONE),
                    drive("'bps': 1, " + NONE),
                    drive("'device': 'd', 'id': 'd', 'bps': 1, " + NONE),
                    drive("'device': 'd', 'bps': -1, " + NONE),
                    drive("'device': 'd', 'bps': 1, 'bps_max': 9, 'bps_max_length': 0, " + NONE),
                    drive("'device': 'd', 'bps': 1, 'bps_max': 9, 'bps_max_length': 5, " + NONE),
                    drive("'device': 'd', 'bps': 0, 'group': 'u', " + NONE),
                    drive("'device': 'd', 'bps': 3, 'group': 'u', " + NONE),
                    step("object-del", "'id': 'u'"),
                    step("qom-get", "'path': '/objects/u', 'property': 'limits'"),
                    drive("'device': 'd', 'bps': 0, " + NONE),
                    step("object-del", "'id': 'u'"),
                    drive("'device': 'd', 'bps': 1"));

    private static ProbedMonitor start(String program) {
        return ProbedMonitor.start(
                program,
                "-machine",
                "none",
                "-nodefaults",
                "-display",
                "none",
                "-drive",
                "if=none,id=d,driver=null-co,throttling.iops-total=10,throttling.group=group",
                "-drive",
                "if=none,id=f,driver=null-co,bps_rd=1000,throttling.bps-read-max=2000,iops=7,iops_size=9",
                "-drive",
                "if=none,id=e");
    }

    private static final List<String> SHOWN =
            List.of(
                    "bps",
                    "bps_rd",
                    "bps_wr",
                    "iops",
                    "iops_rd",
                    "iops_wr",
                    "bps_max",
                    "bps_max_length",
                    "bps_rd_max",
                    "bps_rd_max_length",
                    "iops_size",
                    "group");

    private static List<String> drives(ProbedMonitor monitor) {
        return monitor.list("query-block", "").stream().map(ThrottleTest::drive).toList();
    }

    private static String drive(JsonObject drive) {
        StringBuilder text = new StringBuilder(ProbedMonitor.text(drive, "device"));
        if (drive.get("inserted") instanceof JsonObject inserted) {
            for (String name : SHOWN) {
                if (inserted.has(name)) {
                    text.append(' ').append(name).append('=').append(inserted.get(name));
                }
            }
        }
        return text.toString();
    }

    private static void compareDrives(ProbedMonitor ours, ProbedMonitor theirs) {
        assertEquals(drives(theirs), drives(ours));
        String info = "{'command-line': 'info block'}";
        assertEquals(lines(theirs, info), lines(ours, info));
    }

    private static List<String> lines(ProbedMonitor monitor, String info) {
        return monitor.execute("human-monitor-command", info)
                .toString()
                .lines()
                .flatMap(l -> List.of(l.split("\\\\r\\\\n", -1)).stream())
                .filter(l -> l.contains("throttling"))
                .toList();
    }

    @Test
    void answersAsQemuDoes() {
        Host.assumeProgram(QEMU);
        Map<String, String> different = new TreeMap<>();
        try (ProbedMonitor ours = start(Host.binary().toString());
                ProbedMonitor theirs = start(QEMU)) {
            compareDrives(ours, theirs);
            assertEquals(properties(theirs), properties(ours));
            for (Step s : STEPS) {
                JsonValue a = ours.answer(s.command, s.arguments);
                JsonValue b = theirs.answer(s.command, s.arguments);
                if (!a.equals(b)) {
                    different.put(s.command + " " + s.arguments, a + " instead of " + b);
                }
                compareDrives(ours, theirs);
            }
            ours.execute("quit");
            theirs.execute("quit");
        }
        assertEquals(Map.of(), different);
    }

    private static TreeSet<String> properties(ProbedMonitor monitor) {
        TreeSet<String> all = new TreeSet<>();
        for (JsonObject p : monitor.list("qom-list-properties", "{'typename': 'throttle-group'}")) {
            all.add(ProbedMonitor.text(p, "name") + ": " + ProbedMonitor.text(p, "type"));
        }
        return all;
    }

    /** Reads pieces through a throttled export; gives the seconds that it takes. */
    private double read(String program, String name) throws Exception {
        Path socket = directory.resolve(name);
        try (ProbedMonitor monitor = start(program)) {
            monitor.execute(
                    "object-add",
                    "{'qom-type': 'throttle-group', 'id': 't', 'limits': {'bps-read': %d}}"
                            .formatted(RATE));
            monitor.execute(
                    "blockdev-add",
                    "{'driver': 'throttle', 'node-name': 'x', 'throttle-group': 't', 'file':"
                            + " {'driver': 'null-co', 'read-zeroes': true}}");
            monitor.execute(
                    "nbd-server-start",
                    "{'addr': {'type': 'unix', 'data': {'path': '%s'}}}".formatted(socket));
            monitor.execute("block-export-add", "{'type': 'nbd', 'id': 'x', 'node-name': 'x'}");
            double seconds;
            try (NbdClient client = new NbdClient(socket, "x", Duration.ofMinutes(2))) {
                long before = System.nanoTime();
                for (int i = 0; i < PIECES; i++) {
                    NbdClient.Answer piece =
                            client.request(
                                    NbdClient.Command.READ, (long) i * PIECE, PIECE, NOTHING);
                    assertEquals(0, piece.error());
                }
                seconds = (System.nanoTime() - before) / 1e9;
                if (!program.equals(QEMU)) {
                    goesWithRequestsWaiting(monitor, client);
                }
            }
            monitor.execute("quit");
            return seconds;
        }
    }

    /** A request that waits is not in the way of what takes its node out; it would hold up QEMU 7.2. */
    private static void goesWithRequestsWaiting(ProbedMonitor monitor, NbdClient client)
            throws Exception {
        monitor.execute(
                "qom-set",
                "{'path': '/objects/t', 'property': 'limits', 'value': {'bps-read': 1}}");
        client.request(NbdClient.Command.READ, 0, PIECE, NOTHING);
        Thread waits =
                Thread.ofPlatform()
                        .start(
                                () -> {
                                    try {
                                        client.request(NbdClient.Command.READ, 0, PIECE, NOTHING);
                                    } catch (IOException e) {
                                        // The export went away.
                                    }
                                });
        monitor.execute("block-export-del", "{'id': 'x', 'mode': 'hard'}");
        waits.join();
    }

    @Test
    void holdsTrafficToItsRate() throws Exception {
        Host.assumeProgram(QEMU);
        double ours = read(Host.binary().toString(), "ours");
        double theirs = read(QEMU, "theirs");
        System.out.printf(
                "BENCH %-34s lockstep %9.2f s    qemu %9.2f s    at the rate %.2f s%n",
                "throttled reads", ours, theirs, (double) PIECE * PIECES / RATE);
        // What may come at once is a tenth of a second's worth and the last piece.
        double least = ((double) PIECE * (PIECES - 1) - RATE / 10.0) / RATE - 0.01;
        assertTrue(ours >= least, () -> "not faster than the limit: " + ours + " s");
    }
}
