package lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.block.Images;
import lockstep.block.VolatileNode;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.DirtyBitmap;
import lockstep.block.node.GraphHost;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * The power fails while an image is written: nothing is worse than leaked clusters, and all is there that was flushed, also
 * in the middle of snapshots, resizing, compressed writes and the storing of bitmaps.
 */
@Timeout(600)
class PowerCutTest {
    private static final int SECTOR = 512;
    private static final int SIZE = 96 << 10;
    private static final int STEPS = Integer.getInteger("powercut.steps", 25);
    private static final int EXHAUSTIVE = Integer.getInteger("powercut.exhaustive", 6);

    /** An entry without the mark in its highest bit. */
    private static final String UNMARKED = "ERROR OFLAG_COPIED .*_entry=[0-9a-f]{1,15} refcount=1";

    @TempDir Path dir;
    private final BlockGraph graph = new BlockGraph(GraphHost.direct());
    private final VolatileNode.Host host = new VolatileNode.Host();
    private Random random = new Random(1);
    private byte[] model = new byte[SIZE];
    private byte[] below = new byte[SIZE];

    @SuppressWarnings("NullAway.Init") // made by each test
    private Qcow2Node node;

    @SuppressWarnings("NullAway.Init") // made by each test
    private ChildEdge disk;

    @AfterEach
    void close() {
        graph.close();
    }

    /** A sector was to have that content; it cannot have been there before {@code begun}. */
    private record Stored(int begun, int sector, byte[] data) {}

    /** From {@code asked} on all is durable that was over before the first of {@link #stored} from {@code from} on. */
    private record Flushed(int asked, int from, byte[] content) {}

    private record Kept(String name, int begun, byte[] content) {}

    private final List<Stored> stored = new ArrayList<>();
    private final List<Flushed> flushes = new ArrayList<>();
    private final List<Kept> snapshots = new ArrayList<>();
    private final List<String> names = new ArrayList<>();

    private void open(VolatileNode file, boolean backed) throws BlockException {
        node = Qcow2Node.open(graph, graph.autoName(), false, file, true, OverlapChecks.DEFAULT);
        if (backed) {
            VolatileNode base = VolatileNode.of(graph, new VolatileNode.Host(), below);
            node.attachBacking(base);
            graph.release(base);
        }
        disk = Images.use(node);
    }

    private void put(int begun, int offset, byte[] data) {
        byte[] grown =
                offset + data.length > model.length
                        ? Arrays.copyOf(model, offset + data.length)
                        : model;
        System.arraycopy(data, 0, grown, offset, data.length);
        model = grown;
        for (int at = offset; at < offset + data.length; at += SECTOR) {
            int from = at - offset;
            stored.add(
                    new Stored(begun, at / SECTOR, Arrays.copyOfRange(data, from, from + SECTOR)));
        }
    }

    private void flushed() {
        flushes.add(new Flushed(host.asked(), stored.size(), model.clone()));
    }

    @ParameterizedTest
    @CsvSource({
        "1, 9, 3, 16, false, false",
        "2, 10, 3, 16, true, false",
        "3, 9, 2, 16, false, false",
        "4, 12, 3, 16, false, true",
        "5, 9, 3, 2, true, false",
        "6, 9, 3, 64, false, false",
    })
    void whatWasFlushedIsThere(
            long seed, int clusterBits, int version, int refcountBits, boolean backed, boolean lazy)
            throws Exception {
        random = new Random(seed + Long.getLong("powercut.seed", 0));
        if (backed) {
            random.nextBytes(below);
            model = below.clone();
        }
        Path path = dir.resolve("new");
        Qcow2Creator.create(
                path.toString(),
                new Qcow2Creator.Options(
                        SIZE,
                        clusterBits,
                        backed ? "base" : null,
                        backed ? "raw" : null,
                        version,
                        refcountBits,
                        lazy,
                        false,
                        0,
                        null));
        VolatileNode file = VolatileNode.of(graph, host, Files.readAllBytes(path));
        open(file, backed);
        flushed();
        for (int step = 0; step < STEPS; step++) {
            try {
                operate(file, version, backed);
            } catch (BlockException e) {
                throw new AssertionError(names.toString(), e);
            }
        }
        graph.detach(disk);
        graph.release(node);
        int states =
                VolatileNode.cut(
                        host,
                        0,
                        EXHAUSTIVE,
                        random,
                        (asked, files) -> {
                            try {
                                judge(asked, files[0], backed);
                            } catch (AssertionError | BlockException e) {
                                throw new AssertionError("cut at " + asked + " of " + names, e);
                            }
                        });
        assertTrue(states > STEPS, "too few states");
        System.out.println(states + " states of images after a power cut");
    }

