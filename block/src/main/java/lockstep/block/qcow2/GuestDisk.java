package lockstep.block.qcow2;

import lockstep.block.luks.DiskCipher;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.Buffers;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Pieces;
import lockstep.block.node.Route;
import lockstep.block.node.Zeroes;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.function.LongPredicate;
import java.util.function.Supplier;

/**
 * The disk that an image holds, as the guest sees it. Any thread.
 *
 * <p>No lock is held while data moves. Where clusters are is looked up with the mapping's lock
 * shared; {@link InFlight} keeps them there until the request is over. A write to clusters that the
 * image does not have, or not for itself, takes new ones under the exclusive lock, fills them
 * without it, and links them under it when all is written: who reads meanwhile sees the old, a
 * crash leaves clusters that nothing points to.
 */
final class GuestDisk {
    private static final int ALLOCATION_MAX_BYTES = 8 << 20;
    private static final int COPY_MAX_BYTES = 2 << 20;

    private final Guard guard;
    private final Mapping map;
    private final GuestData data;
    private final Supplier<@Nullable ChildEdge> backing;
    private final Compressor compressor;
    private final Decompressor decompressor;
    private final InFlight flights = new InFlight();
    private final int clusterBits;
    private final long clusterSize;
    private final boolean hasZeroClusters;
    private volatile long size;
    private volatile boolean counted;

    /**
     * A disk.
     *
     * @param backing the node that is below, if any
     */
    GuestDisk(
            Guard guard,
            Qcow2Header header,
            Mapping map,
            Supplier<@Nullable ChildEdge> backing,
            @Nullable DiskCipher cipher) {
        this.data = new GuestData(guard, header, cipher);
        this.guard = guard;
        this.map = map;
        this.backing = backing;
        this.compressor = new Compressor(header.compressionType());
        this.decompressor = new Decompressor(header);
        this.clusterBits = header.clusterBits();
        this.clusterSize = header.clusterSize();
        this.hasZeroClusters = header.version() >= 3;
        this.size = header.size();
    }

    /** Bytes that the guest sees. */
    long size() {
        return size;
    }

    /** A change of the whole. */
    @FunctionalInterface
    interface Change {
        void apply() throws BlockException;
    }

    /** Changes the whole while nothing is under way and no metadata is on its way to the file. */
    void alone(Change change) throws BlockException {
        try (InFlight.Flight _ = flights.begin(InFlight.Kind.CHANGE, 0, Long.MAX_VALUE)) {
            map.alone(change);
        }
    }

    /** The disk is that long from now on; called when {@link #alone}. */
    void resized(long length) {
        size = length;
    }

    // Reading

    private enum Source {
        BELOW,
        ZEROES,
        FILE,
        COMPRESSED
    }

    /**
     * Bytes in a row that are read from one place.
     *
     * @param at the offset in the file; the entry of a compressed cluster
     */
    private record Extent(Source source, long at, long length) {}

    /** Leads a request to where its bytes are in the file, or below, as far as they are in a row there. */
    boolean route(Route route) {
        long offset = route.offset();
        long length = route.length();
        if (data.encrypted() || route.write() && !counted) {
            return false;
        }
        InFlight.Kind kind = route.write() ? InFlight.Kind.OVERWRITE : InFlight.Kind.READ;
        InFlight.Flight flight = flights.beginAtOnce(kind, offset, offset + length);
        if (flight == null) {
            return false;
        }
        route.hold(flight);
        // Who has the lock to himself may be at work in the file.
        if (!map.lock().readLock().tryLock()) {
            return false;
        }
        long at;
        try {
            at = rowAtOnce(route);
        } finally {
            map.lock().readLock().unlock();
        }
        if (at > 0) {
            return (!route.write() || guard.overlap(0, at, route.length()) == 0)
                    && route.into(guard.file(), at);
        }
        ChildEdge below = backing.get();
        return at == 0
                && below != null
                && offset + route.length() <= below.lengthAtOnce()
                && route.into(below, offset);
    }

    /**
     * Where in the file the bytes of a request are, which is shortened to those in a row; 0 when the image has none of
     * them, -1 for all else.
     */
    private long rowAtOnce(Route route) {
        long offset = route.offset();
        boolean write = route.write();
        long entry = map.entryAtOnce(offset, write);
        long at = entry <= 0 ? entry : entry + (offset & clusterSize - 1);
        long run = clusterSize - (offset & clusterSize - 1);
        while (at >= 0
                && run < route.length()
                && map.entryAtOnce(offset + run, write) == (at == 0 ? 0 : at + run)) {
            run += clusterSize;
        }
        route.shorten(Math.min(run, route.length()));
        return at;
    }

