package lockstep.block.replication;

import lockstep.block.BlockException;
import lockstep.block.BlockStatus;
import lockstep.block.Errno;
import lockstep.block.Permission;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.Buffers;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Role;

import java.lang.foreign.MemorySegment;
import java.util.BitSet;

/**
 * The filter above the secondary disk: before a cluster is overwritten for the first time since the
 * last checkpoint, its old content goes to the hidden disk. A write whose copy fails fails as well.
 */
final class CopyBeforeWrite extends BlockNode {
    private static final int MAX_CLUSTERS = Integer.MAX_VALUE;

    private final long clusterSize;
    private final BitSet copied = new BitSet();
    private final Object copying = new Object();

    private CopyBeforeWrite(BlockGraph graph, long clusterSize) {
        super(graph, "copy-before-write", graph.autoName(), false);
        this.clusterSize = clusterSize;
    }

    /**
     * Puts the filter between {@code source} and its users, except those that read old data through
     * it.
     */
    static CopyBeforeWrite insert(
            BlockGraph graph, BlockNode source, BlockNode target, long clusterSize)
            throws BlockException {
        if (source.length() / clusterSize >= MAX_CLUSTERS) {
            throw new BlockException(Errno.EFBIG, "Disk too large for replication");
        }
        CopyBeforeWrite filter = graph.add(new CopyBeforeWrite(graph, clusterSize));
        try {
            graph.attach(filter, "file", Role.FILTERED, source);
            graph.attach(filter, "target", Role.DATA, target);
            graph.replaceNode(source, filter, edge -> edge.role() != Role.BACKING);
        } catch (BlockException e) {
            graph.release(filter);
            throw e;
        }
        return filter;
    }

    /** Takes the filter out again and closes it. */
    void remove() throws BlockException {
        BlockNode source = source();
        graph().replaceNode(this, source, edge -> true);
        graph().release(this);
    }

    private BlockNode source() {
        return children().get(0).node();
    }

    private BlockNode target() {
        return children().get(1).node();
    }

    /** A new checkpoint: everything counts as not copied again. */
    void forgetCopies() {
        synchronized (copying) {
            copied.clear();
        }
    }

    private void copyBefore(long offset, long length) throws BlockException {
        if (length == 0) {
            return;
        }
        int first = (int) (offset / clusterSize);
        int last = (int) ((offset + length - 1) / clusterSize);
        // One copy at a time; a write may only go ahead when the whole of its range is safe.
        synchronized (copying) {
            long end = source().length();
            for (int i = copied.nextClearBit(first); i <= last; i = copied.nextClearBit(i)) {
                long at = i * clusterSize;
                try (Buffers.Lease lease = Buffers.take(Math.min(clusterSize, end - at))) {
                    source().read(at, lease.segment());
                    target().write(at, lease.segment());
                }
                copied.set(i);
            }
        }
    }

    @Override
    protected int childPermissions(ChildEdge edge, int needed, int shared) {
        return edge.role() == Role.FILTERED
                ? needed | Permission.CONSISTENT_READ
                : Permission.WRITE;
    }

    @Override
    protected int childShared(ChildEdge edge, int needed, int shared) {
        return edge.role() == Role.FILTERED
                ? shared | Permission.CONSISTENT_READ
                : Permission.ALL & ~Permission.RESIZE;
    }

    @Override
    public void read(long offset, MemorySegment destination) throws BlockException {
        source().read(offset, destination);
    }

    @Override
    public void write(long offset, MemorySegment data) throws BlockException {
        copyBefore(offset, data.byteSize());
        source().write(offset, data);
    }

    @Override
    public void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        copyBefore(offset, length);
        source().writeZeroes(offset, length, mayUnmap);
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        copyBefore(offset, length);
        source().discard(offset, length);
    }

    @Override
    public void flush() throws BlockException {
        // The old data first: a crash must not find the disk newer than the hidden copy.
        target().flush();
        source().flush();
    }

    @Override
    public long length() throws BlockException {
        return source().length();
    }

    @Override
    public BlockStatus status(long offset, long length) throws BlockException {
        return source().status(offset, length);
    }
}
