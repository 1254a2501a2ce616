package lockstep.block.qcow2;

import lockstep.block.node.BlockException;
import lockstep.block.node.ChildEdge;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.function.Consumer;

/**
 * Compares what an image's tables refer to with what it counts, and sets right what is wrong. It works on the file
 * itself, for images that cannot be opened for writing; nobody else has that open.
 *
 * <p>All is counted before anything is written. Then refcounts are set in place, where their block can be trusted;
 * where one cannot, new refcounts for everything are written behind the end of the file, and the header names them when
 * they are durable. What an entry points to is never guessed: entries that point nowhere stay, and are reported, and
 * while there are some nothing is counted down, for what they should point to would look unused.
 */
public final class Qcow2Check {
    private static final long CLUSTERS_MAX = 1L << 28;
    private static final long L1_RESERVED = 0x7f000000000001ffL;
    private static final long L2_RESERVED = 0x3f000000000001feL;
    private static final long TABLE_RESERVED = 0x1ffL;

    /** What to set right. */
    public enum Fix {
        NONE,
        /** Counts that are too high. */
        LEAKS,
        ALL
    }

    /** What was found; everything is a number of clusters but for the end of what is in use, in bytes. */
    public static final class Result {
        public long corruptions;
        public long leaks;
        public long corruptionsFixed;
        public long leaksFixed;
        public long imageEnd;
        public long total;
        public long allocated;
        public long fragmented;
        public long compressed;
    }

    private final ChildEdge file;
    private final Guard guard;
    private final Qcow2Header header;
    private final Fix fix;
    private final Consumer<String> tell;
    private final Result result = new Result();
    private final int clusterBits;
    private final long clusterSize;
    private final long fileLength;
    private final long clusters;
    private final MemorySegment counts;
    private final long[] table;
    private final int perBlock;
    private long storedIndex = -1;
    private final MemorySegment block;
    private boolean blockChanged;
    private boolean rebuild;

    private Qcow2Check(ChildEdge file, Fix fix, Consumer<String> tell, Arena arena)
            throws BlockException {
        this.file = file;
        this.fix = fix;
        this.tell = tell;
        guard = new Guard(() -> file, 0, () -> false, (_, _, _, _) -> {});
        header = Qcow2Header.read(file, false);
        guard.opened(header);
        clusterBits = header.clusterBits();
        clusterSize = header.clusterSize();
        fileLength = file.length();
        clusters = fileLength + clusterSize - 1 >>> clusterBits;
        if (clusters > CLUSTERS_MAX) {
            throw new BlockException(Errno.EFBIG, "The image has too many clusters to be checked");
        }
        counts = arena.allocate(ValueLayout.JAVA_INT, clusters + 1);
        block = MemorySegment.ofArray(new byte[(int) clusterSize]);
        perBlock = (int) (clusterSize * 8 >>> header.refcountOrder());
        MemorySegment bytes =
                MemorySegment.ofArray(
                        new byte[(int) ((long) header.refcountTableClusters() << clusterBits)]);
        guard.readUpTo(header.refcountTableOffset(), bytes);
        table = longs(bytes);
    }

    /**
     * Checks an image.
     *
     * @param file the file, to be written if anything is to be set right
     * @param tell shown a line for each thing that is wrong
     */
    public static Result check(ChildEdge file, Fix fix, Consumer<String> tell)
            throws BlockException {
        try (Arena arena = Arena.ofConfined()) {
            return new Qcow2Check(file, fix, tell, arena).run();
        }
    }

