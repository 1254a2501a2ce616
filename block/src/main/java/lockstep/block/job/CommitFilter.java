package lockstep.block.job;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.FilterNode;
import lockstep.block.node.Permission;
import lockstep.block.node.Role;
import lockstep.block.node.Route;

/**
 * Sits above the topmost image that is being written into one below it, so that the images between the two need not be
 * what they were: all that matters is what is read here.
 */
final class CommitFilter extends FilterNode {
    private CommitFilter(BlockGraph graph, String name) {
        super(graph, "commit_top", name, true);
    }

    /** Puts the filter between an image and all its users. */
    static CommitFilter insert(BlockGraph graph, BlockNode top, String name) throws BlockException {
        CommitFilter filter = graph.add(new CommitFilter(graph, name));
        try {
            graph.attach(filter, "backing", Role.FILTERED, top);
            graph.replaceNode(top, filter, edge -> true);
        } catch (BlockException e) {
            graph.release(filter);
            throw e;
        }
        return filter;
    }

    /** Takes the filter out again: its users get {@code replacement}. */
    void remove(BlockNode replacement) throws BlockException {
        graph().replaceNode(this, replacement, edge -> true);
        graph().release(this);
    }

    /** The image below. */
    ChildEdge image() {
        return file();
    }

    @Override
    protected long lengthAtOnce() {
        return file().lengthAtOnce();
    }

    @Override
    protected boolean route(Route route) {
        return !route.write() && route.into(file(), route.offset());
    }

    @Override
    public String plainFilename() {
        return file().node().plainFilename();
    }

    @Override
    protected int childPermissions(ChildEdge edge, int needed, int shared) {
        return 0;
    }

    @Override
    protected int childShared(ChildEdge edge, int needed, int shared) {
        return Permission.ALL;
    }
}
