package lockstep.runtime.memory;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * An address space as a list of regions and, derived from it, a sorted array of ranges that do not
 * overlap. Regions change under the machine lock; the array is replaced as a whole, so RAM can be looked
 * up from any thread.
 */
public final class RegionMap implements AddressSpace {
    /** End of the largest physical address space, 52 bits. */
    public static final long MEMORY_END = 1L << 52;

    /** End of the port space. */
    public static final long PORT_END = 1L << 16;

    private static final Comparator<Mapped> TOP_FIRST =
            Comparator.<Mapped>comparingInt(m -> m.priority)
                    .thenComparingLong(m -> m.sequence)
                    .reversed();

    private final long end;
    private final boolean splitUnaligned;

    /** What a byte is at which nothing is mapped: ports float high, the chip set answers memory with zeroes. */
    final byte nothing;

    private final @Nullable MemoryAccelerator accelerator;
    private final List<Mapped> regions = new ArrayList<>();
    private volatile Range[] ranges = new Range[0];
    private long sequence;
    private int transactions;
    private boolean stale;

    private RegionMap(
            long end,
            boolean splitUnaligned,
            byte nothing,
            @Nullable MemoryAccelerator accelerator) {
        this.end = end;
        this.splitUnaligned = splitUnaligned;
        this.nothing = nothing;
        this.accelerator = accelerator;
    }

    /** Physical memory; device accesses that are not aligned to their size are split. */
    public static RegionMap memory(@Nullable MemoryAccelerator accelerator) {
        return new RegionMap(MEMORY_END, true, (byte) 0, accelerator);
    }

    /** The 64 KiB of I/O ports; a device sees accesses as wide as they are, whatever their alignment. */
    public static RegionMap ports() {
        return new RegionMap(PORT_END, false, (byte) 0xff, null);
    }

    /** One visible stretch: {@code offset} is where it begins within its region. */
    static final class Range {
        final long start;
        final long end;
        final long offset;
        final Mapped region;

        Range(long start, long end, long offset, Mapped region) {
            this.start = start;
            this.end = end;
            this.offset = offset;
            this.region = region;
        }
    }

    /** A region as it was mapped; RAM has a block, registers have a handler. */
    final class Mapped implements CommandRom {
        final String name;
        final long size;
        final int priority;
        final long sequence;
        final @Nullable AnonymousRam block;
        final long blockOffset;
        final @Nullable IoHandler handler;
        private long base;
        private boolean enabled = true;
        boolean readOnly;

        /** With a block: whether reads find it. */
        private boolean direct = true;

        Mapped(
                String name,
                long base,
                long size,
                int priority,
                @Nullable AnonymousRam block,
                long blockOffset,
                @Nullable IoHandler handler) {
            this.name = name;
            this.base = base;
            this.size = size;
            this.priority = priority;
            this.sequence = RegionMap.this.sequence++;
            this.block = block;
            this.blockOffset = blockOffset;
            this.handler = handler;
        }

        @Override
        public void move(long newBase) {
            if (base != newBase) {
                base = newBase;
                changed();
            }
        }

        @Override
        public void enabled(boolean on) {
            if (enabled != on) {
                enabled = on;
                changed();
            }
        }

        @Override
        public void readOnly(boolean on) {
            if (readOnly != on) {
                readOnly = on;
                changed();
            }
        }

        @Override
        public void direct(boolean on) {
            if (direct != on) {
                direct = on;
                changed();
            }
        }

        /** The memory that reads find, or null where they are a device's. */
        @Nullable AnonymousRam readable() {
            return direct ? block : null;
        }

        /** The memory that writes change or, being ROM, leave as it is; null where they are a device's. */
        @Nullable AnonymousRam writable() {
            return handler == null ? block : null;
        }

        @Override
        public long base() {
            return base;
        }

        @Override
        public long size() {
            return size;
        }

        @Override
        public void remove() {
            if (regions.remove(this)) {
                changed();
            }
        }

        @Override
        public String toString() {
            return name + " at 0x" + Long.toHexString(base) + " size 0x" + Long.toHexString(size);
        }
    }

    @Override
    public Region mapRam(
            String name, long base, long size, RamBlock block, long blockOffset, int priority) {
        if (!(block instanceof AnonymousRam ram)) {
            throw new IllegalArgumentException("a block of another machine: " + block.name());
        }
        if (size <= 0
                || blockOffset < 0
                || blockOffset + size > ram.maxLength()
                || ((base | size | blockOffset) & (RamBlock.PAGE - 1)) != 0) {
            throw new IllegalArgumentException("bad mapping of block " + block.name());
        }
        return add(new Mapped(name, base, size, priority, ram, blockOffset, null));
    }

