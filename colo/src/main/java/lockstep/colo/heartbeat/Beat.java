package lockstep.colo.heartbeat;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;

/**
 * What a side sends. 32 bytes, big endian: the magic number, flags (1: the lease is granted), the lease, and
 * two times.
 *
 * @param granting whether the receiver, a primary, has a lease from {@code echo} on
 * @param lease its length in milliseconds
 * @param sent when this was sent, by the sender's clock
 * @param echo the last {@code sent} that came from the receiver; 0 for none
 */
record Beat(boolean granting, int lease, long sent, long echo) {
    static final int SIZE = 32;
    private static final long MAGIC = 0x4c53_434f_4c4f_4842L;

    ByteBuffer encode() {
        return ByteBuffer.allocate(SIZE)
                .putLong(MAGIC)
                .putInt(granting ? 1 : 0)
                .putInt(lease)
                .putLong(sent)
                .putLong(echo)
                .flip();
    }

    /** Reads one; null if it is something else. */
    static @Nullable Beat decode(ByteBuffer bytes) {
        if (bytes.getLong() != MAGIC) {
            return null;
        }
        return new Beat(
                (bytes.getInt() & 1) != 0, bytes.getInt(), bytes.getLong(), bytes.getLong());
    }
}
