package lockstep.runtime.memory;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Guest memory as bus masters see it, over a {@link RegionMap}. RAM may be accessed from any thread; an
 * access that ends at device registers needs the machine lock.
 */
public final class BusMemory implements GuestMemory {
    private final RegionMap map;

    /** Over the physical address space. */
    public BusMemory(RegionMap map) {
        this.map = map;
    }

    @Override
    public void read(long address, byte[] target, int offset, int length) {
        read(address, MemorySegment.ofArray(target).asSlice(offset, length));
    }

    @Override
    public void write(long address, byte[] source, int offset, int length) {
        write(address, MemorySegment.ofArray(source).asSlice(offset, length));
    }

    @Override
    public void read(long address, MemorySegment target) {
        long length = target.byteSize();
        long done = 0;
        while (done < length) {
            long at = address + done;
            RegionMap.Range r = map.find(at);
            if (r == null) {
                long n = Math.min(length - done, map.gap(at));
                target.asSlice(done, n).fill(map.nothing);
                done += n;
                continue;
            }
            long n = Math.min(length - done, r.end - at);
            AnonymousRam ram = r.region.readable();
            if (ram != null) {
                long from = r.region.blockOffset + r.offset + (at - r.start);
                MemorySegment.copy(ram.memory(), from, target, done, n);
                done += n;
            } else {
                int size = width(at, n);
                put(target, done, size, map.read(at, size));
                done += size;
            }
        }
    }

    @Override
    public void write(long address, MemorySegment source) {
        long length = source.byteSize();
        long done = 0;
        while (done < length) {
            long at = address + done;
            RegionMap.Range r = map.find(at);
            if (r == null) {
                done += Math.min(length - done, map.gap(at));
                continue;
            }
            long n = Math.min(length - done, r.end - at);
            AnonymousRam ram = r.region.writable();
            if (ram != null) {
                if (!r.region.readOnly) {
                    long to = r.region.blockOffset + r.offset + (at - r.start);
                    MemorySegment.copy(source, done, ram.memory(), to, n);
                    ram.markDirty(to, n);
                }
                done += n;
            } else {
                int size = width(at, n);
                map.write(at, size, get(source, done, size));
                done += size;
            }
        }
    }

    @Override
    public @Nullable RamPiece ram(long address, long length, boolean toFill) {
        RegionMap.Range r = map.find(address);
        AnonymousRam block = r == null ? null : r.region.readable();
        if (r == null || block == null || toFill && r.region.readOnly) {
            return null;
        }
        return new RamPiece(
                block,
                r.region.blockOffset + r.offset + (address - r.start),
                Math.min(length, r.end - address));
    }

    /** The widest aligned access of at most 4 bytes. */
    private static int width(long address, long left) {
        if ((address & 3) == 0 && left >= 4) {
            return 4;
        }
        return (address & 1) == 0 && left >= 2 ? 2 : 1;
    }

    private static void put(MemorySegment target, long offset, int size, long value) {
        for (int i = 0; i < size; i++) {
            target.set(ValueLayout.JAVA_BYTE, offset + i, (byte) (value >>> (8 * i)));
        }
    }

    private static long get(MemorySegment source, long offset, int size) {
        long value = 0;
        for (int i = 0; i < size; i++) {
            value |= (source.get(ValueLayout.JAVA_BYTE, offset + i) & 0xffL) << (8 * i);
        }
        return value;
    }

    @Override
    public int readByte(long address) {
        return (int) map.read(address, 1);
    }

    @Override
    public int readShort(long address) {
        return (int) map.read(address, 2);
    }

    @Override
    public int readInt(long address) {
        return (int) map.read(address, 4);
    }

    @Override
    public long readLong(long address) {
        return map.read(address, 8);
    }

    @Override
    public void writeByte(long address, int value) {
        map.write(address, 1, value & 0xffL);
    }

    @Override
    public void writeShort(long address, int value) {
        map.write(address, 2, value & 0xffffL);
    }

    @Override
    public void writeInt(long address, int value) {
        map.write(address, 4, value & 0xffffffffL);
    }

    @Override
    public void writeLong(long address, long value) {
        map.write(address, 8, value);
    }
}
