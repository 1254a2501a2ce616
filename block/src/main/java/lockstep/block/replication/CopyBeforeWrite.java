package lockstep.block.replication;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.Buffers;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.DirtyBitmap;
import lockstep.block.node.FilterNode;
import lockstep.block.node.Permission;
import lockstep.block.node.Pieces;
import lockstep.block.node.Role;
import lockstep.runtime.linux.Errno;

/**
 * The filter above the secondary disk: before a granule is overwritten for the first time since the
 * last checkpoint, its old content goes to the hidden disk. A write whose copy fails fails as well.
 *
 * <p>The hidden disk reads what it does not hold from the secondary disk below this filter. Such a read must never see a
 * granule after it was overwritten; two exclusions see to that:
 *
 * <ul>
 *   <li>A change of a granule that is not copied yet is alone in it on this filter, so that nothing is written before the
 *       copy is complete, and each granule is copied once.
 *   <li>The copy is written to the hidden disk alone in its granule there: it waits for the reads under way, which may be
 *       on their way to the secondary disk, and every later one finds the copy.
 * </ul>
 */
final class CopyBeforeWrite extends FilterNode {
    private static final long GRANULE = 64 << 10;

    private final DirtyBitmap notCopied;

    private CopyBeforeWrite(BlockGraph graph, long granule) {
        super(graph, "copy-before-write", graph.autoName(), false);
        notCopied = new DirtyBitmap(granule);
        trackRequests();
    }

    /**
     * Puts the filter between {@code source} and its users, except those that read old data through
     * it. Called while drained; nothing counts as to be copied before {@link #beginEpoch}.
     */
    static CopyBeforeWrite insert(BlockGraph graph, BlockNode source, BlockNode target)
            throws BlockException {
        // As large as what the target allocates, or filling that up would read other granules.
        long granule = Math.max(GRANULE, target.allocationUnit());
        if (!DirtyBitmap.canHold(ChildEdge.look(source).length(), granule)) {
            throw new BlockException(Errno.EFBIG, "Disk too large for replication");
        }
        CopyBeforeWrite filter = graph.add(new CopyBeforeWrite(graph, granule));
        try {
            graph.attach(filter, "file", Role.FILTERED, source);
            graph.attach(filter, "target", Role.DATA, target).keepOthersOut();
            graph.replaceNode(source, filter, edge -> edge.role() != Role.BACKING);
        } catch (BlockException e) {
            graph.release(filter);
            throw e;
        }
        return filter;
    }

    /** Takes the filter out again and closes it. */
    void remove() throws BlockException {
        graph().replaceNode(this, file().node(), edge -> true);
        graph().release(this);
    }

    private ChildEdge target() {
        return children().get(1);
    }

    /** A new checkpoint: everything counts as not copied. Called while drained. */
    void beginEpoch() throws BlockException {
        notCopied.mark(0, length());
    }

    @Override
    protected long exclusion(long offset, long length) {
        return notCopied.first(offset, length) < 0 ? 0 : notCopied.granule();
    }

    private void copyBefore(long offset, long length) throws BlockException {
        long granule = notCopied.granule();
        long end = length();
        for (int i = notCopied.first(offset, length); i >= 0; i = notCopied.first(offset, length)) {
            long at = i * granule;
            try (Buffers.Lease lease = Buffers.take(Math.min(granule, end - at))) {
                file().read(at, lease.segment());
                target().writeAlone(at, lease.segment(), granule);
            }
            notCopied.clear(i);
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
        // The old data first: a crash must not find the disk newer than the hidden copy.
        target().flush();
        super.flush();
    }
}
