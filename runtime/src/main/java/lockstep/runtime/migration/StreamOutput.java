package lockstep.runtime.migration;

import lockstep.runtime.vmstate.StateOutput;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * A migration stream being written: collects up to 1 MiB before it goes to the channel, so that a sequence
 * of small messages leaves in one piece. Not thread-safe.
 */
public final class StreamOutput {
    private static final int CAPACITY = 1 << 20;

    private final MigrationChannel channel;
    private final ByteBuffer buffer =
            ByteBuffer.allocateDirect(CAPACITY).order(ByteOrder.BIG_ENDIAN);
    private final MemorySegment memory = MemorySegment.ofBuffer(buffer);
    private long flushed;

    /** Writes to {@code channel}. */
    public StreamOutput(MigrationChannel channel) {
        this.channel = channel;
    }

    /** How many bytes were written, sent or not. */
    public long position() {
        return flushed + buffer.position();
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

    /** Hands everything to the channel. */
    public void flush() throws IOException {
        buffer.flip();
        flushed += buffer.limit();
        try {
            channel.write(buffer);
        } catch (IOException e) {
            throw new IOException(
                    "Unable to write to " + channel.kind() + ": " + Transport.reason(e), e);
        } finally {
            buffer.clear();
        }
    }

    private void room(int bytes) throws IOException {
        if (buffer.remaining() < bytes) {
            flush();
        }
    }
}
