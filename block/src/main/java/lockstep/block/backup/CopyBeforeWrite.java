package lockstep.block.backup;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.Buffers;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.DirtyBitmap;
import lockstep.block.node.FilterNode;
import lockstep.block.node.Permission;
import lockstep.block.node.Pieces;
import lockstep.block.node.Role;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.LongConsumer;

/**
 * Driver {@code copy-before-write}: a filter above a disk. Before a granule is overwritten for the first time its old
 * content goes to the target. Backups, the secondary's disk of COLO and {@link SnapshotAccess} are made of it.
 *
 * <p>The target may read what it does not hold from the disk below this filter. Such a read must never see a
 * granule after it was overwritten; two exclusions see to that:
 *
 * <ul>
 *   <li>A change of a granule that is not copied yet is alone in it on this filter, so that nothing is written before the
 *       copy is complete, and each granule is copied once.
 *   <li>The copy is written to the target alone in its granule there: it waits for the reads under way, which may be
 *       on their way to the disk, and every later one finds the copy.
 * </ul>
 */
public final class CopyBeforeWrite extends FilterNode {
    private static final long GRANULE = 64 << 10;

    /**
     * What the copies are for.
     *
     * @param keepWriting a write goes on when its copy fails, and what was to be kept is lost; else it fails as well
     * @param timeout how long a copy may take, in seconds; 0 for ever
     * @param compress the copies are to be compressed
     * @param granule least bytes that are copied at a time; 0 for no wish
     * @param copied hears of the bytes of each copy; any thread
     */
    public record Options(
            boolean keepWriting,
            long timeout,
            boolean compress,
            long granule,
            LongConsumer copied) {
        /** A write whose copy fails fails as well. */
        public static final Options PLAIN = new Options(false, 0, false, 0, bytes -> {});
    }

    private final Options options;
    private final DirtyBitmap notCopied;

    /** What belongs to the disk as it was; null for all of it. */
    private volatile @Nullable DirtyBitmap kept;

    private volatile @Nullable BlockException broken;

    private CopyBeforeWrite(
            BlockGraph graph, String name, boolean readOnly, long granule, Options options) {
        super(graph, "copy-before-write", name, readOnly);
        this.options = options;
        notCopied = new DirtyBitmap(granule);
        trackRequests();
    }

    /** Makes one that nobody uses yet, and for which nothing counts as to be copied. The caller gets a reference. */
    public static CopyBeforeWrite open(
            BlockGraph graph,
            String name,
            boolean readOnly,
            boolean active,
            BlockNode source,
            BlockNode target,
            Options options)
            throws BlockException {
        // As large as what the target allocates, or filling that up would read other granules.
        long granule = Math.max(options.granule, Math.max(GRANULE, target.allocationUnit()));
        DirtyBitmap.checkHolds(ChildEdge.look(source).length(), granule);
        CopyBeforeWrite filter = new CopyBeforeWrite(graph, name, readOnly, granule, options);
        if (!active) {
            BlockGraph.startInactive(filter);
        }
        graph.add(filter);
        try {
            graph.attach(filter, "file", Role.FILTERED, source);
            graph.attach(filter, "target", Role.DATA, target).keepOthersOut();
        } catch (BlockException e) {
            graph.release(filter);
            throw e;
        }
        return filter;
    }

    /**
     * Likewise, to save what a client will overwrite.
     *
     * @param wanted what of it; null for all
     */
    public static CopyBeforeWrite open(
            BlockGraph graph,
            String name,
            boolean readOnly,
            boolean active,
            BlockNode source,
            BlockNode target,
            Options options,
            @Nullable DirtyBitmap wanted)
            throws BlockException {
        if (ChildEdge.look(source).length() != ChildEdge.look(target).length()) {
            throw new BlockException(Errno.EINVAL, "Source and target image have different sizes");
        }
        CopyBeforeWrite filter = open(graph, name, readOnly, active, source, target, options);
        if (wanted == null) {
            filter.beginEpoch();
        } else {
            filter.beginEpoch(wanted);
        }
        return filter;
    }

