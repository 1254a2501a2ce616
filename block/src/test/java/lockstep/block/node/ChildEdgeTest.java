package lockstep.block.node;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import lockstep.api.BlockdevDetectZeroesOptions;
import lockstep.block.Images;
import lockstep.runtime.linux.Errno;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/** What happens to every request, whatever the driver. */
class ChildEdgeTest {
    private static final int SIZE = 1 << 20;

    private final List<String> exceeded = new ArrayList<>();
    private final BlockGraph graph =
            new BlockGraph(
                    new GraphHost() {
                        @Override
                        public void post(Runnable task) {
                            task.run();
                        }

                        @Override
                        public void thresholdExceeded(BlockNode node, long by, long threshold) {
                            exceeded.add(by + " beyond " + threshold);
                        }
                    });
    private MemoryNode node;
    private ChildEdge edge;

    @BeforeEach
    void open() throws BlockException {
        node = MemoryNode.open(graph, SIZE, null);
        edge = Images.use(node);
    }

    @AfterEach
    void close() {
        graph.close();
    }

    private static MemorySegment zeroes(int length) {
        return Images.pattern(0, length);
    }

    private void detect(BlockdevDetectZeroesOptions zeroes, boolean unmap) {
        node.setInfo(node.info().sparing(unmap, zeroes));
    }

    @Test
    void onlyWhoMayWriteDoes() throws Exception {
        ChildEdge reader =
                graph.attach(
                        () -> "a reader",
                        "root",
                        Role.ROOT,
                        node,
                        Permission.CONSISTENT_READ,
                        Permission.ALL);
        reader.read(0, Images.pattern(1, 512));
        BlockException refused =
                assertThrows(BlockException.class, () -> reader.write(0, zeroes(512)));
        assertEquals(Errno.EPERM, refused.errno());
        assertEquals(
                "a reader has no permission to do so on node '" + node.name() + "'",
                refused.getMessage());
        assertThrows(BlockException.class, () -> reader.writeZeroes(0, 512, true));
        assertThrows(BlockException.class, () -> reader.discard(0, 512));
        assertThrows(BlockException.class, () -> reader.truncate(512));
        assertThrows(BlockException.class, reader::makeEmpty);
        assertThrows(BlockException.class, () -> ChildEdge.look(node).write(0, zeroes(512)));
    }

    @Test
    void usersOfTheWholeStayWithinIt() {
        for (long offset : new long[] {-1, SIZE, SIZE - 1, Long.MAX_VALUE}) {
            assertEquals(
                    Errno.EIO,
                    assertThrows(BlockException.class, () -> edge.read(offset, zeroes(2))).errno());
            assertThrows(BlockException.class, () -> edge.write(offset, zeroes(2)));
            assertThrows(BlockException.class, () -> edge.writeZeroes(offset, 2, false));
            assertThrows(BlockException.class, () -> edge.discard(offset, 2));
        }
    }

    @Test
    void nothingGrowsBeyondWhatItsBitmapsHold() throws Exception {
        DirtyBitmap bitmap = new DirtyBitmap("b", 512, SIZE);
        node.follow(bitmap);
        BlockException refused = assertThrows(BlockException.class, () -> edge.truncate(1L << 40));
        assertEquals(Errno.EFBIG, refused.errno());
        assertEquals("Disk too large for granules of 512", refused.getMessage());
        assertEquals(SIZE, edge.length());
        assertEquals(SIZE, bitmap.size());
        // What they hold is the driver's affair.
        assertEquals(
                Errno.ENOTSUP,
                assertThrows(BlockException.class, () -> edge.truncate(2 * SIZE)).errno());
    }

    @Test
    void zeroesAreRecognisedWhereAskedFor() throws Exception {
        detect(BlockdevDetectZeroesOptions.OFF, true);
        edge.write(0, zeroes(4096));
        assertEquals(0, node.zeroRequests());
        detect(BlockdevDetectZeroesOptions.ON, true);
        edge.write(0, zeroes(4096));
        assertEquals(1, node.zeroRequests());
        assertEquals(0, node.unmaps());
        detect(BlockdevDetectZeroesOptions.UNMAP, true);
        edge.write(0, zeroes(4096));
        assertEquals(1, node.unmaps());
        // Only a request that is all zeroes is one.
        MemorySegment last = zeroes(4096);
        last.set(java.lang.foreign.ValueLayout.JAVA_BYTE, 4095, (byte) 1);
        edge.write(0, last);
        assertEquals(2, node.zeroRequests());
        assertEquals(1, Images.byteAt(node, 4095));
    }

    @Test
    void discardsGoThroughWhereAllowed() throws Exception {
        detect(BlockdevDetectZeroesOptions.OFF, false);
        edge.discard(0, 4096);
        edge.writeZeroes(0, 4096, true);
        assertEquals(0, node.discards());
        assertEquals(0, node.unmaps());
        detect(BlockdevDetectZeroesOptions.OFF, true);
        edge.discard(0, 4096);
        edge.writeZeroes(0, 4096, true);
        assertEquals(1, node.discards());
        assertEquals(1, node.unmaps());
    }

    @Test
    void aThresholdIsToldOnce() throws Exception {
        node.setWriteThreshold(8192);
        edge.write(4096, zeroes(4096));
        assertEquals(List.of(), exceeded);
        edge.write(8000, zeroes(1000));
        edge.write(8000, zeroes(1000));
        assertEquals(List.of("808 beyond 8192"), exceeded);
        assertEquals(0, node.writeThreshold());
        assertEquals(9000, node.highestWrite());
    }

    private static List<Integer> taken(DirtyBitmap bitmap) {
        List<Integer> marked = new ArrayList<>();
        for (int i = bitmap.take(0); i >= 0; i = bitmap.take(i + 1)) {
            marked.add(i);
        }
        return marked;
    }

    @Test
    void bitmapsFollowChanges() throws Exception {
        DirtyBitmap bitmap = new DirtyBitmap(4096);
        DirtyBitmap named = new DirtyBitmap("n", 1 << 16, SIZE);
        node.follow(bitmap);
        node.follow(named);
        assertEquals(List.of(named), node.bitmaps());
        edge.write(4000, zeroes(100));
        edge.writeZeroes(40960, 1, false);
        edge.discard(SIZE - 1, 1);
        edge.read(500_000, zeroes(4096));
        assertEquals(List.of(0, 1, 10, 255), taken(bitmap));
        assertEquals(List.of(0, 15), taken(named));
        named.record(false);
        edge.write(0, zeroes(1));
        assertEquals(List.of(0), taken(bitmap));
        assertEquals(List.of(), taken(named));
        edge.makeEmpty();
        assertEquals(SIZE, bitmap.bytes());
        node.forget(bitmap);
        bitmap.clear();
        edge.write(0, zeroes(1));
        assertEquals(0, bitmap.count());
    }

    @Test
    void limitsSeeWhatTheyCount() throws Exception {
        List<String> admitted = new ArrayList<>();
        edge.limit(
                new Throttle() {
                    @Override
                    public void admit(boolean write, long bytes) {
                        admitted.add((write ? "write " : "read ") + bytes);
                    }

                    @Override
                    public void hurry() {}

                    @Override
                    public void calm() {}
                });
        edge.read(0, zeroes(512));
        edge.write(0, zeroes(1024));
        edge.writeZeroes(0, 2048, true);
        edge.discard(0, 4096);
        edge.flush();
        assertEquals(List.of("read 512", "write 1024", "write 2048"), admitted);
    }
}
