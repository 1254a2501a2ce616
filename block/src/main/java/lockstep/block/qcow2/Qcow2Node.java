package lockstep.block.qcow2;

import lockstep.block.BlockException;
import lockstep.block.BlockStatus;
import lockstep.block.Errno;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.Buffers;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Role;
import lockstep.block.node.Zeroes;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * Driver {@code qcow2}. Reads and writes to clusters that the image already owns run in parallel under the shared side of
 * one lock; what changes the mapping takes the exclusive side for as long as the new data is being written, so no reader
 * ever sees a cluster that is half filled or that was given away.
 */
public final class Qcow2Node extends BlockNode {
    private static final long COPIED = 1L << 63;
    private static final long COMPRESSED = 1L << 62;
    private static final long ZERO = 1;
    private static final long OFFSET_MASK = 0x00fffffffffffe00L;
    private static final long L2_CACHE_BYTES = 32L << 20;
    private static final int PENDING_FREES_MAX = 1 << 16;
    private static final int ALLOCATION_MAX_BYTES = 8 << 20;

    private final ReentrantReadWriteLock lock = new ReentrantReadWriteLock();
    private Qcow2Header header;
    private long[] l1 = {};
    private long l1Offset;
    private volatile long size;
    private long clusterSize;
    private int clusterBits;
    private int l2Bits;
    private int l1DirtyFrom = Integer.MAX_VALUE;
    private int l1DirtyTo;
    private boolean anyRefcountsSinceSync;
    private long dataEnd;
    private TableCache tables;
    private Refcounts refcounts;
    private @Nullable Decompressor decompressor;

    private Qcow2Node(
            BlockGraph graph, String name, boolean readOnly, BlockNode file, Qcow2Header h)
            throws BlockException {
        super(graph, "qcow2", name, readOnly);
        header = h;
        tables = new TableCache(h.clusterSize(), L2_CACHE_BYTES);
        refcounts = new Refcounts(file, h);
    }

    /**
     * Opens an image and enters the node; the backing node is attached by {@link #attachBacking}.
     *
     * @param file the node the image is stored in; this node takes its own reference
     * @param active false while another process may still write the image
     */
    public static Qcow2Node open(
            BlockGraph graph, String name, boolean readOnly, BlockNode file, boolean active)
            throws BlockException {
        Qcow2Header header = Qcow2Header.read(file, !readOnly && active);
        Qcow2Node node = new Qcow2Node(graph, name, readOnly, file, header);
        if (!active) {
            BlockGraph.startInactive(node);
        }
        graph.add(node);
        try {
            graph.attach(node, "file", Role.STORAGE, file);
            node.load();
            if (!readOnly && active) {
                node.prepareForWriting();
            }
        } catch (BlockException e) {
            graph.release(node);
            throw e;
        }
        return node;
    }

    /** Sets the node that unallocated clusters are read from. */
    public void attachBacking(BlockNode backing) throws BlockException {
        graph().attach(this, "backing", Role.BACKING, backing);
    }

    /** The header as it was read when the image was opened or activated. */
    public Qcow2Header header() {
        return header;
    }

    @Override
    public String plainFilename() {
        return info().backingOverridden() ? "" : file().plainFilename();
    }

    /** The node that the image is stored in. */
    private BlockNode file() {
        ChildEdge edge = child("file");
        if (edge == null) {
            throw new IllegalStateException(name() + " has no file");
        }
        return edge.node();
    }

    private void load() throws BlockException {
        BlockNode file = file();
        header = Qcow2Header.read(file, !readOnly() && active());
        clusterBits = header.clusterBits();
        clusterSize = header.clusterSize();
        l2Bits = clusterBits - 3;
        size = header.size();
        l1Offset = header.l1Offset();
        dataEnd = file.length();
        tables = new TableCache(clusterSize, L2_CACHE_BYTES);
        refcounts = new Refcounts(file, header);
        int entries = header.l1Size();
        MemorySegment bytes = Arena.ofAuto().allocate(Math.max(8, entries * 8L));
        Qcow2Header.readUpTo(file, l1Offset, bytes, dataEnd);
        long[] loaded = new long[entries];
        for (int i = 0; i < entries; i++) {
            loaded[i] = bytes.get(Qcow2Header.BE64, i * 8L);
        }
        l1 = loaded;
        l1DirtyFrom = Integer.MAX_VALUE;
        l1DirtyTo = 0;
        decompressor = null;
    }

