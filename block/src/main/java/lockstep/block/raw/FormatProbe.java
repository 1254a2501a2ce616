package lockstep.block.raw;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/** Tells an image's format from its first 512 bytes. */
public final class FormatProbe {
    private static final ValueLayout.OfInt BE32 =
            ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
    private static final int QCOW2_MAGIC = 0x514649fb;

    private FormatProbe() {}

    /** {@code qcow2} or {@code raw}. */
    public static String probe(MemorySegment sector) {
        return looksLikeFormat(sector) ? "qcow2" : "raw";
    }

    /** Whether the sector would be taken for something else than raw. */
    static boolean looksLikeFormat(MemorySegment sector) {
        return sector.byteSize() >= 8
                && sector.get(BE32, 0) == QCOW2_MAGIC
                && Integer.compareUnsigned(sector.get(BE32, 4), 2) >= 0;
    }
}