    private Result run() throws BlockException {
        result.total = header.size() + clusterSize - 1 >>> clusterBits;
        countAll();
        long corruptions = result.corruptions;
        compare(false);
        if (fix != Fix.NONE && !rebuild) {
            // As QEMU: all is told before the first is mended.
            result.corruptions = corruptions;
            result.leaks = 0;
            compare(true);
        } else if (fix == Fix.LEAKS && result.corruptions + result.leaks > 0) {
            tell.accept("ERROR need to rebuild refcount structures");
            throw new BlockException(Errno.EIO);
        }
        if (rebuild && fix == Fix.ALL && pointless > 0) {
            // New clusters behind the end could be what a wrong entry points to.
            tell.accept("ERROR refcounts cannot be rebuilt while entries are wrong");
        } else if (rebuild && fix == Fix.ALL) {
            tell.accept("Rebuilding refcount structure");
            rebuild();
            result.corruptionsFixed += result.corruptions;
            result.leaksFixed += result.leaks;
            result.corruptions = 0;
            result.leaks = 0;
        }
        checkCopied();
        if (fix == Fix.ALL && result.corruptions == 0 && header.version() >= 3) {
            long bits = header.incompatible() & ~(Qcow2Header.DIRTY | Qcow2Header.CORRUPT);
            if (bits != header.incompatible()) {
                file.flush();
                write(Qcow2Header.INCOMPATIBLE_AT, bits);
            }
        }
        if (fix != Fix.NONE) {
            file.flush();
            long kept = header.autoclear() & Qcow2Header.BITMAPS;
            if (header.version() >= 3 && header.autoclear() != kept) {
                // Nobody has kept up to date what else they promise.
                write(Qcow2Header.AUTOCLEAR_AT, kept);
                file.flush();
            }
        }
        return result;
    }

    /** Corruptions that are no wrong counts. */
    private long pointless;

    private void corrupt(String message) {
        tell.accept("ERROR " + message);
        result.corruptions++;
        pointless++;
    }

    private static long[] longs(MemorySegment bytes) {
        long[] values = new long[(int) (bytes.byteSize() / 8)];
        for (int i = 0; i < values.length; i++) {
            values[i] = bytes.get(Qcow2Header.BE64, i * 8L);
        }
        return values;
    }

    private void write(long at, long value) throws BlockException {
        MemorySegment field = MemorySegment.ofArray(new byte[8]);
        field.set(Qcow2Header.BE64, 0, value);
        file.write(at, field);
    }

    private int count(long cluster) {
        return counts.getAtIndex(ValueLayout.JAVA_INT, cluster);
    }

    // Counting

    private void count(long offset, long length) {
        if (length <= 0) {
            return;
        }
        long last = offset + length - 1 >>> clusterBits;
        if (offset < 0 || last < 0 || offset + length - fileLength >= clusterSize) {
            tell.accept(
                    "ERROR: counting reference for region exceeding the end of the file by one"
                            + " cluster or more: offset 0x"
                            + Long.toHexString(offset)
                            + " size 0x"
                            + Long.toHexString(length));
            result.corruptions++;
            pointless++;
            return;
        }
        for (long i = offset >>> clusterBits; i <= last && i <= clusters; i++) {
            counts.setAtIndex(ValueLayout.JAVA_INT, i, count(i) + 1);
        }
    }

    private void countAll() throws BlockException {
        count(0, clusterSize);
        count(header.luksOffset(), header.luksBytes());
        countDisk(header.l1Offset(), header.l1Size(), true);
        SnapshotTable snapshots = SnapshotTable.read(guard, header);
        for (SnapshotTable.Entry entry : snapshots.entries()) {
            SnapshotTable.L1 l1 = entry.l1();
            if (l1.entries() != 0 && (l1.offset() <= 0 || !aligned(l1.offset()))) {
                corrupt(
                        "snapshot "
                                + entry.snapshot().id()
                                + " ("
                                + entry.snapshot().name()
                                + ") l1_offset: L1 table is not cluster aligned or outside the"
                                + " image; snapshot table entry corrupted");
            } else {
                countDisk(l1.offset(), l1.entries(), false);
            }
        }
        count(header.snapshotsOffset(), snapshots.length());
        countBitmaps();
        count(header.refcountTableOffset(), (long) header.refcountTableClusters() << clusterBits);
        countBlocks();
    }

    private boolean aligned(long offset) {
        return (offset & clusterSize - 1) == 0;
    }

