package lockstep.block.node;

import lockstep.runtime.linux.Errno;

/**
 * Works out who may do what: every edge needs some permissions and shares some, a node passes on
 * what its users need, and two users of one node must not contradict each other. Called while
 * drained.
 */
final class Grants {
    private Grants() {}

    static void refreshFrom(NodeUser user, BlockNode child) throws BlockException {
        if (user instanceof BlockNode parent) {
            refresh(parent);
        } else {
            refresh(child);
        }
    }

    static void refreshQuietly(NodeUser user, BlockNode child) {
        try {
            refreshFrom(user, child);
            refresh(child);
        } catch (BlockException e) {
            // Going back to what was granted before cannot fail for a reason of the graph's; a
            // lock that another process took meanwhile shows up at the next write.
            System.getLogger("lockstep.block").log(System.Logger.Level.DEBUG, e.getMessage());
        }
    }

    /**
     * Works out the permissions from {@code node} downwards and lets drivers take or drop their
     * locks.
     */
    static void refresh(BlockNode node) throws BlockException {
        int needed = 0;
        int shared = Permission.ALL;
        for (ChildEdge edge : node.parents()) {
            needed |= edge.permissions;
            shared &= edge.shared;
        }
        checkConflicts(node);
        if (node.active()
                && (needed & (Permission.WRITE | Permission.RESIZE)) != 0
                && node.readOnly()) {
            throw new BlockException(Errno.EPERM, "Block node is read-only");
        }
        for (ChildEdge edge : node.children()) {
            int oldPermissions = edge.permissions;
            int oldShared = edge.shared;
            edge.permissions = node.childPermissions(edge, needed, shared);
            edge.shared = node.childShared(edge, needed, shared);
            try {
                refresh(edge.node());
            } catch (BlockException e) {
                edge.permissions = oldPermissions;
                edge.shared = oldShared;
                throw e;
            }
        }
        node.permissionsChanged(needed, shared);
    }

    private static void checkConflicts(BlockNode node) throws BlockException {
        for (ChildEdge a : node.parents()) {
            for (ChildEdge b : node.parents()) {
                if (a != b && (a.permissions & ~b.shared) != 0) {
                    throw new BlockException(
                            Errno.EPERM,
                            "Permission conflict on node '"
                                    + node.name()
                                    + "': permissions '"
                                    + Permission.names(a.permissions & ~b.shared)
                                    + "' are both required by "
                                    + use(a)
                                    + " and unshared by "
                                    + use(b)
                                    + ".");
                }
            }
        }
    }

    private static String use(ChildEdge edge) {
        return edge.user().describe()
                + " (uses node '"
                + edge.node().name()
                + "' as '"
                + edge.name()
                + "' child)";
    }
}
