package lockstep.block;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.block.node.BlockGraph;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;

/** Completions, draining, and what an error policy makes of a failure. */
class BlockBackendTest {
    @TempDir Path dir;
    private final ConcurrentLinkedQueue<Runnable> posted = new ConcurrentLinkedQueue<>();
    private final List<String> errors = new ArrayList<>();
    private boolean stopped;
    private final BlockGraph graph =
            new BlockGraph(
                    new BlockHost() {
                        @Override
                        public void post(Runnable task) {
                            posted.add(task);
                        }

                        @Override
                        public void ioError(
                                BlockBackend backend, boolean read, ErrorAction action, int errno) {
                            errors.add((read ? "read " : "write ") + action + " " + errno);
                        }

                        @Override
                        public void stopForIoError() {
                            stopped = true;
                        }
                    });
    private FaultyNode disk;
    private BlockBackend backend;
    private final List<Integer> results = new ArrayList<>();

    @BeforeEach
    void open() throws Exception {
        disk = FaultyNode.over(Images.raw(graph, dir.resolve("disk"), 1 << 20), 10_000);
        backend = Images.backend(graph, "drive0", graph.retain(disk));
        graph.release(disk);
        backend.attachDevice("ide0", false, false);
    }

    @AfterEach
    void close() {
        graph.close();
    }

    @Test
    void completesOnlyOnTheLoop() {
        backend.write(0, Images.pattern(7, 4096), results::add);
        // Nothing runs by itself: the test is the loop.
        while (posted.isEmpty()) {
            Thread.onSpinWait();
        }
        assertTrue(results.isEmpty());
        posted.remove().run();
        assertEquals(List.of(0), results);
    }

    @Test
    void drainWaitsForAllAndCompletesThem() {
        for (int i = 0; i < 200; i++) {
            backend.write(i * 4096L, Images.pattern(i, 4096), results::add);
        }
        backend.drain();
        assertEquals(200, results.size());
        assertEquals(200, backend.stats().write().operations());
        byte[] data = new byte[4096];
        backend.read(199 * 4096L, MemorySegment.ofArray(data), results::add);
        backend.drain();
        assertEquals((byte) 199, data[0]);
    }

    @Test
    void theDefaultPolicyReports() {
        disk.allowWrites(0);
        backend.write(0, Images.pattern(1, 512), results::add);
        backend.drain();
        assertEquals(List.of(Errno.EIO), results);
        assertEquals(List.of("write REPORT 5"), errors);
        assertEquals(BlockBackend.IoStatus.OK, backend.ioStatus());
    }

    @Test
    void ignoreHidesTheError() {
        backend.setErrorActions(ErrorAction.IGNORE, ErrorAction.AUTO);
        disk.failReads(Errno.EIO);
        backend.read(0, Images.pattern(0, 512), results::add);
        backend.drain();
        assertEquals(List.of(0), results);
        assertEquals(List.of("read IGNORE 5"), errors);
    }

    @Test
    void stopKeepsTheRequestUntilTheMachineGoesOn() throws Exception {
        backend.setErrorActions(ErrorAction.AUTO, ErrorAction.STOP);
        disk.allowWrites(0);
        backend.write(512, Images.pattern(9, 512), results::add);
        backend.drain();
        assertTrue(results.isEmpty());
        assertTrue(stopped);
        assertTrue(backend.hasStoppedRequests());
        assertEquals(BlockBackend.IoStatus.FAILED, backend.ioStatus());
        disk.allowWrites(10);
        backend.machineResumed();
        backend.drain();
        assertEquals(List.of(0), results);
        assertEquals(BlockBackend.IoStatus.OK, backend.ioStatus());
        assertEquals(9, Images.byteAt(disk, 512));
        assertFalse(backend.hasStoppedRequests());
    }

    @Test
    void oneDevicePerDriveAndConflictsHaveNames() throws Exception {
        assertEquals(
                "Drive 'drive0' is already in use by another block device",
                assertThrows(BlockException.class, () -> backend.attachDevice("ide1", false, false))
                        .getMessage());
        BlockBackend second = Images.backend(graph, "drive1", graph.retain(disk));
        String text =
                assertThrows(BlockException.class, () -> second.attachDevice("ide1", false, false))
                        .getMessage();
        assertEquals(
                "Permission conflict on node '"
                        + disk.name()
                        + "': permissions 'write' are both required by block device 'ide0' (uses"
                        + " node '"
                        + disk.name()
                        + "' as 'root' child) and unshared by block device 'ide1' (uses node '"
                        + disk.name()
                        + "' as 'root' child).",
                text);
    }

    @Test
    void withoutMediumEveryRequestSaysSo() {
        backend.eject();
        assertFalse(backend.present());
        backend.read(0, Images.pattern(0, 512), results::add);
        backend.drain();
        assertEquals(List.of(Errno.ENOMEDIUM), results);
    }
}