    private void countDisk(long offset, int entries, boolean active) throws BlockException {
        count(offset, entries * 8L);
        MemorySegment l1 = Arena.ofAuto().allocate(Math.max(8, entries * 8L));
        guard.readUpTo(offset, l1);
        MemorySegment l2 = MemorySegment.ofArray(new byte[(int) clusterSize]);
        for (int i = 0; i < entries; i++) {
            long entry = l1.get(Qcow2Header.BE64, i * 8L);
            if (entry == 0) {
                continue;
            }
            if ((entry & L1_RESERVED) != 0) {
                corrupt("found L1 entry with reserved bits set: " + hex(entry));
            }
            long at = entry & Mapping.OFFSET_MASK;
            count(at, clusterSize);
            if (!aligned(at)) {
                corrupt(
                        "l2_offset="
                                + hex(at)
                                + ": Table is not cluster aligned; L1 entry corrupted");
            }
            if (at == 0 || at >= fileLength) {
                continue;
            }
            l2.fill((byte) 0);
            guard.readUpTo(at, l2);
            countTable(l2, active);
        }
    }

    private static String hex(long value) {
        return Long.toHexString(value);
    }

    private void countTable(MemorySegment l2, boolean active) {
        long next = 0;
        for (long at = 0; at < clusterSize; at += 8) {
            long entry = l2.get(Qcow2Header.BE64, at);
            if (Mapping.isCompressed(entry)) {
                if ((entry & Mapping.COPIED) != 0) {
                    corrupt(
                            "coffset=0x"
                                    + hex(Decompressor.start(entry, clusterBits))
                                    + ": copied flag must never be set for compressed clusters");
                }
                count(
                        Decompressor.start(entry, clusterBits),
                        Decompressor.length(entry, clusterBits));
                if (active) {
                    result.allocated++;
                    result.fragmented++;
                    result.compressed++;
                }
                continue;
            }
            if ((entry & L2_RESERVED) != 0) {
                corrupt("found l2 entry with reserved bits set: " + hex(entry));
            }
            long host = entry & Mapping.OFFSET_MASK;
            if (host == 0) {
                continue;
            }
            if (active) {
                result.allocated++;
                result.fragmented += next != 0 && host != next ? 1 : 0;
                next = host + clusterSize;
            }
            if (!aligned(host)) {
                corrupt(
                        "offset="
                                + hex(host)
                                + ": Cluster is not properly aligned; L2 entry corrupted.");
            }
            count(host, clusterSize);
        }
    }

    private void countBitmaps() throws BlockException {
        if (header.bitmapCount() == 0) {
            return;
        }
        count(header.bitmapDirectoryOffset(), header.bitmapDirectoryBytes());
        for (BitmapDirectory.Entry bitmap : BitmapDirectory.read(guard, header).entries()) {
            count(bitmap.table().offset(), bitmap.table().bytes());
            for (long entry : bitmap.table().read(guard)) {
                if ((entry & Mapping.OFFSET_MASK) != 0 && (entry & BitmapDirectory.ALL_ONES) == 0) {
                    count(entry & Mapping.OFFSET_MASK, clusterSize);
                }
            }
        }
    }

    private void countBlocks() {
        for (int i = 0; i < table.length; i++) {
            long offset = table[i] & ~TABLE_RESERVED;
            String name = "refcount block " + i;
            if ((table[i] & TABLE_RESERVED) != 0) {
                corrupt("refcount table entry " + i + " has reserved bits set");
                rebuild = true;
            } else if (!aligned(offset)) {
                corrupt(name + " is not cluster aligned; refcount table entry corrupted");
                rebuild = true;
            } else if (offset < 0 || offset >= fileLength) {
                corrupt(name + " is outside image");
                rebuild = true;
            } else if (offset != 0) {
                count(offset, clusterSize);
                if (count(offset >>> clusterBits) != 1) {
                    corrupt(name + " refcount=" + count(offset >>> clusterBits));
                    rebuild = true;
                    pointless--;
                }
                continue;
            } else {
                continue;
            }
            table[i] = 0;
            pointless--; // a new table mends it
        }
    }

    // Stored counts

    private @Nullable MemorySegment blockOf(long cluster) throws BlockException {
        long index = cluster / perBlock;
        if (index >= table.length || table[(int) index] == 0) {
            return null;
        }
        if (index != storedIndex) {
            storeBlock();
            block.fill((byte) 0);
            guard.readUpTo(table[(int) index] & ~TABLE_RESERVED, block);
            storedIndex = index;
        }
        return block;
    }

    private void storeBlock() throws BlockException {
        if (blockChanged) {
            file.write(table[(int) storedIndex] & ~TABLE_RESERVED, block);
            blockChanged = false;
        }
    }

