package lockstep.block.raw;

import lockstep.block.luks.LuksHeader;
import lockstep.runtime.memory.BigEndian;

import java.lang.foreign.MemorySegment;

/** Tells an image's format from its first 512 bytes. */
public final class FormatProbe {
    private static final int QCOW2_MAGIC = 0x514649fb;

    private FormatProbe() {}

    /** {@code qcow2}, {@code luks} or {@code raw}. */
    public static String probe(MemorySegment sector) {
        return isQcow2(sector) ? "qcow2" : LuksHeader.begins(sector) ? "luks" : "raw";
    }

    /** Whether the sector would be taken for something else than raw. */
    static boolean looksLikeFormat(MemorySegment sector) {
        return !probe(sector).equals("raw");
    }

    private static boolean isQcow2(MemorySegment sector) {
        return sector.byteSize() >= 8
                && sector.get(BigEndian.INT, 0) == QCOW2_MAGIC
                && Integer.compareUnsigned(sector.get(BigEndian.INT, 4), 2) >= 0;
    }
}
