package lockstep.block.node;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;

/** What a bitmap remembers; that nodes mark it is seen by {@link ChildEdgeTest}. */
class DirtyBitmapTest {
    private static List<Integer> marks(DirtyBitmap bitmap) {
        List<Integer> marks = new ArrayList<>();
        DirtyBitmap copy = bitmap.copy();
        for (int i = copy.take(0); i >= 0; i = copy.take(i + 1)) {
            marks.add(i);
        }
        return marks;
    }

    @Test
    void theLastGranuleMayBeAPart() {
        DirtyBitmap bitmap = new DirtyBitmap("b", 4096, 10_000);
        bitmap.mark(0, 1);
        assertEquals(4096, bitmap.bytes());
        bitmap.mark(9_000, 1_000);
        assertEquals(4096 + 10_000 - 8192, bitmap.bytes());
        assertEquals(2, bitmap.count());
    }

    @Test
    void whatIsOlderIsDropped() {
        DirtyBitmap bitmap = new DirtyBitmap("b", 512, 1 << 20);
        bitmap.mark(0, 1024);
        bitmap.startAnew();
        bitmap.mark(512, 1024);
        assertEquals(List.of(0, 1, 2), marks(bitmap));
        bitmap.dropOlder();
        assertEquals(List.of(1, 2), marks(bitmap));
        bitmap.dropOlder();
        assertEquals(List.of(1, 2), marks(bitmap), "nothing was begun");
        bitmap.startAnew();
        bitmap.mark(4096, 1);
        bitmap.startAnew();
        bitmap.dropOlder();
        assertEquals(List.of(), marks(bitmap), "only the last beginning counts");
    }

    /** Whatever the granules, no mark is lost, and none goes further than a granule of either. */
    @Test
    void mergesWithOtherGranules() {
        Random random = new Random(3);
        int size = (1 << 20) - 300;
        for (int round = 0; round < 50; round++) {
            DirtyBitmap from = new DirtyBitmap("a", 512L << random.nextInt(9), size);
            DirtyBitmap to = new DirtyBitmap("b", 512L << random.nextInt(9), size);
            BitSet expected = new BitSet();
            for (int i = 0; i < 10; i++) {
                int offset = random.nextInt(size - 3000);
                int length = 1 + random.nextInt(3000);
                from.mark(offset, length);
                int first = (int) (offset / from.granule() * from.granule());
                int end =
                        (int)
                                Math.min(
                                        size,
                                        ((offset + length - 1) / from.granule() + 1)
                                                * from.granule());
                expected.set((int) (first / to.granule()), (int) ((end - 1) / to.granule()) + 1);
            }
            to.merge(from);
            assertEquals(expected.stream().boxed().toList(), marks(to));
            assertEquals(size, to.size());
        }
    }

    @Test
    void followsTheLength() {
        DirtyBitmap bitmap = new DirtyBitmap("b", 4096, 1 << 20);
        bitmap.mark(0, 1 << 20);
        bitmap.resized(10_000);
        assertEquals(List.of(0, 1, 2), marks(bitmap));
        bitmap.resized(40_000);
        assertEquals(List.of(0, 1, 2), marks(bitmap), "as with QEMU");
        bitmap.use(true);
        bitmap.resized(50_000);
        assertEquals(List.of(0, 1, 2, 9, 10, 11, 12), marks(bitmap));
    }

    /** Values that QEMU 7.2 tells of the same marks. */
    @Test
    void hashesAsQemuDoes() throws Exception {
        DirtyBitmap bitmap = new DirtyBitmap("b", 65536, 1 << 20);
        HexFormat hex = HexFormat.of();
        assertEquals(
                "af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc",
                hex.formatHex(bitmap.sha256()));
        bitmap.mark(70_000, 10);
        assertEquals(
                "d86e8112f3c4c4442126f8e9f44f16867da487f29052bf91b810457db34209a4",
                hex.formatHex(bitmap.sha256()));
    }

    @Test
    void largeDisksNeedLargeGranules() {
        assertTrue(DirtyBitmap.canHold(1L << 40, 65536));
        assertTrue(!DirtyBitmap.canHold(1L << 40, 512));
    }

    @Test
    void losesTrackOfAFileThatGrowsTooLong() throws Exception {
        DirtyBitmap bitmap = new DirtyBitmap("b", 512, 1 << 20);
        bitmap.mark(0, 1 << 20);
        bitmap.checkUsable(true);
        bitmap.mark((1L << 40) + 512, 512);
        assertTrue(bitmap.inconsistent());
        assertThrows(BlockException.class, () -> bitmap.checkUsable(false));
        bitmap.checkRemovable();
    }

    @Test
    void bitsGoOutAndIn() {
        DirtyBitmap bitmap = new DirtyBitmap("b", 512, 512 * 20);
        bitmap.mark(512 * 3, 512);
        bitmap.mark(512 * 17, 512 * 3);
        DirtyBitmap other = new DirtyBitmap("c", 512, 512 * 20);
        other.addBits(0, bitmap.bits(0, 16));
        other.addBits(16, new byte[] {-2});
        assertEquals(marks(bitmap), marks(other), "nothing behind the end");
        assertEquals(3, other.count(16, 4));
    }
}
