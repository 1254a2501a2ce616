package lockstep.block.node;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** A shared run of zero bytes to write from. */
public final class Zeroes {
    /** 1 MiB of zeroes, read-only. */
    public static final MemorySegment SEGMENT = Arena.global().allocate(1 << 20, 4096).asReadOnly();

    private Zeroes() {}

    /** Whether all bytes of a segment are zero. */
    public static boolean isZero(MemorySegment segment) {
        long size = segment.byteSize();
        long position = 0;
        while (position < size) {
            long piece = Math.min(size - position, SEGMENT.byteSize());
            if (MemorySegment.mismatch(segment, position, position + piece, SEGMENT, 0, piece)
                    >= 0) {
                return false;
            }
            position += piece;
        }
        return true;
    }
}
