package lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;

import lockstep.block.Images;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.GraphHost;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;

/** An image that is given its backing after it was written to, as the target of a shallow copy is. */
class LaterBackingTest {
    private static final int SIZE = 1 << 20;
    private static final int CLUSTER = 64 << 10;

    @TempDir Path dir;

    @Test
    void writtenZeroesHideTheBackingAndDiscardedHolesDoNot() throws Exception {
        try (BlockGraph graph = new BlockGraph(GraphHost.direct())) {
            Qcow2Node base = Images.qcow2(graph, dir.resolve("base"), SIZE, false);
            Images.use(base).write(0, Images.pattern(7, SIZE));
            Qcow2Node top = Images.qcow2(graph, dir.resolve("top"), SIZE, false);
            ChildEdge disk = Images.use(top);
            disk.writeZeroes(0, 2 * CLUSTER, true);
            disk.writeZeroes(4 * CLUSTER, CLUSTER, false);
            disk.discard(8 * CLUSTER, CLUSTER);
            top.attachBacking(base);
            assertEquals(0, Images.byteAt(top, 2 * CLUSTER - 1));
            assertEquals(7, Images.byteAt(top, 2 * CLUSTER));
            assertEquals(0, Images.byteAt(top, 5 * CLUSTER - 1));
            assertEquals(7, Images.byteAt(top, 8 * CLUSTER));
        }
    }

    @Test
    void whatGrowsShowsNothingOfALongerBacking() throws Exception {
        try (BlockGraph graph = new BlockGraph(GraphHost.direct())) {
            Qcow2Node base = Images.qcow2(graph, dir.resolve("base"), SIZE, false);
            Images.use(base).write(0, Images.pattern(7, SIZE));
            Qcow2Node top = Images.qcow2(graph, dir.resolve("top"), SIZE / 2 - 512, false);
            top.attachBacking(base);
            Images.use(top).truncate(2L * SIZE);
            assertEquals(7, Images.byteAt(top, SIZE / 2 - 513));
            assertEquals(0, Images.byteAt(top, SIZE / 2 - 512));
            assertEquals(0, Images.byteAt(top, SIZE - 1));
            assertEquals(0, Images.byteAt(top, 2L * SIZE - 1));
        }
    }
}
