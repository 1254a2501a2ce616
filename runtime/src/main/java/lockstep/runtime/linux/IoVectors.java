package lockstep.runtime.linux;

import lockstep.linux.abi.iovec;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** A reusable array of {@code struct iovec} for scattered reads and writes. Used by one thread at a time. */
public final class IoVectors {
    /** The most vectors one call takes (Linux UIO_MAXIOV). */
    public static final int MAXIMUM = 1024;

    private static final long SIZE = iovec.sizeof();

    private final MemorySegment vectors;
    private final int capacity;
    private int count;
    private long total;

    /** With room for {@code capacity} vectors, at most {@link #MAXIMUM}. */
    public IoVectors(Arena arena, int capacity) {
        if (capacity < 1 || capacity > MAXIMUM) {
            throw new IllegalArgumentException("capacity " + capacity);
        }
        this.capacity = capacity;
        vectors = iovec.allocateArray(capacity, arena);
    }

    /** Forgets all vectors. */
    public void clear() {
        count = 0;
        total = 0;
    }

    /** Appends a piece of native memory, which must live until the call is over; false when full. */
    public boolean add(MemorySegment piece) {
        if (count == capacity) {
            return false;
        }
        if (!piece.isNative()) {
            throw new IllegalArgumentException("not native memory");
        }
        MemorySegment v = vectors.asSlice(count * SIZE, SIZE);
        iovec.iov_base(v, piece);
        iovec.iov_len(v, piece.byteSize());
        count++;
        total += piece.byteSize();
        return true;
    }

    /** Skips {@code bytes} at the front after a partial transfer. */
    public void advance(long bytes) {
        long left = bytes;
        int first = 0;
        while (first < count && left >= iovec.iov_len(vectors.asSlice(first * SIZE, SIZE))) {
            left -= iovec.iov_len(vectors.asSlice(first * SIZE, SIZE));
            first++;
        }
        if (first > 0) {
            MemorySegment.copy(vectors, first * SIZE, vectors, 0, (count - first) * SIZE);
            count -= first;
        }
        if (left > 0 && count > 0) {
            iovec.iov_base(
                    vectors, MemorySegment.ofAddress(iovec.iov_base(vectors).address() + left));
            iovec.iov_len(vectors, iovec.iov_len(vectors) - left);
        }
        total -= bytes;
    }

    /** The vectors for a system call. */
    public MemorySegment segment() {
        return vectors;
    }

    /** How many vectors there are. */
    public int count() {
        return count;
    }

    /** The bytes of all vectors together. */
    public long total() {
        return total;
    }
}
