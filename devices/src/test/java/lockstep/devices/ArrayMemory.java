package lockstep.devices;

import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.RamPiece;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Guest memory in an array, from address 0; beyond it there is nothing. */
public final class ArrayMemory implements GuestMemory {
    public final byte[] bytes;
    private final ByteBuffer view;

    public ArrayMemory(int size) {
        bytes = new byte[size];
        view = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    /** Without RAM that could be used in place: all is copied. */
    @Override
    public @Nullable RamPiece ram(long address, long length, boolean toFill) {
        return null;
    }

    private boolean inside(long address, long length) {
        return address >= 0 && length <= bytes.length && address <= bytes.length - length;
    }

    @Override
    public void read(long address, byte[] target, int offset, int length) {
        for (int i = 0; i < length; i++) {
            target[offset + i] = (byte) readByte(address + i);
        }
    }

    @Override
    public void write(long address, byte[] source, int offset, int length) {
        for (int i = 0; i < length; i++) {
            writeByte(address + i, source[offset + i]);
        }
    }

    @Override
    public void read(long address, MemorySegment target) {
        for (long i = 0; i < target.byteSize(); i++) {
            target.set(ValueLayout.JAVA_BYTE, i, (byte) readByte(address + i));
        }
    }

    @Override
    public void write(long address, MemorySegment source) {
        for (long i = 0; i < source.byteSize(); i++) {
            writeByte(address + i, source.get(ValueLayout.JAVA_BYTE, i));
        }
    }

    @Override
    public int readByte(long address) {
        return inside(address, 1) ? bytes[(int) address] & 0xff : 0xff;
    }

    @Override
    public int readShort(long address) {
        return inside(address, 2) ? view.getShort((int) address) & 0xffff : 0xffff;
    }

    @Override
    public int readInt(long address) {
        return inside(address, 4) ? view.getInt((int) address) : -1;
    }

    @Override
    public long readLong(long address) {
        return inside(address, 8) ? view.getLong((int) address) : -1;
    }

    @Override
    public void writeByte(long address, int value) {
        if (inside(address, 1)) {
            bytes[(int) address] = (byte) value;
        }
    }

    @Override
    public void writeShort(long address, int value) {
        if (inside(address, 2)) {
            view.putShort((int) address, (short) value);
        }
    }

    @Override
    public void writeInt(long address, int value) {
        if (inside(address, 4)) {
            view.putInt((int) address, value);
        }
    }

    @Override
    public void writeLong(long address, long value) {
        if (inside(address, 8)) {
            view.putLong((int) address, value);
        }
    }
}
