package lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;

import lockstep.block.Images;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.GraphHost;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;

/** Compressed clusters among others. */
class CompressedWritesTest {
    private static final int CLUSTER = 1 << 16;

    @TempDir Path dir;
    private final BlockGraph graph = new BlockGraph(GraphHost.direct());

    @AfterEach
    void close() {
        graph.close();
    }

    /** Several share a cluster of the file; once that was given up and taken for something else, no more go there. */
    @Test
    void aClusterThatWasGivenUpIsNotFilledUp() throws Exception {
        Qcow2Node node = Images.qcow2(graph, dir.resolve("image"), 1 << 20, false);
        ChildEdge disk = Images.use(node);
        node.writeCompressed(0, Images.pattern(1, CLUSTER));
        disk.discard(0, CLUSTER);
        disk.flush();
        disk.write(CLUSTER, Images.pattern(2, CLUSTER));
        node.writeCompressed(2 * CLUSTER, Images.pattern(3, CLUSTER));
        for (int at = 0; at < CLUSTER; at++) {
            assertEquals(2, Images.byteAt(node, CLUSTER + at));
        }
        assertEquals(3, Images.byteAt(node, 2 * CLUSTER));
    }
}
