package lockstep.block.node;

import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/**
 * One layer of a disk. Its I/O methods are for {@link ChildEdge} alone, through which all users go: they block, may be
 * called from several threads at once and work on any byte offset within the length. Everything else is called with the
 * machine lock held.
 */
public abstract class BlockNode implements NodeUser {
    private final BlockGraph graph;
    private final String name;
    private final String driver;
    private final List<ChildEdge> children = new CopyOnWriteArrayList<>();
    private final List<ChildEdge> parents = new CopyOnWriteArrayList<>();
    private final Map<String, String> blockers = new LinkedHashMap<>();
    private final AtomicLong highestWrite = new AtomicLong();

    /** In the order in which they are marked; replaced, never changed. */
    private volatile DirtyBitmap[] bitmaps = {};

    /** Requests that came in with this node as the root of their tree. */
    final AtomicInteger inside = new AtomicInteger();

    private volatile @Nullable TrackedRequests tracked;
    private final AtomicLong writeThreshold = new AtomicLong();

    private volatile boolean readOnly;
    private volatile boolean active = true;
    private volatile boolean closed;
    private boolean monitorOwned;
    private int references;
    private volatile NodeInfo info = NodeInfo.EMPTY;

    /**
     * A node not yet in the graph; {@link BlockGraph#add} enters it.
     *
     * @param name a name chosen by the user or by {@link BlockGraph#autoName}
     */
    protected BlockNode(BlockGraph graph, String driver, String name, boolean readOnly) {
        this.graph = graph;
        this.driver = driver;
        this.name = name;
        this.readOnly = readOnly;
    }

    /**
     * Says where a request is, if all of it is one request on a child, by {@link Route#into}, or in one file or at one
     * server, by {@link Route#ends}. Does not wait and changes nothing; false when the way is another.
     */
    protected boolean route(Route route) {
        return false;
    }

    /** Fills {@code destination} from the node's bytes at {@code offset}. */
    protected abstract void read(long offset, Pieces destination) throws BlockException;

    /** Writes {@code source} at {@code offset}; durable only after {@link #flush}. */
    protected abstract void write(long offset, Pieces source) throws BlockException;

