package lockstep.block.qcow2;

import lockstep.block.node.BlockException;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.BitSet;

/**
 * The reference counts of an image's clusters, and the allocator over them. Everything is called
 * with the image's exclusive lock held. Clusters that are let go are only counted down after the
 * tables that pointed to them were written ({@link #applyFrees}), so a crash can leak clusters but
 * never free one that is in use.
 */
final class Refcounts {
    private static final long OFFSET_MASK = ~0x1ffL;
    private static final long TABLE_BYTES_MAX = 8L << 20;
    private static final long CACHE_BYTES = 4L << 20;
    private static final int PENDING_FREES_MAX = 1 << 16;

    private final Guard file;
    private final int clusterBits;
    private final long clusterSize;
    private final int order;
    private final int entriesPerBlock;
    private final TableCache cache;

    private long tableOffset;
    private long[] table;
    private final BitSet sound = new BitSet();
    private long freeHint;
    private long tailHint;
    private long[] pending = new long[64];
    private int pendingCount;
    private long packedEnd;
    private @Nullable Census census;

    /** Reads the table, and makes it and its blocks known to the guard. */
    Refcounts(Guard file, Qcow2Header header) throws BlockException {
        this.file = file;
        this.clusterBits = header.clusterBits();
        this.clusterSize = header.clusterSize();
        this.order = header.refcountOrder();
        this.entriesPerBlock = (int) (clusterSize * 8 >>> order);
        this.cache = new TableCache(file, MetadataMap.REFCOUNT_BLOCK, clusterSize, CACHE_BYTES);
        this.tableOffset = header.refcountTableOffset();
        int entries = (int) ((long) header.refcountTableClusters() << clusterBits - 3);
        this.table = new long[entries];
        MemorySegment bytes = MemorySegment.ofArray(new byte[entries * 8]);
        file.readUpTo(tableOffset, bytes);
        MetadataMap metadata = file.metadata();
        metadata.addRange(MetadataMap.REFCOUNT_TABLE, tableOffset, entries * 8L);
        for (int i = 0; i < entries; i++) {
            table[i] = bytes.get(Qcow2Header.BE64, i * 8L) & OFFSET_MASK;
            if (table[i] != 0) {
                metadata.add(MetadataMap.REFCOUNT_BLOCK, table[i]);
            }
        }
    }

    /** What is referred to, as far as that is known, is kept from now on. */
    void use(Census census) {
        this.census = census;
        tailHint = census.fileEnd();
    }

    /** Whether it is not known yet what is in use, so that holes cannot be filled. */
    private boolean counting() {
        return census != null && !census.complete();
    }

    private long hint() {
        return counting() ? Math.max(tailHint, freeHint) : freeHint;
    }

    private void tookUpTo(long cluster) {
        if (counting()) {
            tailHint = cluster;
        } else {
            freeHint = cluster;
        }
    }

    private int references(long cluster) {
        return census == null ? 0 : census.references(cluster);
    }

    int entriesPerBlock() {
        return entriesPerBlock;
    }