    private void prepareForWriting() throws BlockException {
        if (header.has(Qcow2Header.DIRTY)) {
            // Refcounts cannot be trusted: the last writer postponed them and did not come back.
            new Qcow2Repair(file(), header, l1).rebuildRefcounts();
            patchHeader(Qcow2Header.INCOMPATIBLE_AT, header.incompatible() & ~Qcow2Header.DIRTY);
            file().flush();
            load();
        }
        if (header.autoclear() != 0) {
            // None of those features is kept up to date here, so the image must stop promising
            // them.
            patchHeader(Qcow2Header.AUTOCLEAR_AT, 0);
        }
    }

    private void patchHeader(int at, long value) throws BlockException {
        MemorySegment field = MemorySegment.ofArray(new byte[8]);
        field.set(Qcow2Header.BE64, 0, value);
        file().write(at, field);
    }

    @Override
    protected void onActivate() throws BlockException {
        lock.writeLock().lock();
        try {
            load();
            if (!readOnly()) {
                prepareForWriting();
            }
        } finally {
            lock.writeLock().unlock();
        }
    }

    @Override
    protected void onInactivate() throws BlockException {
        if (!readOnly()) {
            flush();
        }
    }

    @Override
    protected void onReopen(boolean readOnly) throws BlockException {
        if (readOnly) {
            flush();
        } else if (active()) {
            onActivate();
        }
    }

    @Override
    protected void close() throws BlockException {
        if (!readOnly() && active() && child("file") != null && l1.length != 0) {
            flush();
        }
    }

    @Override
    public long length() {
        return size;
    }

    private int l1Index(long offset) {
        return (int) (offset >>> clusterBits + l2Bits);
    }

    private int l2Index(long offset) {
        return (int) (offset >>> clusterBits) & (1 << l2Bits) - 1;
    }

    private BlockException corrupt(String what) {
        return new BlockException(Errno.EIO, "qcow2 image " + name() + " is corrupt: " + what);
    }

    /** The L2 table of an L1 entry, null when it is not allocated. */
    private TableCache.@Nullable Table l2(int index) throws BlockException {
        long offset = l1[index] & OFFSET_MASK;
        if (offset == 0) {
            return null;
        }
        if ((offset & clusterSize - 1) != 0) {
            throw corrupt("L2 table offset 0x" + Long.toHexString(offset) + " unaligned");
        }
        return tables.get(file(), offset);
    }

    private long entry(long offset) throws BlockException {
        TableCache.Table table = l2(l1Index(offset));
        return table == null ? 0 : table.entry(l2Index(offset));
    }

    private static boolean isCompressed(long entry) {
        return (entry & COMPRESSED) != 0;
    }

    private boolean isZero(long entry) {
        return header.version() >= 3 && !isCompressed(entry) && (entry & ZERO) != 0;
    }

    private long hostOffset(long entry) throws BlockException {
        long host = entry & OFFSET_MASK;
        if ((host & clusterSize - 1) != 0) {
            throw corrupt("data cluster offset 0x" + Long.toHexString(host) + " unaligned");
        }
        return host;
    }

    private boolean isInPlace(long entry) {
        return (entry & COPIED) != 0 && !isCompressed(entry) && !isZero(entry);
    }

    // Reading

    @Override
    public void read(long offset, MemorySegment destination) throws BlockException {
        checkRange(offset, destination.byteSize(), size);
        lock.readLock().lock();
        try {
            readMapped(offset, destination);
        } finally {
            lock.readLock().unlock();
        }
    }

    private void readMapped(long offset, MemorySegment destination) throws BlockException {
        long done = 0;
        long total = destination.byteSize();
        while (done < total) {
            long position = offset + done;
            long entry = entry(position);
            long inCluster = position & clusterSize - 1;
            long run = Math.min(total - done, clusterSize - inCluster);
            if (isCompressed(entry)) {
                decompressor().read(file(), entry, inCluster, destination.asSlice(done, run));
            } else if (isZero(entry)) {
                destination.asSlice(done, run).fill((byte) 0);
            } else if ((entry & OFFSET_MASK) != 0) {
                long host = hostOffset(entry);
                while (run < total - done) {
                    long next = entry(offset + done + run);
                    if (isCompressed(next)
                            || isZero(next)
                            || (next & OFFSET_MASK) != host + inCluster + run) {
                        break;
                    }
                    run += Math.min(total - done - run, clusterSize);
                }
                readHost(host + inCluster, destination.asSlice(done, run));
            } else {
                while (run < total - done && isUnallocated(entry(offset + done + run))) {
                    run += Math.min(total - done - run, clusterSize);
                }
                readBacking(position, destination.asSlice(done, run));
            }
            done += run;
        }
    }

