package lockstep.block.node;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.block.Backends;
import lockstep.block.BlockHost;
import lockstep.block.Images;
import lockstep.block.ReplicationControl.Mode;
import lockstep.block.export.NbdServer;
import lockstep.block.nbd.NbdAddress;
import lockstep.block.nbd.NbdNode;
import lockstep.block.quorum.QuorumEvents;
import lockstep.block.quorum.QuorumNode;
import lockstep.block.raw.RawNode;
import lockstep.block.replication.ReplicationManager;
import lockstep.block.replication.ReplicationNode;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
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
        REPLICATION
    }

    @TempDir Path dir;
    private final Backends backends = new Backends(BlockHost.direct());
    private final BlockGraph graph = backends.graph();
    private final List<AutoCloseable> opened = new ArrayList<>();

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
                NbdServer server = NbdServer.start(backends, address, 10, 10);
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
                                new NbdNode.Options(address, "d", 0, 0)));
            }
            case QUORUM -> {
                BlockNode a = Images.qcow2(graph, dir.resolve("a"), SIZE, false);
                BlockNode b = Images.raw(graph, dir.resolve("b"), SIZE);
                QuorumNode node =
                        QuorumNode.open(
                                graph,
                                graph.autoName(),
                                false,
                                new QuorumNode.Options(2, false, false, false),
                                List.of(a, b),
                                true,
                                QuorumEvents.NONE);
                graph.release(a);
                graph.release(b);
                yield node;
            }
            case REPLICATION -> replication();
        };
    }

    private BlockNode replication() throws Exception {
        var secondary = Images.qcow2(graph, dir.resolve("secondary"), SIZE, false);
        var hidden = Images.qcow2(graph, dir.resolve("hidden"), SIZE, true);
        hidden.attachBacking(secondary);
        Images.backend(backends, "parent0", secondary);
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
