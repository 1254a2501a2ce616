package lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;

import lockstep.block.Images;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.GraphHost;
import lockstep.block.raw.RawNode;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;

/** Zeroes that are written to parts of clusters. */
class Qcow2ZeroesTest {
    private static final int CLUSTER = 65536;

    /** What the image says of a cluster. */
    private static final BlockStatus ZEROES = new BlockStatus(CLUSTER, false, true, true);

    private static final BlockStatus DATA = new BlockStatus(CLUSTER, true, false, true);
    private static final BlockStatus NOTHING = new BlockStatus(CLUSTER, false, true, false);

    @TempDir Path dir;

    private final BlockGraph graph = new BlockGraph(GraphHost.direct());

    @AfterEach
    void close() {
        graph.close();
    }

    private ChildEdge image() throws Exception {
        return Images.use(Images.qcow2(graph, dir.resolve("disk"), 16 * CLUSTER, false));
    }

    private static BlockStatus cluster(ChildEdge disk, int index) throws BlockException {
        return disk.status((long) index * CLUSTER, CLUSTER);
    }

    @Test
    void makeAZeroClusterWhereThereWasNothing() throws Exception {
        ChildEdge disk = image();
        disk.writeZeroes(CLUSTER + 512, 2 * CLUSTER, false);
        assertEquals(NOTHING, cluster(disk, 0));
        for (int i = 1; i <= 3; i++) {
            assertEquals(ZEROES, cluster(disk, i));
        }
        assertEquals(NOTHING, cluster(disk, 4));
        disk.writeZeroes(CLUSTER + 1024, 512, true);
        assertEquals(ZEROES, cluster(disk, 1));
    }

    @Test
    void areDataWhereThereIsData() throws Exception {
        ChildEdge disk = image();
        disk.write(0, Images.pattern(7, CLUSTER));
        disk.writeZeroes(512, 1024, true);
        assertEquals(DATA, cluster(disk, 0));
        assertEquals(7, Images.byteAt(disk.node(), 511));
        assertEquals(0, Images.byteAt(disk.node(), 512));
        assertEquals(7, Images.byteAt(disk.node(), 1536));
    }

    @Test
    void lookAtTheBackingForTheRestOfTheCluster() throws Exception {
        RawNode base = Images.raw(graph, dir.resolve("base"), 16 * CLUSTER);
        Images.use(base).write(4096, Images.pattern(5, 512));
        Qcow2Node top = Images.qcow2(graph, dir.resolve("top"), 16 * CLUSTER, false);
        top.attachBacking(base);
        graph.release(base);
        ChildEdge disk = Images.use(top);
        disk.writeZeroes(512, 512, false);
        assertEquals(DATA, cluster(disk, 0));
        assertEquals(5, Images.byteAt(top, 4096));
        disk.writeZeroes(2 * CLUSTER + 512, 512, false);
        assertEquals(ZEROES, cluster(disk, 2));
    }
}
