package lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;

import lockstep.block.FuzzSeeds;
import lockstep.block.Images;
import lockstep.block.MemoryNode;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.GraphHost;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.lang.foreign.MemorySegment;

/**
 * Whatever a file holds that is opened as qcow2: it works or is refused with a sentence, and so does
 * each request. Also the target of a fuzzer ({@code -Pfuzz}); its seeds run here.
 */
public final class Qcow2OpenFuzzTest {
    private static final int PIECE = 5000;

    /** A request that may fail. */
    private interface Use {
        void of(ChildEdge disk, long offset, long length) throws BlockException;
    }

    private static void attempt(Use use, ChildEdge disk, long offset, long length) {
        try {
            use.of(disk, offset, length);
        } catch (BlockException e) {
            assertEquals(false, String.valueOf(e.getMessage()).isBlank());
        }
    }

    /** The bytes of one file; the entry for a fuzzer. */
    public static void fuzzerTestOneInput(byte[] data) throws BlockException {
        BlockGraph graph = new BlockGraph(GraphHost.direct());
        try {
            MemoryNode file = MemoryNode.of(graph, data);
            file.remembersNothing();
            file.endsAt(64 << 20);
            Qcow2Node node;
            try {
                node =
                        Qcow2Node.open(
                                graph, graph.autoName(), false, file, true, OverlapChecks.DEFAULT);
            } catch (BlockException e) {
                assertEquals(false, String.valueOf(e.getMessage()).isBlank());
                return;
            }
            ChildEdge disk = Images.use(node);
            long size = disk.length();
            for (long offset : new long[] {0, size / 2, Math.max(0, size - PIECE)}) {
                long length = Math.min(PIECE, size - offset);
                byte[] bytes = new byte[(int) length];
                attempt((d, at, n) -> d.status(at, n), disk, offset, length);
                attempt(
                        (d, at, n) -> d.read(at, MemorySegment.ofArray(bytes)),
                        disk,
                        offset,
                        length);
                attempt(
                        (d, at, n) -> d.write(at, Images.pattern(1, (int) n)),
                        disk,
                        offset,
                        length);
                attempt((d, at, n) -> d.writeZeroes(at, n, true), disk, offset, length);
                attempt((d, at, n) -> d.discard(at, n), disk, offset, length);
                attempt((d, at, n) -> d.flush(), disk, offset, length);
            }
            attempt((d, at, n) -> d.truncate(n), disk, 0, size + (1 << 20));
            attempt((d, at, n) -> d.makeEmpty(), disk, 0, 0);
        } finally {
            graph.close();
        }
    }

    @Test
    void seedsAreHarmless() throws IOException, BlockException {
        for (byte[] seed : FuzzSeeds.of(Qcow2OpenFuzzTest.class)) {
            fuzzerTestOneInput(seed);
        }
    }
}
