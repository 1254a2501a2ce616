package lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.block.Images;
import lockstep.block.MemoryNode;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.GraphHost;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;

/**
 * Many requests at a time on one image: what hangs holds up only what must come after it, what is
 * read was there at some moment of the read, and a crash at any point leaves a valid image.
 */
@Timeout(120)
class Qcow2ConcurrencyTest {
    private static final int CLUSTER = 1 << 16;

    @TempDir Path dir;
    private final BlockGraph graph = new BlockGraph(GraphHost.direct());
    private MemoryNode file;
    private Qcow2Node node;
    private ChildEdge disk;

    @BeforeEach
    void create() throws Exception {
        open(16, 8 << 20, null);
    }

    @AfterEach
    void close() {
        file.beforeRead((offset, length) -> {});
        file.beforeWrite((offset, length) -> {});
        file.beforeFlush((offset, length) -> {});
        graph.close();
    }

    private void open(int clusterBits, int size, @Nullable MemoryNode backing) throws Exception {
        Path image = dir.resolve("new.qcow2");
        Qcow2Creator.create(
                image.toString(), new Qcow2Creator.Options(size, clusterBits, null, null));
        file = MemoryNode.of(graph, Files.readAllBytes(image));
        node = Qcow2Node.open(graph, graph.autoName(), false, file, true, OverlapChecks.DEFAULT);
        if (backing != null) {
            node.attachBacking(backing);
        }
        disk = Images.use(node);
    }

    // What hangs

    /** Holds requests up that are made by one thread, from the first on. */
    private static final class Hang implements MemoryNode.Hook {
        private final CountDownLatch reached = new CountDownLatch(1);
        private final CountDownLatch released = new CountDownLatch(1);
        private volatile @Nullable Thread thread;

        @Override
        public void before(long offset, long length) {
            if (Thread.currentThread() == thread) {
                reached.countDown();
                await(released);
            }
        }
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private static final class Started<T> {
        private final FutureTask<T> task;
        private final Thread thread;

        Started(String name, Callable<T> work) {
            task = new FutureTask<>(work);
            thread = new Thread(task, name);
            thread.setDaemon(true);
        }

        Started<T> start() {
            thread.start();
            return this;
        }

        T result() throws Exception {
            return task.get(60, TimeUnit.SECONDS);
        }

        /** Waits until it cannot go on; it has not ended then. */
        void stuck() {
            while (thread.getState() != Thread.State.WAITING) {
                assertFalse(task.isDone(), "it did not wait");
                Thread.onSpinWait();
            }
        }
    }

    private Started<Void> writing(int cluster, int value) {
        return new Started<>(
                "writes " + cluster,
                () -> {
                    disk.write((long) cluster * CLUSTER + 512, Images.pattern(value, 4096));
                    return null;
                });
    }

    private int byteAt(int cluster) throws Exception {
        Started<Integer> reading =
                new Started<>(
                        "reads " + cluster,
                        () -> Images.byteAt(node, (long) cluster * CLUSTER + 600));
        return reading.start().result();
    }

    private static <T> Started<T> hung(Started<T> request, Hang hang) {
        hang.thread = request.thread;
        request.start();
        await(hang.reached);
        return request;
    }

    @Test
    void aWriteThatHangsHoldsUpItsOwnClusterOnly() throws Exception {
        disk.write(0, Images.pattern(1, CLUSTER));
        disk.write(CLUSTER, Images.pattern(1, CLUSTER));
        Hang hang = new Hang();
        file.beforeWrite(hang);
        Started<Void> first = hung(writing(10, 2), hang);

        writing(11, 3).start().result();
        writing(0, 4).start().result();
        assertEquals(3, byteAt(11));
        assertEquals(4, byteAt(0));
        assertEquals(0, byteAt(10), "what is not linked yet is not seen");
        Started<Void> others =
                new Started<>(
                        "others",
                        () -> {
                            disk.flush();
                            disk.discard(CLUSTER, CLUSTER);
                            disk.writeZeroes(12L * CLUSTER, CLUSTER, true);
                            disk.flush();
                            return null;
                        });
        others.start().result();
        assertEquals(0, byteAt(1));

        Started<Void> second = writing(10, 5).start();
        second.stuck();
        Started<Void> whole =
                new Started<>(
                        "grows",
                        () -> {
                            disk.truncate(16 << 20);
                            return null;
                        });
        whole.start().stuck();
        hang.released.countDown();
        first.result();
        second.result();
        whole.result();
        assertEquals(5, byteAt(10));
        check(file.after(flushed(), null));
    }

