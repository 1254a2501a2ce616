package lockstep.block.node;

import org.jspecify.annotations.Nullable;

/** Who uses a whole tree, and has a name that no node may have: a drive. */
public interface RootUser extends NodeUser {
    /** The name, "" when there is none. */
    String name();

    /** The node at the root, null without medium. */
    @Nullable BlockNode root();
}