    private boolean isUnallocated(long entry) {
        return !isCompressed(entry) && !isZero(entry) && (entry & OFFSET_MASK) == 0;
    }

    private void readHost(long host, MemorySegment destination) throws BlockException {
        BlockNode file = file();
        long length = file.length();
        long there = Math.max(0, Math.min(destination.byteSize(), length - host));
        if (there > 0) {
            file.read(host, destination.asSlice(0, there));
        }
        if (there < destination.byteSize()) {
            destination.asSlice(there).fill((byte) 0);
        }
    }

    private void readBacking(long offset, MemorySegment destination) throws BlockException {
        BlockNode backing = backing();
        long there = 0;
        if (backing != null) {
            there = Math.max(0, Math.min(destination.byteSize(), backing.length() - offset));
            if (there > 0) {
                backing.read(offset, destination.asSlice(0, there));
            }
        }
        if (there < destination.byteSize()) {
            destination.asSlice(there).fill((byte) 0);
        }
    }

    private synchronized Decompressor decompressor() {
        Decompressor current = decompressor;
        if (current == null) {
            current = new Decompressor(header);
            decompressor = current;
        }
        return current;
    }

    // Writing

    @Override
    public void write(long offset, MemorySegment source) throws BlockException {
        checkRange(offset, source.byteSize(), size);
        long done = 0;
        long total = source.byteSize();
        while (done < total) {
            done += writeInPlace(offset + done, source.asSlice(done));
            if (done < total) {
                done += writeAllocating(offset + done, source.asSlice(done));
            }
        }
    }

    /** Writes as long as the clusters belong to the image alone; returns how many bytes that were. */
    private long writeInPlace(long offset, MemorySegment source) throws BlockException {
        lock.readLock().lock();
        try {
            long done = 0;
            long total = source.byteSize();
            while (done < total) {
                long position = offset + done;
                long entry = entry(position);
                if (!isInPlace(entry)) {
                    break;
                }
                long host = hostOffset(entry);
                long inCluster = position & clusterSize - 1;
                long run = Math.min(total - done, clusterSize - inCluster);
                while (run < total - done) {
                    long next = entry(position + run);
                    if (!isInPlace(next) || (next & OFFSET_MASK) != host + inCluster + run) {
                        break;
                    }
                    run += Math.min(total - done - run, clusterSize);
                }
                file().write(host + inCluster, source.asSlice(done, run));
                done += run;
            }
            return done;
        } finally {
            lock.readLock().unlock();
        }
    }

    /** Gives new clusters to the start of a range and writes them; returns how many bytes were written. */
    private long writeAllocating(long offset, MemorySegment source) throws BlockException {
        lock.writeLock().lock();
        try {
            tidy();
            long inCluster = offset & clusterSize - 1;
            long first = offset - inCluster;
            long most = Math.min(source.byteSize(), ALLOCATION_MAX_BYTES);
            int wanted = (int) (inCluster + most + clusterSize - 1 >>> clusterBits);
            wanted = Math.min(wanted, (1 << l2Bits) - l2Index(offset));
            int count = 0;
            while (count < wanted && !isInPlace(entry(first + ((long) count << clusterBits)))) {
                count++;
            }
            if (count == 0) {
                return 0;
            }
            TableCache.Table table = l2ForWriting(l1Index(offset));
            Refcounts.Run run = refcounts.allocate(count);
            long bytes =
                    Math.min(source.byteSize(), ((long) run.clusters() << clusterBits) - inCluster);
            try {
                checkNotMetadata(run);
                fill(first, run, inCluster, source.asSlice(0, bytes));
            } catch (BlockException e) {
                refcounts.release(run.offset(), run.clusters());
                throw e;
            }
            int index = l2Index(offset);
            for (int i = 0; i < run.clusters(); i++) {
                long old = table.entry(index + i);
                table.entry(index + i, run.offset() + ((long) i << clusterBits) | COPIED);
                freeMapping(old);
            }
            tables.markDirty();
            return bytes;
        } finally {
            lock.writeLock().unlock();
        }
    }

