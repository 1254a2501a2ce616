package lockstep.block.job;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.DirtyBitmap;
import lockstep.block.node.FilterNode;
import lockstep.block.node.Permission;
import lockstep.block.node.Role;
import lockstep.block.node.Route;

/**
 * Sits above a disk while it is copied and remembers which granules the guest wrote meanwhile.
 *
 * <p>A granule is marked after each change of it, and whoever copies it takes the mark before reading. So an unmarked
 * granule that is not being copied is the same on both sides, or a change of it is still under way; when nobody is
 * inside and nothing is marked, the copy is complete.
 */
public final class MirrorFilter extends FilterNode {
    private final DirtyBitmap dirty;

    private MirrorFilter(BlockGraph graph, String name, DirtyBitmap dirty) {
        super(graph, "mirror_top", name, false);
        this.dirty = dirty;
        follow(dirty);
    }

    /**
     * Puts the filter between a disk and all its users.
     *
     * @param name the new node's name
     * @param dirty follows what is written
     */
    public static MirrorFilter insert(
            BlockGraph graph, BlockNode disk, String name, DirtyBitmap dirty)
            throws BlockException {
        DirtyBitmap.checkHolds(ChildEdge.look(disk).length(), dirty.granule());
        MirrorFilter filter = graph.add(new MirrorFilter(graph, name, dirty));
        try {
            graph.attach(filter, "file", Role.FILTERED, disk);
            graph.replaceNode(disk, filter, edge -> true);
        } catch (BlockException e) {
            graph.release(filter);
            throw e;
        }
        return filter;
    }

    /** Takes the filter out again: its users get {@code replacement}. */
    public void remove(BlockNode replacement) throws BlockException {
        graph().replaceNode(this, replacement, edge -> true);
        graph().release(this);
    }

    @Override
    protected long lengthAtOnce() {
        return file().lengthAtOnce();
    }

    @Override
    protected boolean route(Route route) {
        return route.into(file(), route.offset());
    }

    /** The disk below. */
    public ChildEdge disk() {
        return file();
    }

    /** What was written and is not copied. */
    public DirtyBitmap dirty() {
        return dirty;
    }

    @Override
    protected int childPermissions(ChildEdge edge, int needed, int shared) {
        return needed | Permission.CONSISTENT_READ;
    }

    @Override
    protected int childShared(ChildEdge edge, int needed, int shared) {
        return Permission.ALL;
    }
}