    void read(long offset, Pieces destination) throws BlockException {
        long end = offset + destination.byteSize();
        try (InFlight.Flight _ = flights.begin(InFlight.Kind.READ, offset, end)) {
            readMapped(offset, destination);
        }
    }

    private void readMapped(long offset, Pieces destination) throws BlockException {
        long done = 0;
        long total = destination.byteSize();
        while (done < total) {
            Extent extent = extent(offset + done, total - done);
            Pieces part = destination.slice(done, extent.length);
            switch (extent.source) {
                case BELOW -> GuestData.readUpTo(backing.get(), offset + done, part);
                case ZEROES -> part.zero();
                case FILE -> data.read(extent.at, offset + done, part);
                case COMPRESSED ->
                        decompressor.read(guard, extent.at, offset + done & clusterSize - 1, part);
            }
            done += extent.length;
        }
    }

    /** Where at most so many bytes are to be read from. */
    private Extent extent(long offset, long most) throws BlockException {
        map.lock().readLock().lock();
        try {
            long entry = map.entry(offset);
            long inCluster = offset & clusterSize - 1;
            Source source = source(entry);
            long at = source == Source.COMPRESSED ? entry : host(entry) + inCluster;
            if (source == Source.FILE) {
                map.checkReadable(entry, offset);
            }
            long run = Math.min(most, clusterSize - inCluster);
            while (run < most && source != Source.COMPRESSED) {
                long next = map.entry(offset + run);
                if (source(next) != source || source == Source.FILE && host(next) != at + run) {
                    break;
                }
                if (source == Source.FILE) {
                    map.checkReadable(next, offset + run);
                }
                run += Math.min(most - run, clusterSize);
            }
            return new Extent(source, at, run);
        } finally {
            map.lock().readLock().unlock();
        }
    }

    private Source source(long entry) {
        if (Mapping.isCompressed(entry)) {
            return Source.COMPRESSED;
        }
        if (map.isZero(entry)) {
            return Source.ZEROES;
        }
        return host(entry) == 0 ? Source.BELOW : Source.FILE;
    }

    private static long host(long entry) {
        return entry & Mapping.OFFSET_MASK;
    }

    /** What is known of a range; the answer covers one table at most: a disk may have millions. */
    BlockStatus status(long offset, long length) throws BlockException {
        long most = Math.min(length, map.l2Span() - (offset & map.l2Span() - 1));
        try (InFlight.Flight _ = flights.begin(InFlight.Kind.READ, offset, offset + most)) {
            int kind;
            long run = Math.min(most, clusterSize - (offset & clusterSize - 1));
            map.lock().readLock().lock();
            try {
                kind = map.kind(map.entry(offset));
                while (run < most && map.kind(map.entry(offset + run)) == kind) {
                    run += Math.min(most - run, clusterSize);
                }
            } finally {
                map.lock().readLock().unlock();
            }
            if (kind != 0) {
                return new BlockStatus(run, kind == 2, kind == 1, true);
            }
            ChildEdge below = backing.get();
            if (below == null || offset >= below.length()) {
                return new BlockStatus(run, false, true, false);
            }
            BlockStatus status = below.status(offset, Math.min(run, below.length() - offset));
            return new BlockStatus(status.length(), status.data(), status.zero(), false);
        }
    }

    /** What the image itself has; the answer covers one table at most. */
    ImageRun run(long offset, long length) throws BlockException {
        long most = Math.min(length, map.l2Span() - (offset & map.l2Span() - 1));
        map.lock().readLock().lock();
        try {
            long entry = map.entry(offset);
            ImageRun.Kind kind = imageKind(entry);
            boolean placed = kind != ImageRun.Kind.COMPRESSED && host(entry) != 0;
            long at = placed ? host(entry) + (offset & clusterSize - 1) : -1;
            long run = Math.min(most, clusterSize - (offset & clusterSize - 1));
            while (run < most) {
                long next = map.entry(offset + run);
                if (imageKind(next) != kind
                        || kind != ImageRun.Kind.COMPRESSED
                                && host(next) != (placed ? at + run : 0)) {
                    break;
                }
                run += Math.min(most - run, clusterSize);
            }
            return new ImageRun(kind, run, data.encrypted() ? -1 : at);
        } finally {
            map.lock().readLock().unlock();
        }
    }

