package lockstep.block;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import lockstep.block.export.NbdServer;
import lockstep.block.file.FileNode;
import lockstep.block.nbd.NbdAddress;
import lockstep.block.nbd.NbdNode;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Permission;
import lockstep.block.node.Pieces;
import lockstep.block.node.Route;
import lockstep.block.qcow2.OverlapChecks;
import lockstep.block.qcow2.Qcow2Creator;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.block.raw.RawNode;
import lockstep.runtime.linux.IoUring;
import lockstep.runtime.loop.EpollLoop;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.loop.VmClocks;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** Requests that the kernel works on while nobody waits, beside those that threads make. */
class KernelQueueTest {
    private static final int SIZE = 4 << 20;
    private static final int LANES = 16;
    private static final int LANE = SIZE / LANES;

    @TempDir Path dir;
    private final MachineLock lock = new MachineLock();
    private final List<Throwable> failures = new ArrayList<>();
    private EpollLoop loop;
    private Backends backends;
    private BlockGraph graph;
    private @Nullable NbdServer server;

    @BeforeEach
    void start() throws Exception {
        try (IoUring ring = IoUring.open(8)) {
            assumeTrue(ring != null, "the kernel has no io_uring for this process");
        }
        loop =
                new EpollLoop(
                        "main", new VmClocks(), lock, (name, failure) -> failures.add(failure));
        loop.start();
        backends =
                new Backends(
                        new BlockHost() {
                            @Override
                            public void post(Runnable task) {
                                loop.execute(task);
                            }

                            @Override
                            public EventLoop loop() {
                                return loop;
                            }
                        });
        graph = backends.graph();
    }

    @AfterEach
    void end() {
        if (backends != null) {
            lock.run(backends::close);
            if (server != null) {
                server.close();
            }
            loop.close();
        }
        assertEquals(List.of(), failures);
    }

    private BlockNode open(String format, boolean direct) throws BlockException {
        if (format.equals("nbd")) {
            return overNbd(direct);
        }
        Path path = dir.resolve("disk");
        FileNode.Options options =
                new FileNode.Options(path.toString(), false, false, true, direct, false);
        FileNode file = graph.add(FileNode.open(graph, "file", graph.autoName(), options));
        BlockNode node;
        if (format.equals("raw")) {
            RawNode raw = graph.add(new RawNode(graph, graph.autoName(), false, 0, -1, false));
            raw.open(file);
            node = raw;
        } else {
            node =
                    Qcow2Node.open(
                            graph, graph.autoName(), false, file, true, OverlapChecks.DEFAULT);
        }
        graph.release(file);
        return node;
    }

    /** The raw file by way of a server of ours. */
    private BlockNode overNbd(boolean direct) throws BlockException {
        NbdAddress address = new NbdAddress.Unix(dir.resolve("socket").toString());
        server = NbdServer.start(backends, address, NbdServer.Terms.plain(1, 1));
        BlockNode raw = open("raw", direct);
        server.add(new NbdServer.Request("disk", "disk", "", true, false, false), raw, null);
        graph.release(raw);
        NbdNode.Options options = new NbdNode.Options(address, "disk", 0, 0, null);
        return graph.add(NbdNode.open(graph, graph.autoName(), false, false, options, null));
    }

    private BlockBackend disk(String format, boolean direct) throws Exception {
        Path path = dir.resolve("disk");
        if (!format.equals("qcow2")) {
            Files.write(path, new byte[SIZE]);
        } else {
            Qcow2Creator.create(path.toString(), Qcow2Creator.Options.of(SIZE));
        }
        BlockBackend backend = Images.backend(backends, "drive0", open(format, direct));
        backend.setPermissions(Permission.CONSISTENT_READ | Permission.WRITE, Permission.ALL);
        return backend;
    }

    /**
     * One after the other in its own part of the disk, at random; many of these side by side. Reads must give what was
     * written last.
     */
    private final class Lane {
        private final BlockBackend backend;
        private final Random random;
        private final int base;
        private final byte[] model = new byte[LANE];
        private final MemorySegment memory = Arena.ofAuto().allocate(LANE + 512, 4096);
        private final CountDownLatch ended;
        private int left = 150;

        Lane(BlockBackend backend, int number, CountDownLatch ended) {
            this.backend = backend;
            this.base = number * LANE;
            this.random = new Random(number);
            this.ended = ended;
        }

