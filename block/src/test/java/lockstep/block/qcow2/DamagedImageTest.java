package lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.block.Images;
import lockstep.block.file.FileNode;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.GraphHost;
import lockstep.block.node.Pieces;
import lockstep.runtime.linux.Errno;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Images of which one field is wrong, whatever it says: each request is answered, nothing is
 * written onto metadata, and the image gets no worse. {@code -Ddamage.rounds=N} tries more of them.
 */
class DamagedImageTest {
    private static final int BITS = 12;
    private static final int CLUSTER = 1 << BITS;
    private static final int SIZE = 8 << 20;
    private static final int ROUNDS = Integer.getInteger("damage.rounds", 60);

    @TempDir Path dir;

    private record Corruption(String message, long offset, long size, boolean fatal) {}

    private final List<Corruption> told = new CopyOnWriteArrayList<>();

    private final GraphHost host =
            new GraphHost() {
                @Override
                public void post(Runnable task) {
                    task.run();
                }

                @Override
                public void imageCorrupted(
                        BlockNode image, String message, long offset, long size, boolean fatal) {
                    told.add(new Corruption(message, offset, size, fatal));
                }
            };

    private Qcow2Node open(BlockGraph graph, Path image, OverlapChecks checks)
            throws BlockException {
        FileNode file = Images.file(graph, image, false);
        try {
            return Qcow2Node.open(graph, graph.autoName(), false, file, true, checks);
        } finally {
            graph.release(file);
        }
    }

