package lockstep.colo.compare;

import java.util.Arrays;

/**
 * The last bytes of a stream that were compared, so that a segment that is sent again is held against what left the first
 * time. It grows with the stream up to a bound and then forgets the oldest. One thread.
 */
final class StreamHistory {
    private static final byte[] NONE = {};

    private final PacketPool pool;
    private byte[] ring = NONE;

    /** Bytes that are known, which end at {@link #end}. */
    private int known;

    private int end;

    /** Knows nothing. Its bytes are the pool's. */
    StreamHistory(PacketPool pool) {
        this.pool = pool;
    }

    /** Knows nothing of what is before {@code sequence}. */
    void begin(int sequence) {
        pool.takeBackHistory(ring);
        ring = NONE;
        known = 0;
        end = sequence;
    }

    /** The sequence number behind the last byte. */
    int end() {
        return end;
    }

    /** Adds the next bytes of the stream. */
    void add(byte[] source, int from, int bytes) {
        if (known + bytes > ring.length) {
            grow(known + bytes);
        }
        int taken = Math.min(bytes, ring.length);
        end += bytes;
        known = Math.min(known + bytes, ring.length);
        if (taken > 0) {
            int to = end & ring.length - 1;
            int before = Math.min(taken, to);
            System.arraycopy(source, from + bytes - before, ring, to - before, before);
            int rest = taken - before;
            System.arraycopy(source, from + bytes - taken, ring, ring.length - rest, rest);
        }
    }

    private void grow(int bytes) {
        byte[] larger = pool.history(ring, bytes);
        if (larger == ring) {
            return;
        }
        for (int i = 1; i <= known; i++) {
            larger[end - i & larger.length - 1] = ring[end - i & ring.length - 1];
        }
        pool.takeBackHistory(ring);
        ring = larger;
    }

    /** Whether these bytes were in the stream at that place, all of them. */
    boolean same(int sequence, byte[] bytes, int from, int count) {
        if (count == 0) {
            return true;
        }
        if (!knows(sequence) || sequence + count - end > 0) {
            return false;
        }
        int at = sequence & ring.length - 1;
        int first = Math.min(count, ring.length - at);
        return Arrays.equals(ring, at, at + first, bytes, from, from + first)
                && Arrays.equals(ring, 0, count - first, bytes, from + first, from + count);
    }

    /** Whether it has the byte at that place, if it was in the stream. */
    boolean knows(int sequence) {
        return sequence - (end - known) >= 0;
    }
}
