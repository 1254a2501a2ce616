package lockstep.block.job;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.Buffers;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.DirtyBitmap;
import lockstep.block.node.Drain;
import lockstep.block.node.FilterNode;
import lockstep.block.node.Permission;
import lockstep.block.node.Pieces;
import lockstep.block.node.Role;
import lockstep.block.node.Route;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;

/**
 * Sits above a disk while it is copied and remembers which granules the guest wrote meanwhile.
 *
 * <p>A granule is marked after each change of it, and whoever copies it takes the mark before reading. So an unmarked
 * granule that is not being copied is the same on both sides, or a change of it is still under way; when nobody is
 * inside and nothing is marked, the copy is complete.
 */
public final class MirrorFilter extends FilterNode {
    private final DirtyBitmap dirty;
    private final boolean intoBelow;
    private volatile @Nullable ChildEdge copy;

    private MirrorFilter(BlockGraph graph, String name, DirtyBitmap dirty, boolean intoBelow) {
        super(graph, "mirror_top", name, false);
        this.dirty = dirty;
        this.intoBelow = intoBelow;
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
        return insert(graph, disk, name, dirty, false);
    }

    /**
     * Likewise.
     *
     * @param intoBelow the copy goes to an image below the disk: those between the two need not stay what they are
     */
    static MirrorFilter insert(
            BlockGraph graph, BlockNode disk, String name, DirtyBitmap dirty, boolean intoBelow)
            throws BlockException {
        DirtyBitmap.checkHolds(ChildEdge.look(disk).length(), dirty.granule());
        MirrorFilter filter = graph.add(new MirrorFilter(graph, name, dirty, intoBelow));
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
    public String plainFilename() {
        return file().node().plainFilename();
    }

    @Override
    protected long lengthAtOnce() {
        return file().lengthAtOnce();
    }

    @Override
    protected boolean route(Route route) {
        return (copy == null || !route.write()) && route.into(file(), route.offset());
    }

    // ---- writes that go to both

    /**
     * Has writes go to the copy as well before they are over. Called while drained.
     *
     * @param copy how the job uses it
     */
    void copyAtOnce(ChildEdge copy) throws BlockException {
        graph().attach(
                        this,
                        "target",
                        Role.DATA,
                        copy.node()); // what is inside here is inside there
        trackRequests();
        dirty.record(false);
        this.copy = copy;
    }

    /** Whether writes go to the copy before they are over. */
    boolean copiesAtOnce() {
        return copy != null;
    }

    /** Does what must not meet a write that goes to both. */
    void whileNobodyWrites(long offset, long length, Drain.Change work) throws BlockException {
        alone(offset, length, dirty.granule(), work);
    }

    @Override
    protected long exclusion(long offset, long length) {
        return copy == null ? 0 : dirty.granule();
    }

    private interface Writing {
        void to(ChildEdge edge) throws BlockException;
    }

    /** What fails on one side is copied later, by the job, which knows what to do when that fails. */
    private void both(ChildEdge copy, long offset, long length, Writing writing)
            throws BlockException {
        boolean same = false;
        try {
            writing.to(file());
            try {
                writing.to(copy);
                same = true;
            } catch (BlockException e) {
                System.getLogger("lockstep.block")
                        .log(System.Logger.Level.DEBUG, this + ": copied later", e);
            }
        } finally {
            if (!same) {
                dirty.mark(offset, length);
            }
        }
    }

    @Override
    protected void write(long offset, Pieces source) throws BlockException {
        ChildEdge at = copy;
        if (at == null) {
            super.write(offset, source);
            return;
        }
        // The guest may change its memory between the two.
        try (Buffers.Lease lease = Buffers.take(source.byteSize())) {
            long done = 0;
            for (MemorySegment piece : source.segments()) {
                MemorySegment.copy(piece, 0, lease.segment(), done, piece.byteSize());
                done += piece.byteSize();
            }
            both(at, offset, done, edge -> edge.write(offset, lease.segment()));
        }
    }

    @Override
    protected void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        ChildEdge at = copy;
        if (at == null) {
            super.writeZeroes(offset, length, mayUnmap);
        } else {
            both(at, offset, length, edge -> edge.writeZeroes(offset, length, mayUnmap));
        }
    }

    @Override
    protected void discard(long offset, long length) throws BlockException {
        try {
            super.discard(offset, length);
        } finally {
            if (copy != null) {
                dirty.mark(offset, length); // The two may read differently there now.
            }
        }
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
        if (edge.role() == Role.DATA) {
            return 0; // The job writes there.
        }
        return intoBelow
                ? needed & ~Permission.CONSISTENT_READ
                : needed | Permission.CONSISTENT_READ;
    }

    @Override
    protected int childShared(ChildEdge edge, int needed, int shared) {
        return Permission.ALL;
    }
}
