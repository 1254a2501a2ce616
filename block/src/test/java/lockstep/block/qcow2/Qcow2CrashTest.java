package lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.block.FaultyNode;
import lockstep.block.Images;
import lockstep.block.file.FileNode;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.GraphHost;
import lockstep.block.node.Pieces;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;

/**
 * The process dies after any of its writes: the image may have leaked clusters, never wrong ones,
 * and keeps flushed data.
 */
@Tag("qemu")
class Qcow2CrashTest {
    private static final int SIZE = 1 << 20;

    @TempDir Path dir;

    @ParameterizedTest
    @ValueSource(strings = {"cluster_size=512", "cluster_size=4096,refcount_bits=64"})
    void everyCrashPointLeavesAValidImage(String options) throws Exception {
        Images.needTool("qemu-img", "qemu-utils");
        for (int limit = 1; limit < 400; limit += 1 + limit / 5) {
            Path image = dir.resolve("crash" + limit + ".qcow2");
            Images.run(
                    "qemu-img",
                    "create",
                    "-q",
                    "-f",
                    "qcow2",
                    "-o",
                    options,
                    image.toString(),
                    Integer.toString(SIZE));
            byte[] durable = crash(image, limit);
            Process check =
                    new ProcessBuilder("qemu-img", "check", image.toString())
                            .redirectErrorStream(true)
                            .start();
            String report =
                    new String(check.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            int code = check.waitFor();
            assertTrue(code == 0 || code == 3, limit + ": " + report);
            verify(image, durable);
            Files.delete(image);
        }
    }

    /** The model as it was at the last flush that worked; bytes written later are marked. */
    private byte[] crash(Path image, int limit) throws Exception {
        BlockGraph graph = new BlockGraph(GraphHost.direct());
        byte[] model = new byte[SIZE];
        byte[] durable = new byte[SIZE];
        boolean[] touched = new boolean[SIZE];
        Random random = new Random(limit);
        FaultyNode faulty = FaultyNode.over(Images.file(graph, image, false), limit);
        Qcow2Node node =
                Qcow2Node.open(graph, graph.autoName(), false, faulty, true, OverlapChecks.DEFAULT);
        try {
            for (int step = 0; step < 400; step++) {
                int length = 1 + random.nextInt(6000);
                int offset = random.nextInt(SIZE - length);
                java.util.Arrays.fill(touched, offset, offset + length, true);
                switch (random.nextInt(6)) {
                    case 0 -> {
                        java.util.Arrays.fill(touched, offset, offset + length, true);
                        node.discard(offset, length);
                        byte[] now = new byte[length];
                        node.read(offset, Pieces.of(MemorySegment.ofArray(now)));
                        System.arraycopy(now, 0, model, offset, length);
                    }
                    case 1 -> {
                        node.writeZeroes(offset, length, true);
                        java.util.Arrays.fill(model, offset, offset + length, (byte) 0);
                    }
                    case 2 -> {
                        node.flush();
                        durable = model.clone();
                        touched = new boolean[SIZE];
                    }
                    default -> {
                        byte[] data = new byte[length];
                        random.nextBytes(data);
                        node.write(offset, Pieces.of(MemorySegment.ofArray(data)));
                        System.arraycopy(data, 0, model, offset, length);
                    }
                }
            }
            node.flush();
            durable = model.clone();
            touched = new boolean[SIZE];
        } catch (BlockException e) {
            // The crash. What was written since the last flush may be there or not.
            assertTrue(true, e.getMessage());
        }
        // The faulty node refuses what closing would still like to write.
        faulty.allowWrites(0);
        graph.release(node);
        graph.release(faulty);
        graph.close();
        this.touched = touched;
        return durable;
    }

    private boolean[] touched = new boolean[0];

    private void verify(Path image, byte[] durable) throws Exception {
        BlockGraph graph = new BlockGraph(GraphHost.direct());
        FileNode file = Images.file(graph, image, false);
        Qcow2Node node =
                Qcow2Node.open(graph, graph.autoName(), false, file, true, OverlapChecks.DEFAULT);
        graph.release(file);
        byte[] now = new byte[SIZE];
        node.read(0, Pieces.of(MemorySegment.ofArray(now)));
        for (int i = 0; i < SIZE; i++) {
            if (!touched[i]) {
                int at = i;
                assertEquals(durable[i], now[i], () -> "byte " + at);
            }
        }
        graph.release(node);
        graph.close();
    }

    @Test
    void emptyingSurvivesACrashAnywhere() throws Exception {
        Images.needTool("qemu-img", "qemu-utils");
        for (int limit = 0; limit < 6; limit++) {
            Path image = dir.resolve("empty" + limit + ".qcow2");
            BlockGraph graph = new BlockGraph(GraphHost.direct());
            Qcow2Creator.create(image.toString(), Qcow2Creator.Options.of(8 << 20));
            FaultyNode faulty = FaultyNode.over(Images.file(graph, image, false), 1000);
            Qcow2Node node =
                    Qcow2Node.open(
                            graph, graph.autoName(), false, faulty, true, OverlapChecks.DEFAULT);
            node.write(0, Pieces.of(Images.pattern(1, 3 << 20)));
            node.flush();
            faulty.allowWrites(limit);
            try {
                node.makeEmpty();
            } catch (BlockException e) {
                assertEquals(true, limit < 4, e.getMessage());
            }
            faulty.allowWrites(0);
            graph.release(node);
            graph.release(faulty);
            graph.close();
            Process check =
                    new ProcessBuilder("qemu-img", "check", image.toString())
                            .redirectErrorStream(true)
                            .start();
            String report =
                    new String(check.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            int code = check.waitFor();
            assertTrue(code == 0 || code == 3, limit + ": " + report);
        }
    }
}
