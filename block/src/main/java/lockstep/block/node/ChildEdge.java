package lockstep.block.node;

import lockstep.block.Permission;

/** A named, counted use of a node. Changed only by {@link BlockGraph}. */
public final class ChildEdge {
    private final NodeUser user;
    private final String name;
    private final Role role;
    volatile BlockNode node;
    int permissions;
    int shared = Permission.ALL;

    ChildEdge(NodeUser user, String name, Role role, BlockNode node) {
        this.user = user;
        this.name = name;
        this.role = role;
        this.node = node;
    }

    public NodeUser user() {
        return user;
    }

    public String name() {
        return name;
    }

    public Role role() {
        return role;
    }

    public BlockNode node() {
        return node;
    }

    /** What the user does with the node, as {@link Permission} bits. */
    public int permissions() {
        return permissions;
    }

    /** What the user lets others do with the node, as {@link Permission} bits. */
    public int shared() {
        return shared;
    }
}