    @Test
    void aDiscardWaitsForTheWritesToItsClusters() throws Exception {
        disk.write(0, Images.pattern(1, 2 * CLUSTER));
        for (int cluster : new int[] {1, 10}) {
            Hang hang = new Hang();
            file.beforeWrite(hang);
            Started<Void> writer = hung(writing(cluster, 2), hang);
            Started<Void> discard =
                    new Started<>(
                            "discards",
                            () -> {
                                disk.discard((long) cluster * CLUSTER, CLUSTER);
                                return null;
                            });
            discard.start().stuck();
            hang.released.countDown();
            writer.result();
            discard.result();
            assertEquals(0, byteAt(cluster));
        }
        check(file.after(flushed(), null));
    }

    @Test
    void noWriterWaitsForAFlush() throws Exception {
        disk.write(0, Images.pattern(1, CLUSTER));
        for (boolean sync : new boolean[] {false, true}) {
            Hang hang = new Hang();
            // Once in the middle of the metadata, once while the file is flushed.
            file.beforeWrite(sync ? (offset, length) -> {} : hang);
            file.beforeFlush(sync ? hang : (offset, length) -> {});
            int base = sync ? 10 : 20;
            writing(base, 3).start().result();
            Started<Void> flush =
                    hung(
                            new Started<>(
                                    "flushes",
                                    () -> {
                                        disk.flush();
                                        return null;
                                    }),
                            hang);
            writing(base + 1, 2).start().result();
            writing(base, 2).start().result();
            writing(0, 2).start().result();
            assertEquals(2, byteAt(base));
            assertEquals(2, byteAt(base + 1));
            hang.released.countDown();
            flush.result();
        }
        check(file.after(flushed(), null));
    }

    @Test
    void aReadFromBelowKeepsTheClusterFromBeingFilled() throws Exception {
        MemoryNode below = MemoryNode.of(graph, new byte[8 << 20]);
        Images.tamper(below, 0, Images.pattern(7, 8 << 20));
        open(16, 8 << 20, below);
        Hang hang = new Hang();
        below.beforeRead(hang);
        Started<Integer> reader =
                hung(new Started<>("reads", () -> Images.byteAt(node, 5L * CLUSTER + 600)), hang);
        Started<Void> writer = writing(5, 2).start();
        writing(6, 2).start().result();
        // Who copies old data up and then changes what is below counts on this.
        writer.stuck();
        Images.tamper(below, 5L * CLUSTER, Images.pattern(9, 512));
        hang.released.countDown();
        assertEquals(7, reader.result());
        writer.result();
        assertEquals(2, byteAt(5));
    }

    @Test
    void aWriteThatFailsLeavesTheOldContent() throws Exception {
        disk.write(0, Images.pattern(1, CLUSTER));
        int entries = file.written();
        file.beforeWrite(
                (offset, length) -> {
                    throw new BlockException(Errno.ENOSPC);
                });
        for (int cluster : new int[] {0, 3, 4}) {
            Started<Void> writer = writing(cluster, 2).start();
            Exception failure = assertThrows(Exception.class, writer::result);
            assertTrue(failure.getCause() instanceof BlockException, failure.toString());
        }
        // Neither can the metadata be written, and nothing of it is lost by that.
        assertThrows(BlockException.class, disk::flush);
        assertEquals(entries, file.written());
        file.beforeWrite((offset, length) -> {});
        assertEquals(1, byteAt(0));
        assertEquals(0, byteAt(3));
        writing(4, 3).start().result();
        check(file.after(flushed(), null));
    }

    @Test
    void aTableOnItsWayToTheFileStaysInMemory() throws Exception {
        ChildEdge plain = Images.use(MemoryNode.of(graph, new byte[1 << 20]));
        Guard guard = new Guard(() -> plain, 0, () -> true, (message, offset, size, fatal) -> {});
        TableCache cache = new TableCache(guard, MetadataMap.ACTIVE_L2, 512, 8 * 512);
        TableCache.Table changed = cache.fresh(1 << 19);
        changed.entry(3, 5);
        try (TableCache.Batch batch = cache.batch()) {
            for (int i = 0; i < 20; i++) {
                cache.get(i * 512L);
            }
            assertSame(changed, cache.get(1 << 19));
            changed.entry(4, 6);
            cache.markDirty();
            batch.write();
        }
        MemorySegment there = MemorySegment.ofArray(new byte[512]);
        plain.read(1 << 19, there);
        assertEquals(5, there.get(Qcow2Header.BE64, 3 * 8));
        assertEquals(0, there.get(Qcow2Header.BE64, 4 * 8), "the batch is of the moment before");
        cache.write();
        plain.read(1 << 19, there);
        assertEquals(6, there.get(Qcow2Header.BE64, 4 * 8));
    }