    private ImageRun.Kind imageKind(long entry) {
        return switch (source(entry)) {
            case BELOW -> ImageRun.Kind.UNALLOCATED;
            case ZEROES -> ImageRun.Kind.ZERO;
            case FILE -> ImageRun.Kind.DATA;
            case COMPRESSED -> ImageRun.Kind.COMPRESSED;
        };
    }

    // Writing

    void write(long offset, Pieces source) throws BlockException {
        count();
        long done = 0;
        long total = source.byteSize();
        while (done < total) {
            done += overwrite(offset + done, source.slice(done));
            if (done < total) {
                done += fill(offset + done, source.slice(done));
            }
        }
    }

    /** Gets to know more of what is in use until all of it is known. */
    private void count() throws BlockException {
        if (counted) {
            return;
        }
        map.lock().writeLock().lock();
        try {
            map.tidy();
            counted = map.counted();
        } finally {
            map.lock().writeLock().unlock();
        }
    }

    /**
     * Writes as long as the clusters belong to the disk alone; returns how many bytes that were.
     */
    private long overwrite(long offset, Pieces source) throws BlockException {
        long done = 0;
        long total = source.byteSize();
        try (InFlight.Flight _ = flights.begin(InFlight.Kind.OVERWRITE, offset, offset + total)) {
            while (done < total) {
                Extent extent = ownExtent(offset + done, total - done);
                if (extent == null) {
                    break;
                }
                data.write(extent.at, offset + done, source.slice(done, extent.length));
                done += extent.length;
            }
        }
        return done;
    }

    /** Where at most so many bytes can be written; null when the cluster must be a new one. */
    private @Nullable Extent ownExtent(long offset, long most) throws BlockException {
        map.lock().readLock().lock();
        try {
            long entry = map.entryForWriting(offset);
            if (map.mustMove(entry)) {
                return null;
            }
            long inCluster = offset & clusterSize - 1;
            long at = host(entry) + inCluster;
            long run = Math.min(most, clusterSize - inCluster);
            while (run < most) {
                long next = map.entryForWriting(offset + run);
                if (map.mustMove(next) || host(next) != at + run) {
                    break;
                }
                run += Math.min(most - run, clusterSize);
            }
            return new Extent(Source.FILE, at, run);
        } finally {
            map.lock().readLock().unlock();
        }
    }

    /**
     * New clusters.
     *
     * @param fresh nothing was ever written there, so that they read as zeroes
     */
    private record Place(Refcounts.Run run, boolean fresh) {}

    /** Writes the start of a range to new clusters; returns how many bytes were written. */
    private long fill(long offset, Pieces source) throws BlockException {
        map.writeBackIfCrowded();
        long first = offset & -clusterSize;
        long most = Math.min(source.byteSize(), ALLOCATION_MAX_BYTES);
        long tableEnd = (offset & -map.l2Span()) + map.l2Span();
        long end = Math.min(offset + most + clusterSize - 1 & -clusterSize, tableEnd);
        try (InFlight.Flight flight = flights.begin(InFlight.Kind.FILL, first, end)) {
            Place place = take(first, (int) (end - first >>> clusterBits));
            if (place == null) {
                return 0;
            }
            int clusters = place.run.clusters();
            long filled = first + ((long) clusters << clusterBits);
            long bytes = Math.min(source.byteSize(), filled - offset);
            flight.narrow(filled);
            try {
                write(first, place, offset - first, source.slice(0, bytes));
                flight.settle();
                link(first, place.run);
            } catch (BlockException e) {
                release(place.run);
                throw e;
            }
            return bytes;
        }
    }

    /** Gives the clusters of a range that are not there what is below them. */
    void copyUp(long offset, long length) throws BlockException {
        count();
        long end = Math.min(offset + length + clusterSize - 1 & -clusterSize, roundedSize());
        for (long first = offset & -clusterSize; first < end; ) {
            map.writeBackIfCrowded();
            long tableEnd = (first & -map.l2Span()) + map.l2Span();
            long most = Math.min(Math.min(end, tableEnd) - first, COPY_MAX_BYTES);
            try (InFlight.Flight flight = flights.begin(InFlight.Kind.FILL, first, first + most)) {
                Place place =
                        take(
                                first,
                                (int) (most >>> clusterBits),
                                entry -> map.isUnallocated(entry));
                if (place == null) {
                    first += clusterSize;
                    continue;
                }
                long bytes = (long) place.run.clusters() << clusterBits;
                flight.narrow(first + bytes);
                try (Buffers.Lease lease = Buffers.take(bytes)) {
                    long there = Math.clamp(size - first, 0, bytes);
                    readMapped(first, Pieces.of(lease.segment().asSlice(0, there)));
                    lease.segment().asSlice(there).fill((byte) 0);
                    data.write(place.run.offset(), first, Pieces.of(lease.segment()));
                    flight.settle();
                    link(first, place.run);
                } catch (BlockException e) {
                    release(place.run);
                    throw e;
                }
                first += bytes;
            }
        }
    }