    private void operate(VolatileNode file, int version, boolean backed) throws BlockException {
        int sectors = 1 + random.nextInt(random.nextInt(8) == 0 ? 60 : 8);
        int sector = random.nextInt(model.length / SECTOR - sectors);
        int offset = sector * SECTOR;
        int begun = host.asked();
        int kind = random.nextInt(16);
        names.add(begun + ":" + kind + "@" + offset + "+" + sectors);
        switch (kind) {
            case 0, 1, 2, 3, 4, 5 -> {
                byte[] data = new byte[sectors * SECTOR];
                random.nextBytes(data);
                put(begun, offset, data);
                disk.write(offset, MemorySegment.ofArray(data));
            }
            case 6 -> {
                put(begun, offset, new byte[sectors * SECTOR]);
                disk.writeZeroes(offset, sectors * SECTOR, random.nextBoolean());
            }
            case 7 -> {
                if (version > 2 || !backed) {
                    disk.discard(offset, sectors * SECTOR);
                    byte[] now = new byte[sectors * SECTOR];
                    disk.read(offset, MemorySegment.ofArray(now));
                    put(begun, offset, now);
                }
            }
            case 8, 9 -> {
                disk.flush();
                flushed();
            }
            case 10 -> {
                if (node.snapshots().size() < (node.header().refcountOrder() == 1 ? 1 : 3)) {
                    String name = "s" + begun;
                    node.createSnapshot(name, 1, 2, 3, 4, 0);
                    snapshots.add(new Kept(name, begun, model.clone()));
                }
            }
            case 11 -> {
                if (!snapshots.isEmpty()) {
                    Kept kept = snapshots.get(random.nextInt(snapshots.size()));
                    if (node.snapshots().stream().anyMatch(s -> s.name().equals(kept.name))) {
                        if (random.nextBoolean() && node.bitmaps().isEmpty()) {
                            node.applySnapshot(kept.name);
                            model = Arrays.copyOf(model, kept.content.length);
                            put(begun, 0, kept.content.clone());
                        } else {
                            node.deleteSnapshot(kept.name);
                        }
                    }
                }
            }
            case 12 -> {
                if (version > 2 || node.snapshots().isEmpty()) {
                    int size = SIZE / 2 + SECTOR * random.nextInt(SIZE / SECTOR);
                    byte[] old = model;
                    if (size > old.length) {
                        put(begun, old.length, new byte[size - old.length]);
                    } else {
                        model = Arrays.copyOf(model, size);
                        // What is cut off may go before the rest of the change does.
                        for (int at = size; at < old.length; at += SECTOR) {
                            byte[] under =
                                    Arrays.copyOfRange(
                                            below, Math.min(at, SIZE), Math.min(at, SIZE) + SECTOR);
                            stored.add(new Stored(begun, at / SECTOR, new byte[SECTOR]));
                            stored.add(new Stored(begun, at / SECTOR, under));
                        }
                    }
                    disk.truncate(size);
                }
            }
            case 13 -> {
                int cluster = (int) node.header().clusterSize();
                int at = offset & -cluster;
                if (at + cluster <= model.length && node.header().refcountOrder() > 1) {
                    byte[] data = new byte[cluster];
                    Arrays.fill(data, 0, cluster, (byte) random.nextInt());
                    random.nextBytes(data);
                    Arrays.fill(data, 0, cluster / 2, (byte) 1);
                    put(begun, at, data);
                    node.writeCompressed(at, MemorySegment.ofArray(data));
                }
            }
            case 14 -> {
                if (version > 2 && node.bitmaps().isEmpty()) {
                    DirtyBitmap bitmap = new DirtyBitmap("b" + begun, SECTOR, model.length);
                    bitmap.persist(true);
                    node.follow(bitmap);
                }
            }
            default -> {
                graph.detach(disk);
                graph.release(node);
                flushed();
                open(file, backed);
            }
        }
    }

