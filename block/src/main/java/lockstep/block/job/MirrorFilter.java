package lockstep.block.job;

import lockstep.block.BlockException;
import lockstep.block.BlockStatus;
import lockstep.block.Errno;
import lockstep.block.Permission;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Role;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.BitSet;

/**
 * Sits above a disk while it is copied and remembers which granules the guest wrote meanwhile.
 */
public final class MirrorFilter extends BlockNode {
    private final long granule;
    private final BitSet dirty = new BitSet();
    private @Nullable Runnable listener;

    private MirrorFilter(BlockGraph graph, String name, long granule) {
        super(graph, "mirror_top", name, false);
        this.granule = granule;
    }

    /**
     * Puts the filter between a disk and all its users.
     *
     * @param name the new node's name
     * @param granule bytes of a granule, a power of two; the disk has at most 2^31 - 1 of them
     */
    public static MirrorFilter insert(BlockGraph graph, BlockNode disk, String name, long granule)
            throws BlockException {
        if (disk.length() / granule >= Integer.MAX_VALUE) {
            throw new BlockException(Errno.EFBIG, "Disk too large for granules of " + granule);
        }
        MirrorFilter filter = graph.add(new MirrorFilter(graph, name, granule));
        try {
            graph.attach(filter, "file", Role.FILTERED, disk);
            graph.replaceNode(disk, filter, edge -> true);
        } catch (BlockException e) {
            graph.release(filter);
            throw e;
        }
        return filter;
    }

    /** Takes the filter out again: its users get {@code replacement}. */
    public void remove(BlockNode replacement) throws BlockException {
        graph().replaceNode(this, replacement, edge -> true);
        graph().release(this);
    }

    /** Has a task run after each write, on the writer's thread. */
    void onWrite(Runnable task) {
        listener = task;
    }

    /** The disk below. */
    public BlockNode disk() {
        return children().getFirst().node();
    }

    /** Bytes of a granule. */
    public long granule() {
        return granule;
    }

    /** Marks everything as written. */
    public void markAll(long length) {
        mark(0, length);
    }

    /** Takes the next dirty granule from {@code start} on, or from the beginning; -1 when there is none. */
    public int take(int start) {
        synchronized (dirty) {
            int next = dirty.nextSetBit(start);
            if (next < 0) {
                next = dirty.nextSetBit(0);
            }
            if (next >= 0) {
                dirty.clear(next);
            }
            return next;
        }
    }

    /** Number of dirty granules. */
    long dirtyGranules() {
        synchronized (dirty) {
            return dirty.cardinality();
        }
    }

    /** Marks the granules of a range. */
    void mark(long offset, long length) {
        if (length > 0) {
            synchronized (dirty) {
                dirty.set((int) (offset / granule), (int) ((offset + length - 1) / granule) + 1);
            }
            Runnable task = listener;
            if (task != null) {
                task.run();
            }
        }
    }

    @Override
    protected int childPermissions(ChildEdge edge, int needed, int shared) {
        return needed | Permission.CONSISTENT_READ;
    }

    @Override
    protected int childShared(ChildEdge edge, int needed, int shared) {
        return Permission.ALL;
    }

    @Override
    public void read(long offset, MemorySegment destination) throws BlockException {
        disk().read(offset, destination);
    }

    @Override
    public void write(long offset, MemorySegment source) throws BlockException {
        try {
            disk().write(offset, source);
        } finally {
            mark(offset, source.byteSize());
        }
    }

    @Override
    public void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        try {
            disk().writeZeroes(offset, length, mayUnmap);
        } finally {
            mark(offset, length);
        }
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        try {
            disk().discard(offset, length);
        } finally {
            mark(offset, length);
        }
    }

    @Override
    public void flush() throws BlockException {
        disk().flush();
    }

    @Override
    public long length() throws BlockException {
        return disk().length();
    }

    @Override
    public BlockStatus status(long offset, long length) throws BlockException {
        return disk().status(offset, length);
    }
}
