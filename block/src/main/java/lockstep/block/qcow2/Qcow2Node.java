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

import java.lang.foreign.MemorySegment;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * Driver {@code qcow2}. Reads and writes to clusters that the image already owns run in parallel
 * under the shared side of one lock; what changes the mapping takes the exclusive side for as long
 * as the new data is being written, so no reader ever sees a cluster that is half filled or that
 * was given away.
 */
public final class Qcow2Node extends BlockNode {
    private static final int ALLOCATION_MAX_BYTES = 8 << 20;

    private final ReentrantReadWriteLock lock = new ReentrantReadWriteLock();
    private final Guard guard;
    private final ChildEdge opening;
    private Qcow2Header header;
    private Mapping map;
    private volatile long size;
    private volatile boolean counted;
    private long clusterSize;
    private int clusterBits;
    private @Nullable Decompressor decompressor;

    private Qcow2Node(
            BlockGraph graph,
            String name,
            boolean readOnly,
            boolean active,
            OverlapChecks checks,
            ChildEdge file,
            Qcow2Header h)
            throws BlockException {
        super(graph, "qcow2", name, readOnly);
        opening = file;
        guard =
                new Guard(
                        this::file,
                        checks.parts(),
                        () -> !readOnly() && active(),
                        (message, offset, size, fatal) ->
                                graph.host().imageCorrupted(this, message, offset, size, fatal));
        header = h;
        clusterBits = h.clusterBits();
        clusterSize = h.clusterSize();
        size = h.size();
        guard.opened(h);
        map = new Mapping(guard, h, active);
    }