    /**
     * Makes a range read as zeroes.
     *
     * @param mayUnmap storage for the range may be given back
     */
    protected void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        writeZeroesByWriting(offset, length);
    }

    /**
     * Drops a range; what it reads as afterwards is the driver's business. Drivers without support
     * do nothing.
     */
    protected void discard(long offset, long length) throws BlockException {}

    /** Makes all completed writes durable. */
    protected abstract void flush() throws BlockException;

    /** The length in bytes. */
    protected abstract long length() throws BlockException;

    /** The length as far as it is known without waiting, -1 where it is not. */
    protected long lengthAtOnce() {
        return -1;
    }

    /** What is known of the bytes from {@code offset} on; the answer covers at least one byte. */
    protected BlockStatus status(long offset, long length) throws BlockException {
        return new BlockStatus(length, true, false, true);
    }

    /** Changes the length. */
    protected void truncate(long length) throws BlockException {
        throw new BlockException(Errno.ENOTSUP, "Image format driver does not support resize");
    }

    /** Forgets all data of this layer so that everything is read from below again. */
    protected void makeEmpty() throws BlockException {
        throw new BlockException(Errno.ENOTSUP, driver + " does not support emptying nodes");
    }

    /** Whether {@link #makeEmpty} can work. */
    public boolean canMakeEmpty() {
        return false;
    }

    /** Breaks the connection that the driver stores through, if it has one, for ever. Any thread. */
    protected void cut() {}

    /**
     * The pieces, a power of two, in which a change of this range keeps other requests out, because the driver does it
     * in several steps; 0 when others may run beside it. The driver has called {@link #trackRequests} then.
     */
    protected long exclusion(long offset, long length) {
        return 0;
    }

    /** The size of the pieces, a power of two, in which the driver takes storage for what is written. */
    public long allocationUnit() {
        return 1;
    }

    /**
     * Errors when the driver cannot keep one more bitmap, of that name and granularity, over its end.
     *
     * @param shown what the user knows the node by
     */
    public void checkKeeps(String shown, String bitmap, long granule) throws BlockException {
        throw new BlockException(
                Errno.ENOTSUP,
                "Can't store persistent bitmaps to " + shown + ": " + Errno.text(Errno.ENOTSUP));
    }

    /** Takes a bitmap out of what the driver keeps, if it is there. Nobody is inside. */
    public void removeKept(String bitmap) throws BlockException {}

    /** Releases what the driver holds; children are let go by the graph. */
    protected void close() throws BlockException {}

    /**
     * The node may now be written and must not trust anything it read before. Children are active
     * already.
     */
    protected void onActivate() throws BlockException {}

    /** The node's data was flushed; it must not be written any more. */
    protected void onInactivate() throws BlockException {}

    /** The node changes between read-only and read-write; called before the flag changes. */
    protected void onReopen(boolean readOnly) throws BlockException {}

    /** Takes or gives back locks on what the node stores in. */
    protected void permissionsChanged(int permissions, int shared) throws BlockException {}

    /** The bits a child must grant this node, given what the node's own users need. */
    protected int childPermissions(ChildEdge edge, int needed, int shared) {
        return switch (edge.role()) {
            case STORAGE ->
                    Permission.CONSISTENT_READ
                            | (readOnly || !active
                                    ? 0
                                    : needed | Permission.WRITE | Permission.RESIZE);
            case BACKING -> needed & Permission.CONSISTENT_READ;
            case FILTERED, DATA, ROOT -> needed;
        };
    }

    /** The bits this node lets other users of its child have, given what its own users share. */
    protected int childShared(ChildEdge edge, int needed, int shared) {
        return switch (edge.role()) {
            case STORAGE ->
                    shared & ~(Permission.WRITE | Permission.RESIZE) | Permission.WRITE_UNCHANGED;
            case BACKING ->
                    Permission.CONSISTENT_READ
                            | Permission.WRITE_UNCHANGED
                            | ((shared & Permission.WRITE) != 0
                                    ? Permission.WRITE | Permission.RESIZE
                                    : 0);
            case FILTERED, DATA, ROOT -> shared;
        };
    }

    /** Errors with EIO when the range does not lie within [0, length]. */
    protected static void checkRange(long offset, long length, long end) throws BlockException {
        if (offset < 0 || length < 0 || offset > end || length > end - offset) {
            throw new BlockException(Errno.EIO, "Access beyond the end of the node");
        }
    }

    /** Writes zero bytes in pieces, for drivers that have no better way. */
    protected final void writeZeroesByWriting(long offset, long length) throws BlockException {
        Pieces zeroes = Pieces.of(Zeroes.SEGMENT);
        long position = offset;
        long left = length;
        while (left > 0) {
            long piece = Math.min(left, zeroes.byteSize());
            write(position, zeroes.slice(0, piece));
            position += piece;
            left -= piece;
        }
    }

    /** Has requests kept in order from now on where they overlap and one keeps others out. While nobody is inside. */
    protected final void trackRequests() {
        if (tracked == null) {
            tracked = new TrackedRequests();
        }
    }

    /**
     * Does something while no request is under way in a range; those that come meanwhile wait. For drivers that track
     * requests; others are not kept out.
     *
     * @param piece a power of two: the range is widened to multiples of it
     */
    protected final void alone(long offset, long length, long piece, Drain.Change work)
            throws BlockException {
        TrackedRequests.Entry request = begin(offset, length, piece);
        try {
            work.apply();
        } finally {
            end(request);
        }
    }

    /** A request comes; {@code piece} as in {@link #exclusion}. {@link #end} follows. */
    final TrackedRequests.@Nullable Entry begin(long offset, long length, long piece) {
        TrackedRequests requests = tracked;
        return requests == null ? null : requests.begin(offset, length, piece);
    }

    /** The order of requests that overlap, null where nobody needs one. */
    final @Nullable TrackedRequests tracked() {
        return tracked;
    }

    final void end(TrackedRequests.@Nullable Entry request) {
        TrackedRequests requests = tracked;
        if (requests != null && request != null) {
            requests.end(request);
        }
    }

    /** A write comes; {@link #written} and {@link #end} follow. */
    final TrackedRequests.@Nullable Entry beginWrite(long offset, long length, long piece)
            throws BlockException {
        long end = offset + length;
        for (DirtyBitmap bitmap : bitmaps) {
            if (bitmap.name() == null || bitmap.busy()) {
                DirtyBitmap.checkHolds(end, bitmap.granule());
            }
        }
        long threshold = writeThreshold.get();
        if (threshold != 0 && end > threshold && writeThreshold.compareAndSet(threshold, 0)) {
            graph.host().thresholdExceeded(this, end - threshold, threshold);
        }
        return begin(offset, length, Math.max(piece, exclusion(offset, length)));
    }

    /** A write is over, if it worked or not. */
    final void written(long offset, long length) {
        long end = offset + length;
        if (end > highestWrite.get()) {
            highestWrite.accumulateAndGet(end, Math::max);
        }
        changed(offset, length);
    }

    /** A change is over, if it worked or not. */
    final void changed(long offset, long length) {
        for (DirtyBitmap bitmap : bitmaps) {
            if (bitmap.recording()) {
                bitmap.mark(offset, length);
            }
        }
    }

    /** Errors when a bitmap that follows could not do so with that length. */
    final void checkBitmaps(long length) throws BlockException {
        for (DirtyBitmap bitmap : bitmaps) {
            DirtyBitmap.checkHolds(length, bitmap.granule());
        }
    }

    /** The length has changed. */
    final void resized(long length) {
        for (DirtyBitmap bitmap : bitmaps) {
            bitmap.resized(length);
        }
    }

    /** The offset beyond which a write is told of once, 0 for none. */
    public final long writeThreshold() {
        return writeThreshold.get();
    }

    /** Sets the offset beyond which a write is told of once, 0 for none. */
    public final void setWriteThreshold(long offset) {
        writeThreshold.set(offset);
    }

    /** Has a bitmap follow all changes; it is marked after those that follow already. */
    public final void follow(DirtyBitmap bitmap) {
        DirtyBitmap[] more = Arrays.copyOf(bitmaps, bitmaps.length + 1);
        more[bitmaps.length] = bitmap;
        bitmaps = more;
    }

    /** Has a bitmap follow no longer. */
    public final void forget(DirtyBitmap bitmap) {
        bitmaps = Arrays.stream(bitmaps).filter(b -> b != bitmap).toArray(DirtyBitmap[]::new);
    }

    /** The bitmaps that have names, the newest first. */
    public final List<DirtyBitmap> bitmaps() {
        return Arrays.stream(bitmaps).filter(b -> b.name() != null).toList().reversed();
    }

    /** The bitmap of that name. */
    public final @Nullable DirtyBitmap bitmap(String wanted) {
        for (DirtyBitmap bitmap : bitmaps) {
            if (wanted.equals(bitmap.name())) {
                return bitmap;
            }
        }
        return null;
    }

    /** The highest end offset written so far. */
    public final long highestWrite() {
        return highestWrite.get();
    }

    public final BlockGraph graph() {
        return graph;
    }

    public final String name() {
        return name;
    }

    public final String driver() {
        return driver;
    }

    public final boolean readOnly() {
        return readOnly;
    }

    protected final void setReadOnly(boolean readOnly) {
        this.readOnly = readOnly;
    }

    public final boolean active() {
        return active;
    }

    final void setActive(boolean active) {
        this.active = active;
    }

    public final boolean closed() {
        return closed;
    }

    final void setClosed() {
        closed = true;
    }

    public final boolean monitorOwned() {
        return monitorOwned;
    }

    final void setMonitorOwned(boolean owned) {
        monitorOwned = owned;
    }

    /**
     * Everyone who counts on the node: edges, the monitor, and openers that have not let go yet.
     */
    public final int references() {
        return references;
    }

    final void addReference(int delta) {
        references += delta;
    }

    /** Children in the order they were attached. */
    public final List<ChildEdge> children() {
        return children;
    }

    public final List<ChildEdge> parents() {
        return parents;
    }

    /** The child with this edge name. */
    public final @Nullable ChildEdge child(String edgeName) {
        for (ChildEdge edge : children) {
            if (edge.name().equals(edgeName)) {
                return edge;
            }
        }
        return null;
    }

    /** The child that holds what this node filters, stores in or is mainly made of. */
    public @Nullable ChildEdge primaryChild() {
        for (ChildEdge edge : children) {
            if (edge.role() == Role.STORAGE || edge.role() == Role.FILTERED) {
                return edge;
            }
        }
        return null;
    }

    /** The node that unallocated data is read from. */
    public @Nullable BlockNode backing() {
        for (ChildEdge edge : children) {
            if (edge.role() == Role.BACKING) {
                return edge.node();
            }
        }
        return null;
    }

    /** Refuses operations on this node with a reason until {@link #unblock}. */
    public final void block(String owner, String reason) {
        blockers.put(owner, reason);
    }

    public final void unblock(String owner) {
        blockers.remove(owner);
    }

    /** The reason why operations are refused, if any. */
    public final @Nullable String blockedBecause() {
        return blockers.isEmpty() ? null : blockers.values().iterator().next();
    }

    /** Errors when operations on the node are refused. */
    public final void refuseIfBlocked() throws BlockException {
        String reason = blockedBecause();
        if (reason != null) {
            throw new BlockException(
                    Errno.EBUSY, "Node '" + deviceOrName() + "' is busy: " + reason);
        }
    }

    /** The name of the drive whose root this node is, or else its own. */
    public final String deviceOrName() {
        String device = device();
        return device.isEmpty() ? name : device;
    }

    /** The name of the drive whose root this node is; empty where there is none. */
    public final String device() {
        for (ChildEdge edge : parents) {
            if (edge.user() instanceof RootUser drive && !drive.name().isEmpty()) {
                return drive.name();
            }
        }
        return "";
    }

    /** How the node was opened. */
    public final NodeInfo info() {
        return info;
    }

    public final void setInfo(NodeInfo info) {
        this.info = info;
    }

    /** The plain file name that would open the same data again, "" when there is none. */
    public String plainFilename() {
        return "";
    }

    @Override
    public final String describe() {
        return "node '" + name + "'";
    }

    @Override
    public String toString() {
        return driver + ":" + name;
    }
}