    /** Puts the filter between {@code source} and its users, except those that read old data through it. Called while drained. */
    public void insert() throws BlockException {
        graph().replaceNode(file().node(), this, edge -> edge.role() != Role.BACKING);
    }

    /** Takes the filter out again and closes it. */
    public void remove() throws BlockException {
        graph().replaceNode(this, file().node(), edge -> true);
        graph().release(this);
    }

    /** The disk below. */
    public ChildEdge disk() {
        return file();
    }

    /** Where the copies go. */
    public ChildEdge target() {
        return children().get(1);
    }

    @Override
    public String plainFilename() {
        return file().node().plainFilename();
    }

    /** A new beginning: everything counts as not copied. Called while drained. */
    public void beginEpoch() throws BlockException {
        notCopied.mark(0, length());
        kept = null;
    }

    /** Likewise, but only what a bitmap marks. */
    public void beginEpoch(DirtyBitmap wanted) {
        notCopied.merge(wanted);
        DirtyBitmap all = new DirtyBitmap(notCopied.granule());
        all.merge(wanted);
        kept = all;
    }

    /** What is still to be copied. */
    public DirtyBitmap notCopied() {
        return notCopied;
    }

    /** Why what was to be kept is lost; null when it is not. Any thread. */
    public @Nullable BlockException broken() {
        return broken;
    }

    @Override
    protected long exclusion(long offset, long length) {
        return notCopied.first(offset, length) < 0 ? 0 : notCopied.granule();
    }

    /**
     * A copy that failed.
     *
     * @param reading the old data could not be read; else the target could not be written
     */
    public record Failure(BlockException why, boolean reading) {}

    /** Copies a granule if it is not copied yet; null when that has worked. Inside; any thread. */
    public @Nullable Failure copy(int index) throws BlockException {
        long granule = notCopied.granule();
        Failure[] failure = new Failure[1];
        alone(
                index * granule,
                1,
                granule,
                () -> {
                    if (notCopied.first(index * granule, 1) >= 0) {
                        failure[0] = copyNow(index, () -> true);
                    }
                });
        return failure[0];
    }

    private interface Wanted {
        boolean still();
    }

    private @Nullable Failure copyNow(int index, Wanted wanted) {
        long granule = notCopied.granule();
        long at = index * granule;
        long bytes;
        boolean reading = true;
        try {
            bytes = Math.min(granule, length() - at);
            BlockStatus status = file().status(at, bytes);
            boolean zero = status.zero() && status.length() >= bytes;
            if (zero && !options.compress) {
                reading = false;
                target().writeZeroesAlone(at, bytes, granule);
            } else {
                try (Buffers.Lease lease = Buffers.take(granule)) {
                    MemorySegment data = lease.segment().asSlice(0, bytes);
                    file().read(at, data);
                    reading = false;
                    if (!wanted.still()) {
                        throw new BlockException(Errno.ETIMEDOUT);
                    }
                    if (options.compress && target().node() instanceof Qcow2Node image) {
                        lease.segment().asSlice(bytes).fill((byte) 0);
                        compress(image, at, bytes, lease.segment());
                    } else {
                        target().writeAlone(at, data, granule);
                    }
                }
            }
        } catch (BlockException e) {
            return new Failure(e, reading);
        }
        notCopied.clear(index);
        options.copied.accept(bytes);
        return null;
    }

    private synchronized void compress(Qcow2Node image, long at, long bytes, MemorySegment data)
            throws BlockException {
        long cluster = image.allocationUnit();
        for (long done = 0; done < bytes; done += cluster) {
            image.writeCompressed(at + done, data.asSlice(done, cluster));
        }
    }

    private void copyBefore(long offset, long length) throws BlockException {
        for (int i = notCopied.first(offset, length); i >= 0; i = notCopied.first(offset, length)) {
            if (broken != null) {
                return;
            }
            try {
                Failure failure = options.timeout == 0 ? copyNow(i, () -> true) : copyInTime(i);
                if (failure != null) {
                    throw failure.why;
                }
            } catch (BlockException e) {
                if (!options.keepWriting) {
                    throw e;
                }
                broken = e;
            }
        }
    }

