package lockstep.runtime.migration;

import lockstep.runtime.vmstate.StateOutput;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * A migration stream being written: collects up to 1 MiB before it goes to the channel, so that a sequence
 * of small messages leaves in one piece; or much more for a while, when it is told to. Not thread-safe but for
 * {@link #sent}.
 */
public final class StreamOutput {
    static final int CAPACITY = 1 << 20;

    private final MigrationChannel channel;
    private final ByteBuffer own = ByteBuffer.allocateDirect(CAPACITY).order(ByteOrder.BIG_ENDIAN);
    private ByteBuffer buffer = own;
    private MemorySegment memory = MemorySegment.ofBuffer(own);
    private volatile long sent;

    // What is kept: pieces of the store, from the first one on, and the buffer as the last.
    private @Nullable StreamStore store;
    private int first;
    private int full;
    private long fullBytes;

    /** Writes to {@code channel}. */
    public StreamOutput(MigrationChannel channel) {
        this.channel = channel;
    }

    /** How many bytes were written, sent or not. */
    public long position() {
        return sent + fullBytes + buffer.position();
    }

    /** How many bytes went to the channel. Any thread. */
    public long sent() {
        return sent;
    }

    /** One byte. */
    public void u8(int value) throws IOException {
        room(1);
        buffer.put((byte) value);
    }

    /** Two bytes, big endian. */
    public void u16(int value) throws IOException {
        room(2);
        buffer.putShort((short) value);
    }

    /** Four bytes, big endian. */
    public void u32(int value) throws IOException {
        room(4);
        buffer.putInt(value);
    }

    /** Eight bytes, big endian. */
    public void u64(long value) throws IOException {
        room(8);
        buffer.putLong(value);
    }

    /** Raw bytes of any number. */
    public void bytes(byte[] source, int offset, int length) throws IOException {
        int done = 0;
        while (done < length) {
            room(1);
            int n = Math.min(length - done, buffer.remaining());
            buffer.put(source, offset + done, n);
            done += n;
        }
    }

    /** Raw bytes of memory, at most {@link #CAPACITY}. */
    void memory(MemorySegment source, long offset, int length) throws IOException {
        room(length);
        MemorySegment.copy(source, offset, memory, buffer.position(), length);
        buffer.position(buffer.position() + length);
    }

    /** A one-byte length and the characters. */
    public void name(byte[] name) throws IOException {
        u8(name.length);
        bytes(name, 0, name.length);
    }

    /** Everything that {@code state} holds. */
    public void state(StateOutput state) throws IOException {
        byte[] bytes = state.toByteArray();
        bytes(bytes, 0, bytes.length);
    }

    /** Hands everything to the channel, and no longer keeps anything. */
    public void flush() throws IOException {
        StreamStore s = store;
        if (s == null) {
            send(own);
            return;
        }
        ByteBuffer last = buffer;
        store = null;
        use(own);
        own.clear();
        for (; full > 0; full--) {
            sendFirst(s);
        }
        send(last);
    }

    /**
     * From now until the next {@link #flush} nothing is sent but what {@code room} cannot keep, the oldest first. Nothing
     * else may wait to be sent.
     */
    void keep(StreamStore room) {
        if (buffer.position() > 0) {
            throw new IllegalStateException("%d bytes wait".formatted(buffer.position()));
        }
        store = room;
        first = 0;
        use(room.piece(0));
        buffer.clear();
    }

    private void use(ByteBuffer next) {
        buffer = next;
        memory = MemorySegment.ofBuffer(next.clear());
    }

    private void sendFirst(StreamStore s) throws IOException {
        ByteBuffer piece = s.piece(first);
        first = (first + 1) % s.size();
        fullBytes -= piece.position();
        send(piece);
    }

    private void send(ByteBuffer piece) throws IOException {
        piece.flip();
        long after = sent + piece.limit();
        try {
            channel.write(piece);
        } catch (IOException e) {
            throw new IOException(
                    "Unable to write to " + channel.kind() + ": " + Transport.reason(e), e);
        } finally {
            sent = after;
            piece.clear();
        }
    }

    private void room(int bytes) throws IOException {
        if (buffer.remaining() >= bytes) {
            return;
        }
        StreamStore s = store;
        if (s == null) {
            send(buffer);
            return;
        }
        full++;
        fullBytes += buffer.position();
        if (full == s.size()) {
            sendFirst(s);
            full--;
        }
        use(s.piece((first + full) % s.size()));
    }
}
