package lockstep.runtime.vmstate;

import lockstep.runtime.memory.BigEndian;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Objects;

/** Bytes of a migration stream under construction, in memory. Not thread-safe. */
public final class StateOutput {
    private byte[] bytes;
    private int size;

    /** With room for {@code capacity} bytes before it grows. */
    public StateOutput(int capacity) {
        bytes = new byte[Math.max(16, capacity)];
    }

    /** How many bytes were written. */
    public int size() {
        return size;
    }

    /** Forgets what was written and keeps the room. */
    public void clear() {
        size = 0;
    }

    /** One byte. */
    public void u8(int value) {
        room(1);
        bytes[size++] = (byte) value;
    }

    /** Two bytes, big endian. */
    public void u16(int value) {
        room(2);
        BigEndian.put16(bytes, size, value);
        size += 2;
    }

    /** Four bytes, big endian. */
    public void u32(int value) {
        room(4);
        BigEndian.put32(bytes, size, value);
        size += 4;
    }

    /** Four bytes each, big endian. */
    public void u32s(int[] values) {
        room(4 * values.length);
        for (int i = 0; i < values.length; i++) {
            BigEndian.put32(bytes, size + 4 * i, values[i]);
        }
        size += 4 * values.length;
    }

    /** Eight bytes, big endian. */
    public void u64(long value) {
        u32((int) (value >>> 32));
        u32((int) value);
    }

    /** Raw bytes. */
    public void bytes(byte[] value, int offset, int length) {
        room(length);
        System.arraycopy(value, offset, bytes, size, length);
        size += length;
    }

    /** A part of what another one holds. */
    public void bytes(StateOutput other, int offset, int length) {
        bytes(other.bytes, Objects.checkFromIndexSize(offset, length, other.size), length);
    }

    /** How many bytes from {@code from} on, up to {@code most}, are those of another one from {@code otherFrom} on. */
    public int equal(int from, StateOutput other, int otherFrom, int most) {
        int n =
                Arrays.mismatch(
                        bytes,
                        from,
                        Objects.checkFromIndexSize(from, most, size) + most,
                        other.bytes,
                        otherFrom,
                        Objects.checkFromIndexSize(otherFrom, most, other.size) + most);
        return n < 0 ? most : n;
    }

    /** {@code count} zero bytes. */
    public void zeros(int count) {
        room(count);
        Arrays.fill(bytes, size, size + count, (byte) 0);
        size += count;
    }

    /** A one-byte length and the text in ASCII, at most 255 bytes. */
    public void name(String name) {
        byte[] b = name.getBytes(StandardCharsets.US_ASCII);
        if (b.length > 255) {
            throw new IllegalArgumentException("name of more than 255 bytes: " + name);
        }
        u8(b.length);
        bytes(b, 0, b.length);
    }

    /** Sends everything. */
    public void writeTo(OutputStream out) throws IOException {
        out.write(bytes, 0, size);
    }

    /** A copy of everything. */
    public byte[] toByteArray() {
        return Arrays.copyOf(bytes, size);
    }

    private void room(int more) {
        int needed = Math.addExact(size, more);
        if (needed > bytes.length) {
            bytes = Arrays.copyOf(bytes, Math.max(needed, bytes.length + (bytes.length >> 1)));
        }
    }
}