        void next() {
            if (left-- == 0) {
                ended.countDown();
                return;
            }
            int unit = random.nextInt(3) == 0 ? 512 : 4096;
            int at = random.nextInt(LANE / unit) * unit;
            int length = (1 + random.nextInt(Math.min(12, (LANE - at) / unit))) * unit;
            if (at + length > LANE) {
                length = LANE - at;
            }
            Pieces pieces = pieces(length);
            int from = at;
            int bytes = length;
            switch (random.nextInt(8)) {
                case 0 -> {
                    java.util.Arrays.fill(model, from, from + bytes, (byte) 0);
                    backend.writeZeroes(base + from, bytes, true, this::over);
                }
                case 1, 2, 3 -> {
                    byte[] data = new byte[bytes];
                    random.nextBytes(data);
                    pieces.copyFrom(MemorySegment.ofArray(data));
                    System.arraycopy(data, 0, model, from, bytes);
                    backend.write(base + from, pieces, this::over);
                }
                default ->
                        backend.read(
                                base + from,
                                pieces,
                                errno -> {
                                    byte[] data = new byte[bytes];
                                    pieces.copyTo(MemorySegment.ofArray(data));
                                    byte[] expected =
                                            java.util.Arrays.copyOfRange(model, from, from + bytes);
                                    assertArrayEquals(expected, data);
                                    over(errno);
                                });
            }
        }

        /** Now and then not aligned, and in pieces, as a guest's memory is. */
        private Pieces pieces(int length) {
            MemorySegment whole = memory.asSlice(random.nextInt(4) == 0 ? 16 : 0, length);
            if (random.nextInt(3) != 0 || length == 512) {
                return Pieces.of(whole);
            }
            int cut = length / 1024 * 512;
            return Pieces.of(List.of(whole.asSlice(0, cut), whole.asSlice(cut)));
        }

        private void over(int errno) {
            assertEquals(0, errno);
            next();
        }
    }

    @ParameterizedTest
    @CsvSource({"raw, false", "raw, true", "qcow2, false", "qcow2, true", "nbd, false"})
    void whatIsWrittenIsRead(String format, boolean direct) throws Exception {
        BlockBackend backend = disk(format, direct);
        CountDownLatch ended = new CountDownLatch(LANES);
        List<Lane> lanes = new ArrayList<>();
        for (int i = 0; i < LANES; i++) {
            lanes.add(new Lane(backend, i, ended));
        }
        loop.execute(() -> lanes.forEach(Lane::next));
        while (!ended.await(10, TimeUnit.MILLISECONDS)) {
            assertEquals(List.of(), failures);
            // Whoever has the lock can have all requests end, whatever the loop is kept from.
            lock.run(() -> assertTrue(backend.drain(TimeUnit.SECONDS.toNanos(60))));
        }
        byte[] whole = new byte[SIZE];
        lock.run(
                () -> {
                    try {
                        backend.readBlocking(0, MemorySegment.ofArray(whole));
                    } catch (BlockException e) {
                        throw new AssertionError(e);
                    }
                });
        for (Lane lane : lanes) {
            assertArrayEquals(
                    lane.model, java.util.Arrays.copyOfRange(whole, lane.base, lane.base + LANE));
        }
    }

    @Test
    void aChangeWaitsForWhatTheKernelHas() throws Exception {
        BlockBackend backend = disk("raw", true);
        MemorySegment memory = Arena.ofAuto().allocate(1 << 20, 4096);
        AtomicInteger ends = new AtomicInteger();
        lock.acquire();
        try {
            for (int i = 0; i < 64; i++) {
                backend.read(0, memory, errno -> ends.incrementAndGet());
            }
            // The loop cannot take the results: this thread has its lock.
            graph.drain().drained(() -> assertTrue(graph.drain().quiet()));
            assertEquals(0, ends.get());
        } finally {
            lock.release();
        }
        lock.run(backend::drain);
        assertEquals(64, ends.get());
    }

    private static boolean found(
            Route route, ChildEdge edge, long offset, Pieces data, boolean write) {
        return route.find(edge, offset, data, 0, write) && route.length() == data.byteSize();
    }