    // After the cut

    private void judge(int asked, byte[] image, boolean backed) throws BlockException {
        BlockGraph other = new BlockGraph(GraphHost.direct());
        try {
            VolatileNode file = VolatileNode.of(other, new VolatileNode.Host(), image);
            List<String> told = new ArrayList<>();
            boolean dirty = (image[79] & 1) != 0; // refcounts are made anew when it is opened
            Qcow2Check.Result result =
                    Qcow2Check.check(ChildEdge.look(file), Qcow2Check.Fix.NONE, told::add);
            // A cluster that is not marked as one table's alone, though it is, is copied once
            // without need.
            long needless = told.stream().filter(t -> t.matches(UNMARKED)).count();
            if (!dirty) {
                assertEquals(needless, result.corruptions, () -> told.toString());
            }
            VolatileNode again = VolatileNode.of(other, new VolatileNode.Host(), image);
            Qcow2Node opened =
                    Qcow2Node.open(
                            other, other.autoName(), !dirty, again, true, OverlapChecks.DEFAULT);
            if (backed) {
                VolatileNode base = VolatileNode.of(other, new VolatileNode.Host(), below);
                opened.attachBacking(base);
            }
            byte[] content = new byte[(int) opened.length()];
            ChildEdge.look(opened).read(0, MemorySegment.ofArray(content));
            verify(asked, content);
            List<String> there = opened.snapshots().stream().map(Snapshot::name).toList();
            for (Kept kept : snapshots) {
                if (there.contains(kept.name)) {
                    verify(other, image, backed, kept);
                }
            }
        } finally {
            other.close();
        }
    }

    private void verify(BlockGraph other, byte[] image, boolean backed, Kept kept)
            throws BlockException {
        VolatileNode file = VolatileNode.of(other, new VolatileNode.Host(), image);
        Qcow2Node shown =
                Qcow2Node.open(other, other.autoName(), true, file, true, OverlapChecks.DEFAULT);
        shown.show(kept.name);
        if (backed) {
            shown.attachBacking(VolatileNode.of(other, new VolatileNode.Host(), below));
        }
        byte[] content = new byte[(int) shown.length()];
        ChildEdge.look(shown).read(0, MemorySegment.ofArray(content));
        assertArrayEquals(kept.content, content, "snapshot " + kept.name);
    }

    private void verify(int asked, byte[] content) {
        Flushed last = flushes.getFirst();
        for (Flushed flush : flushes) {
            last = flush.asked <= asked ? flush : last;
        }
        Map<Integer, List<byte[]>> later = new HashMap<>();
        for (Stored s : stored.subList(last.from, stored.size())) {
            if (s.begun < asked) {
                later.computeIfAbsent(s.sector, _ -> new ArrayList<>()).add(s.data);
            }
        }
        for (int at = 0; at < content.length; at += SECTOR) {
            byte[] there = Arrays.copyOfRange(content, at, at + SECTOR);
            byte[] flushed =
                    at < last.content.length
                            ? Arrays.copyOfRange(last.content, at, at + SECTOR)
                            : null;
            assertTrue(
                    Arrays.equals(there, flushed)
                            || later.getOrDefault(at / SECTOR, List.of()).stream()
                                    .anyMatch(data -> Arrays.equals(there, data)),
                    "the sector at " + at + " has what was never there since the flush");
        }
    }
}
