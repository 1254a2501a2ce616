package lockstep.block.node;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.block.Backends;
import lockstep.block.BlockBackend;
import lockstep.block.BlockHost;
import lockstep.block.Images;
import lockstep.block.ReplicationControl.Mode;
import lockstep.block.blkdebug.BlkdebugNode;
import lockstep.block.blkdebug.Rules;
import lockstep.block.export.NbdServer;
import lockstep.block.job.MirrorFilter;
import lockstep.block.nbd.NbdAddress;
import lockstep.block.nbd.NbdNode;
import lockstep.block.quorum.QuorumEvents;
import lockstep.block.quorum.QuorumNode;
import lockstep.block.raw.RawNode;
import lockstep.block.replication.ReplicationManager;
import lockstep.block.replication.ReplicationNode;
import lockstep.block.throttle.ThrottleGroups;
import lockstep.block.throttle.ThrottleNode;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.Callable;

/** What every driver that stores data promises. */
class BlockNodeContractTest {
    private static final int SIZE = 2 << 20;

    /** The drivers. */
    enum Driver {
        FILE,
        RAW,
        RAW_WINDOW,
        QCOW2,
        QCOW2_CHAIN,
        NBD,
        QUORUM,
        QUORUM_FIFO,
        REPLICATION,
        SECONDARY_DISK,
        FILTERS
    }

    /** How many requests with memory in pieces there are of each driver. */
    private static final int STEPS = Integer.getInteger("lockstep.test.steps", 3000) / 30;

    @TempDir Path dir;
    private final Backends backends = new Backends(BlockHost.direct());
    private final BlockGraph graph = backends.graph();
    private final List<AutoCloseable> opened = new ArrayList<>();
    private @Nullable BlockBackend secondaryDisk;

    @AfterEach
    void close() throws Exception {
        backends.close();
        for (AutoCloseable one : opened) {
            one.close();
        }
    }

    private BlockNode open(Driver driver) throws Exception {
        return switch (driver) {
            case FILE -> {
                graph.release(Images.raw(graph, dir.resolve("disk"), SIZE));
                yield Images.file(graph, dir.resolve("disk"), false);
            }
            case RAW -> Images.raw(graph, dir.resolve("disk"), SIZE);
            case RAW_WINDOW -> {
                BlockNode file = Images.raw(graph, dir.resolve("disk"), SIZE + 1024);
                RawNode node =
                        graph.add(new RawNode(graph, graph.autoName(), false, 512, SIZE, false));
                node.open(file);
                graph.release(file);
                yield node;
            }
            case QCOW2 -> Images.qcow2(graph, dir.resolve("disk"), SIZE, false);
            case QCOW2_CHAIN -> {
                var base = Images.qcow2(graph, dir.resolve("base"), SIZE, false);
                var top = Images.qcow2(graph, dir.resolve("disk"), SIZE, false);
                top.attachBacking(base);
                graph.release(base);
                yield top;
            }
            case NBD -> {
                NbdAddress address = new NbdAddress.Unix(dir.resolve("sock").toString());
                NbdServer server =
                        NbdServer.start(backends, address, NbdServer.Terms.plain(10, 10));
                opened.add(server);
                BlockNode disk = Images.qcow2(graph, dir.resolve("disk"), SIZE, false);
                server.add(new NbdServer.Request("d", "d", "", true, false, false), disk, null);
                graph.release(disk);
                yield graph.add(
                        NbdNode.open(
                                graph,
                                graph.autoName(),
                                false,
                                false,
                                new NbdNode.Options(address, "d", 0, 0, null),
                                null));
            }
            case QUORUM -> quorum(false);
            case QUORUM_FIFO -> quorum(true);
            case REPLICATION -> replication();
            case SECONDARY_DISK -> {
                graph.release(replication());
                // Its users came to be above the copies of what they overwrite.
                BlockBackend disk = Objects.requireNonNull(secondaryDisk);
                yield graph.retain(Objects.requireNonNull(disk.root()));
            }
            case FILTERS -> filters();
        };
    }

