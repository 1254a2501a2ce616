package lockstep.block.replication;

import lockstep.block.nbd.NbdNode;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.DirtyBitmap;
import lockstep.block.node.Permission;

import org.jspecify.annotations.Nullable;

/**
 * Where the disk of the other side may differ from the one here, should that side be lost: a dirty bitmap on the node
 * that the guest's writes come through to a replication node. It is marked as a whole until more is known, so that it
 * never says too little, and stays when replication ends. Clients see it and cannot change it. Machine lock held.
 */
final class PeerMarks {
    /** Of the disk of a primary that was lost. */
    static final String PRIMARY = "colo-primary";

    /** Begins the names of those of secondaries' disks; the NBD server's address and the export follow. */
    private static final String SECONDARY = "colo-secondary@";

    private static final long GRANULE = 64 << 10;

    private final DirtyBitmap marks;
    private final @Nullable NbdNode peer;
    private final int losses;

    private PeerMarks(DirtyBitmap marks, @Nullable NbdNode peer) {
        this.marks = marks;
        this.peer = peer;
        this.losses = peer == null ? 0 : peer.losses();
        if (peer != null) {
            peer.writtenByOthers(); // whoever copied the disk there
        }
    }

    /** For the secondary that a primary's node writes to; null when there is none that can be told from others. */
    static @Nullable PeerMarks ofSecondary(ReplicationNode node, BlockNode file)
            throws BlockException {
        BlockNode at = file;
        while (!(at instanceof NbdNode nbd)) {
            ChildEdge below = at.primaryChild();
            if (below == null) {
                return null;
            }
            at = below.node();
        }
        return follow(node, SECONDARY + nbd.server(), nbd);
    }

    /** For the primary that a secondary's node takes over from; null when the node stands alone. */
    static @Nullable PeerMarks ofPrimary(ReplicationNode node) throws BlockException {
        return follow(node, PRIMARY, null);
    }

    private static @Nullable PeerMarks follow(
            ReplicationNode child, String name, @Nullable NbdNode peer) throws BlockException {
        BlockNode node = onlyWriter(child);
        if (node == null) {
            return null;
        }
        // One of an earlier session with the same peer has marked all since.
        DirtyBitmap marks = node.bitmap(name);
        if (marks == null) {
            long length = ChildEdge.look(node).length();
            if (!DirtyBitmap.canHold(length, GRANULE)) {
                return null;
            }
            marks = new DirtyBitmap(name, GRANULE, length);
            marks.use(true);
            marks.mark(0, length);
            node.follow(marks);
        }
        return new PeerMarks(marks, peer);
    }

    /** The node that all writes come through; null when there is none. A drive without a device writes nothing. */
    private static @Nullable BlockNode onlyWriter(BlockNode child) {
        BlockNode found = null;
        for (ChildEdge edge : child.parents()) {
            if ((edge.permissions() & Permission.WRITE) != 0) {
                if (found != null || !(edge.user() instanceof BlockNode node)) {
                    return null;
                }
                found = node;
            }
        }
        return found;
    }

    /** What is marked from now on is kept by {@link #settle}. */
    void begin() {
        marks.startAnew();
    }

    /** The other side's disk is known to be equal to this one in all that was not marked since {@link #begin}. */
    void settle() {
        marks.dropOlder();
    }

    /** A range in which the disks may differ. Any thread. */
    void mark(long offset, long length) {
        marks.mark(offset, length);
    }

    /**
     * Whether a flush proves that the secondary has stored all that was written before: its server flushes when it is
     * told to, and has been the same all the time.
     */
    boolean flushProves() {
        return peer != null && peer.flushes() && peer.losses() == losses;
    }
}