    private long stored(long cluster) throws BlockException {
        MemorySegment data = blockOf(cluster);
        return data == null ? 0 : get(data, cluster % perBlock);
    }

    private long get(MemorySegment data, long entry) {
        return switch (header.refcountOrder()) {
            case 6 -> data.get(Qcow2Header.BE64, entry * 8);
            case 5 -> Integer.toUnsignedLong(data.get(Qcow2Header.BE32, entry * 4));
            case 4 -> Short.toUnsignedLong(data.get(Qcow2Header.BE16, entry * 2));
            default -> {
                int bits = 1 << header.refcountOrder();
                int value = data.get(ValueLayout.JAVA_BYTE, entry * bits / 8) & 0xff;
                yield value >>> entry * bits % 8 & (1 << bits) - 1;
            }
        };
    }

    private void set(MemorySegment data, long entry, long value) throws BlockException {
        int bits = 1 << header.refcountOrder();
        if (bits < 64 && value >>> bits != 0) {
            throw new BlockException(Errno.EINVAL, "The image's refcounts are too narrow");
        }
        switch (header.refcountOrder()) {
            case 6 -> data.set(Qcow2Header.BE64, entry * 8, value);
            case 5 -> data.set(Qcow2Header.BE32, entry * 4, (int) value);
            case 4 -> data.set(Qcow2Header.BE16, entry * 2, (short) value);
            default -> {
                long at = entry * bits / 8;
                int shift = (int) (entry * bits % 8);
                int mask = (1 << bits) - 1 << shift;
                int old = data.get(ValueLayout.JAVA_BYTE, at);
                data.set(ValueLayout.JAVA_BYTE, at, (byte) (old & ~mask | (int) value << shift));
            }
        }
    }

    /** Compares both kinds of counts, and mends what it may. */
    private void compare(boolean mending) throws BlockException {
        long highest = 0;
        long end =
                Math.max(clusters, Math.min((long) table.length * perBlock, clusters + perBlock));
        for (long cluster = 0; cluster < end; cluster++) {
            long has = stored(cluster);
            long needs = cluster <= clusters ? Integer.toUnsignedLong(count(cluster)) : 0;
            if (has != 0 || needs != 0) {
                highest = cluster;
            }
            if (has == needs) {
                continue;
            }
            boolean leak = Long.compareUnsigned(has, needs) > 0;
            if (has == 0) {
                rebuild = true;
            }
            boolean mend = mending && (leak ? fix != Fix.NONE && pointless == 0 : fix == Fix.ALL);
            tell.accept(
                    (mend ? "Repairing" : leak ? "Leaked" : "ERROR")
                            + " cluster "
                            + cluster
                            + " refcount="
                            + Long.toUnsignedString(has)
                            + " reference="
                            + needs);
            if (mend) {
                set(block, cluster % perBlock, needs);
                blockChanged = true;
                if (leak) {
                    result.leaksFixed++;
                } else {
                    result.corruptionsFixed++;
                }
            } else if (leak) {
                result.leaks++;
            } else {
                result.corruptions++;
            }
        }
        storeBlock();
        result.imageEnd = highest + 1 << clusterBits;
    }