    private BlockNode quorum(boolean fifo) throws Exception {
        BlockNode a = Images.qcow2(graph, dir.resolve("a"), SIZE, false);
        BlockNode b = Images.raw(graph, dir.resolve("b"), SIZE);
        QuorumNode node =
                QuorumNode.open(
                        graph,
                        graph.autoName(),
                        false,
                        new QuorumNode.Options(2, fifo, false, false),
                        List.of(a, b),
                        true,
                        QuorumEvents.NONE);
        graph.release(a);
        graph.release(b);
        return node;
    }

    private BlockNode filters() throws Exception {
        BlockNode disk = Images.raw(graph, dir.resolve("disk"), SIZE);
        BlockNode debug =
                BlkdebugNode.open(
                        graph,
                        graph.autoName(),
                        false,
                        true,
                        new BlkdebugNode.Options(Rules.of(null, null), null, false, 0, 0),
                        disk);
        graph.release(disk);
        BlockNode throttle =
                ThrottleNode.open(
                        graph,
                        graph.autoName(),
                        false,
                        true,
                        new ThrottleGroups().forDrive("unlimited"),
                        debug);
        graph.release(debug);
        BlockNode mirror =
                MirrorFilter.insert(graph, throttle, graph.autoName(), new DirtyBitmap(1 << 16));
        graph.release(throttle);
        return mirror;
    }

    private BlockNode replication() throws Exception {
        var secondary = Images.qcow2(graph, dir.resolve("secondary"), SIZE, false);
        var hidden = Images.qcow2(graph, dir.resolve("hidden"), SIZE, true);
        hidden.attachBacking(secondary);
        secondaryDisk = Images.backend(backends, "parent0", secondary);
        var active = Images.qcow2(graph, dir.resolve("active"), SIZE, false);
        active.attachBacking(hidden);
        graph.release(hidden);
        ReplicationManager manager = new ReplicationManager();
        ReplicationNode node =
                ReplicationNode.open(
                        graph, "top", false, Mode.SECONDARY, "top", active, true, manager);
        graph.release(active);
        manager.startAll(Mode.SECONDARY);
        return node;
    }

    @ParameterizedTest
    @EnumSource
    void keepsWhatIsWritten(Driver driver) throws Exception {
        ChildEdge node = Images.use(open(driver));
        assertEquals(SIZE, node.length());
        byte[] model = new byte[SIZE];
        Random random = new Random(driver.ordinal());
        try (Arena arena = Arena.ofShared()) {
            for (int step = 0; step < 120; step++) {
                int length = 1 + random.nextInt(90_000);
                int offset = random.nextInt(SIZE - length);
                switch (random.nextInt(5)) {
                    case 0 -> {
                        node.writeZeroes(offset, length, random.nextBoolean());
                        Arrays.fill(model, offset, offset + length, (byte) 0);
                    }
                    case 1 -> {
                        byte[] data = new byte[length];
                        node.read(offset, MemorySegment.ofArray(data));
                        assertArrayEquals(Arrays.copyOfRange(model, offset, offset + length), data);
                    }
                    case 2 -> node.flush();
                    default -> {
                        byte[] data = new byte[length];
                        random.nextBytes(data);
                        // Native and heap memory both.
                        node.write(
                                offset,
                                random.nextBoolean()
                                        ? MemorySegment.ofArray(data)
                                        : arena.allocateFrom(ValueLayout.JAVA_BYTE, data));
                        System.arraycopy(data, 0, model, offset, length);
                    }
                }
            }
            MemorySegment all = arena.allocate(SIZE);
            node.read(0, all);
            assertArrayEquals(model, all.toArray(ValueLayout.JAVA_BYTE));
        }
        checkStatus(node, model);
    }

    @ParameterizedTest
    @EnumSource
    void memoryMayLieInPieces(Driver driver) throws Exception {
        checkPieces(Images.use(open(driver)), driver.ordinal());
    }

    @Test
    void memoryMayLieInPiecesForCompressedClusters() throws Exception {
        Images.needTool("qemu-img", "qemu-utils");
        Path plain = dir.resolve("plain");
        byte[] text = new byte[SIZE];
        for (int i = 0; i < SIZE; i++) {
            text[i] = (byte) (i / 777);
        }
        Files.write(plain, text);
        for (String size : List.of("512", "65536")) {
            Path image = dir.resolve("packed" + size);
            Images.run(
                    "qemu-img",
                    "convert",
                    "-c",
                    "-O",
                    "qcow2",
                    "-o",
                    "cluster_size=" + size,
                    plain.toString(),
                    image.toString());
            checkPieces(Images.use(Images.qcow2(graph, image, SIZE, false)), 1);
        }
    }