    /** A wrong refcount must not make a table a data cluster. */
    private void checkNotMetadata(Refcounts.Run run) throws BlockException {
        long end = run.offset() + ((long) run.clusters() << clusterBits);
        long l1End = l1Offset + l1.length * 8L;
        long table = refcounts.tableOffset();
        long tableEnd = table + ((long) refcounts.tableClusters() << clusterBits);
        if (run.offset() < clusterSize
                || run.offset() < l1End && l1Offset < end
                || run.offset() < tableEnd && table < end) {
            throw corrupt(
                    "a metadata cluster at 0x"
                            + Long.toHexString(run.offset())
                            + " counts as free");
        }
    }

    /** Writes data into new clusters, with the old content around it. */
    private void fill(long first, Refcounts.Run run, long inCluster, MemorySegment data)
            throws BlockException {
        BlockNode file = file();
        long end = inCluster + data.byteSize();
        long clusterEnd = end + clusterSize - 1 & -clusterSize;
        boolean fresh = run.offset() >= dataEnd;
        copyOld(first, inCluster, run.offset(), fresh);
        file.write(run.offset() + inCluster, data);
        copyOld(first + end, clusterEnd - end, run.offset() + end, fresh);
        dataEnd = Math.max(dataEnd, run.offset() + clusterEnd);
    }

    private void copyOld(long guest, long length, long host, boolean fresh) throws BlockException {
        if (length == 0) {
            return;
        }
        long there = Math.max(0, Math.min(length, size - guest));
        if (fresh && isUnallocated(entryOrNone(guest)) && backing() == null) {
            return;
        }
        try (Buffers.Lease lease = Buffers.take(length)) {
            MemorySegment buffer = lease.segment();
            if (there > 0) {
                readMapped(guest, buffer.asSlice(0, there));
            }
            buffer.asSlice(there).fill((byte) 0);
            if (!fresh || !Zeroes.isZero(buffer)) {
                file().write(host, buffer);
            }
        }
    }

    private long entryOrNone(long guest) throws BlockException {
        return guest < size ? entry(guest) : 0;
    }

    /** The L2 table of an L1 entry, made or copied so that it belongs to the active table alone. */
    private TableCache.Table l2ForWriting(int index) throws BlockException {
        long old = l1[index];
        TableCache.Table table = l2(index);
        if (table != null && (old & COPIED) != 0) {
            return table;
        }
        long offset = refcounts.allocate(1).offset();
        TableCache.Table made = tables.fresh(offset);
        dataEnd = Math.max(dataEnd, offset + clusterSize);
        if (table != null) {
            MemorySegment.copy(table.data, 0, made.data, 0, clusterSize);
            refcounts.free(old & OFFSET_MASK, clusterSize);
        }
        l1[index] = offset | COPIED;
        l1DirtyFrom = Math.min(l1DirtyFrom, index);
        l1DirtyTo = Math.max(l1DirtyTo, index + 1);
        return made;
    }

    private void freeMapping(long entry) {
        if (isCompressed(entry)) {
            refcounts.free(
                    Decompressor.start(entry, clusterBits),
                    Decompressor.length(entry, clusterBits));
        } else if ((entry & OFFSET_MASK) != 0) {
            refcounts.free(entry & OFFSET_MASK, clusterSize);
        }
    }

    /** Keeps what is held back until the next flush within bounds. */
    private void tidy() throws BlockException {
        if (tables.crowded()
                || refcounts.crowded()
                || refcounts.pendingFrees() > PENDING_FREES_MAX) {
            writeBack();
        }
    }

    /** Writes changed metadata in the order that keeps the image valid at every moment. */
    private void writeBack() throws BlockException {
        BlockNode file = file();
        if (refcounts.isDirty()) {
            refcounts.write();
            anyRefcountsSinceSync = true;
        }
        if (tables.isDirty() || l1DirtyTo > 0) {
            if (anyRefcountsSinceSync) {
                file.flush();
                anyRefcountsSinceSync = false;
            }
            tables.write(file);
        }
        if (l1DirtyTo > 0) {
            file.flush();
            int count = l1DirtyTo - l1DirtyFrom;
            MemorySegment bytes = Arena.ofAuto().allocate(count * 8L);
            for (int i = 0; i < count; i++) {
                bytes.set(Qcow2Header.BE64, i * 8L, l1[l1DirtyFrom + i]);
            }
            file.write(l1Offset + l1DirtyFrom * 8L, bytes);
            l1DirtyFrom = Integer.MAX_VALUE;
            l1DirtyTo = 0;
        }
        if (refcounts.pendingFrees() > 0) {
            file.flush();
            refcounts.applyFrees(tables::drop);
            refcounts.write();
            anyRefcountsSinceSync = true;
        }
    }

