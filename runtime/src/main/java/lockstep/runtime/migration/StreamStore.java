package lockstep.runtime.migration;

import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.Mapping;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Memory in which a part of a stream is kept until it may be sent, in pieces of {@link StreamOutput#CAPACITY}. It is taken
 * from the host as it is needed, and given back when it was not needed for a while. Not thread-safe.
 */
final class StreamStore implements AutoCloseable {
    private static final long PIECE = StreamOutput.CAPACITY;
    private static final int PAGE = 4096;

    private final Mapping mapping;
    private final ByteBuffer[] pieces;
    private int ready;
    private int wantedLast;

    /**
     * Room for so much.
     *
     * @param bytes rounded up to whole pieces
     */
    StreamStore(long bytes) throws LinuxException {
        pieces = new ByteBuffer[pieces(bytes)];
        mapping =
                Mapping.anonymous(
                        pieces.length * PIECE,
                        false,
                        false,
                        "cannot set up the memory for what is sent later");
        mapping.preferHugePages();
        for (int i = 0; i < pieces.length; i++) {
            pieces[i] =
                    mapping.memory()
                            .asSlice(i * PIECE, PIECE)
                            .asByteBuffer()
                            .order(ByteOrder.BIG_ENDIAN);
        }
    }

    private static int pieces(long bytes) {
        return Math.toIntExact(Math.max(1, (bytes + PIECE - 1) / PIECE));
    }

    /** How many pieces there are. */
    int size() {
        return pieces.length;
    }

    /** The piece of that number. */
    ByteBuffer piece(int n) {
        return pieces[n];
    }

    /** Has the host make the memory for so many bytes, which would take its time at the first use. */
    void prepare(long bytes) {
        int wanted = (int) Math.min(pieces.length, (bytes + PIECE - 1) / PIECE + 1);
        for (; ready < wanted; ready++) {
            for (int at = 0; at < PIECE; at += PAGE) {
                pieces[ready].put(at, (byte) 0);
            }
        }
        int enough = Math.max(wanted, wantedLast);
        if (ready > enough) {
            mapping.discard(enough * PIECE, (ready - enough) * PIECE);
            ready = enough;
        }
        wantedLast = wanted;
    }

    @Override
    public void close() {
        mapping.close();
    }
}