    private long roundedSize() {
        return size + clusterSize - 1 & -clusterSize;
    }

    /** Takes clusters for the first of a range that must be new; null when its first need not. */
    private @Nullable Place take(long first, int most) throws BlockException {
        return take(first, most, map::mustMove);
    }

    private @Nullable Place take(long first, int most, LongPredicate wanted) throws BlockException {
        map.lock().writeLock().lock();
        try {
            map.tidy();
            TableCache.Table table = map.l2ForWriting(map.l1Index(first));
            int index = map.l2Index(first);
            int count = 0;
            while (count < most && wanted.test(table.entry(index + count))) {
                count++;
            }
            if (count == 0) {
                return null;
            }
            Refcounts.Run run = map.refcounts().allocate(count);
            boolean fresh = run.offset() >= map.dataEnd() && !data.encrypted();
            map.writesUpTo(run.offset() + ((long) run.clusters() << clusterBits));
            return new Place(run, fresh);
        } finally {
            map.lock().writeLock().unlock();
        }
    }

    /** Lets new clusters take the place of the old ones. */
    private void link(long first, Refcounts.Run run) throws BlockException {
        link(first, run, 0);
    }

    private void link(long first, Refcounts.Run run, long flags) throws BlockException {
        map.lock().writeLock().lock();
        try {
            TableCache.Table table = map.l2ForWriting(map.l1Index(first));
            int index = map.l2Index(first);
            map.markDirty();
            for (int i = 0; i < run.clusters(); i++) {
                long old = table.entry(index + i);
                table.entry(
                        index + i,
                        run.offset() + ((long) i << clusterBits) | Mapping.COPIED | flags);
                map.freeMapping(old);
            }
        } finally {
            map.lock().writeLock().unlock();
        }
    }

    private void release(Refcounts.Run run) throws BlockException {
        map.lock().writeLock().lock();
        try {
            map.refcounts().release(run.offset(), run.clusters());
        } finally {
            map.lock().writeLock().unlock();
        }
    }

    /** Writes data into new clusters, together with the old content around it. */
    private void write(long first, Place place, long inCluster, Pieces data) throws BlockException {
        long end = inCluster + data.byteSize();
        long clusterEnd = end + clusterSize - 1 & -clusterSize;
        try (Buffers.Lease head = Buffers.take(inCluster);
                Buffers.Lease tail = Buffers.take(clusterEnd - end)) {
            List<MemorySegment> whole = new ArrayList<>(data.segments());
            long from = inCluster;
            if (readOld(first, head.segment(), place.fresh)) {
                whole.addFirst(head.segment());
                from = 0;
            }
            if (readOld(first + end, tail.segment(), place.fresh)) {
                whole.add(tail.segment());
            }
            this.data.write(place.run.offset() + from, first + from, Pieces.of(whole));
        }
    }

    /** Reads what a part of a cluster held; false when that is what the new one reads as anyway. */
    private boolean readOld(long guest, MemorySegment part, boolean fresh) throws BlockException {
        long there = Math.clamp(size - guest, 0, part.byteSize());
        if (part.byteSize() == 0 || fresh && isNothing(guest, there)) {
            return false;
        }
        readMapped(guest, Pieces.of(part.asSlice(0, there)));
        part.asSlice(there).fill((byte) 0);
        return !fresh || !Zeroes.isZero(part);
    }

    /** Whether part of a cluster has no content at all. */
    private boolean isNothing(long guest, long length) throws BlockException {
        return length == 0 || backing.get() == null && extent(guest, length).source == Source.BELOW;
    }

    // What tools write

    /** Takes storage for a range that has none yet. */
    @FunctionalInterface
    interface Reservation {
        /**
         * Prepares new clusters before they are linked.
         *
         * @param fresh nothing was ever written there, so that they read as zeroes
         */
        void prepare(long hostOffset, long length, boolean fresh) throws BlockException;
    }