    private int flushed() throws BlockException {
        disk.flush();
        return file.written();
    }

    private void check(byte[] image) throws Exception {
        if (!Files.isExecutable(Path.of("/usr/bin/qemu-img"))) {
            return;
        }
        assertEquals(0, verdict(image));
    }

    /** What qemu-img says of an image: 0 is sound, 3 has leaked clusters. */
    private int verdict(byte[] image) throws Exception {
        Path path = dir.resolve("checked.qcow2");
        Files.write(path, image);
        Process check =
                new ProcessBuilder("qemu-img", "check", path.toString())
                        .redirectErrorStream(true)
                        .start();
        String report = new String(check.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        int code = check.waitFor();
        assertTrue(code == 0 || code == 3, report);
        return code;
    }

    // Random requests from many threads

    private static final int GRANULE = 512;
    private static final int DISK = 1 << 18;
    private static final int THREADS = 8;
    private static final int STEPS = Integer.getInteger("lockstep.qcow2.steps", 100);

    private final AtomicLong clock = new AtomicLong();
    private final AtomicLong values = new AtomicLong();

    /** A value that a granule had or may have had, and from when till when it was being written. */
    private static final class Stored {
        private final long value;
        private final long begun;
        private volatile long ended = Long.MAX_VALUE;

        Stored(long value, long begun) {
            this.value = value;
            this.begun = begun;
        }
    }

    /** All that was ever written to each granule. */
    private final List<List<Stored>> history = new ArrayList<>();

    private void begin(int granule, Stored stored) {
        List<Stored> all = history.get(granule);
        synchronized (all) {
            all.add(stored);
        }
    }

    /**
     * Whether a value can have been there: it was being written or had been before {@code until},
     * and no other was written after it that was complete before {@code from}.
     */
    private boolean legal(int granule, long value, long from, long until) {
        List<Stored> all = history.get(granule);
        synchronized (all) {
            return all.stream()
                    .anyMatch(
                            s ->
                                    s.value == value
                                            && s.begun < until
                                            && all.stream()
                                                    .noneMatch(
                                                            later ->
                                                                    s.ended < later.begun
                                                                            && later.ended < from));
        }
    }

    private static MemorySegment stamp(int granules, long value) {
        MemorySegment data = MemorySegment.ofArray(new byte[granules * GRANULE]);
        for (long at = 0; at < data.byteSize(); at += 8) {
            data.set(ValueLayout.JAVA_LONG_UNALIGNED, at, value);
        }
        return data;
    }

    private void verify(int granule, MemorySegment data, long from, long until, String when) {
        for (int i = 0; i < data.byteSize() / GRANULE; i++) {
            long value = data.get(ValueLayout.JAVA_LONG_UNALIGNED, (long) i * GRANULE);
            for (long at = 8; at < GRANULE; at += 8) {
                long there = data.get(ValueLayout.JAVA_LONG_UNALIGNED, (long) i * GRANULE + at);
                assertEquals(value, there, when + ": a granule of two");
            }
            int which = granule + i;
            assertTrue(
                    legal(which, value, from, until),
                    () -> when + ": granule " + which + " cannot hold " + value);
        }
    }

    /** A flush that was complete, and when it began. */
    private record Flushed(long begun, int journal) {}

    private final List<Flushed> flushes = new ArrayList<>();

    private void operate(Random random, int clusterGranules) throws BlockException {
        int granules = 1 + random.nextInt(random.nextInt(8) == 0 ? 64 : 6);
        int granule = random.nextInt(DISK / GRANULE - granules);
        int kind = random.nextInt(16);
        if (kind == 15) {
            long begun = clock.incrementAndGet();
            disk.flush();
            synchronized (flushes) {
                flushes.add(new Flushed(begun, file.written()));
            }
        } else if (kind < 5) {
            MemorySegment data = MemorySegment.ofArray(new byte[granules * GRANULE]);
            long begun = clock.incrementAndGet();
            disk.read((long) granule * GRANULE, data);
            verify(granule, data, begun, clock.incrementAndGet(), "read");
        } else {
            boolean write = kind < 12;
            boolean discard = kind == 12;
            if (discard) {
                granule -= granule % clusterGranules;
                granules = (granules + clusterGranules - 1) / clusterGranules * clusterGranules;
                granules = Math.min(granules, DISK / GRANULE - granule);
            }
            Stored stored =
                    new Stored(write ? values.incrementAndGet() : 0, clock.incrementAndGet());
            for (int i = 0; i < granules; i++) {
                begin(granule + i, stored);
            }
            long offset = (long) granule * GRANULE;
            if (write) {
                disk.write(offset, stamp(granules, stored.value));
            } else if (discard) {
                disk.discard(offset, (long) granules * GRANULE);
            } else {
                disk.writeZeroes(offset, (long) granules * GRANULE, random.nextBoolean());
            }
            stored.ended = clock.incrementAndGet();
        }
    }

    private void run(long seed, int clusterBits, boolean backed) throws Exception {
        MemoryNode below = null;
        for (int i = 0; i < DISK / GRANULE; i++) {
            Stored start = new Stored(backed ? -1 - i : 0, 0);
            start.ended = 0;
            history.add(new ArrayList<>(List.of(start)));
        }
        if (backed) {
            below = MemoryNode.of(graph, new byte[DISK]);
            for (int i = 0; i < DISK / GRANULE; i++) {
                Images.tamper(below, (long) i * GRANULE, stamp(1, -1 - i));
            }
        }
        open(clusterBits, DISK, below);
        MemoryNode.Hook jitter =
                (offset, length) -> {
                    long what = clock.get() * 31 + offset >> 9 & 7;
                    if (what == 0) {
                        LockSupport.parkNanos(50_000);
                    } else if (what < 4) {
                        Thread.yield();
                    }
                };
        file.beforeRead(jitter);
        file.beforeWrite(jitter);
        file.beforeFlush(jitter);
        List<Started<Void>> threads = new ArrayList<>();
        for (int t = 0; t < THREADS; t++) {
            Random random = new Random(seed * 100 + t);
            threads.add(
                    new Started<Void>(
                                    "requests " + t,
                                    () -> {
                                        for (int step = 0; step < STEPS; step++) {
                                            operate(random, (1 << clusterBits) / GRANULE);
                                        }
                                        return null;
                                    })
                            .start());
        }
        for (Started<Void> thread : threads) {
            thread.result();
        }
    }

    private byte[] content(byte[] image, boolean backed) throws Exception {
        BlockGraph other = new BlockGraph(GraphHost.direct());
        MemoryNode copy = MemoryNode.of(other, image);
        Qcow2Node again =
                Qcow2Node.open(other, other.autoName(), true, copy, true, OverlapChecks.DEFAULT);
        if (backed) {
            MemoryNode below = MemoryNode.of(other, new byte[DISK]);
            for (int i = 0; i < DISK / GRANULE; i++) {
                Images.tamper(below, (long) i * GRANULE, stamp(1, -1 - i));
            }
            again.attachBacking(below);
        }
        byte[] all = new byte[DISK];
        ChildEdge.look(again).read(0, MemorySegment.ofArray(all));
        other.close();
        return all;
    }

    @ParameterizedTest
    @CsvSource({"1, 9, false", "2, 12, true", "3, 16, false", "4, 12, false", "5, 9, true"})
    void everyReadSeesWhatCanHaveBeenThere(long seed, int clusterBits, boolean backed)
            throws Exception {
        run(seed, clusterBits, backed);
        long now = clock.incrementAndGet();
        byte[] all = new byte[DISK];
        disk.read(0, MemorySegment.ofArray(all));
        verify(0, MemorySegment.ofArray(all), now, clock.incrementAndGet(), "in the end");
        byte[] image = file.after(flushed(), null);
        verify(0, MemorySegment.ofArray(content(image, backed)), now, Long.MAX_VALUE, "reopened");
        check(image);
    }

    @ParameterizedTest
    @CsvSource({"6, 9, false", "7, 12, true", "8, 12, false"})
    @Tag("qemu")
    void aCrashAmongWritersLeavesLeaksAtMost(long seed, int clusterBits, boolean backed)
            throws Exception {
        Images.needTool("qemu-img", "qemu-utils");
        run(seed, clusterBits, backed);
        Random random = new Random(seed);
        int entries = file.written();
        for (int i = 0; i < 15; i++) {
            int crash = random.nextInt(entries);
            // The process dies: what it wrote is there. A flush that was over is a promise.
            byte[] image = file.after(crash, null);
            verdict(image);
            long promised =
                    flushes.stream()
                            .filter(flush -> flush.journal <= crash)
                            .mapToLong(Flushed::begun)
                            .max()
                            .orElse(0);
            MemorySegment all = MemorySegment.ofArray(content(image, backed));
            verify(0, all, promised, Long.MAX_VALUE, "crash at " + crash);
            // The host dies: of what no flush covers anything may be lost.
            verdict(file.after(crash, random));
        }
    }
}