    /** One that takes too long writes nothing any more of what it reads then. */
    private @Nullable Failure copyInTime(int index) throws BlockException {
        AtomicBoolean late = new AtomicBoolean();
        Callable<@Nullable Failure> task = () -> copyNow(index, () -> !late.get());
        Future<@Nullable Failure> copy = graph().workers().submit(task);
        try {
            return copy.get(options.timeout, TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            late.set(true);
            throw new BlockException(Errno.ETIMEDOUT, Errno.text(Errno.ETIMEDOUT), e);
        } catch (ExecutionException e) {
            throw new BlockException(Errno.EIO, String.valueOf(e.getCause()), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new BlockException(Errno.EINTR);
        }
    }

    // ---- the disk as it was

    /** Reads from the disk as it was. Inside; any thread. */
    void readOld(long offset, Pieces destination) throws BlockException {
        DirtyBitmap all = kept;
        long granule = notCopied.granule();
        long done = 0;
        while (done < destination.byteSize()) {
            long at = offset + done;
            long run = Math.min(destination.byteSize() - done, granule - at % granule);
            if (broken != null || all != null && all.first(at, 1) < 0) {
                throw new BlockException(Errno.EACCES);
            }
            Pieces part = destination.slice(done, run);
            // A write that would change this comes after it, or has made its copy.
            alone(
                    at,
                    run,
                    0,
                    () -> (notCopied.first(at, 1) >= 0 ? file() : target()).read(at, part));
            done += run;
        }
    }

    /** What is known of the disk as it was. Inside; any thread. */
    BlockStatus oldStatus(long offset, long length) throws BlockException {
        DirtyBitmap all = kept;
        long granule = notCopied.granule();
        long run = Math.min(length, granule - offset % granule);
        if (broken != null || all != null && all.first(offset, 1) < 0) {
            throw new BlockException(Errno.EACCES);
        }
        return (notCopied.first(offset, 1) >= 0 ? file() : target()).status(offset, run);
    }

    /** Nobody will read this of the disk as it was. Inside; any thread. */
    void forget(long offset, long length) throws BlockException {
        long granule = notCopied.granule();
        long from = (offset + granule - 1) / granule;
        long to =
                offset + length == length()
                        ? (length() + granule - 1) / granule
                        : (offset + length) / granule;
        DirtyBitmap all = kept;
        if (all == null) {
            all = new DirtyBitmap(granule);
            all.mark(0, length());
        }
        for (long i = from; i < to; i++) {
            int index = (int) i;
            DirtyBitmap left = all;
            long at = index * granule;
            alone(
                    at,
                    1,
                    granule,
                    () -> {
                        notCopied.clear(index);
                        left.clear(index);
                        target().discard(at, Math.min(granule, length() - at));
                    });
        }
        kept = all;
    }

    // ---- as a filter

    @Override
    protected int childPermissions(ChildEdge edge, int needed, int shared) {
        return edge.role() == Role.FILTERED
                ? needed | Permission.CONSISTENT_READ
                : Permission.WRITE;
    }

    @Override
    protected int childShared(ChildEdge edge, int needed, int shared) {
        if (edge.role() != Role.FILTERED) {
            return Permission.ALL & ~Permission.RESIZE;
        }
        // Nobody else may write there, once there is somebody whose writes come through here.
        return parents().isEmpty()
                ? Permission.ALL
                : (shared | Permission.CONSISTENT_READ) & ~(Permission.WRITE | Permission.RESIZE);
    }

    @Override
    protected void write(long offset, Pieces source) throws BlockException {
        copyBefore(offset, source.byteSize());
        super.write(offset, source);
    }

    @Override
    protected void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        copyBefore(offset, length);
        super.writeZeroes(offset, length, mayUnmap);
    }

    @Override
    protected void discard(long offset, long length) throws BlockException {
        copyBefore(offset, length);
        super.discard(offset, length);
    }

    @Override
    protected void flush() throws BlockException {
        // The old data first: a crash must not find the disk newer than the copy.
        try {
            target().flush();
        } catch (BlockException e) {
            if (!options.keepWriting) {
                throw e;
            }
            broken = e;
        }
        super.flush();
    }
}
