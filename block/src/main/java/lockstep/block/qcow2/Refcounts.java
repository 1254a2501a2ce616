package lockstep.block.qcow2;

import lockstep.block.BlockException;
import lockstep.block.Errno;
import lockstep.block.node.BlockNode;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * The reference counts of an image's clusters, and the allocator over them. Everything is called
 * with the image's exclusive lock held. Clusters that are let go are only counted down after the
 * tables that pointed to them were written ({@link #applyFrees}), so a crash can leak clusters but
 * never free one that is in use.
 */
final class Refcounts {
    private static final ValueLayout.OfShort BE16 =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
    private static final long OFFSET_MASK = ~0x1ffL;
    private static final long TABLE_BYTES_MAX = 8L << 20;
    private static final long CACHE_BYTES = 4L << 20;

    private final BlockNode file;
    private final int clusterBits;
    private final long clusterSize;
    private final int order;
    private final int entriesPerBlock;
    private final TableCache cache;

    private long tableOffset;
    private long[] table;
    private long freeHint;
    private long[] pending = new long[64];
    private int pendingCount;

    Refcounts(BlockNode file, Qcow2Header header) throws BlockException {
        this.file = file;
        this.clusterBits = header.clusterBits();
        this.clusterSize = header.clusterSize();
        this.order = header.refcountOrder();
        this.entriesPerBlock = (int) (clusterSize * 8 >>> order);
        this.cache = new TableCache(clusterSize, CACHE_BYTES);
        this.tableOffset = header.refcountTableOffset();
        int entries = (int) ((long) header.refcountTableClusters() << clusterBits - 3);
        this.table = new long[entries];
        MemorySegment bytes = MemorySegment.ofArray(new byte[entries * 8]);
        Qcow2Header.readUpTo(file, tableOffset, bytes, file.length());
        for (int i = 0; i < entries; i++) {
            table[i] = bytes.get(Qcow2Header.BE64, i * 8L) & OFFSET_MASK;
        }
    }

    int entriesPerBlock() {
        return entriesPerBlock;
    }

    long tableOffset() {
        return tableOffset;
    }

    int tableClusters() {
        return (int) ((long) table.length * 8 >>> clusterBits);
    }

    /** The offsets of the refcount blocks, 0 where there is none. */
    long[] blocks() {
        return table;
    }

    private TableCache.Table block(int index) throws BlockException {
        long offset = table[index];
        if ((offset & clusterSize - 1) != 0) {
            throw new BlockException(
                    Errno.EIO, "Refblock offset 0x" + Long.toHexString(offset) + " unaligned");
        }
        return cache.get(file, offset);
    }

    /** The refcount of a cluster number. */
    long get(long cluster) throws BlockException {
        long index = cluster / entriesPerBlock;
        if (index >= table.length || table[(int) index] == 0) {
            return 0;
        }
        return read(block((int) index).data, (int) (cluster % entriesPerBlock));
    }

    private long read(MemorySegment data, int entry) {
        return switch (order) {
            case 6 -> data.get(Qcow2Header.BE64, entry * 8L);
            case 5 -> Integer.toUnsignedLong(data.get(Qcow2Header.BE32, entry * 4L));
            case 4 -> Short.toUnsignedLong(data.get(BE16, entry * 2L));
            case 3 -> data.get(ValueLayout.JAVA_BYTE, entry) & 0xffL;
            default -> {
                int bits = 1 << order;
                int perByte = 8 / bits;
                int value = data.get(ValueLayout.JAVA_BYTE, entry / perByte) & 0xff;
                yield value >>> entry % perByte * bits & (1 << bits) - 1;
            }
        };
    }

    /** Sets a refcount; the block that holds it must exist. */
    private void set(long cluster, long value) throws BlockException {
        TableCache.Table block = block((int) (cluster / entriesPerBlock));
        int entry = (int) (cluster % entriesPerBlock);
        MemorySegment data = block.data;
        switch (order) {
            case 6 -> {
                data.set(Qcow2Header.BE64, entry * 8L, value);
                block.dirty(entry * 8L, 8);
            }
            case 5 -> {
                data.set(Qcow2Header.BE32, entry * 4L, (int) value);
                block.dirty(entry * 4L, 4);
            }
            case 4 -> {
                data.set(BE16, entry * 2L, (short) value);
                block.dirty(entry * 2L, 2);
            }
            case 3 -> {
                data.set(ValueLayout.JAVA_BYTE, entry, (byte) value);
                block.dirty(entry, 1);
            }
            default -> {
                int bits = 1 << order;
                int perByte = 8 / bits;
                int shift = entry % perByte * bits;
                int at = entry / perByte;
                int old = data.get(ValueLayout.JAVA_BYTE, at) & 0xff;
                int mask = (1 << bits) - 1 << shift;
                data.set(ValueLayout.JAVA_BYTE, at, (byte) (old & ~mask | (int) value << shift));
                block.dirty(at, 1);
            }
        }
        cache.markDirty();
    }

    /** Sets a refcount wherever it is, making the block that holds it. */
    void force(long cluster, long value) throws BlockException {
        ensureBlock(cluster);
        set(cluster, value);
    }

    /** Where a run of new clusters is. */
    record Run(long offset, int clusters) {}

    /**
     * Takes up to {@code most} free clusters in a row; their refcounts are 1.
     *
     * @return at least one cluster
     */
    Run allocate(int most) throws BlockException {
        long cluster = freeHint;
        while (true) {
            if (ensureBlock(cluster)) {
                continue;
            }
            if (get(cluster) == 0) {
                break;
            }
            cluster++;
        }
        int count = 0;
        while (count < most) {
            long next = cluster + count;
            long index = next / entriesPerBlock;
            if (index >= table.length || table[(int) index] == 0 || get(next) != 0) {
                break;
            }
            set(next, 1);
            count++;
        }
        freeHint = cluster + count;
        if (cluster == 0) {
            release(0, count);
            freeHint = 1;
            throw new BlockException(Errno.EIO, "qcow2: the header's cluster has refcount 0");
        }
        return new Run(cluster << clusterBits, count);
    }

    /** Takes exactly {@code count} free clusters in a row. */
    long allocateExactly(int count) throws BlockException {
        long cluster = freeHint;
        int run = 0;
        while (run < count) {
            if (ensureBlock(cluster + run)) {
                continue;
            }
            if (get(cluster + run) == 0) {
                run++;
            } else {
                cluster += run + 1;
                run = 0;
            }
        }
        for (int i = 0; i < count; i++) {
            set(cluster + i, 1);
        }
        return cluster << clusterBits;
    }

    /** Takes clusters back that nothing on disk refers to. */
    void release(long offset, int clusters) throws BlockException {
        long first = offset >>> clusterBits;
        for (int i = 0; i < clusters; i++) {
            set(first + i, 0);
        }
        freeHint = Math.min(freeHint, Math.max(1, first));
    }

    /**
     * Makes the block that counts a cluster. Returns whether something was made, so the cluster may
     * be taken now.
     */
    private boolean ensureBlock(long cluster) throws BlockException {
        long index = cluster / entriesPerBlock;
        if (index >= table.length) {
            growTable(index);
            return true;
        }
        if (table[(int) index] != 0) {
            return false;
        }
        // Nothing in this block's range is in use, so the block can take the range's first cluster
        // and count itself.
        long self = index * entriesPerBlock;
        long offset = self << clusterBits;
        checkOffset(offset);
        TableCache.Table block = cache.fresh(offset);
        table[(int) index] = offset;
        set(self, 1);
        file.write(offset, block.data);
        file.flush();
        writeTableEntry((int) index);
        return true;
    }

    private static void checkOffset(long offset) throws BlockException {
        if (offset < 0 || offset >= 1L << 56) {
            throw new BlockException(Errno.EFBIG);
        }
    }

    private void writeTableEntry(int index) throws BlockException {
        MemorySegment entry = MemorySegment.ofArray(new byte[8]);
        entry.set(Qcow2Header.BE64, 0, table[index]);
        file.write(tableOffset + index * 8L, entry);
    }

    private void growTable(long index) throws BlockException {
        int perCluster = (int) (clusterSize / 8);
        long entries = Math.max(index + 1, table.length + table.length / 2L);
        int clusters = (int) ((entries + perCluster - 1) / perCluster);
        entries = (long) clusters * perCluster;
        if (entries * 8 > TABLE_BYTES_MAX || clusters + 1 > entriesPerBlock) {
            throw new BlockException(Errno.EFBIG);
        }
        // The new table and a block that counts it and itself go to the start of the range that no
        // block covers yet.
        int blockIndex = table.length;
        long first = (long) blockIndex * entriesPerBlock;
        long blockOffset = first << clusterBits;
        checkOffset(blockOffset);
        long newOffset = first + 1 << clusterBits;
        long oldOffset = tableOffset;
        int oldClusters = tableClusters();
        long[] grown = Arrays.copyOf(table, (int) entries);
        grown[blockIndex] = blockOffset;
        long[] old = table;
        table = grown;
        TableCache.Table block = cache.fresh(blockOffset);
        try {
            for (int i = 0; i <= clusters; i++) {
                set(first + i, 1);
            }
            cache.write(file);
            file.write(blockOffset, block.data);
            MemorySegment bytes = Arena.ofAuto().allocate(entries * 8);
            for (int i = 0; i < table.length; i++) {
                bytes.set(Qcow2Header.BE64, i * 8L, table[i]);
            }
            file.write(newOffset, bytes);
            file.flush();
            MemorySegment header = MemorySegment.ofArray(new byte[12]);
            header.set(Qcow2Header.BE64, 0, newOffset);
            header.set(Qcow2Header.BE32, 8, clusters);
            file.write(Qcow2Header.REFCOUNT_TABLE_AT, header);
            file.flush();
        } catch (BlockException e) {
            table = old;
            cache.drop(blockOffset);
            throw e;
        }
        tableOffset = newOffset;
        release(oldOffset, oldClusters);
    }

    /** Remembers that one reference to each cluster of a byte range goes away. */
    void free(long offset, long length) {
        long first = offset >>> clusterBits;
        long last = offset + length - 1 >>> clusterBits;
        for (long cluster = first; cluster <= last; cluster++) {
            if (pendingCount == pending.length) {
                pending = Arrays.copyOf(pending, pendingCount * 2);
            }
            pending[pendingCount++] = cluster;
        }
    }

    /** How many references wait to be counted down. */
    int pendingFrees() {
        return pendingCount;
    }

    /** Told of a cluster that became free. */
    @FunctionalInterface
    interface Freed {
        void freed(long offset) throws BlockException;
    }

    /** Counts the remembered references down; the tables without them must be on disk. */
    void applyFrees(Freed freed) throws BlockException {
        int count = pendingCount;
        pendingCount = 0;
        for (int i = 0; i < count; i++) {
            long cluster = pending[i];
            long value = get(cluster);
            if (value == 0) {
                throw new BlockException(
                        Errno.EIO,
                        "qcow2: refcount of cluster " + cluster + " would become negative");
            }
            set(cluster, value - 1);
            if (value == 1) {
                freeHint = Math.min(freeHint, Math.max(1, cluster));
                freed.freed(cluster << clusterBits);
            }
        }
    }

    boolean isDirty() {
        return cache.isDirty();
    }

    void write() throws BlockException {
        cache.write(file);
    }

    /** Writes back when the cache is full of changes. */
    boolean crowded() {
        return cache.crowded();
    }

    /**
     * Starts over for an image whose only clusters are the first {@code used} ones, with the table
     * at cluster 1 and one block at cluster 2.
     */
    void reset(int used) throws BlockException {
        cache.clear();
        pendingCount = 0;
        long blockOffset = 2 * clusterSize;
        TableCache.Table block = cache.fresh(blockOffset);
        Arrays.fill(table, 0);
        table[0] = blockOffset;
        for (int i = 0; i < used; i++) {
            set(i, 1);
        }
        file.write(blockOffset, block.data);
        MemorySegment bytes = Arena.ofAuto().allocate(table.length * 8L);
        bytes.set(Qcow2Header.BE64, 0, blockOffset);
        file.write(tableOffset, bytes);
        cache.clear();
        freeHint = used;
    }
}
