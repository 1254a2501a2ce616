package lockstep.block.backup;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Permission;
import lockstep.block.node.Pieces;
import lockstep.block.node.Role;
import lockstep.runtime.linux.Errno;

/**
 * Driver {@code snapshot-access}: a disk as it was when the {@link CopyBeforeWrite} below it was made. It cannot be
 * written; what is discarded need not be kept any longer, and cannot be read any more.
 */
public final class SnapshotAccess extends BlockNode {
    private final CopyBeforeWrite below;

    private SnapshotAccess(BlockGraph graph, String name, boolean readOnly, CopyBeforeWrite below) {
        super(graph, "snapshot-access", name, readOnly);
        this.below = below;
    }

    /** Opens it over a node, which must be of the driver {@code copy-before-write}. */
    public static SnapshotAccess open(
            BlockGraph graph, String name, boolean readOnly, boolean active, BlockNode file)
            throws BlockException {
        if (!(file instanceof CopyBeforeWrite below)) {
            throw new BlockException(
                    Errno.ENOTSUP, "Node '" + file.name() + "' does not give access to a snapshot");
        }
        SnapshotAccess node = new SnapshotAccess(graph, name, readOnly, below);
        if (!active) {
            BlockGraph.startInactive(node);
        }
        graph.add(node);
        try {
            graph.attach(node, "file", Role.DATA, file);
        } catch (BlockException e) {
            graph.release(node);
            throw e;
        }
        return node;
    }

    @Override
    protected int childPermissions(ChildEdge edge, int needed, int shared) {
        return 0;
    }

    @Override
    protected int childShared(ChildEdge edge, int needed, int shared) {
        return Permission.ALL;
    }

    @Override
    protected void read(long offset, Pieces destination) throws BlockException {
        below.readOld(offset, destination);
    }

    @Override
    protected void write(long offset, Pieces source) throws BlockException {
        throw new BlockException(Errno.ENOTSUP);
    }

    @Override
    protected void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        throw new BlockException(Errno.ENOTSUP);
    }

    @Override
    protected void discard(long offset, long length) throws BlockException {
        below.forget(offset, length);
    }

    @Override
    protected void flush() {}

    @Override
    protected long length() throws BlockException {
        return below.disk().length();
    }

    @Override
    protected BlockStatus status(long offset, long length) throws BlockException {
        return below.oldStatus(offset, length);
    }

    @Override
    public String plainFilename() {
        return below.plainFilename();
    }
}
