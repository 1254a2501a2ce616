package lockstep.block.monitor;

import lockstep.api.BlockdevSnapshot;
import lockstep.api.BlockdevSnapshotSync;
import lockstep.api.NewImageMode;
import lockstep.api.TransactionAction;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Role;
import lockstep.block.node.RootUser;
import lockstep.block.open.LegacyTree;
import lockstep.block.open.NodeOpener;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.qmp.JsonObject;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.List;

/**
 * Snapshots in images of their own: the disk stays as it is, and its users write to an overlay from then on. Main loop,
 * machine lock held.
 */
final class Snapshots {
    private final BlockGraph graph;
    private final NodeOpener opener;
    private final NewImages images;

    Snapshots(BlockGraph graph, NodeOpener opener) {
        this.graph = graph;
        this.opener = opener;
        this.images = new NewImages(graph, opener);
    }

    private static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    /** What concerns these snapshots; null for other actions. */
    @Nullable Step act(TransactionAction action) throws BlockException {
        return switch (action) {
            case TransactionAction.BlockdevSnapshot a -> take(a.data().data());
            case TransactionAction.BlockdevSnapshotSync a -> take(a.data().data());
            default -> null;
        };
    }

    /** blockdev-snapshot. */
    Step take(BlockdevSnapshot a) throws BlockException {
        BlockNode disk = disk(graph.names().lookup(a.node()));
        BlockNode overlay = graph.retain(graph.names().lookup(a.overlay()));
        return put(overlay, disk);
    }

    /** blockdev-snapshot-sync. An image that was made stays if that fails. */
    Step take(BlockdevSnapshotSync a) throws BlockException {
        String device = a.device() == null ? "" : a.device();
        String node = a.nodeName() == null ? "" : a.nodeName();
        BlockNode disk = disk(graph.names().lookup(device, node));
        String name = a.snapshotNodeName();
        if (a.nodeName() != null && name == null) {
            throw bad("New overlay node-name missing");
        }
        if (name != null
                && (graph.names().findNode(name) != null
                        || graph.names().findDrive(name) != null)) {
            throw bad("New overlay node-name already in use");
        }
        String format = a.format() == null ? "qcow2" : a.format();
        if (a.mode() != NewImageMode.EXISTING) {
            images.make(a.snapshotFile(), format, ChildEdge.look(disk).length(), disk);
        }
        JsonObject tree = new JsonObject();
        tree.put("driver", format);
        tree.put("file", LegacyTree.fileNamed(a.snapshotFile()));
        if (name != null) {
            tree.put("node-name", name);
        }
        return put(opener.openTop(tree, NodeOpener.Inherited.inPlaceOf(disk)), disk);
    }

    /** The disk, if it can be one's base. */
    private static BlockNode disk(BlockNode node) throws BlockException {
        for (ChildEdge edge : node.parents()) {
            if (edge.role() == Role.BACKING && edge.user() instanceof BlockNode above) {
                throw new BlockException(
                        Errno.EBUSY,
                        "Node '"
                                + node.name()
                                + "' is busy: node is used as backing hd of '"
                                + above.name()
                                + "'");
            }
        }
        node.refuseIfBlocked();
        return node;
    }

    /** Whether a node is a disk's, or below one. */
    private static boolean inUse(BlockNode node) {
        return node.parents().stream()
                .anyMatch(
                        edge ->
                                edge.user() instanceof RootUser
                                        || edge.user() instanceof BlockNode parent
                                                && inUse(parent));
    }

    /** Puts an overlay over a disk, whose reference it takes over. */
    private Step put(BlockNode overlay, BlockNode disk) throws BlockException {
        try {
            if (inUse(overlay)) {
                throw new BlockException(Errno.EBUSY, "The overlay is already in use");
            }
            overlay.refuseIfBlocked();
            if (overlay.backing() != null) {
                throw bad("The overlay already has a backing image");
            }
            if (!(overlay instanceof Qcow2Node image)) {
                throw bad("The overlay does not support backing images");
            }
            List<ChildEdge> users = List.copyOf(disk.parents());
            graph.drain().drained(List.of(overlay, disk), () -> change(image, disk));
            return new Taken(overlay, disk, users);
        } catch (BlockException e) {
            graph.release(overlay);
            throw e;
        }
    }

    private void change(Qcow2Node overlay, BlockNode disk) throws BlockException {
        try {
            // Here, where nobody writes: what the guest wrote is not flushed with the overlay.
            ChildEdge.look(disk).flush();
        } catch (BlockException e) {
            throw new BlockException(e.errno(), "An IO error has occurred", e);
        }
        overlay.attachBacking(disk);
        // Who names this image later has to name what is below it, if the image itself does not.
        boolean itself = NodeQueries.filename(disk).equals(overlay.header().backingFile());
        overlay.setInfo(overlay.info().over(!itself));
        try {
            graph.replaceNode(disk, overlay, edge -> true);
        } catch (BlockException e) {
            takeOff(overlay);
            throw e;
        }
    }

    private void takeOff(BlockNode overlay) {
        ChildEdge below = overlay.child("backing");
        if (below != null) {
            graph.detach(below);
        }
    }

    private final class Taken implements Step {
        private final BlockNode overlay;
        private final BlockNode disk;
        private final List<ChildEdge> users;

        /** With who used the disk. */
        Taken(BlockNode overlay, BlockNode disk, List<ChildEdge> users) {
            this.overlay = overlay;
            this.disk = disk;
            this.users = users;
        }

        @Override
        public void commit() {
            graph.release(overlay);
            try {
                // Whoever wrote to it writes to the overlay now.
                graph.reopen(disk, true);
            } catch (BlockException e) {
                System.getLogger("lockstep.block")
                        .log(System.Logger.Level.DEBUG, disk + " stays writable", e);
            }
        }

        @Override
        public void takeBack() {
            try {
                graph.replaceNode(overlay, disk, users::contains);
            } catch (BlockException e) {
                throw new IllegalStateException(disk + " was what its users had before", e);
            }
            takeOff(overlay);
            graph.release(overlay);
        }
    }
}
