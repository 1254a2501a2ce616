package lockstep.runtime.vmstate;

import lockstep.runtime.memory.BigEndian;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;

/**
 * A migration stream being read, with the look-ahead that subsections need. Blocks as its source does.
 * Not thread-safe.
 */
public final class StateInput {
    private final InputStream in;
    private final byte[] buffer;
    private int start;
    private int end;
    private long consumed;

    /** Reads from {@code in}. */
    public StateInput(InputStream in) {
        this.in = in;
        this.buffer = new byte[1 << 16];
    }

    /** How many bytes have been read so far. */
    public long position() {
        return consumed;
    }

    /**
     * The byte {@code ahead} positions from the next one (at most 300) without reading it, or -1 if the
     * stream ends before it.
     */
    public int peek(int ahead) throws IOException {
        while (end - start <= ahead) {
            if (!fill()) {
                return -1;
            }
        }
        return buffer[start + ahead] & 0xff;
    }

    /** One byte, zero-extended. */
    public int u8() throws IOException {
        if (start == end && !fill()) {
            throw endOfStream();
        }
        consumed++;
        return buffer[start++] & 0xff;
    }

    /** Two bytes, big endian, zero-extended. */
    public int u16() throws IOException {
        int high = u8();
        return high << 8 | u8();
    }

    /** Four bytes, big endian. */
    public int u32() throws IOException {
        if (end - start >= 4) {
            int value = BigEndian.get32(buffer, start);
            start += 4;
            consumed += 4;
            return value;
        }
        int high = u16();
        return high << 16 | u16();
    }

    /** Eight bytes, big endian. */
    public long u64() throws IOException {
        long high = u32();
        return high << 32 | u32() & 0xffff_ffffL;
    }

    /** Fills {@code target}. */
    public void bytes(byte[] target) throws IOException {
        bytes(target, 0, target.length);
    }

    /** Fills {@code length} bytes of {@code target}. */
    public void bytes(byte[] target, int offset, int length) throws IOException {
        int done = 0;
        while (done < length) {
            if (start == end) {
                if (length - done >= buffer.length) {
                    int n = in.read(target, offset + done, length - done);
                    if (n < 0) {
                        throw endOfStream();
                    }
                    done += n;
                    consumed += n;
                    continue;
                }
                if (!fill()) {
                    throw endOfStream();
                }
            }
            int n = Math.min(length - done, end - start);
            System.arraycopy(buffer, start, target, offset + done, n);
            start += n;
            done += n;
            consumed += n;
        }
    }

    /** Fills {@code length} bytes of memory. */
    public void memory(MemorySegment target, long offset, int length) throws IOException {
        int done = 0;
        while (done < length) {
            if (start == end && !fill()) {
                throw endOfStream();
            }
            int n = Math.min(length - done, end - start);
            MemorySegment.copy(buffer, start, target, ValueLayout.JAVA_BYTE, offset + done, n);
            start += n;
            done += n;
            consumed += n;
        }
    }

    /** Drops {@code count} bytes. */
    public void skip(long count) throws IOException {
        long left = count;
        while (left > 0) {
            if (start == end && !fill()) {
                throw endOfStream();
            }
            int n = (int) Math.min(left, end - start);
            start += n;
            left -= n;
            consumed += n;
        }
    }

    /** A one-byte length and that many characters. */
    public String name() throws IOException {
        byte[] b = new byte[u8()];
        bytes(b);
        return new String(b, StandardCharsets.ISO_8859_1);
    }

    private boolean fill() throws IOException {
        if (start > 0) {
            System.arraycopy(buffer, start, buffer, 0, end - start);
            end -= start;
            start = 0;
        }
        int n = in.read(buffer, end, buffer.length - end);
        if (n <= 0) {
            return false;
        }
        end += n;
        return true;
    }

    private static StateException endOfStream() {
        return new EndOfStateException();
    }
}