    @Override
    public CommandRom mapCommandRom(
            String name, long base, RamBlock block, int priority, IoHandler commands) {
        if (!(block instanceof AnonymousRam ram) || (base & (RamBlock.PAGE - 1)) != 0) {
            throw new IllegalArgumentException("bad mapping of block " + block.name());
        }
        Mapped rom = new Mapped(name, base, ram.maxLength(), priority, ram, 0, commands);
        rom.readOnly = true;
        add(rom);
        return rom;
    }

    @Override
    public Region mapIo(String name, long base, long size, int priority, IoHandler handler) {
        if (size <= 0) {
            throw new IllegalArgumentException("bad size of region " + name);
        }
        return add(new Mapped(name, base, size, priority, null, 0, handler));
    }

    private Region add(Mapped region) {
        regions.add(region);
        changed();
        return region;
    }

    @Override
    public void begin() {
        transactions++;
    }

    @Override
    public void commit() {
        if (--transactions == 0 && stale) {
            rebuild();
        }
    }

    private void changed() {
        stale = true;
        if (transactions == 0) {
            rebuild();
        }
    }

    // ---- from regions to ranges

    private void rebuild() {
        stale = false;
        List<Mapped> order = new ArrayList<>(regions);
        order.sort(TOP_FIRST);
        List<Range> out = new ArrayList<>();
        for (Mapped m : order) {
            if (m.enabled && m.base >= 0 && m.base < end) {
                paint(out, m, m.base, m.size > end - m.base ? end : m.base + m.size);
            }
        }
        ranges = out.toArray(Range[]::new);
        if (accelerator != null) {
            accelerator.map(pieces(out));
        }
    }

    /** Adds what no range above covers. {@code out} stays sorted. */
    private static void paint(List<Range> out, Mapped m, long start, long stop) {
        long at = start;
        int i = 0;
        while (i < out.size() && out.get(i).end <= at) {
            i++;
        }
        while (at < stop) {
            long free = i < out.size() ? Math.min(stop, out.get(i).start) : stop;
            if (free > at) {
                out.add(i++, new Range(at, free, at - start, m));
            }
            if (i == out.size()) {
                return;
            }
            at = Math.max(at, out.get(i++).end);
        }
    }

    private static List<MemoryAccelerator.Piece> pieces(List<Range> ranges) {
        List<MemoryAccelerator.Piece> out = new ArrayList<>();
        for (Range r : ranges) {
            AnonymousRam block = r.region.readable();
            if (block == null) {
                continue;
            }
            // Device registers that cover a part of a page leave that page to be emulated.
            long start = (r.start + RamBlock.PAGE - 1) & -RamBlock.PAGE;
            long stop = r.end & -RamBlock.PAGE;
            long offset = r.region.blockOffset + r.offset + (start - r.start);
            if (start >= stop) {
                continue;
            }
            MemoryAccelerator.Piece last = out.isEmpty() ? null : out.getLast();
            if (last != null
                    && last.block() == block
                    && last.readOnly() == r.region.readOnly
                    && last.address() + last.length() == start
                    && last.offset() + last.length() == offset) {
                out.removeLast();
                start = last.address();
                offset = last.offset();
            }
            out.add(
                    new MemoryAccelerator.Piece(
                            start, stop - start, block, offset, r.region.readOnly));
        }
        return out;
    }

    /** The range at {@code address}, or null where nothing is mapped. */
    @Nullable Range find(long address) {
        Range[] all = ranges;
        int low = 0;
        int high = all.length - 1;
        while (low <= high) {
            int middle = (low + high) >>> 1;
            Range r = all[middle];
            if (address < r.start) {
                high = middle - 1;
            } else if (address >= r.end) {
                low = middle + 1;
            } else {
                return r;
            }
        }
        return null;
    }

    /** Bytes from an address at which nothing is mapped to the next that has something, or to 2^64. */
    long gap(long address) {
        for (Range r : ranges) {
            if (address >= 0 && r.start > address) {
                return r.start - address;
            }
        }
        // No access is longer than that.
        return address < 0 && address != Long.MIN_VALUE ? -address : Long.MAX_VALUE;
    }

    @Override
    public boolean mapped(long address, long length) {
        long stop = address + length;
        if (address < 0 || stop < address) {
            return false;
        }
        for (long at = address; at < stop; ) {
            Range r = find(at);
            if (r == null) {
                return false;
            }
            at = r.end;
        }
        return true;
    }