    /** The same bytes as with memory in one piece, and no others are touched. */
    private static void checkPieces(ChildEdge node, int seed) throws BlockException {
        Random random = new Random(seed);
        byte[] model = new byte[SIZE];
        node.read(0, MemorySegment.ofArray(model));
        try (Arena one = Arena.ofShared();
                Arena other = Arena.ofShared()) {
            Scatter scatter =
                    new Scatter(
                            random,
                            one.allocate(200_000),
                            other.allocate(40_000),
                            MemorySegment.ofArray(new byte[10_000]));
            for (int step = 0; step < STEPS; step++) {
                List<MemorySegment> pieces = scatter.next();
                int length = (int) Pieces.of(pieces).byteSize();
                int offset = random.nextInt(SIZE - length + 1);
                offset = random.nextBoolean() ? offset : offset & -4096;
                if (random.nextInt(8) == 0) {
                    node.writeZeroes(offset, length, true);
                    Arrays.fill(model, offset, offset + length, (byte) 0);
                } else if (random.nextBoolean()) {
                    byte[] data = new byte[length];
                    random.nextBytes(data);
                    Scatter.put(pieces, data);
                    node.write(offset, Pieces.of(pieces));
                    System.arraycopy(data, 0, model, offset, length);
                } else {
                    scatter.clear();
                    Scatter.put(pieces, Arrays.copyOfRange(model, offset, offset + length));
                    byte[] expected = scatter.all();
                    scatter.clear();
                    node.read(offset, Pieces.of(pieces));
                    assertArrayEquals(expected, scatter.all());
                }
            }
            byte[] all = new byte[SIZE];
            node.read(0, MemorySegment.ofArray(all));
            assertArrayEquals(model, all);
        }
    }

    /** What is called zero is zero, and the answers make progress up to the end. */
    private static void checkStatus(ChildEdge node, byte[] model) throws BlockException {
        long at = 0;
        while (at < SIZE) {
            BlockStatus status = node.status(at, SIZE - at);
            assertTrue(status.length() > 0 && status.length() <= SIZE - at);
            if (status.zero()) {
                for (long i = at; i < at + status.length(); i++) {
                    assertEquals(0, model[(int) i]);
                }
            }
            at += status.length();
        }
    }

    @ParameterizedTest
    @EnumSource
    void writersInParallelDoNotDisturbEachOther(Driver driver) throws Exception {
        ChildEdge node = Images.use(open(driver));
        int part = SIZE / 8;
        List<Callable<Boolean>> writers = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            int number = i;
            writers.add(
                    () -> {
                        Random random = new Random(number);
                        for (int step = 0; step < 40; step++) {
                            int length = 1 + random.nextInt(5000);
                            // Odd offsets, so that neighbours share clusters.
                            long offset = (long) number * part + random.nextInt(part - length);
                            node.write(offset, Images.pattern(number + 1, length));
                        }
                        node.write((long) number * part, Images.pattern(number + 1, part));
                        return true;
                    });
        }
        assertTrue(graph.inParallel(writers).stream().allMatch(done -> done));
        for (int i = 0; i < 8; i++) {
            byte[] data = new byte[part];
            node.read((long) i * part, MemorySegment.ofArray(data));
            for (byte b : data) {
                assertEquals(i + 1, b);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(
            mode = EnumSource.Mode.EXCLUDE,
            names = {"FILE", "RAW", "RAW_WINDOW", "QUORUM"})
    void refusesWhatLiesBeyondTheEnd(Driver driver) throws Exception {
        ChildEdge node = Images.use(open(driver));
        assertThrows(BlockException.class, () -> node.read(SIZE - 1, Images.pattern(0, 2)));
        assertThrows(BlockException.class, () -> node.write(SIZE, Images.pattern(0, 1)));
        assertThrows(BlockException.class, () -> node.read(-1, Images.pattern(0, 1)));
        assertThrows(BlockException.class, () -> node.read(Long.MAX_VALUE, Images.pattern(0, 1)));
    }
}
