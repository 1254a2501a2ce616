package lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import lockstep.block.file.FileNode;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.GraphHost;
import lockstep.block.node.Pieces;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;

/**
 * Random operations on an image against an array in memory, with qemu-img as the judge of the image
 * itself.
 */
@Tag("qemu")
class Qcow2ModelTest {
    @TempDir Path dir;
    private final BlockGraph graph = new BlockGraph(GraphHost.direct());

    @AfterEach
    void close() {
        graph.close();
    }

    private static String run(String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        int code = process.waitFor();
        assertEquals(0, code, () -> String.join(" ", command) + "\n" + output);
        return output;
    }

    private static void needQemuImg() {
        assumeTrue(
                Files.isExecutable(Path.of("/usr/bin/qemu-img")),
                "qemu-img is not installed (Debian package qemu-utils)");
    }

    private Qcow2Node open(Path path) throws BlockException {
        FileNode file =
                graph.add(
                        FileNode.open(
                                graph,
                                "file",
                                graph.autoName(),
                                FileNode.Options.of(path.toString(), false)));
        Qcow2Node node =
                Qcow2Node.open(graph, graph.autoName(), false, file, true, OverlapChecks.DEFAULT);
        graph.release(file);
        return node;
    }

    @ParameterizedTest
    @CsvSource({
        "1, cluster_size=512, false",
        "2, cluster_size=4096, true",
        "3, 'cluster_size=65536', false",
        "4, 'cluster_size=65536,refcount_bits=1', true",
        "5, 'cluster_size=1024,refcount_bits=64', true",
        "6, 'cluster_size=512,compat=0.10', false",
        "7, 'cluster_size=2048,compat=0.10', true",
        "8, 'cluster_size=65536,refcount_bits=4,lazy_refcounts=on', true",
    })
    void agreesWithTheModel(long seed, String options, boolean backed) throws Exception {
        needQemuImg();
        int size = (int) (3 * 1024 * 1024 + 512 * (seed % 3));
        Random random = new Random(seed);
        byte[] model = new byte[size];
        Path image = dir.resolve("image.qcow2");
        if (backed) {
            Path base = dir.resolve("base.raw");
            byte[] old = new byte[size - 512 * 1000];
            random.nextBytes(old);
            Arrays.fill(old, 100_000, 500_000, (byte) 0);
            Files.write(base, old);
            System.arraycopy(old, 0, model, 0, old.length);
            run(
                    "qemu-img",
                    "create",
                    "-q",
                    "-f",
                    "qcow2",
                    "-o",
                    options,
                    "-b",
                    base.toString(),
                    "-F",
                    "raw",
                    image.toString(),
                    Integer.toString(size));
        } else {
            run(
                    "qemu-img",
                    "create",
                    "-q",
                    "-f",
                    "qcow2",
                    "-o",
                    options,
                    image.toString(),
                    Integer.toString(size));
        }
        for (int round = 0; round < 4; round++) {
            Qcow2Node node = open(image);
            if (backed) {
                FileNode base =
                        graph.add(
                                FileNode.open(
                                        graph,
                                        "file",
                                        graph.autoName(),
                                        FileNode.Options.of(
                                                dir.resolve("base.raw").toString(), true)));
                node.attachBacking(base);
                graph.release(base);
            }
            for (int step = 0; step < 150; step++) {
                operate(node, model, random, backed && options.contains("0.10"));
            }
            graph.release(node);
            String report = run("qemu-img", "check", "-f", "qcow2", image.toString());
            assertEquals(true, report.contains("No errors were found on the image."), () -> report);
            Path raw = dir.resolve("out.raw");
            run(
                    "qemu-img",
                    "convert",
                    "-f",
                    "qcow2",
                    "-O",
                    "raw",
                    image.toString(),
                    raw.toString());
            assertArrayEquals(model, Files.readAllBytes(raw));
        }
    }

    private static void operate(Qcow2Node node, byte[] model, Random random, boolean noDiscard)
            throws BlockException {
        int length = 1 + random.nextInt(random.nextInt(10) == 0 ? 400_000 : 9_000);
        int offset = random.nextInt(model.length - length);
        switch (random.nextInt(8)) {
            case 0, 1, 2 -> {
                byte[] data = new byte[length];
                random.nextBytes(data);
                node.write(offset, Pieces.of(MemorySegment.ofArray(data)));
                System.arraycopy(data, 0, model, offset, length);
            }
            case 3, 4 -> {
                byte[] data = new byte[length];
                node.read(offset, Pieces.of(MemorySegment.ofArray(data)));
                assertArrayEquals(Arrays.copyOfRange(model, offset, offset + length), data);
            }
            case 5 -> {
                node.writeZeroes(offset, length, random.nextBoolean());
                Arrays.fill(model, offset, offset + length, (byte) 0);
            }
            case 6 -> node.flush();
            default -> {
                if (!noDiscard) {
                    node.discard(offset, length);
                    // Whether a discarded byte is gone is the driver's choice; it is either old or
                    // zero.
                    byte[] now = new byte[length];
                    node.read(offset, Pieces.of(MemorySegment.ofArray(now)));
                    for (int i = 0; i < length; i++) {
                        if (now[i] != 0) {
                            assertEquals(model[offset + i], now[i]);
                        }
                    }
                    System.arraycopy(now, 0, model, offset, length);
                }
            }
        }
    }

