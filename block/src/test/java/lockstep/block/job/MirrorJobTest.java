package lockstep.block.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import static java.util.Objects.requireNonNull;

import lockstep.api.BlockJobChangeOptions;
import lockstep.api.BlockJobChangeOptionsMirror;
import lockstep.api.BlockJobCompletedEvent;
import lockstep.api.BlockJobInfo;
import lockstep.api.BlockdevMirrorArguments;
import lockstep.api.BlockdevOnError;
import lockstep.api.JobStatusChangeEvent;
import lockstep.api.MirrorCopyMode;
import lockstep.api.MirrorSyncMode;
import lockstep.block.Backends;
import lockstep.block.BlockBackend;
import lockstep.block.BlockHost;
import lockstep.block.FaultyNode;
import lockstep.block.Images;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.DirtyBitmap;
import lockstep.block.node.MemoryNode;
import lockstep.block.node.Permission;
import lockstep.qmp.QmpEvent;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;

/** The test's thread is the main loop. */
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class MirrorJobTest {
    private static final long SIZE = 8 << 20;

    @TempDir Path dir;
    private final BlockingQueue<Runnable> loop = new LinkedBlockingQueue<>();
    private final Backends backends =
            new Backends(
                    new BlockHost() {
                        @Override
                        public void post(Runnable task) {
                            loop.add(task);
                        }
                    });
    private final BlockGraph graph = backends.graph();
    private final List<QmpEvent> events = new ArrayList<>();
    private final Jobs jobs = new Jobs(graph, events::add);

    @AfterEach
    void close() {
        jobs.close();
        backends.close();
    }

    /** Runs the main loop until an event of that text has come. */
    private void await(String text) throws InterruptedException {
        while (events.stream().noneMatch(e -> text(e).equals(text))) {
            loop.take().run();
        }
    }

    private static String text(QmpEvent event) {
        return event instanceof JobStatusChangeEvent change
                ? change.status().wireName()
                : event.eventName();
    }

    private List<String> texts() {
        return events.stream().map(MirrorJobTest::text).toList();
    }

    private BlockNode disk(String name) throws Exception {
        BlockNode node = Images.raw(graph, dir.resolve(name), SIZE);
        graph.giveToMonitor(node);
        return node;
    }

    private BlockBackend drive(BlockNode node) throws BlockException {
        BlockBackend drive = backends.add("drive0");
        drive.insert(node);
        drive.setPermissions(
                Permission.CONSISTENT_READ | Permission.WRITE, Permission.CONSISTENT_READ);
        return drive;
    }

    private static BlockdevMirrorArguments.Builder to(BlockNode target) {
        return BlockdevMirrorArguments.builder()
                .jobId("j")
                .device("drive0")
                .target(target.name())
                .sync(MirrorSyncMode.FULL);
    }

    private static byte[] content(BlockNode node) throws BlockException {
        ChildEdge look = ChildEdge.look(node);
        byte[] all = new byte[(int) look.length()];
        look.read(0, MemorySegment.ofArray(all));
        return all;
    }

    private Job job() {
        return requireNonNull(jobs.find("j"));
    }

    @Test
    void followsWritesAndChangesOverWhenCompleted() throws Exception {
        BlockNode source = disk("source");
        BlockNode target = disk("target");
        BlockBackend drive = drive(source);
        Random random = new Random(7);
        byte[] expected = new byte[(int) SIZE];
        jobs.mirror(to(target).granularity(4096L).speed(64L << 20).build());
        for (int i = 0; i < 200; i++) {
            byte[] piece = new byte[1 + random.nextInt(20_000)];
            random.nextBytes(piece);
            int offset = random.nextInt((int) SIZE - piece.length);
            System.arraycopy(piece, 0, expected, offset, piece.length);
            drive.writeBlocking(offset, MemorySegment.ofArray(piece));
            if (i == 100) {
                await("BLOCK_JOB_READY");
            }
        }
        job().complete();
        await("null");
        assertSame(target, drive.root());
        assertTrue(Arrays.equals(expected, content(target)), "the copy differs");
        assertEquals(
                List.of(
                        "created",
                        "running",
                        "ready",
                        "BLOCK_JOB_READY",
                        "waiting",
                        "pending",
                        "BLOCK_JOB_COMPLETED",
                        "concluded",
                        "null"),
                texts());
        assertNull(jobs.find("j"));
        assertNull(target.blockedBecause());
    }

    /** Writers that share granules go on while the copy is made and while the disk is changed over. */
    @ParameterizedTest
    @ValueSource(strings = {"background", "write-blocking", "changed"})
    void losesNothingOfConcurrentWrites(String mode) throws Exception {
        int writers = 3;
        int size = 1 << 20;
        MemoryNode source = MemoryNode.open(graph, size, null);
        MemoryNode target = MemoryNode.open(graph, size, null);
        BlockBackend drive = drive(source);
        byte[] expected = new byte[size];
        AtomicBoolean enough = new AtomicBoolean();
        List<Thread> threads = new ArrayList<>();
        for (int t = 0; t < writers; t++) {
            Random random = new Random(t);
            int own = t;
            threads.add(
                    Thread.ofPlatform()
                            .start(
                                    () -> {
                                        while (!enough.get()) {
                                            int piece = random.nextInt(size / 512 / writers);
                                            int offset = (piece * writers + own) * 512;
                                            byte[] data = new byte[512];
                                            random.nextBytes(data);
                                            try {
                                                drive.writeBlocking(
                                                        offset, MemorySegment.ofArray(data));
                                            } catch (BlockException e) {
                                                throw new AssertionError(e);
                                            }
                                            System.arraycopy(data, 0, expected, offset, 512);
                                            LockSupport.parkNanos(2_000_000);
                                        }
                                    }));
        }
        jobs.mirror(
                to(target)
                        .granularity(4096L)
                        .copyMode(
                                mode.equals("write-blocking")
                                        ? MirrorCopyMode.WRITE_BLOCKING
                                        : MirrorCopyMode.BACKGROUND)
                        .build());
        if (mode.equals("changed")) {
            job().change(
                            new BlockJobChangeOptions.Mirror(
                                    "j",
                                    new BlockJobChangeOptionsMirror(
                                            MirrorCopyMode.WRITE_BLOCKING)));
        }
        await("BLOCK_JOB_READY");
        if (!mode.equals("background")) {
            assertTrue(activelySynced(), "what is written is written to both");
        }
        job().complete();
        await("null");
        enough.set(true);
        for (Thread thread : threads) {
            thread.join();
        }
        assertSame(target, drive.root());
        assertTrue(Arrays.equals(expected, content(target)), "the copy differs");
    }

    /** Whoever is last on the disk is last on the copy. */
    @Test
    void writesOfTheSameBytesGoToBothInOneOrder() throws Exception {
        int size = 1 << 20;
        MemoryNode source = MemoryNode.open(graph, size, null);
        MemoryNode target = MemoryNode.open(graph, size, null);
        BlockBackend drive = drive(source);
        jobs.mirror(to(target).granularity(4096L).copyMode(MirrorCopyMode.WRITE_BLOCKING).build());
        await("BLOCK_JOB_READY");
        CyclicBarrier barrier = new CyclicBarrier(3);
        List<Future<?>> writers = new ArrayList<>();
        for (int t = 1; t <= 3; t++) {
            int own = t;
            writers.add(
                    graph.workers()
                            .submit(
                                    () -> {
                                        for (int at = 0; at < size; at += 512) {
                                            barrier.await();
                                            drive.writeBlocking(at, Images.pattern(own, 512));
                                        }
                                        return null;
                                    }));
        }
        for (Future<?> writer : writers) {
            writer.get();
        }
        assertTrue(activelySynced(), "nothing is left to copy");
        assertTrue(Arrays.equals(content(source), content(target)), "the copy differs");
    }

    private boolean activelySynced() {
        return job().blockInfo() instanceof BlockJobInfo.Mirror mirror
                && mirror.data().activelySynced();
    }

    /** Random writes, before and during the copy of what a bitmap marks, of a disk that was equal before. */
    @RepeatedTest(8)
    void copiesWhatABitmapMarks(RepetitionInfo repetition) throws Exception {
        int size = (4 << 20) + 512;
        Random random = new Random(repetition.getCurrentRepetition());
        MemoryNode source = MemoryNode.open(graph, size, null);
        MemoryNode target = MemoryNode.open(graph, size, null);
        byte[] common = new byte[size];
        random.nextBytes(common);
        Images.tamper(source, 0, MemorySegment.ofArray(common));
        Images.tamper(target, 0, MemorySegment.ofArray(common));
        DirtyBitmap marks = new DirtyBitmap("marks", 512L << random.nextInt(10), size);
        DirtyBitmap written = new DirtyBitmap(512);
        source.follow(marks);
        target.follow(written);
        BlockBackend drive = drive(source);
        int last = 20 + random.nextInt(20);
        long expected = -1;
        for (int i = 0; i < last; i++) {
            if (i == 10) {
                expected = marks.bytes();
                jobs.mirror(
                        to(target).granularity(4096L).autoDismiss(false).xBitmap("marks").build());
                assertTrue(job().info().totalProgress() >= expected, "all that is marked");
            }
            byte[] piece = new byte[1 + random.nextInt(5000)];
            random.nextBytes(piece);
            int offset = random.nextInt(size / 2 - piece.length);
            if (i == 5 || i == 15) {
                drive.writeZeroesBlocking(size - piece.length, piece.length, false);
            }
            drive.writeBlocking(offset, MemorySegment.ofArray(piece));
        }
        await("BLOCK_JOB_READY");
        job().cancel(false);
        await("concluded");
        assertEquals(job().info().totalProgress(), job().info().currentProgress());
        assertTrue(job().info().currentProgress() >= expected, "all that is marked");
        assertTrue(Arrays.equals(content(source), content(target)), "the copy differs");
        assertTrue(written.bytes() < size / 2, () -> written.bytes() + " bytes were copied");
        assertTrue(expected > 0);
    }

    @Test
    void refusesBitmapsThatDoNotFit() throws Exception {
        drive(disk("source"));
        BlockNode target = disk("target");
        assertEquals(
                "Dirty bitmap 'b' not found on 'drive0'",
                assertThrows(
                                BlockException.class,
                                () -> jobs.mirror(to(target).xBitmap("b").build()))
                        .getMessage());
        assertThrows(
                BlockException.class,
                () -> jobs.mirror(to(target).sync(MirrorSyncMode.NONE).xBitmap("b").build()));
    }

    @Test
    void aCancelledJobLeavesTheDiskAsItWas() throws Exception {
        BlockNode source = disk("source");
        BlockNode target = disk("target");
        BlockBackend drive = drive(source);
        jobs.mirror(to(target).speed(65536L).build());
        assertEquals("mirror_top", requireNonNull(drive.root()).driver());
        assertThrows(BlockException.class, () -> jobs.mirror(to(target).jobId("k").build()));
        job().cancel(true);
        await("null");
        assertSame(source, drive.root());
        assertEquals(1, source.references() - 1, "the drive and the monitor hold it");
        assertTrue(texts().contains("BLOCK_JOB_CANCELLED"), texts().toString());
    }

    @Test
    void aFailedWriteEndsTheJobWithTheReason() throws Exception {
        BlockBackend drive = drive(disk("source"));
        drive.writeBlocking(0, Images.pattern(1, 4096));
        BlockNode target = FaultyNode.over(Images.raw(graph, dir.resolve("target"), SIZE), 0);
        graph.giveToMonitor(target);
        jobs.mirror(to(target).autoDismiss(false).build());
        await("concluded");
        assertTrue(texts().contains("BLOCK_JOB_ERROR"), texts().toString());
        assertEquals("Input/output error", job().info().error());
        BlockJobCompletedEvent end =
                events.stream()
                        .filter(BlockJobCompletedEvent.class::isInstance)
                        .map(BlockJobCompletedEvent.class::cast)
                        .findFirst()
                        .orElseThrow();
        assertEquals("Input/output error", end.error());
        job().dismiss();
        assertNull(jobs.find("j"));
    }

    @Test
    void aJobThatStoppedForAnErrorGoesOn() throws Exception {
        BlockBackend drive = drive(disk("source"));
        drive.writeBlocking(0, Images.pattern(1, 4096));
        FaultyNode target = FaultyNode.over(Images.raw(graph, dir.resolve("target"), SIZE), 0);
        graph.giveToMonitor(target);
        jobs.mirror(to(target).onTargetError(BlockdevOnError.STOP).build());
        await("paused");
        target.allowWrites(10_000);
        job().resume();
        await("BLOCK_JOB_READY");
        job().cancel(false);
        await("null");
        assertEquals(1, Images.byteAt(target, 0));
        assertTrue(texts().contains("BLOCK_JOB_COMPLETED"), texts().toString());
    }

    @Test
    void refusesWhatItCannotDo() throws Exception {
        drive(disk("source"));
        BlockNode target = disk("target");
        BlockNode small = Images.raw(graph, dir.resolve("small"), SIZE / 2);
        assertThrows(BlockException.class, () -> jobs.mirror(to(small).build()));
        assertThrows(
                BlockException.class,
                () -> jobs.mirror(to(target).sync(MirrorSyncMode.BITMAP).build()));
        assertThrows(
                BlockException.class, () -> jobs.mirror(to(target).granularity(1000L).build()));
        assertThrows(BlockException.class, () -> jobs.mirror(to(target).speed(-1L).build()));
        assertEquals(List.of(), jobs.all());
        assertEquals(List.of(), events);
        graph.release(small);
    }
}