    /**
     * Opens an image and enters the node; the backing node is attached by {@link #attachBacking}.
     *
     * @param file the node the image is stored in; this node takes its own reference
     * @param active false while another process may still write the image
     * @param checks what is protected from wrong writes
     */
    public static Qcow2Node open(
            BlockGraph graph,
            String name,
            boolean readOnly,
            BlockNode file,
            boolean active,
            OverlapChecks checks)
            throws BlockException {
        ChildEdge look = ChildEdge.look(file);
        Qcow2Header header = Qcow2Header.read(look, !readOnly && active);
        Qcow2Node node = new Qcow2Node(graph, name, readOnly, active, checks, look, header);
        if (!active) {
            BlockGraph.startInactive(node);
        }
        graph.add(node);
        try {
            graph.attach(node, "file", Role.STORAGE, file);
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

    /** Changes what is protected from wrong writes. */
    public void protect(OverlapChecks checks) throws BlockException {
        lock.writeLock().lock();
        try {
            guard.protect(checks);
            map.guardInactive();
        } finally {
            lock.writeLock().unlock();
        }
    }

    /** Whether the image is marked as corrupt. Any thread. */
    public boolean corrupt() {
        return guard.corrupt();
    }

    /** The header as it was read when the image was opened or activated. */
    public Qcow2Header header() {
        return header;
    }

    @Override
    public String plainFilename() {
        return info().backingOverridden() ? "" : file().node().plainFilename();
    }

    /** The node that the image is stored in. */
    private ChildEdge file() {
        ChildEdge edge = child("file");
        return edge == null ? opening : edge;
    }

    /** The node that unallocated clusters are read from. */
    private @Nullable ChildEdge below() {
        return child("backing");
    }

    @Override
    public long allocationUnit() {
        return clusterSize;
    }

    private void load() throws BlockException {
        header = Qcow2Header.read(file(), !readOnly() && active());
        clusterBits = header.clusterBits();
        clusterSize = header.clusterSize();
        size = header.size();
        guard.opened(header);
        map = new Mapping(guard, header, active());
        counted = false;
        decompressor = null;
    }

    private void prepareForWriting() throws BlockException {
        if (header.has(Qcow2Header.DIRTY)) {
            // Refcounts cannot be trusted: the last writer postponed them and did not come back.
            new Qcow2Repair(guard, header, map).rebuildRefcounts();
            patchHeader(Qcow2Header.INCOMPATIBLE_AT, header.incompatible() & ~Qcow2Header.DIRTY);
            guard.flush();
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
        guard.write(MetadataMap.HEADER, at, field);
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
        if (!readOnly() && active() && child("file") != null && size != 0 && !guard.stopped()) {
            flush();
        }
    }

    @Override
    protected long length() {
        return size;
    }

    // Reading

    @Override
    protected void read(long offset, MemorySegment destination) throws BlockException {
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
            long entry = map.entry(position);
            long inCluster = position & clusterSize - 1;
            long run = Math.min(total - done, clusterSize - inCluster);
            if (Mapping.isCompressed(entry)) {
                decompressor().read(guard, entry, inCluster, destination.asSlice(done, run));
            } else if (map.isZero(entry)) {
                destination.asSlice(done, run).fill((byte) 0);
            } else if ((entry & Mapping.OFFSET_MASK) != 0) {
                long host = entry & Mapping.OFFSET_MASK;
                map.checkReadable(entry, position);
                while (run < total - done) {
                    long next = map.entry(offset + done + run);
                    if (Mapping.isCompressed(next)
                            || map.isZero(next)
                            || (next & Mapping.OFFSET_MASK) != host + inCluster + run) {
                        break;
                    }
                    map.checkReadable(next, position + run);
                    run += Math.min(total - done - run, clusterSize);
                }
                readHost(host + inCluster, destination.asSlice(done, run));
            } else {
                while (run < total - done && map.isUnallocated(map.entry(offset + done + run))) {
                    run += Math.min(total - done - run, clusterSize);
                }
                readBacking(position, destination.asSlice(done, run));
            }
            done += run;
        }
    }

    private void readHost(long host, MemorySegment destination) throws BlockException {
        ChildEdge file = file();
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
        ChildEdge backing = below();
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
    protected void write(long offset, MemorySegment source) throws BlockException {
        guard.checkUsable();
        checkRange(offset, source.byteSize(), size);
        count();
        long done = 0;
        long total = source.byteSize();
        while (done < total) {
            done += writeInPlace(offset + done, source.asSlice(done));
            if (done < total) {
                done += writeAllocating(offset + done, source.asSlice(done));
            }
        }
    }

    /** Gets to know more of what is in use until all of it is known. */
    private void count() throws BlockException {
        if (counted) {
            return;
        }
        lock.writeLock().lock();
        try {
            map.tidy();
            counted = map.counted();
        } finally {
            lock.writeLock().unlock();
        }
    }

    /**
     * Writes as long as the clusters belong to the image alone; returns how many bytes that were.
     */
    private long writeInPlace(long offset, MemorySegment source) throws BlockException {
        lock.readLock().lock();
        try {
            long done = 0;
            long total = source.byteSize();
            while (done < total) {
                long position = offset + done;
                long entry = map.entryForWriting(position);
                if (map.mustMove(entry)) {
                    break;
                }
                long host = entry & Mapping.OFFSET_MASK;
                long inCluster = position & clusterSize - 1;
                long run = Math.min(total - done, clusterSize - inCluster);
                while (run < total - done) {
                    long next = map.entryForWriting(position + run);
                    if (map.mustMove(next)
                            || (next & Mapping.OFFSET_MASK) != host + inCluster + run) {
                        break;
                    }
                    run += Math.min(total - done - run, clusterSize);
                }
                guard.write(0, host + inCluster, source.asSlice(done, run));
                done += run;
            }
            return done;
        } finally {
            lock.readLock().unlock();
        }
    }

    /**
     * Gives new clusters to the start of a range and writes them; returns how many bytes were
     * written.
     */
    private long writeAllocating(long offset, MemorySegment source) throws BlockException {
        lock.writeLock().lock();
        try {
            map.tidy();
            long inCluster = offset & clusterSize - 1;
            long first = offset - inCluster;
            long most = Math.min(source.byteSize(), ALLOCATION_MAX_BYTES);
            int wanted = (int) (inCluster + most + clusterSize - 1 >>> clusterBits);
            wanted = Math.min(wanted, (int) (map.l2Span() >>> clusterBits) - map.l2Index(offset));
            TableCache.Table table = map.l2ForWriting(map.l1Index(offset));
            int index = map.l2Index(offset);
            int count = 0;
            while (count < wanted && map.mustMove(table.entry(index + count))) {
                count++;
            }
            if (count == 0) {
                return 0;
            }
            Refcounts.Run run = map.refcounts().allocate(count);
            long bytes =
                    Math.min(source.byteSize(), ((long) run.clusters() << clusterBits) - inCluster);
            try {
                fill(first, run, inCluster, source.asSlice(0, bytes));
            } catch (BlockException e) {
                map.refcounts().release(run.offset(), run.clusters());
                throw e;
            }
            for (int i = 0; i < run.clusters(); i++) {
                long old = table.entry(index + i);
                table.entry(index + i, run.offset() + ((long) i << clusterBits) | Mapping.COPIED);
                map.freeMapping(old);
            }
            map.markDirty();
            return bytes;
        } finally {
            lock.writeLock().unlock();
        }
    }

    /** Writes data into new clusters, with the old content around it. */
    private void fill(long first, Refcounts.Run run, long inCluster, MemorySegment data)
            throws BlockException {
        long end = inCluster + data.byteSize();
        long clusterEnd = end + clusterSize - 1 & -clusterSize;
        boolean fresh = run.offset() >= map.dataEnd();
        copyOld(first, inCluster, run.offset(), fresh);
        guard.write(0, run.offset() + inCluster, data);
        copyOld(first + end, clusterEnd - end, run.offset() + end, fresh);
        map.wroteUpTo(run.offset() + clusterEnd);
    }

    private void copyOld(long guest, long length, long host, boolean fresh) throws BlockException {
        if (length == 0) {
            return;
        }
        long there = Math.max(0, Math.min(length, size - guest));
        if (fresh && map.isUnallocated(entryOrNone(guest)) && backing() == null) {
            return;
        }
        try (Buffers.Lease lease = Buffers.take(length)) {
            MemorySegment buffer = lease.segment();
            if (there > 0) {
                readMapped(guest, buffer.asSlice(0, there));
            }
            buffer.asSlice(there).fill((byte) 0);
            if (!fresh || !Zeroes.isZero(buffer)) {
                guard.write(0, host, buffer);
            }
        }
    }

    private long entryOrNone(long guest) throws BlockException {
        return guest < size ? map.entry(guest) : 0;
    }

    @Override
    protected void flush() throws BlockException {
        if (readOnly()) {
            return;
        }
        lock.writeLock().lock();
        try {
            map.writeBack();
        } finally {
            lock.writeLock().unlock();
        }
        guard.flush();
    }

    // Zeroes, discard, status

    @Override
    protected void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        guard.checkUsable();
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
            long inTable = Math.min(tail - position, map.l2Span() - (position & map.l2Span() - 1));
            if (!zeroClusters(position, inTable, mayUnmap)) {
                writeZeroesByWriting(position, inTable);
            }
            position += inTable;
        }
        if (position < end) {
            zeroPart(position, end - position);
        }
    }

    private void zeroPart(long offset, long length) throws BlockException {
        BlockStatus status = status(offset, length);
        if (status.length() < length || !status.zero()) {
            write(offset, Zeroes.SEGMENT.asSlice(0, length));
        }
    }

    /**
     * Turns whole clusters of one L2 table into zero clusters; false when the format cannot say so.
     */
    private boolean zeroClusters(long offset, long length, boolean mayUnmap) throws BlockException {
        lock.writeLock().lock();
        try {
            boolean plain = header.version() >= 3;
            if (!plain && backing() != null) {
                return false;
            }
            int index = map.l1Index(offset);
            if ((map.l1()[index] & Mapping.OFFSET_MASK) == 0 && backing() == null) {
                return true;
            }
            map.tidy();
            TableCache.Table table = map.l2ForWriting(index);
            int from = map.l2Index(offset);
            int to = from + (int) (length + clusterSize - 1 >>> clusterBits);
            for (int i = from; i < to; i++) {
                long old = table.entry(i);
                if (map.isZero(old) && (old & Mapping.OFFSET_MASK) == 0) {
                    continue;
                }
                if (map.isUnallocated(old) && backing() == null) {
                    continue;
                }
                if (plain && !mayUnmap && map.isInPlace(old) && map.isSound(old)) {
                    table.entry(i, old | Mapping.ZERO);
                } else {
                    table.entry(i, plain ? Mapping.ZERO : 0);
                    map.freeMapping(old);
                }
            }
            map.markDirty();
            return true;
        } finally {
            lock.writeLock().unlock();
        }
    }

    @Override
    protected void discard(long offset, long length) throws BlockException {
        guard.checkUsable();
        checkRange(offset, length, size);
        long position = offset + clusterSize - 1 & -clusterSize;
        long end = offset + length == size ? size : offset + length & -clusterSize;
        while (position < end) {
            long inTable = Math.min(end - position, map.l2Span() - (position & map.l2Span() - 1));
            if (!zeroClusters(position, inTable, true)) {
                throw new BlockException(Errno.ENOTSUP);
            }
            position += inTable;
        }
    }

    @Override
    protected BlockStatus status(long offset, long length) throws BlockException {
        checkRange(offset, length, size);
        lock.readLock().lock();
        try {
            long entry = map.entry(offset);
            int kind = map.kind(entry);
            long run = Math.min(length, clusterSize - (offset & clusterSize - 1));
            // One table at a time: a disk may have millions of clusters.
            long most = Math.min(length, map.l2Span() - (offset & map.l2Span() - 1));
            while (run < most && map.kind(map.entry(offset + run)) == kind) {
                run += Math.min(most - run, clusterSize);
            }
            if (kind != 0) {
                return new BlockStatus(run, kind == 2, kind == 1, true);
            }
            ChildEdge backing = below();
            if (backing == null || offset >= backing.length()) {
                return new BlockStatus(run, false, true, false);
            }
            BlockStatus below = backing.status(offset, Math.min(run, backing.length() - offset));
            return new BlockStatus(below.length(), below.data(), below.zero(), false);
        } finally {
            lock.readLock().unlock();
        }
    }

    // Size and emptying

    @Override
    protected void truncate(long length) throws BlockException {
        guard.checkUsable();
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
            map.writeBack();
            if (needed > map.l1().length) {
                map.growL1((int) needed);
            }
            patchHeader(Qcow2Header.SIZE_AT, length);
            guard.flush();
            size = length;
        } finally {
            lock.writeLock().unlock();
        }
    }

    @Override
    public boolean canMakeEmpty() {
        return true;
    }

    @Override
    protected void makeEmpty() throws BlockException {
        guard.checkUsable();
        lock.writeLock().lock();
        try {
            map.makeEmpty();
            decompressor = null;
        } finally {
            lock.writeLock().unlock();
        }
    }
}