    @Override
    public @Nullable RamPlace ram(long address) {
        Range r = find(address);
        AnonymousRam block = r == null ? null : r.region.block;
        return r == null || block == null
                ? null
                : new RamPlace(
                        r.region.name,
                        block.memory().address()
                                + r.region.blockOffset
                                + r.offset
                                + (address - r.start));
    }

    // ---- accesses

    @Override
    public long read(long address, int size) {
        Range r = find(address);
        if (r != null && whole(r, address, size)) {
            return readRange(r, address, size);
        }
        long value = 0;
        int done = 0;
        while (done < size) {
            long at = address + done;
            r = find(at);
            int n = r == null ? 1 : piece(r, at, size - done);
            long part = r == null ? nothing & 0xffL : readRange(r, at, n);
            value |= part << (8 * done);
            done += n;
        }
        return value;
    }

    @Override
    public void write(long address, int size, long value) {
        Range r = find(address);
        if (r != null && whole(r, address, size)) {
            writeRange(r, address, size, value);
            return;
        }
        int done = 0;
        while (done < size) {
            long at = address + done;
            r = find(at);
            int n = r == null ? 1 : piece(r, at, size - done);
            if (r != null) {
                writeRange(r, at, n, value >>> (8 * done));
            }
            done += n;
        }
    }

    private boolean whole(Range r, long address, int size) {
        return r.end - address >= size
                && (!splitUnaligned || (address & (size - 1)) == 0 || r.region.writable() != null);
    }

    /** The widest power of two of at most {@code left} bytes that is one access at {@code address}. */
    private int piece(Range r, long address, int left) {
        int n = (int) Math.min(Integer.highestOneBit(left), r.end - address);
        n = Integer.highestOneBit(n);
        while (splitUnaligned && (address & (n - 1)) != 0) {
            n >>= 1;
        }
        return n;
    }

    private static long mask(int size) {
        return size == 8 ? -1L : (1L << (8 * size)) - 1;
    }

    private static long readRange(Range r, long address, int size) {
        long offset = r.offset + (address - r.start);
        IoHandler h = r.region.handler;
        AnonymousRam ram = r.region.readable();
        if (h == null || ram != null) {
            return ram == null ? mask(size) : load(ram, r.region.blockOffset + offset, size);
        }
        int max = h.maxAccess();
        if (size <= max) {
            return h.read(offset, Math.max(size, h.minAccess())) & mask(size);
        }
        long value = 0;
        for (int i = 0; i < size; i += max) {
            value |= (h.read(offset + i, max) & mask(max)) << (8 * i);
        }
        return value;
    }

    private static void writeRange(Range r, long address, int size, long value) {
        long offset = r.offset + (address - r.start);
        IoHandler h = r.region.handler;
        AnonymousRam ram = r.region.block;
        if (h == null) {
            if (ram != null && !r.region.readOnly) {
                store(ram, r.region.blockOffset + offset, size, value);
            }
            return;
        }
        int max = h.maxAccess();
        if (size <= max) {
            h.write(offset, Math.max(size, h.minAccess()), value & mask(size));
            return;
        }
        for (int i = 0; i < size; i += max) {
            h.write(offset + i, max, (value >>> (8 * i)) & mask(max));
        }
    }

    static long load(AnonymousRam ram, long offset, int size) {
        MemorySegment m = ram.memory();
        return switch (size) {
            case 1 -> m.get(ValueLayout.JAVA_BYTE, offset) & 0xffL;
            case 2 -> m.get(LittleEndian.SHORT, offset) & 0xffffL;
            case 4 -> m.get(LittleEndian.INT, offset) & 0xffffffffL;
            default -> m.get(LittleEndian.LONG, offset);
        };
    }

    static void store(AnonymousRam ram, long offset, int size, long value) {
        MemorySegment m = ram.memory();
        switch (size) {
            case 1 -> m.set(ValueLayout.JAVA_BYTE, offset, (byte) value);
            case 2 -> m.set(LittleEndian.SHORT, offset, (short) value);
            case 4 -> m.set(LittleEndian.INT, offset, (int) value);
            default -> m.set(LittleEndian.LONG, offset, value);
        }
        ram.markDirty(offset, size);
    }

    /** The regions that are visible now, one a line, for {@code info mtree}. */
    public String describe() {
        StringBuilder out = new StringBuilder();
        for (Range r : ranges) {
            out.append(
                    String.format(
                            "  %016x-%016x (prio %d, %s): %s%n",
                            r.start,
                            r.end - 1,
                            r.region.priority,
                            r.region.readable() == null
                                    ? "i/o"
                                    : r.region.writable() == null
                                            ? "romd"
                                            : r.region.readOnly ? "rom" : "ram",
                            r.region.name));
        }
        return out.toString();
    }
}
