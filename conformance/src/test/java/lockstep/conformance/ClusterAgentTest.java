package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonValue;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/**
 * What the cluster agents for COLO do around a pair: they start a secondary that exports its disk, copy the
 * primary's disk there, and drop the copy when a peer fails. The same steps run on this program and on the
 * installed QEMU.
 */
class ClusterAgentTest {
    private static final int SIZE = 4 << 20;

    @TempDir Path directory;

    @Test
    void resyncOfThisProgram() throws IOException {
        resync(Host.binary().toString());
    }

    @Test
    @Tag("qemu")
    void resyncOfQemu() throws IOException {
        Host.assumeProgram(Host.qemu());
        resync(Host.qemu());
    }

    private Path image(String name, int fill) throws IOException {
        byte[] content = new byte[SIZE];
        Arrays.fill(content, 0, SIZE / 2, (byte) fill);
        return Files.write(directory.resolve(name), content);
    }

    private static ProbedMonitor start(String program) {
        return ProbedMonitor.start(
                program, "-machine", "none", "-nodefaults", "-display", "none", "-no-shutdown");
    }

    private void resync(String program) throws IOException {
        Path good = image("good.raw", 'g');
        Path stale = image("stale.raw", 's');
        Path socket = directory.resolve("nbd.sock");
        try (ProbedMonitor primary = start(program);
                ProbedMonitor secondary = start(program)) {
            // start, on the secondary
            add(secondary, "{'driver': 'file', 'node-name': 'parent0', 'filename': '%s'}", stale);
            secondary.execute(
                    "nbd-server-start",
                    "{'addr': {'type': 'unix', 'data': {'path': '" + socket + "'}}}");
            secondary.execute("nbd-server-add", "{'device': 'parent0', 'writable': true}");
            // monitor
            assertEquals("none", ProbedMonitor.text(primary.execute("query-colo-status"), "mode"));
            primary.execute("query-status");
            // promote and post-start, on the primary
            add(primary, "{'driver': 'file', 'node-name': 'parent0', 'filename': '%s'}", good);
            add(
                    primary,
                    "{'driver': 'quorum', 'node-name': 'colo-disk0', 'read-pattern': 'fifo',"
                            + " 'vote-threshold': 1, 'children': ['parent0']}");
            String nbd =
                    "{'driver': 'nbd', 'node-name': 'nbd0', 'export': 'parent0',"
                            + " 'server': {'type': 'unix', 'path': '"
                            + socket
                            + "'}}";
            add(primary, nbd);
            primary.execute(
                    "blockdev-mirror",
                    "{'device': 'colo-disk0', 'job-id': 'resync', 'target': 'nbd0',"
                            + " 'sync': 'full', 'auto-dismiss': false,"
                            + " 'on-target-error': 'report'}");
            assertEquals(
                    List.of(
                            "JOB_STATUS_CHANGE created",
                            "JOB_STATUS_CHANGE running",
                            "JOB_STATUS_CHANGE ready",
                            "BLOCK_JOB_READY"),
                    primary.eventsUntil("BLOCK_JOB_READY"));
            JsonObject job = primary.list("query-block-jobs", "").getFirst();
            assertEquals("resync", ProbedMonitor.text(job, "device"));
            assertEquals("ready", ProbedMonitor.text(job, "status"));
            assertTrue(
                    ProbedMonitor.failed(primary.answer("blockdev-del", "{'node-name': 'nbd0'}")));
            // the pair would start here: the copy is whole, the job ends without a change of the
            // disk
            primary.execute("block-job-cancel", "{'device': 'resync'}");
            assertEquals(
                    List.of(
                            "JOB_STATUS_CHANGE waiting",
                            "JOB_STATUS_CHANGE pending",
                            "BLOCK_JOB_COMPLETED",
                            "JOB_STATUS_CHANGE concluded"),
                    primary.eventsUntil("JOB_STATUS_CHANGE", "concluded"));
            primary.execute("block-job-dismiss", "{'id': 'resync'}");
            primary.eventsUntil("JOB_STATUS_CHANGE", "null");
            assertEquals(0, primary.list("query-jobs", "").size());
            primary.execute("x-blockdev-change", "{'parent': 'colo-disk0', 'node': 'nbd0'}");
            // pre-stop after the peer failed
            JsonValue yanked =
                    primary.execute(
                            "yank", "{'instances': [{'type': 'block-node', 'node-name': 'nbd0'}]}");
            assertEquals(new JsonObject(), yanked);
            primary.execute("x-blockdev-change", "{'parent': 'colo-disk0', 'child': 'children.1'}");
            primary.execute("blockdev-del", "{'node-name': 'nbd0'}");
            secondary.execute("nbd-server-stop");
            secondary.execute("quit");
            primary.execute("quit");
        }
        assertArrayEquals(Files.readAllBytes(good), Files.readAllBytes(stale));
    }

    private static void add(ProbedMonitor monitor, String options, Object... values) {
        monitor.execute("blockdev-add", String.format(options, values));
    }
}
