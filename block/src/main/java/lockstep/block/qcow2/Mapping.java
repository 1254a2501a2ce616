package lockstep.block.qcow2;

import lockstep.block.node.BlockException;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * Where an image keeps what the guest sees: the L1 table, the L2 tables, and the refcounts of the
 * clusters they point to. Lookups hold the image's lock shared, everything else exclusively. What
 * was changed goes to the file without the lock ({@link #writeBack}), so that nobody waits for it.
 */
final class Mapping {
    static final long COPIED = 1L << 63;
    static final long COMPRESSED = 1L << 62;
    static final long ZERO = 1;
    static final long OFFSET_MASK = 0x00fffffffffffe00L;
    private static final long L2_CACHE_BYTES = 32L << 20;
    private static final long CENSUS_STEP_BYTES = 1L << 20;

    private final ReentrantReadWriteLock lock = new ReentrantReadWriteLock();
    private final Guard file;
    private final Qcow2Header header;
    private final long clusterSize;
    private final int clusterBits;
    private final int l2Bits;
    private final TableCache tables;
    private final Refcounts refcounts;
    private final L1Table l1;
    private final WriteBack writeBack;
    private final SnapshotTable snapshots;
    private volatile BitmapDirectory bitmaps;
    private @Nullable Census census;
    private boolean emptied;
    private boolean guardsInactive;
    private long dataEnd;

    /**
     * Reads the L1 and the refcount table, and makes all tables known to the guard.
     *
     * @param active false while another process may still write the image
     */
    Mapping(Guard file, Qcow2Header header, boolean active) throws BlockException {
        this.file = file;
        this.header = header;
        this.clusterBits = header.clusterBits();
        this.clusterSize = header.clusterSize();
        this.l2Bits = clusterBits - 3;
        this.dataEnd = file.length();
        this.tables = new TableCache(file, MetadataMap.ACTIVE_L2, clusterSize, L2_CACHE_BYTES);
        this.refcounts = new Refcounts(file, header);
        this.l1 = new L1Table(file, header.l1Offset(), header.l1Size());
        this.writeBack = new WriteBack(file, lock.writeLock(), refcounts, tables, l1);
        MetadataMap metadata = file.metadata();
        metadata.addRange(MetadataMap.ACTIVE_L1, l1.offset(), l1.bytes());
        snapshots = SnapshotTable.read(file, header);
        snapshots.enter(metadata, header.snapshotsOffset());
        bitmaps = active ? BitmapDirectory.read(file, header) : BitmapDirectory.NONE;
        metadata.addRange(
                MetadataMap.BITMAP_DIRECTORY,
                header.bitmapDirectoryOffset(),
                header.bitmapDirectoryBytes());
        metadata.index();
        for (long entry : l1.entries()) {
            if ((entry & OFFSET_MASK) != 0) {
                metadata.add(MetadataMap.ACTIVE_L2, entry & OFFSET_MASK);
            }
        }
        guardInactive();
    }

    /** Makes the snapshots' tables known to the guard when it shall guard them. */
    void guardInactive() throws BlockException {
        if (!guardsInactive && file.guards(MetadataMap.INACTIVE_L2)) {
            snapshots.enterTables(file);
            guardsInactive = true;
        }
    }

    /** The image's lock. */
    ReentrantReadWriteLock lock() {
        return lock;
    }

    /** Makes a change while nobody looks and no metadata is on its way to the file. */
    void alone(GuestDisk.Change change) throws BlockException {
        writeBack.alone(change);
    }

    /** The L1 table's entries. */
    long[] l1() {
        return l1.entries();
    }

    long l1Offset() {
        return l1.offset();
    }

    SnapshotTable snapshots() {
        return snapshots;
    }

    BitmapDirectory bitmaps() {
        return bitmaps;
    }

    /** The same bitmaps, with other flags. */
    void bitmaps(BitmapDirectory directory) {
        bitmaps = directory;
    }

    Refcounts refcounts() {
        return refcounts;
    }

    /** The end of everything that was ever written: clusters from here on read as zeroes. */
    long dataEnd() {
        return dataEnd;
    }

    /** Something is about to be written up to there. */
    void writesUpTo(long end) {
        dataEnd = Math.max(dataEnd, end);
    }

    /** Some L2 table was changed. */
    void markDirty() {
        tables.markDirty();
    }

    int l1Index(long offset) {
        return (int) (offset >>> clusterBits + l2Bits);
    }

    int l2Index(long offset) {
        return (int) (offset >>> clusterBits) & (1 << l2Bits) - 1;
    }

    /**
     * The L2 table of an L1 entry, null when it is not allocated.
     *
     * @param writing whether it shall be changed, so that it must be nothing else
     */
    TableCache.@Nullable Table l2(int index, boolean writing) throws BlockException {
        long offset = l1.entries()[index] & OFFSET_MASK;
        if (offset == 0) {
            return null;
        }
        if ((offset & clusterSize - 1) != 0) {
            throw file.fatal(l2Table(index) + " unaligned (L1 index: " + Guard.hex(index) + ")");
        }
        int tables = MetadataMap.ACTIVE_L2 | MetadataMap.INACTIVE_L2;
        int other = file.overlap(tables, offset, clusterSize);
        if (other != 0 && !writing) {
            throw file.damaged(
                    l2Table(index)
                            + " overlaps with "
                            + MetadataMap.name(other)
                            + " (L1 index: "
                            + Guard.hex(index)
                            + ")");
        }
        if (other != 0) {
            throw file.overwrite(other, offset, clusterSize);
        }
        TableCache.Table table = this.tables.get(offset);
        if (table == null) {
            throw file.fatal(
                    l2Table(index) + " outside the image (L1 index: " + Guard.hex(index) + ")");
        }
        return table;
    }

    /**
     * Where the cluster of a guest offset is in the file, 0 when the image has none; -1 when that is not known at once,
     * the cluster is of another kind, or anything about it is odd: then {@link #entry} and the others find the words.
     *
     * @param write whether it is to be changed where it is
     */
    long entryAtOnce(long offset, boolean write) {
        long[] entries = l1.entries();
        int index = l1Index(offset);
        if (index >= entries.length) {
            return -1;
        }
        long place = entries[index] & OFFSET_MASK;
        if (place == 0) {
            return write ? -1 : 0;
        }
        int other = MetadataMap.ACTIVE_L2 | MetadataMap.INACTIVE_L2;
        TableCache.Table table = tables.inMemory(place);
        if (table == null || file.overlap(other, place, clusterSize) != 0) {
            return -1;
        }
        long entry = table.entry(l2Index(offset));
        long host = entry & OFFSET_MASK;
        if (isCompressed(entry) || (entry & ZERO) != 0 || (host & clusterSize - 1) != 0) {
            return -1;
        }
        if (host == 0) {
            return write ? -1 : 0;
        }
        boolean sound =
                host < dataEnd
                        && file.overlap(0, host, clusterSize) == 0
                        && (!write || !mustMove(entry));
        return sound ? host : -1;
    }

    private String l2Table(int index) {
        return "L2 table offset " + Guard.hex(l1.entries()[index] & OFFSET_MASK);
    }

    /** The L2 entry of a guest offset to be read through, 0 when there is no table. */
    long entry(long offset) throws BlockException {
        int index = l1Index(offset);
        TableCache.Table table = l2(index, false);
        if (table == null) {
            return 0;
        }
        long entry = table.entry(l2Index(offset));
        if (isCompressed(entry)) {
            return entry;
        }
        if ((entry & ZERO) != 0 && header.version() < 3) {
            throw file.fatal("Zero cluster entry found in pre-v3 image" + place(table, offset));
        }
        if ((entry & OFFSET_MASK & clusterSize - 1) != 0) {
            throw file.fatal(
                    "Cluster allocation offset "
                            + Guard.hex(entry & OFFSET_MASK)
                            + " unaligned"
                            + place(table, offset));
        }
        return entry;
    }

    private String place(TableCache.Table table, long offset) {
        return " (L2 offset: "
                + Guard.hex(table.offset)
                + ", L2 index: "
                + Guard.hex(l2Index(offset))
                + ")";
    }

    /** The L2 entry of a guest offset to be written in place, 0 when there is no table. */
    long entryForWriting(long offset) throws BlockException {
        TableCache.Table table = l2(l1Index(offset), true);
        if (table == null) {
            return 0;
        }
        long entry = table.entry(l2Index(offset));
        if (isCompressed(entry)) {
            return entry;
        }
        long host = entry & OFFSET_MASK;
        if ((entry & ZERO) != 0 && header.version() < 3) {
            throw file.fatal("Zero cluster entry found in pre-v3 image" + place(table, offset));
        }
        if ((entry & COPIED) != 0 && (host & clusterSize - 1) != 0) {
            throw file.fatal(
                    (isZero(entry) ? "Preallocated zero" : "Data")
                            + " cluster offset "
                            + Guard.hex(host)
                            + " unaligned (guest offset: "
                            + Guard.hex(offset)
                            + ")");
        }
        if (isInPlace(entry) && !isInside(host)) {
            throw file.damaged(
                    "Data cluster offset "
                            + Guard.hex(host)
                            + " outside the image (guest offset: "
                            + Guard.hex(offset)
                            + ")");
        }
        return entry;
    }

    /** Errors when a data cluster cannot be read because it is no data of this image. */
    void checkReadable(long entry, long offset) throws BlockException {
        long host = entry & OFFSET_MASK;
        int other = file.overlap(0, host, clusterSize);
        if (other != 0 || !isInside(host)) {
            throw file.damaged(
                    "Cluster allocation offset "
                            + Guard.hex(host)
                            + (other == 0
                                    ? " outside the image"
                                    : " overlaps with " + MetadataMap.name(other))
                            + " (guest offset: "
                            + Guard.hex(offset & -clusterSize)
                            + ")");
        }
    }

    private boolean isInside(long host) throws BlockException {
        // The file may have grown when another process writes the image.
        return host < dataEnd || host < file.length();
    }

    static boolean isCompressed(long entry) {
        return (entry & COMPRESSED) != 0;
    }

    boolean isZero(long entry) {
        return header.version() >= 3 && !isCompressed(entry) && (entry & ZERO) != 0;
    }

    /** Whether the cluster is the active table's alone, so that it can be overwritten. */
    boolean isInPlace(long entry) {
        return (entry & COPIED) != 0
                && (entry & OFFSET_MASK) != 0
                && !isCompressed(entry)
                && !isZero(entry);
    }

    /**
     * Whether the cluster has to be copied before it is changed: it is not the active table's
     * alone, whatever its entry says. What is metadata need not: it cannot be changed at all.
     */
    boolean mustMove(long entry) {
        long host = entry & OFFSET_MASK;
        return !isInPlace(entry)
                || references(host) > 1
                        && file.guards(MetadataMap.ALL)
                        && file.overlap(0, host, clusterSize) == 0;
    }

    /** Whether an entry's cluster can be one, so that it may be kept for later. */
    boolean isSound(long entry) throws BlockException {
        long host = entry & OFFSET_MASK;
        return (host & clusterSize - 1) == 0
                && isInside(host)
                && file.metadata().parts(host, clusterSize) == 0;
    }

    boolean isUnallocated(long entry) {
        return !isCompressed(entry) && !isZero(entry) && (entry & OFFSET_MASK) == 0;
    }

    /** The L2 table of an L1 entry, made or copied so that it belongs to the active table alone. */
    TableCache.Table l2ForWriting(int index) throws BlockException {
        long old = l1.entries()[index];
        TableCache.Table table = l2(index, true);
        if (census != null) {
            census.count(index);
        }
        if (table != null && (old & COPIED) != 0 && isAlone(table.offset)) {
            return table;
        }
        long offset = refcounts.allocateTable();
        TableCache.Table made = tables.fresh(offset);
        file.metadata().add(MetadataMap.ACTIVE_L2, offset);
        writesUpTo(offset + clusterSize);
        if (table != null) {
            MemorySegment.copy(table.data, 0, made.data, 0, clusterSize);
            file.metadata().remove(old & OFFSET_MASK);
            refcounts.free(old & OFFSET_MASK, clusterSize);
        }
        l1.set(index, offset | COPIED);
        return made;
    }

    /** Whether no other entry points to a table, whatever its entry says. */
    private boolean isAlone(long offset) throws BlockException {
        file.check(MetadataMap.ACTIVE_L2, offset, clusterSize);
        return !file.metadata().shared(offset) && references(offset) <= 1;
    }

    /** How many references to a cluster are known. */
    private int references(long offset) {
        return census == null ? 0 : census.references(offset >>> clusterBits);
    }

    /** Whether all references are known that can be. */
    boolean counted() {
        return emptied || census != null && census.complete();
    }

    /** Lets go of what an entry pointed to; what cannot have been in use is left alone. */
    void freeMapping(long entry) {
        if (isCompressed(entry)) {
            long start = Decompressor.start(entry, clusterBits);
            long length = Decompressor.length(entry, clusterBits);
            if (start < dataEnd) {
                refcounts.free(start, length);
            } else {
                file.report("Cannot free compressed cluster " + Guard.hex(start));
            }
            return;
        }
        long host = entry & OFFSET_MASK;
        if (host == 0) {
            return;
        }
        if ((host & clusterSize - 1) != 0) {
            file.report("Cannot free unaligned cluster " + Guard.hex(host));
        } else {
            refcounts.free(host, clusterSize);
        }
    }

    /** To be called before the mapping changes: knows then what is in use. */
    void tidy() throws BlockException {
        if (census == null && !emptied) {
            census = new Census(file, header, this, tables);
            refcounts.use(census);
        }
        if (census != null) {
            census.proceed(CENSUS_STEP_BYTES);
        }
    }

    /** Knows all that is in use as it is now; what is counted otherwise from then on is the file's alone. */
    void countAll() throws BlockException {
        tidy();
        while (!counted()) {
            tidy();
        }
    }

    /** Keeps what is held back until the next flush within bounds. */
    void writeBackIfCrowded() throws BlockException {
        boolean crowded;
        lock.readLock().lock();
        try {
            crowded = tables.crowded() || refcounts.crowded();
        } finally {
            lock.readLock().unlock();
        }
        if (crowded) {
            writeBack();
        }
    }

    /**
     * Writes the metadata that was changed until now in the order that keeps the image valid at
     * every moment. Called without the lock, which is held only while the changes are copied; or by
     * who is {@link #alone}.
     */
    void writeBack() throws BlockException {
        writeBack.run();
    }

    /** 0 unallocated, 1 zero, 2 data. */
    int kind(long entry) {
        if (isUnallocated(entry)) {
            return 0;
        }
        return isZero(entry) ? 1 : 2;
    }

    /** Moves the L1 table to a place with room for more entries. */
    void growL1(int entries) throws BlockException {
        tidy();
        int clusters = (int) (entries * 8L + clusterSize - 1 >>> clusterBits);
        long offset = refcounts.allocateExactly(clusters);
        long[] grown = l1.copyTo(offset, entries, clusters << clusterBits - 3);
        refcounts.write();
        file.flush();
        MemorySegment fields = MemorySegment.ofArray(new byte[12]);
        fields.set(Qcow2Header.BE32, 0, entries);
        fields.set(Qcow2Header.BE64, 4, offset);
        file.write(MetadataMap.HEADER, Qcow2Header.L1_SIZE_AT, fields);
        file.flush();
        file.metadata().setRange(MetadataMap.ACTIVE_L1, offset, entries * 8L);
        if (l1.bytes() > 0) {
            refcounts.free(l1.offset(), l1.bytes());
        }
        writesUpTo(offset + ((long) clusters << clusterBits));
        l1.moved(offset, grown);
        writeBack();
    }

    /** Lets tables go that map nothing, from an L1 index on. */
    void dropTables(int from) {
        for (int i = from; i < l1.entries().length; i++) {
            long offset = l1.entries()[i] & OFFSET_MASK;
            if (offset != 0) {
                l1.set(i, 0);
                file.metadata().remove(offset);
                refcounts.free(offset, clusterSize);
            }
        }
    }

    /** Guest bytes that one L2 table maps. */
    long l2Span() {
        return 1L << clusterBits + l2Bits;
    }

    /** Lets go of everything, so that the whole image reads from below. */
    void makeEmpty() throws BlockException {
        int l1Clusters = (int) (l1.bytes() + clusterSize - 1 >>> clusterBits);
        int used = 3 + l1Clusters;
        boolean standard =
                header.snapshots() == 0
                        && !header.bitmaps()
                        && header.encryption() == 0
                        && refcounts.tableOffset() == clusterSize
                        && refcounts.tableClusters() == 1
                        && refcounts.blocks()[0] == 2 * clusterSize
                        && l1.offset() == 3 * clusterSize
                        && used <= refcounts.entriesPerBlock();
        if (!standard) {
            freeAll();
        } else if (!isEmpty(used)) {
            // With the L1 table empty everything else is unused, so each further step only turns
            // leaks into nothing.
            tables.clear();
            file.metadata().clearClusters();
            l1.clear();
            refcounts.reset(used);
            census = null;
            emptied = true;
            file.truncate(used * clusterSize);
            dataEnd = used * clusterSize;
        }
    }

    /** Whether nothing was written since the image was emptied last; checkpoints are frequent. */
    private boolean isEmpty(int used) {
        if (dataEnd > used * clusterSize || refcounts.anyPending()) {
            return false;
        }
        for (long entry : l1.entries()) {
            if (entry != 0) {
                return false;
            }
        }
        return true;
    }

    private void freeAll() throws BlockException {
        for (int i = 0; i < l1.entries().length; i++) {
            if ((l1.entries()[i] & OFFSET_MASK) != 0) {
                writeBackIfCrowded();
                tidy();
                TableCache.Table table = l2ForWriting(i);
                for (int j = 0; j < 1 << l2Bits; j++) {
                    long old = table.entry(j);
                    if (old != 0) {
                        table.entry(j, 0);
                        freeMapping(old);
                    }
                }
                tables.markDirty();
            }
        }
        writeBack();
    }
}