    @Test
    void bytesInSeveralRowsHaveAWayEach() throws Exception {
        BlockBackend backend = disk("qcow2", false);
        ChildEdge edge = Images.use(Objects.requireNonNull(backend.root()));
        Pieces two = Pieces.of(Arena.ofAuto().allocate(128 << 10, 4096));
        edge.write(65536, two.slice(0, 65536));
        edge.write(0, two.slice(0, 65536));
        Route route = new Route();
        for (boolean write : new boolean[] {false, true}) {
            assertTrue(route.find(edge, 4096, two, 0, write));
            assertEquals(61440, route.length());
            Route rest = new Route();
            assertTrue(rest.find(edge, 65536, two, 61440, write), "beside the first");
            assertEquals(65536, rest.length());
            rest.over();
            route.over();
        }
    }

    @Test
    void theWayIsFoundWhereBytesAreInARow() throws Exception {
        BlockBackend backend = disk("qcow2", false);
        MemorySegment memory = Arena.ofAuto().allocate(128 << 10, 4096);
        ChildEdge edge = Images.use(Objects.requireNonNull(backend.root()));
        Route route = new Route();
        Pieces page = Pieces.of(memory.asSlice(0, 4096));
        assertFalse(found(route, edge, 0, page, false), "nothing there");
        assertFalse(found(route, edge, 0, page, true), "no cluster");
        edge.write(65536, memory);
        assertTrue(found(route, edge, 65536, page, true));
        route.over();
        assertTrue(found(route, edge, 65536, Pieces.of(memory), false), "two clusters in a row");
        // A change of these clusters waits until the request is over.
        Thread zeroes =
                Thread.ofPlatform()
                        .start(
                                () -> {
                                    try {
                                        edge.writeZeroes(65536, 65536, true);
                                    } catch (BlockException e) {
                                        throw new AssertionError(e);
                                    }
                                });
        zeroes.join(50);
        assertTrue(zeroes.isAlive());
        assertFalse(route.write());
        route.over();
        zeroes.join();
        assertFalse(found(route, edge, 65536, page, false), "zeroes");
        assertFalse(found(route, edge, 65536, page, true), "zeroes");
        assertTrue(found(route, edge, 131072, page, true));
        route.over();
        assertFalse(found(route, edge, 65536, Pieces.of(memory), true), "in part");
    }

    @Test
    void theWayToAServerIsFoundWithinItsTerms() throws Exception {
        BlockBackend backend = disk("nbd", false);
        Pieces page = Pieces.of(Arena.ofAuto().allocate(4096, 8).asSlice(0, 4096));
        ChildEdge edge = Images.use(Objects.requireNonNull(backend.root()));
        Route route = new Route();
        assertTrue(found(route, edge, 512, page, true));
        route.over();
        assertFalse(found(route, edge, SIZE - 512, page, false), "behind the end");
    }

    @Test
    void requestsEndWhenTheirServerIsGone() throws Exception {
        BlockBackend backend = disk("nbd", false);
        MemorySegment memory = Arena.ofAuto().allocate(1 << 20, 4096);
        AtomicInteger failed = new AtomicInteger();
        CountDownLatch ended = new CountDownLatch(200);
        lock.acquire();
        try {
            for (int i = 0; i < 200; i++) {
                backend.write(
                        0,
                        memory,
                        errno -> {
                            failed.addAndGet(errno == 0 ? 0 : 1);
                            ended.countDown();
                        });
            }
            BlockGraph.cut(Objects.requireNonNull(backend.root()));
        } finally {
            lock.release();
        }
        assertTrue(ended.await(60, TimeUnit.SECONDS));
        assertTrue(failed.get() > 0, "all were faster than the cut");
    }

    @Test
    void behindTheEndOfTheFileAreZeroes() throws Exception {
        BlockBackend backend = disk("raw", false);
        Files.write(dir.resolve("disk"), new byte[700]);
        MemorySegment memory = Arena.ofAuto().allocate(1024, 4096);
        memory.fill((byte) 1);
        CountDownLatch ended = new CountDownLatch(1);
        AtomicInteger result = new AtomicInteger(-1);
        backend.read(
                0,
                memory,
                errno -> {
                    result.set(errno);
                    ended.countDown();
                });
        ended.await();
        assertEquals(0, result.get());
        assertEquals(-1, memory.mismatch(MemorySegment.ofArray(new byte[1024])));
    }
}
