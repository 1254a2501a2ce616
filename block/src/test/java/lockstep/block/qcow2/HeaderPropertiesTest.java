package lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.block.MemoryNode;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.GraphHost;

import net.jqwik.api.Assume;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.AlphaChars;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;
import net.jqwik.api.constraints.StringLength;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Headers of any image: what is created is read, and what is damaged is refused or within limits. */
class HeaderPropertiesTest {
    private static Qcow2Header read(byte[] image) throws BlockException {
        BlockGraph graph = new BlockGraph(GraphHost.direct());
        try {
            return Qcow2Header.read(ChildEdge.look(MemoryNode.of(graph, image)), true);
        } finally {
            graph.close();
        }
    }

    private static byte[] create(Qcow2Creator.Options options) throws IOException, BlockException {
        Path path = Files.createTempFile("header", ".qcow2");
        try {
            Qcow2Creator.create(path.toString(), options);
            return Files.readAllBytes(path);
        } finally {
            Files.delete(path);
        }
    }

    @Property(tries = 100)
    void whatIsCreatedIsRead(
            @ForAll @LongRange(max = 1L << 32) long sectors,
            @ForAll @IntRange(min = 9, max = 16) int clusterBits,
            @ForAll @AlphaChars @StringLength(min = 1, max = 100) String backing)
            throws IOException, BlockException {
        long size = sectors * 512;
        long entries = Qcow2Header.l1Needed(size, clusterBits);
        Assume.that(3 + (entries * 8 >> clusterBits) < (1L << clusterBits) / 2 - 1);
        Assume.that(entries <= 1 << 16);
        Qcow2Header header =
                read(create(new Qcow2Creator.Options(size, clusterBits, backing, "raw")));
        assertEquals(size, header.size());
        assertEquals(clusterBits, header.clusterBits());
        assertEquals(3, header.version());
        assertEquals(entries, header.l1Size());
        assertEquals(backing, header.backingFile());
        assertEquals("raw", header.backingFormat());
    }

    @Property(tries = 500)
    void whatIsDamagedIsRefusedOrWithinLimits(
            @ForAll @IntRange(max = 111) int at, @ForAll byte value, @ForAll boolean backed)
            throws IOException, BlockException {
        byte[] image =
                create(
                        new Qcow2Creator.Options(
                                1 << 20, 9, backed ? "base" : null, backed ? "raw" : null));
        image[at] = value;
        Qcow2Header header;
        try {
            header = read(image);
        } catch (BlockException e) {
            assertEquals(false, String.valueOf(e.getMessage()).isBlank());
            return;
        }
        assertTrue(header.clusterBits() >= 9 && header.clusterBits() <= 21);
        assertTrue(header.refcountOrder() <= 6);
        assertTrue(header.l1Size() * 8L <= 32 << 20);
        assertTrue(header.l1Size() >= Qcow2Header.l1Needed(header.size(), header.clusterBits()));
        assertTrue((long) header.refcountTableClusters() << header.clusterBits() <= 8 << 20);
        assertTrue(header.size() >= 0);
    }
}