    /** Gives the clusters of a range that the image does not have places in the file, with what the reservation leaves there as their data. */
    void preallocate(long offset, long length, Reservation reservation) throws BlockException {
        long end = offset + length + clusterSize - 1 & -clusterSize;
        for (long first = offset & -clusterSize; first < end; ) {
            count();
            map.writeBackIfCrowded();
            long tableEnd = (first & -map.l2Span()) + map.l2Span();
            long most = Math.min(Math.min(end, tableEnd) - first, ALLOCATION_MAX_BYTES);
            try (InFlight.Flight flight = flights.begin(InFlight.Kind.FILL, first, first + most)) {
                Place place = take(first, (int) (most >>> clusterBits));
                long taken = clusterSize;
                if (place != null) {
                    taken = (long) place.run.clusters() << clusterBits;
                    flight.narrow(first + taken);
                    try {
                        reservation.prepare(place.run.offset(), taken, place.fresh);
                        flight.settle();
                        // Zeroes of the file would not be zeroes to who decrypts them.
                        link(first, place.run, data.encrypted() ? Mapping.ZERO : 0);
                    } catch (BlockException e) {
                        release(place.run);
                        throw e;
                    }
                }
                first += taken;
            }
        }
    }

    /**
     * Writes a whole cluster, compressed if that makes it shorter. What is behind the disk's end must be zeroes.
     *
     * @param offset of the cluster
     */
    void writeCompressed(long offset, MemorySegment cluster) throws BlockException {
        byte[] packed = compressor.pack(cluster);
        if (packed == null) {
            write(offset, Pieces.of(cluster.asSlice(0, Math.min(clusterSize, size - offset))));
            return;
        }
        count();
        map.writeBackIfCrowded();
        try (InFlight.Flight flight =
                flights.begin(InFlight.Kind.FILL, offset, offset + clusterSize)) {
            long place = takeBytes(packed.length);
            try {
                guard.write(0, place, MemorySegment.ofArray(packed));
                flight.settle();
                map.lock().writeLock().lock();
                try {
                    TableCache.Table table = map.l2ForWriting(map.l1Index(offset));
                    map.markDirty();
                    long old = table.entry(map.l2Index(offset));
                    table.entry(
                            map.l2Index(offset),
                            Decompressor.entry(place, packed.length, clusterBits));
                    map.freeMapping(old);
                } finally {
                    map.lock().writeLock().unlock();
                }
            } catch (BlockException e) {
                // What was taken stays taken: at worst it is a leak.
                map.lock().writeLock().lock();
                map.refcounts().packedTo(0);
                map.lock().writeLock().unlock();
                throw e;
            }
        }
    }

    /** Takes bytes for compressed data: several clusters' share one of the file's, each with a reference of its own. */
    private long takeBytes(int length) throws BlockException {
        map.lock().writeLock().lock();
        try {
            map.tidy();
            long packedEnd = map.refcounts().packedEnd();
            long inCluster = packedEnd & clusterSize - 1;
            long shared = packedEnd >>> clusterBits;
            boolean share = inCluster != 0 && map.refcounts().canShare(shared);
            long room = share ? clusterSize - inCluster : 0;
            long place = packedEnd;
            if (length > room) {
                Refcounts.Run run = map.refcounts().allocate(1);
                map.writesUpTo(run.offset() + clusterSize);
                if (!share || run.offset() != shared + 1 << clusterBits) {
                    place = run.offset();
                    share = false;
                }
            }
            if (share) {
                map.refcounts().share(shared);
            }
            map.refcounts().packedTo(place + length);
            return place;
        } finally {
            map.lock().writeLock().unlock();
        }
    }

    /** Cuts what lies behind a new, smaller end off. While {@link #alone}. */
    void cut(long length) throws BlockException {
        map.tidy();
        int firstTable =
                (int) (length + map.l2Span() - 1 >>> Long.numberOfTrailingZeros(map.l2Span()));
        for (int index = map.l1Index(length); index < map.l1().length; index++) {
            if (host(map.l1()[index]) == 0) {
                continue;
            }
            map.writeBackIfCrowded();
            TableCache.Table table = map.l2ForWriting(index);
            map.markDirty();
            long start = (long) index * map.l2Span();
            long from = Math.max(0, length + clusterSize - 1 - start) >>> clusterBits;
            for (int i = (int) from; i < map.l2Span() >>> clusterBits; i++) {
                long old = table.entry(i);
                if (old != 0) {
                    table.entry(i, 0);
                    map.freeMapping(old);
                }
            }
        }
        map.dropTables(firstTable);
    }

    // Zeroes and discard

