package lockstep.block;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.Pieces;
import lockstep.block.node.StuckNode;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.testmachine.SteppedLoop;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;

/** Completions, draining, and what an error policy makes of a failure. */
class BlockBackendTest {
    @TempDir Path dir;
    private final ConcurrentLinkedQueue<Runnable> posted = new ConcurrentLinkedQueue<>();
    private final List<String> errors = new ArrayList<>();
    private boolean stopped;
    private final Backends backends =
            new Backends(
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
    private final BlockGraph graph = backends.graph();
    private FaultyNode disk;
    private BlockBackend backend;
    private final List<Integer> results = new ArrayList<>();

    @BeforeEach
    void open() throws Exception {
        disk = FaultyNode.over(Images.raw(graph, dir.resolve("disk"), 1 << 20), 10_000);
        backend = Images.backend(backends, "drive0", graph.retain(disk));
        graph.release(disk);
        backend.attachDevice("ide0", false, false);
    }

    @AfterEach
    void close() {
        backends.close();
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
        assertEquals(ErrorPolicy.IoStatus.OK, backend.errors().status());
    }

    @Test
    void ignoreHidesTheError() {
        backend.errors().set(ErrorAction.IGNORE, ErrorAction.AUTO);
        disk.failReads(Errno.EIO);
        backend.read(0, Images.pattern(0, 512), results::add);
        backend.drain();
        assertEquals(List.of(0), results);
        assertEquals(List.of("read IGNORE 5"), errors);
    }

    @Test
    void stopKeepsTheRequestUntilTheMachineGoesOn() throws Exception {
        backend.errors().set(ErrorAction.AUTO, ErrorAction.STOP);
        disk.allowWrites(0);
        backend.write(512, Images.pattern(9, 512), results::add);
        backend.drain();
        assertTrue(results.isEmpty());
        assertTrue(stopped);
        assertTrue(backend.errors().keepsAny());
        assertEquals(ErrorPolicy.IoStatus.FAILED, backend.errors().status());
        disk.allowWrites(10);
        backend.errors().machineResumed();
        backend.drain();
        assertEquals(List.of(0), results);
        assertEquals(ErrorPolicy.IoStatus.OK, backend.errors().status());
        assertEquals(9, Images.byteAt(disk, 512));
        assertFalse(backend.errors().keepsAny());
    }

    @Test
    void aRequestThatIsKeptCanBeCancelled() throws Exception {
        backend.errors().set(ErrorAction.AUTO, ErrorAction.STOP);
        disk.allowWrites(0);
        backend.write(512, Images.pattern(9, 512), results::add);
        backend.drain();
        backend.errors().cancelKept();
        assertEquals(List.of(Errno.ECANCELED), results);
        disk.allowWrites(10);
        backend.errors().machineResumed();
        backend.drain();
        assertEquals(1, results.size());
        assertEquals(0, Images.byteAt(disk, 512));
    }

    @Test
    void oneDevicePerDriveAndConflictsHaveNames() throws Exception {
        assertEquals(
                "Drive 'drive0' is already in use by another block device",
                assertThrows(BlockException.class, () -> backend.attachDevice("ide1", false, false))
                        .getMessage());
        BlockBackend second = Images.backend(backends, "drive1", graph.retain(disk));
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

    @Test
    void guestMemoryMayLieInPieces() throws Exception {
        byte[] first = new byte[1000];
        byte[] second = new byte[3096];
        java.util.Arrays.fill(first, (byte) 3);
        java.util.Arrays.fill(second, (byte) 4);
        Pieces pieces =
                Pieces.of(List.of(MemorySegment.ofArray(first), MemorySegment.ofArray(second)));
        backend.write(512, pieces, results::add);
        backend.drain();
        assertEquals(3, Images.byteAt(disk, 512 + 999));
        assertEquals(4, Images.byteAt(disk, 512 + 1000));
        assertEquals(4, Images.byteAt(disk, 512 + 4095));
        byte[] one = new byte[2000];
        byte[] two = new byte[0];
        byte[] three = new byte[2096];
        backend.read(
                512,
                Pieces.of(
                        List.of(
                                MemorySegment.ofArray(one),
                                MemorySegment.ofArray(two),
                                MemorySegment.ofArray(three))),
                results::add);
        backend.read(512, MemorySegment.ofArray(first), results::add);
        backend.drain();
        assertEquals(List.of(0, 0, 0), results);
        assertEquals(3, one[999]);
        assertEquals(4, one[1000]);
        assertEquals(4, three[2095]);
        assertEquals(3, first[0]);
        assertEquals(4096 + 1000, backend.stats().read().bytes());
    }

    @Test
    void completesOnTheLoopOfTheOwnersChoice() throws Exception {
        try (SteppedLoop loop = new SteppedLoop("loop")) {
            loop.start(Runnable::run);
            backend.completeOn(loop);
            BlockingQueue<String> ends = new LinkedBlockingQueue<>();
            backend.write(
                    0,
                    Images.pattern(7, 512),
                    errno -> ends.add(errno + (loop.inLoop() ? " there" : " elsewhere")));
            assertEquals("0 there", ends.take());
            // A failure is decided on by the main loop, which is this thread, and heard of there.
            disk.failReads(Errno.EIO);
            backend.errors().set(ErrorAction.IGNORE, ErrorAction.AUTO);
            for (int i = 0; i < 40; i++) {
                backend.read(
                        0,
                        Images.pattern(7, 512),
                        errno -> ends.add(errno + (loop.inLoop() ? " there" : " elsewhere")));
            }
            backend.drain();
            assertEquals(40, ends.size());
            assertEquals(java.util.Set.of("0 there"), java.util.Set.copyOf(ends));
            assertEquals(40, errors.size());
            // Who drains on the loop itself does not wait for it.
            CountDownLatch drained = new CountDownLatch(1);
            disk.failReads(0);
            loop.execute(
                    () -> {
                        backend.read(0, Images.pattern(7, 512), results::add);
                        backend.drain();
                        drained.countDown();
                    });
            drained.await();
            assertEquals(List.of(0), results);
        }
    }

    @Test
    void aDiskThatHangsStarvesNobody() throws Exception {
        StuckNode stuck = StuckNode.open(graph, 1 << 20);
        BlockBackend hung = Images.backend(backends, "hung", stuck);
        for (int i = 0; i < 200; i++) {
            hung.read(0, Images.pattern(0, 512), results::add);
        }
        for (int i = 0; i < 200; i++) {
            backend.write(i * 4096L, Images.pattern(i, 4096), results::add);
        }
        backend.drain();
        assertEquals(200, results.size());
        while (stuck.stuck() < 16) {
            Thread.onSpinWait();
        }
        assertEquals(16, stuck.stuck());
        // Nor does it hold up changes of other trees, or what only looks at them.
        backend.eject();
        assertEquals(
                "Node '" + stuck.name() + "' is busy: 16 requests do not end",
                graph.drain().busy(List.of(stuck)).getMessage());
        stuck.release();
        hung.drain();
        assertEquals(400, results.size());
    }
}