    @Override
    public void flush() throws BlockException {
        if (readOnly()) {
            return;
        }
        lock.writeLock().lock();
        try {
            writeBack();
        } finally {
            lock.writeLock().unlock();
        }
        file().flush();
    }

    // Zeroes, discard, status

    @Override
    public void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        checkRange(offset, length, size);
        long position = offset;
        long end = offset + length;
        long head = Math.min(end, position + clusterSize - 1 & -clusterSize);
        if (position < head) {
            zeroPart(position, head - position);
            position = head;
        }
        // The last cluster of the disk counts as whole: nothing of it lies beyond.
        long tail = end == size ? end : end & -clusterSize;
        while (position < tail) {
            long inTable = Math.min(tail - position, l2Span() - (position & l2Span() - 1));
            if (!zeroClusters(position, inTable, mayUnmap, false)) {
                writeZeroesByWriting(position, inTable);
            }
            position += inTable;
        }
        if (position < end) {
            zeroPart(position, end - position);
        }
    }

    private long l2Span() {
        return 1L << clusterBits + l2Bits;
    }

    private void zeroPart(long offset, long length) throws BlockException {
        BlockStatus status = status(offset, length);
        if (status.length() < length || !status.zero()) {
            write(offset, Zeroes.SEGMENT.asSlice(0, length));
        }
    }

    /** Turns whole clusters of one L2 table into zero clusters; false when the format cannot say so. */
    private boolean zeroClusters(long offset, long length, boolean mayUnmap, boolean discard)
            throws BlockException {
        lock.writeLock().lock();
        try {
            boolean plain = header.version() >= 3;
            if (!plain && (backing() != null || !discard)) {
                return false;
            }
            int index = l1Index(offset);
            if ((l1[index] & OFFSET_MASK) == 0 && backing() == null) {
                return true;
            }
            tidy();
            TableCache.Table table = l2ForWriting(index);
            int from = l2Index(offset);
            int to = from + (int) (length + clusterSize - 1 >>> clusterBits);
            for (int i = from; i < to; i++) {
                long old = table.entry(i);
                if (isZero(old) && (old & OFFSET_MASK) == 0) {
                    continue;
                }
                if (isUnallocated(old) && backing() == null) {
                    continue;
                }
                if (plain && !mayUnmap && isInPlace(old)) {
                    table.entry(i, old | ZERO);
                } else {
                    table.entry(i, plain ? ZERO : 0);
                    freeMapping(old);
                }
            }
            tables.markDirty();
            return true;
        } finally {
            lock.writeLock().unlock();
        }
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        checkRange(offset, length, size);
        long position = offset + clusterSize - 1 & -clusterSize;
        long end = offset + length == size ? size : offset + length & -clusterSize;
        while (position < end) {
            long inTable = Math.min(end - position, l2Span() - (position & l2Span() - 1));
            if (!zeroClusters(position, inTable, true, true)) {
                throw new BlockException(Errno.ENOTSUP);
            }
            position += inTable;
        }
    }

    @Override
    public BlockStatus status(long offset, long length) throws BlockException {
        checkRange(offset, length, size);
        lock.readLock().lock();
        try {
            long entry = entry(offset);
            int kind = kind(entry);
            long run = Math.min(length, clusterSize - (offset & clusterSize - 1));
            while (run < length && kind(entry(offset + run)) == kind) {
                run += Math.min(length - run, clusterSize);
            }
            if (kind != 0) {
                return new BlockStatus(run, kind == 2, kind == 1, true);
            }
            BlockNode backing = backing();
            if (backing == null || offset >= backing.length()) {
                return new BlockStatus(run, false, true, false);
            }
            BlockStatus below = backing.status(offset, Math.min(run, backing.length() - offset));
            return new BlockStatus(below.length(), below.data(), below.zero(), false);
        } finally {
            lock.readLock().unlock();
        }
    }

    private int kind(long entry) {
        if (isUnallocated(entry)) {
            return 0;
        }
        return isZero(entry) ? 1 : 2;
    }

    // Size and emptying

    @Override
    public void truncate(long length) throws BlockException {
        if (length % 512 != 0) {
            throw new BlockException(Errno.EINVAL, "The new size must be a multiple of 512");
        }
        lock.writeLock().lock();
        try {
            if (header.snapshots() != 0 && header.version() < 3) {
                throw new BlockException(
                        Errno.ENOTSUP, "Can't resize a v2 image which has snapshots");
            }
            if (length < size) {
                throw new BlockException(Errno.ENOTSUP, "qcow2 images cannot be shrunk");
            }
            long needed = Qcow2Header.l1Needed(length, clusterBits);
            if (needed * 8 > 32L << 20) {
                throw new BlockException(Errno.EFBIG, "The image is too big");
            }
            writeBack();
            if (needed > l1.length) {
                growL1((int) needed);
            }
            patchHeader(Qcow2Header.SIZE_AT, length);
            file().flush();
            size = length;
        } finally {
            lock.writeLock().unlock();
        }
    }

    private void growL1(int entries) throws BlockException {
        int clusters = (int) (entries * 8L + clusterSize - 1 >>> clusterBits);
        long offset = refcounts.allocateExactly(clusters);
        long[] grown = java.util.Arrays.copyOf(l1, entries);
        MemorySegment bytes = Arena.ofAuto().allocate((long) clusters << clusterBits);
        for (int i = 0; i < entries; i++) {
            bytes.set(Qcow2Header.BE64, i * 8L, grown[i]);
        }
        BlockNode file = file();
        file.write(offset, bytes);
        refcounts.write();
        file.flush();
        MemorySegment fields = MemorySegment.ofArray(new byte[12]);
        fields.set(Qcow2Header.BE32, 0, entries);
        fields.set(Qcow2Header.BE64, 4, offset);
        file.write(Qcow2Header.L1_SIZE_AT, fields);
        file.flush();
        refcounts.free(l1Offset, Math.max(1, l1.length * 8L));
        dataEnd = Math.max(dataEnd, offset + bytes.byteSize());
        l1 = grown;
        l1Offset = offset;
        writeBack();
    }

    /** Whether nothing was written since the image was emptied last; checkpoints are frequent. */
    private boolean isEmpty(int used) {
        if (dataEnd > used * clusterSize || refcounts.pendingFrees() > 0) {
            return false;
        }
        for (long entry : l1) {
            if (entry != 0) {
                return false;
            }
        }
        return true;
    }

    @Override
    public boolean canMakeEmpty() {
        return true;
    }

    @Override
    public void makeEmpty() throws BlockException {
        lock.writeLock().lock();
        try {
            int l1Clusters = (int) (l1.length * 8L + clusterSize - 1 >>> clusterBits);
            int used = 3 + l1Clusters;
            boolean standard =
                    header.snapshots() == 0
                            && !header.bitmaps()
                            && refcounts.tableOffset() == clusterSize
                            && refcounts.tableClusters() == 1
                            && refcounts.blocks()[0] == 2 * clusterSize
                            && l1Offset == 3 * clusterSize
                            && used <= refcounts.entriesPerBlock();
            if (standard && isEmpty(used)) {
                return;
            }
            if (standard) {
                // With the L1 table empty everything else is unused, so each further step only
                // turns leaks into nothing.
                java.util.Arrays.fill(l1, 0);
                BlockNode file = file();
                file.write(l1Offset, Arena.ofAuto().allocate(Math.max(8, l1.length * 8L)));
                tables.clear();
                l1DirtyFrom = Integer.MAX_VALUE;
                l1DirtyTo = 0;
                refcounts.reset(used);
                file.truncate(used * clusterSize);
                dataEnd = used * clusterSize;
            } else {
                for (int i = 0; i < l1.length; i++) {
                    if ((l1[i] & OFFSET_MASK) != 0) {
                        TableCache.Table table = l2ForWriting(i);
                        for (int j = 0; j < 1 << l2Bits; j++) {
                            long old = table.entry(j);
                            if (old != 0) {
                                table.entry(j, 0);
                                freeMapping(old);
                            }
                        }
                        tables.markDirty();
                        tidy();
                    }
                }
                writeBack();
            }
            decompressor = null;
        } finally {
            lock.writeLock().unlock();
        }
    }
}