    /** An image with holes, zeroes and data in two tables; cluster 3 is its L1 table. */
    private ByteBuffer image() throws Exception {
        Path path = dir.resolve("valid.qcow2");
        Qcow2Creator.create(path.toString(), new Qcow2Creator.Options(SIZE, BITS, null, null));
        try (BlockGraph graph = new BlockGraph(GraphHost.direct())) {
            Qcow2Node node = open(graph, path, OverlapChecks.DEFAULT);
            for (int i = 0; i < 12; i++) {
                node.write(i * 3L * CLUSTER, Pieces.of(Images.pattern(i + 1, 2 * CLUSTER)));
            }
            node.write(5 << 20, Pieces.of(Images.pattern(77, 3 * CLUSTER)));
            node.writeZeroes(0, CLUSTER, false);
            node.discard(6 * CLUSTER, CLUSTER);
            graph.release(node);
        }
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(path));
        Files.delete(path);
        return bytes;
    }

    private static int l1(ByteBuffer image) {
        return (int) image.getLong(40);
    }

    private static int l2(ByteBuffer image) {
        return (int) (image.getLong(l1(image)) & Mapping.OFFSET_MASK);
    }

    private Path damaged(ByteBuffer image) throws Exception {
        Path path = dir.resolve("damaged.qcow2");
        Files.write(path, image.array());
        return path;
    }

    @ParameterizedTest
    @CsvSource({
        "table,   0, 0,      refcount table",
        "table,   0, 1,      refcount table",
        "table,   0, 200,    Refblock offset 0x200 unaligned (reftable index: 0)",
        "table,   0, 1000,   refcount table",
        "table,   0, 4000000000000, qcow2_header",
        "L1,      0, 8000000000001000, refcount table",
        "L1,      0, 1000,   refcount table",
        "L1,      0, 8000000000002000, refcount block",
        "L1,      0, 8000000000005200, L2 table offset 0x5200 unaligned (L1 index: 0)",
        "L2,      1, 8000000000000000, ''",
        "L2,      1, 8000000000001000, refcount table",
        "L2,      1, 8000000000002000, refcount block",
        "L2,      1, 8000000000003000, active L1 table",
        "L2,      1, 8000000000004000, active L2 table",
        "L2,      1, 8000000000009200, 'Data cluster offset 0x9200 unaligned (guest offset:"
                + " 0x1000)'",
    })
    void fatalDamageIsTold(String where, int index, String value, String expected)
            throws Exception {
        ByteBuffer image = image();
        int at =
                switch (where) {
                    case "table" -> CLUSTER;
                    case "L1" -> l1(image);
                    default -> l2(image);
                };
        image.putLong(at + index * 8, Long.parseUnsignedLong(value, 16));
        byte[] before = image.array().clone();
        Path path = damaged(image);
        try (BlockGraph graph = new BlockGraph(host)) {
            Qcow2Node node = open(graph, path, OverlapChecks.DEFAULT);
            BlockException first = null;
            try {
                node.write(CLUSTER, Pieces.of(Images.pattern(9, CLUSTER / 2)));
                node.write(1 << 20, Pieces.of(Images.pattern(9, CLUSTER)));
            } catch (BlockException e) {
                first = e;
            }
            if (expected.isEmpty()) {
                assertEquals(List.of(), told);
                graph.release(node);
                return;
            }
            assertEquals(Errno.EIO, first == null ? 0 : first.errno());
            String message =
                    expected.contains(" offset ")
                            ? expected
                            : "Preventing invalid write on metadata (overlaps with "
                                    + expected
                                    + ")";
            assertEquals(1, told.size());
            assertEquals(message, told.getFirst().message());
            assertEquals(true, told.getFirst().fatal());
            assertEquals(expected.contains(" offset "), told.getFirst().offset() < 0);
            assertTrue(node.corrupt());
            BlockException later =
                    assertThrows(
                            BlockException.class,
                            () -> node.write(0, Pieces.of(Images.pattern(1, 512))));
            assertEquals(Errno.ENOMEDIUM, later.errno());
            assertThrows(BlockException.class, node::flush);
            graph.release(node);
        }
        assertEquals(1, told.size());
        // Only the mark in the header is new.
        byte[] after = Files.readAllBytes(path);
        assertEquals(Qcow2Header.CORRUPT, after[Qcow2Header.INCOMPATIBLE_AT + 7]);
        after[Qcow2Header.INCOMPATIBLE_AT + 7] = 0;
        assertEquals(-1, Arrays.mismatch(before, 0, 20 * 1024, after, 0, 20 * 1024));
        BlockGraph again = new BlockGraph(host);
        assertThrows(BlockException.class, () -> open(again, path, OverlapChecks.DEFAULT));
        Qcow2Node readable = Images.qcow2(again, path, SIZE, true);
        assertTrue(readable.corrupt());
        again.close();
    }

    @Test
    void protectionCanBeTurnedOff() throws Exception {
        ByteBuffer image = image();
        image.putLong(l2(image) + 8, Mapping.COPIED | CLUSTER);
        Path path = damaged(image);
        try (BlockGraph graph = new BlockGraph(host)) {
            Qcow2Node node = open(graph, path, new OverlapChecks(0));
            node.write(CLUSTER + 512, Pieces.of(Images.pattern(9, 512)));
            assertEquals(List.of(), told);
            graph.release(node);
        }
        assertEquals(9, Files.readAllBytes(path)[CLUSTER + 512]);
    }

    @Test
    void whatIsInUseIsNotGivenAwayWhateverItsRefcount() throws Exception {
        ByteBuffer image = image();
        int cluster = (int) ((image.getLong(l2(image) + 8) & Mapping.OFFSET_MASK) >>> BITS);
        image.putShort(2 * CLUSTER + cluster * 2, (short) 0);
        Path path = damaged(image);
        try (BlockGraph graph = new BlockGraph(host)) {
            Qcow2Node node = open(graph, path, OverlapChecks.DEFAULT);
            for (int i = 0; i < 40; i++) {
                node.write((2 << 20) + i * CLUSTER, Pieces.of(Images.pattern(99, CLUSTER)));
            }
            node.flush();
            assertEquals(1, Images.byteAt(node, CLUSTER));
            assertEquals(1, told.size());
            assertFalse(told.getFirst().fatal());
            graph.release(node);
        }
    }

    @Test
    void aTableThatTwoEntriesShareIsCopied() throws Exception {
        ByteBuffer image = image();
        image.putLong(l1(image) + 8, image.getLong(l1(image)));
        Path path = damaged(image);
        try (BlockGraph graph = new BlockGraph(host)) {
            Qcow2Node node = open(graph, path, OverlapChecks.DEFAULT);
            node.write((2 << 20) + 64 * CLUSTER, Pieces.of(Images.pattern(9, CLUSTER)));
            node.flush();
            assertEquals(9, Images.byteAt(node, (2 << 20) + 64 * CLUSTER));
            assertEquals(0, Images.byteAt(node, 64 * CLUSTER));
            graph.release(node);
        }
        assertTrue(told.stream().noneMatch(Corruption::fatal), told::toString);
    }

    @Test
    void aClusterThatTwoEntriesShareIsCopied() throws Exception {
        ByteBuffer image = image();
        image.putLong(l2(image) + 16 * 8, image.getLong(l2(image) + 8));
        Path path = damaged(image);
        try (BlockGraph graph = new BlockGraph(host)) {
            Qcow2Node node = open(graph, path, OverlapChecks.DEFAULT);
            node.write(16 * CLUSTER, Pieces.of(Images.pattern(9, 512)));
            assertEquals(9, Images.byteAt(node, 16 * CLUSTER));
            assertEquals(1, Images.byteAt(node, 16 * CLUSTER + 512));
            assertEquals(1, Images.byteAt(node, CLUSTER));
            graph.release(node);
        }
        assertTrue(told.stream().noneMatch(Corruption::fatal), told::toString);
    }

    /** Whoever copies an image may leave out zeroes at its end: that is no damage. */
    @Test
    void aLastClusterThatIsShortReadsAsZeroes() throws Exception {
        ByteBuffer image = image();
        Path path = dir.resolve("short.qcow2");
        byte[] bytes = image.array();
        Files.write(path, Arrays.copyOf(bytes, bytes.length - CLUSTER + 700));
        try (BlockGraph graph = new BlockGraph(host)) {
            Qcow2Node node = open(graph, path, OverlapChecks.DEFAULT);
            byte[] all = new byte[SIZE];
            node.read(0, Pieces.of(MemorySegment.ofArray(all)));
            long last = (5 << 20) + 2 * CLUSTER;
            assertEquals(77, all[(int) last + 699]);
            assertEquals(0, all[(int) last + 700]);
            node.write(last + 600, Pieces.of(Images.pattern(5, 512)));
            assertEquals(5, Images.byteAt(node, last + 1111));
            assertEquals(0, Images.byteAt(node, last + 1112));
            graph.release(node);
        }
        assertEquals(List.of(), told);
    }

    /** A field of the metadata: where it is and how many bytes it has. */
    private record Field(int at, int bytes) {}

    private static List<Field> fields(ByteBuffer image) {
        List<Field> fields = new ArrayList<>();
        for (int at : new int[] {8, 24, 40, 48, 64, 72, 80, 88}) {
            fields.add(new Field(at, 8));
        }
        for (int at : new int[] {4, 16, 20, 32, 36, 56, 60, 96, 100, 104, 112, 116}) {
            fields.add(new Field(at, 4));
        }
        int snapshots = (int) image.getLong(64);
        if (snapshots != 0) {
            fields.add(new Field(snapshots, 8));
            for (int at : new int[] {8, 12, 36}) {
                fields.add(new Field(snapshots + at, 4));
            }
            int table = (int) image.getLong(snapshots);
            for (int i = 0; i < 3; i++) {
                fields.add(new Field(table + i * 8, 8));
            }
        }
        for (int at = image.getInt(100); image.getInt(4) > 2 && image.getInt(at) != 0; ) {
            if (image.getInt(at) == 0x23852875) {
                for (int i = 8; i < 32; i += 4) {
                    fields.add(new Field(at + i, 4));
                }
                int directory = (int) image.getLong(at + 24);
                for (int i = 0; i < 24; i += 4) {
                    fields.add(new Field(directory + i, 4));
                }
                fields.add(new Field((int) image.getLong(directory), 8));
            }
            at += 8 + (image.getInt(at + 4) + 7 & ~7);
        }
        int table = (int) image.getLong(48);
        int block = (int) image.getLong(table);
        for (int i = 0; i < 10; i++) {
            fields.add(new Field(l1(image) + i % 4 * 8, 8));
            fields.add(new Field(l2(image) + i * 8, 8));
            fields.add(new Field(table + i % 3 * 8, 8));
            fields.add(new Field(block + i * 2, 2));
        }
        return fields;
    }

    private static long value(ByteBuffer image, Field field, Random random) {
        long old = field.bytes == 8 ? image.getLong(field.at) : image.getInt(field.at & ~1);
        long cluster = (long) random.nextInt(image.capacity() / CLUSTER + 2) << BITS;
        return switch (random.nextInt(9)) {
            case 0 -> 0;
            case 1 -> -1;
            case 2 -> 1L << random.nextInt(64);
            case 3 -> old ^ 1L << random.nextInt(field.bytes * 8);
            case 4 -> cluster;
            case 5 -> cluster | Mapping.COPIED;
            case 6 -> cluster + 512L * random.nextInt(8) | Mapping.COPIED;
            case 7 -> cluster | Mapping.COMPRESSED | (long) random.nextInt(16) << 58;
            default -> random.nextLong() >>> random.nextInt(64);
        };
    }

    /** Where a file that has not been damaged keeps its metadata. */
    private static MetadataMap metadata(Path image) throws BlockException {
        try (BlockGraph graph = new BlockGraph(GraphHost.direct())) {
            ChildEdge file = ChildEdge.look(Images.file(graph, image, true));
            Qcow2Header header = Qcow2Header.read(file, false);
            Guard guard =
                    new Guard(
                            () -> file,
                            MetadataMap.ALL,
                            () -> false,
                            (message, offset, size, fatal) -> {});
            guard.opened(header);
            Mapping map = new Mapping(guard, header, true);
            assertTrue(map.l1Offset() > 0);
            graph.release(file.node());
            return guard.metadata();
        }
    }

    @Test
    void anyFieldOfATinyImage() throws Exception {
        ByteBuffer image = image();
        damageOne(image, ROUNDS * 4, false);
    }

    @ParameterizedTest
    @Tag("qemu")
    @CsvSource({
        "cluster_size=4096, bitmap",
        "'cluster_size=4096,compat=0.10', ''",
        "'cluster_size=4096,lazy_refcounts=on', snapshot",
    })
    void anyFieldOfAnImageOfQemu(String options, String with) throws Exception {
        Images.needTool("qemu-img", "qemu-utils");
        Path path = dir.resolve("qemu.qcow2");
        String name = path.toString();
        Images.run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, name, "8M");
        write(name, "write -q -P 5 0 200k", "write -q -z 64k 16k", "write -q -P 6 5M 40k");
        if (with.equals("bitmap")) {
            Images.run("qemu-img", "bitmap", "--add", name, "changes");
            write(name, "write -q -P 7 0 100k");
        }
        if (with.equals("snapshot")) {
            Images.run("qemu-img", "snapshot", "-c", "one", name);
            write(name, "write -q -P 7 0 100k");
        }
        ByteBuffer image = ByteBuffer.wrap(Files.readAllBytes(path));
        damageOne(image, ROUNDS / 2, true);
    }

    private static void write(String image, String... commands) throws Exception {
        List<String> line = new ArrayList<>(List.of("qemu-io", "-f", "qcow2"));
        for (String command : commands) {
            line.addAll(List.of("-c", command));
        }
        line.add(image);
        Images.run(line.toArray(String[]::new));
    }

    private void damageOne(ByteBuffer valid, int rounds, boolean check) throws Exception {
        MetadataMap metadata = metadata(damaged(valid));
        List<Field> fields = fields(valid);
        for (int round = 0; round < rounds; round++) {
            Random random = new Random(round);
            ByteBuffer image = ByteBuffer.wrap(valid.array().clone());
            Field field = fields.get(random.nextInt(fields.size()));
            long value = value(image, field, random);
            switch (field.bytes) {
                case 8 -> image.putLong(field.at, value);
                case 4 -> image.putInt(field.at, (int) value);
                default -> image.putShort(field.at, (short) value);
            }
            String what = "round " + round + ": " + field + " = 0x" + Long.toHexString(value) + " ";
            Path path = damaged(image);
            int before = check ? corruptions(path) : 0;
            Random requests = new Random(round);
            assertTimeoutPreemptively(Duration.ofSeconds(60), () -> use(path, requests), what);
            assertTrue(Files.size(path) < 1 << 30, () -> what + "the file exploded");
            byte[] after = Files.readAllBytes(path);
            Set<Long> tables = tables(after, l1(valid));
            assertUntouched(image.array(), after, metadata, tables, field, what);
            if (check && before >= 0) {
                int now = corruptions(path);
                assertTrue(now <= before && now >= 0, what + before + " -> " + now + " " + told);
            }
            told.clear();
        }
    }

    private void use(Path path, Random random) {
        try (BlockGraph graph = new BlockGraph(host)) {
            Qcow2Node node = open(graph, path, OverlapChecks.DEFAULT);
            for (int i = 0; i < 30; i++) {
                request(node, random);
            }
            graph.release(node);
        } catch (BlockException e) {
            assertFalse(String.valueOf(e.getMessage()).isBlank());
        }
    }

    private static void request(Qcow2Node node, Random random) {
        try {
            long offset = random.nextBoolean() ? random.nextInt(60_000) : random.nextInt(7 << 20);
            int length = 512 + random.nextInt(20_000);
            switch (random.nextInt(7)) {
                case 0 -> node.read(offset, Pieces.of(MemorySegment.ofArray(new byte[length])));
                case 1 -> node.writeZeroes(offset, length, random.nextBoolean());
                case 2 -> node.discard(offset, length);
                case 3 -> node.flush();
                case 4 -> node.status(offset, length);
                default -> node.write(offset, Pieces.of(Images.pattern(0xee, length)));
            }
        } catch (BlockException e) {
            assertFalse(String.valueOf(e.getMessage()).isBlank());
        }
    }

    /** What is metadata by the tables as they were must not have become data of the guest. */
    private static void assertUntouched(
            byte[] before,
            byte[] after,
            MetadataMap metadata,
            Set<Long> tables,
            Field damaged,
            String what) {
        assertEquals(Qcow2Header.MAGIC, ByteBuffer.wrap(before).getInt(0), what);
        assertEquals(
                -1,
                Arrays.mismatch(before, 0, 8, after, 0, 8),
                () -> what + "the header was overwritten");
        for (int at = 0; at + 512 <= Math.min(before.length, after.length); at += 512) {
            int parts = metadata.parts(at, 512);
            boolean freed = parts == MetadataMap.ACTIVE_L2 && !tables.contains((long) at >>> BITS);
            if (parts != 0 && !freed && damaged.at >>> BITS != at >>> BITS) {
                int place = at;
                int data = 0;
                for (int i = at; i < at + 512; i++) {
                    data += after[i] == (byte) 0xee && before[i] != (byte) 0xee ? 1 : 0;
                }
                assertTrue(data < 500, () -> what + "data in metadata at " + place);
            }
        }
    }

    /** The clusters of the second-level tables that a first-level table points to. */
    private static Set<Long> tables(byte[] image, int l1) {
        Set<Long> clusters = new HashSet<>();
        for (int i = 0; i < SIZE >>> 2 * BITS - 3; i++) {
            long entry = ByteBuffer.wrap(image).getLong(l1 + i * 8);
            clusters.add((entry & Mapping.OFFSET_MASK) >>> BITS);
        }
        return clusters;
    }

    private static int corruptions(Path image) throws Exception {
        Process process =
                new ProcessBuilder("qemu-img", "check", "--output=json", image.toString())
                        .redirectError(ProcessBuilder.Redirect.DISCARD)
                        .start();
        String report = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (process.waitFor() == 1) {
            return -1;
        }
        Matcher number = Pattern.compile("\"corruptions\": (\\d+)").matcher(report);
        return number.find() ? Integer.parseInt(number.group(1)) : 0;
    }
}