    /** The greatest value a refcount can have, as an unsigned number. */
    long most() {
        return -1L >>> 64 - (1 << order);
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

    /** A refcount block that exists; where it cannot be one, the image is damaged. */
    private TableCache.Table block(int index) throws BlockException {
        long offset = table[index];
        if (!sound.get(index)) {
            check(index, offset);
            sound.set(index);
        }
        TableCache.Table block = cache.get(offset);
        if (block == null) {
            throw outside(index);
        }
        return block;
    }

    private void check(int index, long offset) throws BlockException {
        if ((offset & clusterSize - 1) != 0) {
            throw file.fatal("Refblock offset " + at(index) + " unaligned" + in(index));
        }
        if (offset <= 0) {
            throw outside(index);
        }
        int other = file.overlap(MetadataMap.REFCOUNT_BLOCK, offset, clusterSize);
        if (other == 0 && file.metadata().shared(offset)) {
            other = MetadataMap.REFCOUNT_BLOCK;
        }
        if (other != 0) {
            throw file.overwrite(other, offset, clusterSize);
        }
    }

    /** What the block would count is not free because the block is not there. */
    private BlockException outside(int index) {
        long first = (long) index * entriesPerBlock;
        long known = file.metadata().firstIn(first, first + entriesPerBlock);
        return known < 0
                ? file.fatal("Refblock offset " + at(index) + " outside the image" + in(index))
                : notFree(known);
    }

    private String at(int index) {
        return Guard.hex(table[index]);
    }

    private static String in(int index) {
        return " (reftable index: " + Guard.hex(index) + ")";
    }

    /** Metadata counts as free: its cluster would be given away and overwritten. */
    private BlockException notFree(long cluster) {
        long offset = cluster << clusterBits;
        return file.overwrite(file.metadata().parts(offset, clusterSize), offset, clusterSize);
    }

    private boolean isMetadata(long cluster) {
        return file.metadata().parts(cluster << clusterBits, 1) != 0;
    }

    /** Whether there is a block that counts a cluster. */
    boolean has(long cluster) {
        long index = cluster / entriesPerBlock;
        return index < table.length && table[(int) index] != 0;
    }

    /** The refcount of a cluster number. */
    long get(long cluster) throws BlockException {
        if (!has(cluster)) {
            return 0;
        }
        return read(
                block((int) (cluster / entriesPerBlock)).data, (int) (cluster % entriesPerBlock));
    }

    private long read(MemorySegment data, int entry) {
        return switch (order) {
            case 6 -> data.get(Qcow2Header.BE64, entry * 8L);
            case 5 -> Integer.toUnsignedLong(data.get(Qcow2Header.BE32, entry * 4L));
            case 4 -> Short.toUnsignedLong(data.get(Qcow2Header.BE16, entry * 2L));
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
        if (value == 0 && cluster == packedEnd >>> clusterBits) {
            packedEnd = 0;
        }
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
                data.set(Qcow2Header.BE16, entry * 2L, (short) value);
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

    /** Sets a refcount; false when no block holds it. */
    boolean correct(long cluster, long value) throws BlockException {
        if (!has(cluster)) {
            return false;
        }
        set(cluster, value);
        return true;
    }

    /** Where the last compressed data ends, 0 when the cluster there has gone out of use since. */
    long packedEnd() {
        return packedEnd;
    }

    /** Compressed data ends there from now on; 0 for none that more can follow. */
    void packedTo(long end) {
        packedEnd = end;
    }

    /** Where a run of new clusters is. */
    record Run(long offset, int clusters) {}

    /** Takes a free cluster for an L2 table; its refcount is 1. */
    long allocateTable() throws BlockException {
        long cluster = nextFree(hint(), true);
        take(cluster, 1);
        tookUpTo(cluster + 1);
        return cluster << clusterBits;
    }

    /**
     * Takes up to {@code most} free clusters in a row; their refcounts are 1.
     *
     * @return at least one cluster
     */
    Run allocate(int most) throws BlockException {
        long cluster = nextFree(hint(), false);
        int count = 0;
        while (count < most
                && has(cluster + count)
                && get(cluster + count) == 0
                && references(cluster + count) == 0
                && !isMetadata(cluster + count)) {
            count++;
        }
        take(cluster, count);
        tookUpTo(cluster + count);
        return new Run(cluster << clusterBits, count);
    }

    /** Takes exactly {@code count} free clusters in a row. */
    long allocateExactly(int count) throws BlockException {
        long cluster = nextFree(hint(), false);
        int run = 1;
        while (run < count) {
            long next = nextFree(cluster + run, false);
            if (next == cluster + run) {
                run++;
            } else {
                cluster = next;
                run = 1;
            }
        }
        take(cluster, count);
        return cluster << clusterBits;
    }

    private void take(long cluster, int count) throws BlockException {
        for (int i = 0; i < count; i++) {
            set(cluster + i, 1);
            if (census != null) {
                census.set(cluster + i, 1);
            }
        }
    }

    /**
     * The next cluster that is free and counted by a block. Each block is looked at once, and
     * blocks are made only where none was, so this comes to an end.
     *
     * @param forTable whether it shall be an L2 table, where QEMU has a message of its own for the
     *     header's cluster
     */
    private long nextFree(long from, boolean forTable) throws BlockException {
        long cluster = from;
        while (true) {
            ensureBlock(cluster);
            TableCache.Table block = block((int) (cluster / entriesPerBlock));
            for (int i = (int) (cluster % entriesPerBlock); i < entriesPerBlock; i++, cluster++) {
                if (read(block.data, i) == 0) {
                    if (cluster == 0 && forTable) {
                        throw file.fatal("Preventing invalid allocation of L2 table at offset 0");
                    }
                    if (isMetadata(cluster)) {
                        throw notFree(cluster);
                    }
                    if (references(cluster) == 0) {
                        return cluster;
                    }
                    file.report(
                            "Preventing allocation of cluster in use at "
                                    + Guard.hex(cluster << clusterBits));
                }
            }
        }
    }

    /** Whether one more reference to a cluster can be counted. */
    boolean canShare(long cluster) throws BlockException {
        long value = get(cluster);
        return value != 0 && Long.compareUnsigned(value, most()) < 0;
    }

    /** Counts one more reference to a cluster. */
    void share(long cluster) throws BlockException {
        set(cluster, get(cluster) + 1);
        if (census != null) {
            census.set(cluster, Math.min(Census.TOO_MANY, census.references(cluster) + 1));
        }
    }

    /** Takes clusters back that nothing on disk refers to. */
    void release(long offset, int clusters) throws BlockException {
        long first = offset >>> clusterBits;
        for (int i = 0; i < clusters; i++) {
            correct(first + i, 0);
            if (census != null) {
                census.set(first + i, 0);
            }
        }
        freeHint = Math.min(freeHint, Math.max(1, first));
    }

    /** Makes the block that counts a cluster where there is none. */
    private void ensureBlock(long cluster) throws BlockException {
        long index = cluster / entriesPerBlock;
        if (index >= table.length) {
            growTable(index);
        }
        if (table[(int) index] != 0) {
            return;
        }
        // Nothing in this block's range is in use, so the block can take the range's first cluster
        // and count itself.
        long self = index * entriesPerBlock;
        checkUnused(self, cluster + 1);
        long offset = self << clusterBits;
        checkOffset(offset);
        TableCache.Table block = cache.fresh(offset);
        table[(int) index] = offset;
        file.metadata().add(MetadataMap.REFCOUNT_BLOCK, offset);
        take(self, 1);
        file.write(MetadataMap.REFCOUNT_BLOCK, offset, block.data);
        file.flush();
        MemorySegment entry = MemorySegment.ofArray(new byte[8]);
        entry.set(Qcow2Header.BE64, 0, offset);
        file.write(MetadataMap.REFCOUNT_TABLE, tableOffset + index * 8L, entry);
    }

    /**
     * Errors when something lies where no block counts it: its block was lost, and who knows what
     * else is in use there.
     *
     * @param named from here on metadata is named first
     */
    private void checkUnused(long first, long named) throws BlockException {
        long end = first + entriesPerBlock;
        MetadataMap metadata = file.metadata();
        long known = metadata.firstIn(named, end);
        if (known < 0) {
            known = metadata.firstIn(first, end);
        }
        if (known >= 0) {
            throw notFree(known);
        }
        if (census != null && first < census.fileEnd()) {
            census.proceed(Long.MAX_VALUE);
        }
        for (long cluster = first; cluster < end; cluster++) {
            if (references(cluster) != 0) {
                throw file.fatal(
                        "Refblock missing for clusters in use"
                                + in((int) (first / entriesPerBlock)));
            }
        }
    }

    private static void checkOffset(long offset) throws BlockException {
        if (offset < 0 || offset >= 1L << 56) {
            throw new BlockException(Errno.EFBIG);
        }
    }

    private void growTable(long index) throws BlockException {
        int perCluster = (int) (clusterSize / 8);
        long entries = Math.max(index + 1, table.length + table.length / 2L);
        int clusters = (int) ((entries + perCluster - 1) / perCluster);
        entries = (long) clusters * perCluster;
        if (entries * 8 > TABLE_BYTES_MAX) {
            throw new BlockException(Errno.EFBIG);
        }
        // The blocks that count the new table and themselves go to the start of the range that no
        // block covers yet, and the table behind them.
        int blockIndex = table.length;
        int blocks = 1;
        while (blocks + clusters > (long) blocks * entriesPerBlock) {
            blocks++;
        }
        if (blockIndex + blocks > entries) {
            throw new BlockException(Errno.EFBIG);
        }
        long first = (long) blockIndex * entriesPerBlock;
        for (int i = 0; i < blocks; i++) {
            long covered = first + (long) i * entriesPerBlock;
            checkUnused(covered, covered);
        }
        checkOffset(first + blocks + clusters << clusterBits);
        long newOffset = first + blocks << clusterBits;
        long oldOffset = tableOffset;
        int oldClusters = tableClusters();
        long[] old = table;
        table = Arrays.copyOf(old, (int) entries);
        TableCache.Table[] made = new TableCache.Table[blocks];
        for (int i = 0; i < blocks; i++) {
            long offset = first + i << clusterBits;
            table[blockIndex + i] = offset;
            made[i] = cache.fresh(offset);
            file.metadata().add(MetadataMap.REFCOUNT_BLOCK, offset);
        }
        try {
            take(first, blocks + clusters);
            for (int i = 0; i < blocks; i++) {
                file.write(MetadataMap.REFCOUNT_BLOCK, table[blockIndex + i], made[i].data);
            }
            file.write(MetadataMap.REFCOUNT_TABLE, newOffset, tableBytes());
            file.flush();
            MemorySegment header = MemorySegment.ofArray(new byte[12]);
            header.set(Qcow2Header.BE64, 0, newOffset);
            header.set(Qcow2Header.BE32, 8, clusters);
            file.write(MetadataMap.HEADER, Qcow2Header.REFCOUNT_TABLE_AT, header);
            file.flush();
        } catch (BlockException e) {
            table = old;
            for (int i = 0; i < blocks; i++) {
                cache.drop(first + i << clusterBits);
                file.metadata().remove(first + i << clusterBits);
            }
            throw e;
        }
        tableOffset = newOffset;
        file.metadata().setRange(MetadataMap.REFCOUNT_TABLE, newOffset, entries * 8);
        release(oldOffset, oldClusters);
    }

    private MemorySegment tableBytes() {
        MemorySegment bytes = Arena.ofAuto().allocate(table.length * 8L);
        for (int i = 0; i < table.length; i++) {
            bytes.set(Qcow2Header.BE64, i * 8L, table[i]);
        }
        return bytes;
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

    /** Whether references wait to be counted down. */
    boolean anyPending() {
        return pendingCount > 0;
    }

    /** The clusters to which a reference went away since the last time. */
    long[] takePending() {
        long[] taken = Arrays.copyOf(pending, pendingCount);
        pendingCount = 0;
        return taken;
    }

    /** References that were taken could not be counted down yet. */
    void freeAgain(long[] clusters) {
        for (long cluster : clusters) {
            free(cluster << clusterBits, 1);
        }
    }

    /** Told of a cluster that became free. */
    @FunctionalInterface
    interface Freed {
        void freed(long offset) throws BlockException;
    }

    /**
     * Counts references down that were taken; the tables without them must be on disk. What cannot
     * be counted down stays as it is: at worst the cluster is never used again.
     */
    void applyFrees(long[] clusters, Freed freed) throws BlockException {
        for (long cluster : clusters) {
            long value = get(cluster);
            if (census != null) {
                census.drop(cluster);
            }
            if (value == 0) {
                file.report("Cannot free unused cluster " + Guard.hex(cluster << clusterBits));
            } else if (value == 1 && isMetadata(cluster)
                    || Long.compareUnsigned(value - 1, references(cluster)) < 0) {
                file.report(
                        "Preventing free of cluster in use at "
                                + Guard.hex(cluster << clusterBits));
            } else {
                set(cluster, value - 1);
                if (value == 1) {
                    freeHint = Math.min(freeHint, Math.max(1, cluster));
                    freed.freed(cluster << clusterBits);
                }
            }
        }
    }

    /** The refcounts that changed since the last time. */
    TableCache.Batch batch() {
        return cache.batch();
    }

    /** Writes the refcounts that changed, with no batch under way. */
    void write() throws BlockException {
        cache.write();
    }

    /** Whether so much waits for being written that it should be. */
    boolean crowded() {
        return cache.crowded() || pendingCount > PENDING_FREES_MAX;
    }

    /**
     * Starts over for an image whose only clusters are the first {@code used} ones, with the table
     * at cluster 1 and one block at cluster 2. The guard knows of no table any more.
     */
    void reset(int used) throws BlockException {
        cache.clear();
        census = null;
        packedEnd = 0;
        pendingCount = 0;
        long blockOffset = 2 * clusterSize;
        TableCache.Table block = cache.fresh(blockOffset);
        Arrays.fill(table, 0);
        table[0] = blockOffset;
        file.metadata().add(MetadataMap.REFCOUNT_BLOCK, blockOffset);
        take(0, used);
        file.write(MetadataMap.REFCOUNT_BLOCK, blockOffset, block.data);
        file.write(MetadataMap.REFCOUNT_TABLE, tableOffset, tableBytes());
        cache.clear();
        freeHint = used;
    }
}
