package lockstep.runtime.memory;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;

/**
 * Guest RAM as a bus-mastering device sees it. Addresses are guest physical. Writes are entered in the
 * dirty bitmap while one is kept. An access outside RAM goes to the device there or nowhere: reads give
 * zeroes, writes are dropped; nothing throws for a guest's address.
 */
public interface GuestMemory {
    /** Reads {@code length} bytes at {@code address} into {@code target} at {@code offset}. */
    void read(long address, byte[] target, int offset, int length);

    /** Writes {@code length} bytes of {@code source} from {@code offset} to {@code address}. */
    void write(long address, byte[] source, int offset, int length);

    /** Reads into native or heap memory. */
    void read(long address, MemorySegment target);

    /** Writes from native or heap memory. */
    void write(long address, MemorySegment source);

    /**
     * The RAM at an address, to be read or filled without a copy: at most {@code length} bytes, as many as lie in one
     * piece; null where there is none, and for filling where the guest may only read. Machine lock held.
     */
    @Nullable RamPiece ram(long address, long length, boolean toFill);

    /** Reads one byte, zero-extended. */
    int readByte(long address);

    /** Reads two bytes, little endian, zero-extended. */
    int readShort(long address);

    /** Reads four bytes, little endian. */
    int readInt(long address);

    /** Reads eight bytes, little endian. */
    long readLong(long address);

    /** Writes one byte. */
    void writeByte(long address, int value);

    /** Writes two bytes, little endian. */
    void writeShort(long address, int value);

    /** Writes four bytes, little endian. */
    void writeInt(long address, int value);

    /** Writes eight bytes, little endian. */
    void writeLong(long address, long value);
}