    @Test
    void readsCompressedClustersAndSnapshots() throws Exception {
        needQemuImg();
        Random random = new Random(5);
        byte[] model = new byte[1 << 20];
        for (int i = 0; i < model.length; i++) {
            model[i] = (byte) (random.nextInt(4) + i / 1000);
        }
        Path raw = dir.resolve("in.raw");
        Files.write(raw, model);
        Path image = dir.resolve("image.qcow2");
        run("qemu-img", "convert", "-c", "-O", "qcow2", raw.toString(), image.toString());
        run("qemu-img", "snapshot", "-c", "before", image.toString());
        Qcow2Node node = open(image);
        for (int step = 0; step < 200; step++) {
            operate(node, model, random, false);
        }
        graph.release(node);
        String report = run("qemu-img", "check", image.toString());
        assertEquals(true, report.contains("No errors were found on the image."), () -> report);
        run("qemu-img", "snapshot", "-a", "before", image.toString());
        run("qemu-img", "compare", image.toString(), raw.toString());
    }

    @Test
    void emptiesItsOwnFreshImage() throws Exception {
        needQemuImg();
        Path image = dir.resolve("image.qcow2");
        Qcow2Creator.create(image.toString(), Qcow2Creator.Options.of(64 << 20));
        assertEquals(196616, Files.size(image));
        Qcow2Node node = open(image);
        Random random = new Random(9);
        for (int round = 0; round < 3; round++) {
            byte[] model = new byte[4 << 20];
            for (int step = 0; step < 60; step++) {
                operate(node, model, random, false);
            }
            node.makeEmpty();
            assertEquals(4 << 16, Files.size(image));
            byte[] all = new byte[4 << 20];
            node.read(0, Pieces.of(MemorySegment.ofArray(all)));
            assertArrayEquals(new byte[4 << 20], all);
            String report = run("qemu-img", "check", "-U", image.toString());
            assertEquals(true, report.contains("No errors"), () -> report);
        }
        graph.release(node);
        run("qemu-img", "check", image.toString());
    }

    @Test
    void growsTheRefcountTable() throws Exception {
        needQemuImg();
        Path image = dir.resolve("image.qcow2");
        run(
                "qemu-img",
                "create",
                "-q",
                "-f",
                "qcow2",
                "-o",
                "cluster_size=512,refcount_bits=64",
                image.toString(),
                "16M");
        Qcow2Node node = open(image);
        byte[] data = new byte[1 << 20];
        Random random = new Random(1);
        random.nextBytes(data);
        for (int i = 0; i < 16; i++) {
            node.write((long) i << 20, Pieces.of(MemorySegment.ofArray(data)));
        }
        node.truncate(40 << 20);
        node.write(39 << 20, Pieces.of(MemorySegment.ofArray(data)));
        graph.release(node);
        String report = run("qemu-img", "check", image.toString());
        assertEquals(true, report.contains("No errors"), () -> report);
    }

    @Test
    void repairsAnImageLeftDirty() throws Exception {
        needQemuImg();
        Path image = dir.resolve("image.qcow2");
        run(
                "qemu-img",
                "create",
                "-q",
                "-f",
                "qcow2",
                "-o",
                "lazy_refcounts=on",
                image.toString(),
                "8M");
        Process process =
                new ProcessBuilder(
                                "qemu-io",
                                "-f",
                                "qcow2",
                                "-c",
                                "write -P 7 0 3M",
                                "-c",
                                "flush",
                                "-c",
                                "abort",
                                image.toString())
                        .redirectErrorStream(true)
                        .start();
        process.getInputStream().readAllBytes();
        process.waitFor();
        Qcow2Node node = open(image);
        byte[] data = new byte[3 << 20];
        node.read(0, Pieces.of(MemorySegment.ofArray(data)));
        byte[] expected = new byte[3 << 20];
        Arrays.fill(expected, (byte) 7);
        assertArrayEquals(expected, data);
        node.write(4 << 20, Pieces.of(MemorySegment.ofArray(data)));
        graph.release(node);
        String report = run("qemu-img", "check", image.toString());
        assertEquals(true, report.contains("No errors"), () -> report);
    }
}
