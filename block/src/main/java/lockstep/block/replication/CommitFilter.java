package lockstep.block.replication;

import lockstep.block.BlockException;
import lockstep.block.BlockStatus;
import lockstep.block.Permission;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Role;

import java.lang.foreign.MemorySegment;
import java.util.BitSet;

/**
 * Sits above the active disk while it is committed and remembers which granules the guest wrote
 * meanwhile.
 */
final class CommitFilter extends BlockNode {
    static final long GRANULE = 1 << 20;

    private final BitSet dirty = new BitSet();

    private CommitFilter(BlockGraph graph) {
        super(graph, "mirror_top", graph.autoName(), false);
    }

    static CommitFilter insert(BlockGraph graph, BlockNode active) throws BlockException {
        CommitFilter filter = graph.add(new CommitFilter(graph));
        try {
            graph.attach(filter, "file", Role.FILTERED, active);
            graph.replaceNode(active, filter, edge -> true);
        } catch (BlockException e) {
            graph.release(filter);
            throw e;
        }
        return filter;
    }

    BlockNode activeDisk() {
        return children().getFirst().node();
    }

    void markAll(long length) {
        synchronized (dirty) {
            dirty.set(0, (int) ((length + GRANULE - 1) / GRANULE));
        }
    }

    /** Takes the next dirty granule from {@code start} on; -1 when there is none. */
    int take(int start) {
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

    boolean clean() {
        synchronized (dirty) {
            return dirty.isEmpty();
        }
    }

    private void mark(long offset, long length) {
        if (length > 0) {
            synchronized (dirty) {
                dirty.set((int) (offset / GRANULE), (int) ((offset + length - 1) / GRANULE) + 1);
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
        activeDisk().read(offset, destination);
    }

    @Override
    public void write(long offset, MemorySegment source) throws BlockException {
        try {
            activeDisk().write(offset, source);
        } finally {
            mark(offset, source.byteSize());
        }
    }

    @Override
    public void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        try {
            activeDisk().writeZeroes(offset, length, mayUnmap);
        } finally {
            mark(offset, length);
        }
    }

    @Override
    public void flush() throws BlockException {
        activeDisk().flush();
    }

    @Override
    public long length() throws BlockException {
        return activeDisk().length();
    }

    @Override
    public BlockStatus status(long offset, long length) throws BlockException {
        return activeDisk().status(offset, length);
    }
}