    void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        long end = offset + length;
        long head = Math.min(end, offset + clusterSize - 1 & -clusterSize);
        zeroPart(offset, head, mayUnmap);
        // The last cluster of the disk counts as whole: nothing of it lies beyond.
        long tail = Math.max(head, end == size ? end : end & -clusterSize);
        for (long position = head; position < tail; ) {
            long inTable = Math.min(tail - position, map.l2Span() - (position & map.l2Span() - 1));
            if (!zeroClusters(position, inTable, mayUnmap, Zeroing.WRITE)) {
                writeZeroBytes(position, inTable);
            }
            position += inTable;
        }
        zeroPart(tail, end, mayUnmap);
    }

    /** Zeroes in one cluster: where it holds no data and its other bytes read as zeroes it is made a zero cluster. */
    private void zeroPart(long offset, long end, boolean mayUnmap) throws BlockException {
        if (offset < end) {
            long first = offset & -clusterSize;
            long last = Math.min(first + clusterSize, size);
            if (!isZero(first, offset)
                    || !isZero(end, last)
                    || !zeroClusters(first, last - first, mayUnmap, Zeroing.WRITE_WITHOUT_DATA)) {
                writeZeroBytes(offset, end - offset);
            }
        }
    }

    private boolean isZero(long offset, long end) throws BlockException {
        long position = offset;
        while (position < end) {
            BlockStatus status = status(position, end - position);
            if (!status.zero()) {
                return false;
            }
            position += status.length();
        }
        return true;
    }

    private void writeZeroBytes(long offset, long length) throws BlockException {
        for (long done = 0; done < length; ) {
            long piece = Math.min(length - done, Zeroes.SEGMENT.byteSize());
            write(offset + done, Pieces.of(Zeroes.SEGMENT.asSlice(0, piece)));
            done += piece;
        }
    }

    void discard(long offset, long length) throws BlockException {
        long position = offset + clusterSize - 1 & -clusterSize;
        long end = offset + length == size ? size : offset + length & -clusterSize;
        while (position < end) {
            long inTable = Math.min(end - position, map.l2Span() - (position & map.l2Span() - 1));
            if (!zeroClusters(position, inTable, true, Zeroing.DISCARD)) {
                return; // what is below would come through
            }
            position += inTable;
        }
    }

    /** Why clusters become zero clusters. */
    private enum Zeroing {
        /** They are to read as zeroes, later as well, when the image may have another backing. */
        WRITE,
        /** Likewise, but data in them is to stay. */
        WRITE_WITHOUT_DATA,
        /** They are not needed. What is not there and has no backing stays as it is. */
        DISCARD
    }

    /** Turns whole clusters of one L2 table into zero clusters; false when the format cannot say so, or data is to stay. */
    private boolean zeroClusters(long offset, long length, boolean mayUnmap, Zeroing why)
            throws BlockException {
        boolean backed = backing.get() != null;
        if (!hasZeroClusters && backed) {
            return false;
        }
        map.writeBackIfCrowded();
        try (InFlight.Flight _ = flights.begin(InFlight.Kind.CHANGE, offset, offset + length)) {
            map.lock().writeLock().lock();
            try {
                if (why == Zeroing.WRITE_WITHOUT_DATA && map.kind(map.entry(offset)) == 2) {
                    return false;
                }
                boolean leaveHoles = !backed && (why == Zeroing.DISCARD || !hasZeroClusters);
                zeroTable(offset, length, mayUnmap, leaveHoles);
            } finally {
                map.lock().writeLock().unlock();
            }
        }
        return true;
    }

    private void zeroTable(long offset, long length, boolean mayUnmap, boolean leaveHoles)
            throws BlockException {
        int index = map.l1Index(offset);
        if (host(map.l1()[index]) == 0 && leaveHoles) {
            return;
        }
        map.tidy();
        TableCache.Table table = map.l2ForWriting(index);
        int from = map.l2Index(offset);
        int to = from + (int) (length + clusterSize - 1 >>> clusterBits);
        map.markDirty();
        for (int i = from; i < to; i++) {
            long old = table.entry(i);
            if (map.isZero(old) && host(old) == 0 || map.isUnallocated(old) && leaveHoles) {
                continue;
            }
            if (hasZeroClusters && !mayUnmap && map.isInPlace(old) && map.isSound(old)) {
                table.entry(i, old | Mapping.ZERO);
            } else {
                table.entry(i, hasZeroClusters ? Mapping.ZERO : 0);
                map.freeMapping(old);
            }
        }
    }
}