    /** Writes all counts anew behind the end of the file. */
    private void rebuild() throws BlockException {
        // The old table and its blocks go out of use.
        uncount(header.refcountTableOffset(), header.refcountTableClusters());
        for (long entry : table) {
            if (entry != 0) {
                uncount(entry & ~TABLE_RESERVED, 1);
            }
        }
        long first = clusters;
        long blocks = 0;
        long tableClusters = 0;
        long all = first;
        while (blocks * perBlock < all || tableClusters << clusterBits - 3 < blocks) {
            blocks = (all + perBlock - 1) / perBlock;
            tableClusters = (blocks * 8 + clusterSize - 1) / clusterSize;
            all = first + blocks + tableClusters;
        }
        if (tableClusters << clusterBits > 8L << 20) {
            throw new BlockException(Errno.EFBIG, "The image is too large for new refcounts");
        }
        long[] made = new long[(int) (tableClusters << clusterBits - 3)];
        file.truncate(all << clusterBits);
        for (int i = 0; i < blocks; i++) {
            block.fill((byte) 0);
            for (int j = 0; j < perBlock; j++) {
                long cluster = (long) i * perBlock + j;
                long value =
                        cluster < first
                                ? Integer.toUnsignedLong(count(cluster))
                                : cluster < all ? 1 : 0;
                if (value != 0) {
                    set(block, j, value);
                }
            }
            made[i] = first + i << clusterBits;
            file.write(made[i], block);
        }
        MemorySegment bytes = Arena.ofAuto().allocate(made.length * 8L);
        for (int i = 0; i < made.length; i++) {
            bytes.set(Qcow2Header.BE64, i * 8L, made[i]);
        }
        long place = first + blocks << clusterBits;
        file.write(place, bytes);
        file.flush();
        MemorySegment fields = MemorySegment.ofArray(new byte[12]);
        fields.set(Qcow2Header.BE64, 0, place);
        fields.set(Qcow2Header.BE32, 8, (int) tableClusters);
        file.write(Qcow2Header.REFCOUNT_TABLE_AT, fields);
        file.flush();
        rebuilt = made;
        storedIndex = -1;
        for (long cluster : replaced) {
            long left = Integer.toUnsignedLong(count(cluster));
            tell.accept(
                    "Repairing cluster %d refcount=%d reference=%d"
                            .formatted(cluster, left + 1, left));
        }
        result.imageEnd = all << clusterBits;
    }

    private long @Nullable [] rebuilt;

    /** The clusters that the counts were in before. */
    private final SortedSet<Long> replaced = new TreeSet<>();

    private void uncount(long offset, long number) {
        long from = offset >>> clusterBits;
        for (long i = from; i < from + number && i <= clusters; i++) {
            counts.setAtIndex(ValueLayout.JAVA_INT, i, Math.max(0, count(i) - 1));
            replaced.add(i);
        }
    }

    /** The count that marks follow: the file's, as writers trust it. */
    private long trusted(long cluster) throws BlockException {
        return rebuilt != null ? cluster <= clusters ? count(cluster) : 0 : stored(cluster);
    }

    // Marks of clusters that are one table's alone

    private void checkCopied() throws BlockException {
        MemorySegment l1 = Arena.ofAuto().allocate(Math.max(8, header.l1Size() * 8L));
        guard.readUpTo(header.l1Offset(), l1);
        MemorySegment l2 = MemorySegment.ofArray(new byte[(int) clusterSize]);
        for (int i = 0; i < header.l1Size(); i++) {
            long entry = l1.get(Qcow2Header.BE64, i * 8L);
            long at = entry & Mapping.OFFSET_MASK;
            if (at == 0 || !aligned(at) || at >= fileLength) {
                continue;
            }
            long right = right(entry, "L2 cluster: l1_index=" + i + " l1_entry=", at);
            if (right != entry && fix == Fix.ALL) {
                write(header.l1Offset() + i * 8L, right);
            }
            l2.fill((byte) 0);
            guard.readUpTo(at, l2);
            boolean changed = false;
            for (long j = 0; j < clusterSize; j += 8) {
                long data = l2.get(Qcow2Header.BE64, j);
                long host = data & Mapping.OFFSET_MASK;
                if (!Mapping.isCompressed(data) && host != 0 && aligned(host)) {
                    long better = right(data, "data cluster: l2_entry=", host);
                    changed |= better != data;
                    l2.set(Qcow2Header.BE64, j, better);
                }
            }
            if (changed && fix == Fix.ALL) {
                file.write(at, l2);
            }
        }
    }

    private long right(long entry, String what, long offset) throws BlockException {
        long refcount = trusted(offset >>> clusterBits);
        boolean marked = (entry & Mapping.COPIED) != 0;
        if (marked == (refcount == 1)) {
            return entry;
        }
        tell.accept(
                (fix == Fix.ALL ? "Repairing" : "ERROR")
                        + " OFLAG_COPIED "
                        + what
                        + hex(entry)
                        + " refcount="
                        + Long.toUnsignedString(refcount));
        if (fix == Fix.ALL) {
            result.corruptionsFixed++;
        } else {
            result.corruptions++;
        }
        return marked ? entry & ~Mapping.COPIED : entry | Mapping.COPIED;
    }
}
