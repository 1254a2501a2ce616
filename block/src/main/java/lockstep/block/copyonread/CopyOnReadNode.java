package lockstep.block.copyonread;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.FilterNode;
import lockstep.block.node.Permission;
import lockstep.block.node.Pieces;
import lockstep.block.node.Role;
import lockstep.block.qcow2.Qcow2Node;

import org.jspecify.annotations.Nullable;

/**
 * Driver {@code copy-on-read}: what is read from below the image under it is in that image afterwards, so that it is read
 * from there the next time. What cannot be kept, because the image is not written now, is read all the same.
 */
public final class CopyOnReadNode extends FilterNode {
    /** The last image whose data are kept; null when all are. */
    private final @Nullable BlockNode bottom;

    private CopyOnReadNode(
            BlockGraph graph, String name, boolean readOnly, @Nullable BlockNode bottom) {
        super(graph, "copy-on-read", name, readOnly);
        this.bottom = bottom;
    }

    /** Opens it over a node, to which it takes a reference of its own. */
    public static CopyOnReadNode open(
            BlockGraph graph,
            String name,
            boolean readOnly,
            boolean active,
            BlockNode file,
            @Nullable BlockNode bottom)
            throws BlockException {
        CopyOnReadNode node = new CopyOnReadNode(graph, name, readOnly, bottom);
        if (!active) {
            BlockGraph.startInactive(node);
        }
        graph.add(node);
        try {
            graph.attach(node, "file", Role.FILTERED, file);
        } catch (BlockException e) {
            graph.release(node);
            throw e;
        }
        return node;
    }

    @Override
    protected void read(long offset, Pieces destination) throws BlockException {
        if (file().node() instanceof Qcow2Node image && !image.readOnly() && image.active()) {
            long end = offset + destination.byteSize();
            for (long at = offset; at < end; ) {
                BlockStatus status = below(image, at, end - at);
                if (status.allocated()) {
                    keep(image, at, status.length());
                }
                at += status.length();
            }
        }
        super.read(offset, destination);
    }

    /** If that fails the data are still where they were. */
    private void keep(Qcow2Node image, long offset, long length) {
        try {
            image.copyUp(offset, length);
        } catch (BlockException e) {
            System.getLogger("lockstep.block")
                    .log(System.Logger.Level.DEBUG, this + ": not kept", e);
        }
    }

    /** Whether a run is in one of the images below, down to the bottom, and not in the image itself. */
    private BlockStatus below(Qcow2Node image, long offset, long most) throws BlockException {
        BlockStatus own = ChildEdge.look(image).status(offset, most);
        long run = own.length();
        if (own.allocated()) {
            return new BlockStatus(run, false, false, false);
        }
        if (bottom == null) {
            return new BlockStatus(run, false, false, image.backing() != null);
        }
        for (BlockNode node = image; node != null && node != bottom; ) {
            node = node.backing();
            if (node != null && offset < ChildEdge.look(node).length()) {
                ChildEdge look = ChildEdge.look(node);
                BlockStatus status = look.status(offset, Math.min(run, look.length() - offset));
                run = status.length();
                if (status.allocated()) {
                    return new BlockStatus(run, false, false, true);
                }
            }
        }
        return new BlockStatus(run, false, false, false);
    }

    @Override
    protected int childPermissions(ChildEdge edge, int needed, int shared) {
        return needed | (file().node().readOnly() ? 0 : Permission.WRITE_UNCHANGED);
    }

    @Override
    public String plainFilename() {
        return "";
    }
}
