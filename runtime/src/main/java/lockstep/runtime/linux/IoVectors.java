package lockstep.runtime.linux;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import lockstep.linux.abi.iovec;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/** Memory in pieces as one call takes it, an array of {@code struct iovec}. Used by one thread at a time. */
final class IoVectors {
    /** The most vectors one call takes (Linux UIO_MAXIOV). */
    static final int MAXIMUM = 1024;

    private static final long SIZE = iovec.sizeof();
    private static final long BASE = iovec.iov_base$offset();
    private static final long LENGTH = iovec.iov_len$offset();

    private final MemorySegment vectors = iovec.allocateArray(MAXIMUM, Arena.ofAuto());
    private MemorySegment owner = MemorySegment.NULL;
    private int count;

    /**
     * Takes as many pieces of native memory as one call can move. They are of one owner, who cannot close them during
     * the call.
     *
     * @param done bytes at the front that were moved already
     * @return false when nothing is left to move
     */
    boolean take(List<MemorySegment> pieces, long done) {
        count = 0;
        long skip = done;
        for (MemorySegment piece : pieces) {
            long size = piece.byteSize();
            if (skip >= size) {
                skip -= size;
                continue;
            }
            if (count == 0) {
                owner = piece;
            } else if (count == MAXIMUM || !piece.scope().equals(owner.scope())) {
                break;
            }
            long at = count * SIZE;
            vectors.set(JAVA_LONG, at + BASE, piece.address() + skip);
            vectors.set(JAVA_LONG, at + LENGTH, size - skip);
            skip = 0;
            count++;
        }
        return count > 0;
    }

    /** Part of the memory that the vectors point into. */
    MemorySegment owner() {
        return owner;
    }

    /** The array. */
    MemorySegment vectors() {
        return vectors;
    }

    /** How many vectors there are. */
    int count() {
        return count;
    }
}
