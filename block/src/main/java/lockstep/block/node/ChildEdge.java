package lockstep.block.node;

import lockstep.api.BlockdevDetectZeroesOptions;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;

/**
 * A named, counted use of a node, and the only way to do I/O on it. What is true of every request, whoever makes it and
 * whatever driver serves it, happens here once: permissions, limits, the order of overlapping requests, zeroes that are
 * recognised, and what is noted of a change ({@link BlockNode#written}).
 *
 * <p>I/O calls block and may come from several threads; who makes them is inside {@link BlockGraph}'s gate. Changed only
 * by {@link BlockGraph}, while drained.
 */
public final class ChildEdge {
    /** Who reads what a node is before it has an edge. */
    private static final NodeUser ONLOOKER = () -> "an onlooker";

    private final NodeUser user;
    private final String name;
    private final Role role;
    private volatile @Nullable Throttle throttle;
    private boolean excluding;
    volatile BlockNode node;
    volatile boolean attached;
    int permissions;
    int shared = Permission.ALL;

    ChildEdge(NodeUser user, String name, Role role, BlockNode node) {
        this.user = user;
        this.name = name;
        this.role = role;
        this.node = node;
    }

    /**
     * An edge that the graph does not know, to read from a node that the caller holds a reference to: for who opens or
     * shows it.
     */
    public static ChildEdge look(BlockNode node) {
        ChildEdge edge = new ChildEdge(ONLOOKER, "look", Role.DATA, node);
        edge.permissions = Permission.CONSISTENT_READ;
        edge.attached = true;
        return edge;
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

    /** Holds this edge's requests up from now on; null lets them go. */
    public void limit(@Nullable Throttle throttle) {
        this.throttle = throttle;
    }

    /** What holds this edge's requests up. */
    @Nullable Throttle throttle() {
        return throttle;
    }

    /** Says that {@link #writeAlone} will be used. Called while drained. */
    public void keepOthersOut() {
        excluding = true;
        moved();
    }

    /** The edge points to another node. */
    void moved() {
        if (excluding) {
            node.trackRequests();
        }
    }

    /** Whether a request may go to the node at once, and there is nothing that this edge has to do about it. */
    boolean plain(long offset, long length, boolean write) {
        BlockNode at = node;
        if (throttle != null
                || offset < 0
                || role == Role.ROOT && offset > at.lengthAtOnce() - length) {
            return false;
        }
        return !write
                || !at.readOnly()
                        && at.active()
                        && (permissions & (Permission.WRITE | Permission.WRITE_UNCHANGED)) != 0
                        && at.writeThreshold() == 0
                        && at.info().detectZeroes() == BlockdevDetectZeroesOptions.OFF;
    }

    /** Fills {@code destination} from the node's bytes at {@code offset}. */
    public void read(long offset, MemorySegment destination) throws BlockException {
        read(offset, Pieces.of(destination));
    }

    /** Likewise, into memory in pieces. */
    public void read(long offset, Pieces destination) throws BlockException {
        long length = destination.byteSize();
        BlockNode at = node;
        checkRange(at, offset, length);
        admit(false, length);
        TrackedRequests.Entry request = at.begin(offset, length, 0);
        try {
            at.read(offset, destination);
        } finally {
            at.end(request);
        }
    }

    /** Writes {@code source} at {@code offset}; durable only after {@link #flush}. */
    public void write(long offset, MemorySegment source) throws BlockException {
        write(offset, Pieces.of(source));
    }

    /** Likewise, from memory in pieces. */
    public void write(long offset, Pieces source) throws BlockException {
        write(offset, source, 0);
    }

    /**
     * Writes while no other request is under way on the node in the range.
     *
     * @param piece a power of two: the range is widened to multiples of it
     */
    public void writeAlone(long offset, MemorySegment source, long piece) throws BlockException {
        write(offset, Pieces.of(source), piece);
    }

    private void write(long offset, Pieces source, long piece) throws BlockException {
        long length = source.byteSize();
        BlockNode at = node;
        checkWritable(at, Permission.WRITE | Permission.WRITE_UNCHANGED);
        checkRange(at, offset, length);
        admit(true, length);
        TrackedRequests.Entry request = at.beginWrite(offset, length, piece);
        try {
            NodeInfo info = at.info();
            if (info.detectZeroes() != BlockdevDetectZeroesOptions.OFF && source.isZero()) {
                boolean unmap =
                        info.detectZeroes() == BlockdevDetectZeroesOptions.UNMAP
                                && info.discardUnmap();
                at.writeZeroes(offset, length, unmap);
            } else {
                at.write(offset, source);
            }
        } finally {
            try {
                at.written(offset, length);
            } finally {
                at.end(request);
            }
        }
    }

    /**
     * Makes a range read as zeroes.
     *
     * @param mayUnmap storage for the range may be given back, if the node's {@code discard} allows it
     */
    public void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        writeZeroes(offset, length, mayUnmap, 0);
    }

    /** Likewise while no other request is under way on the node in the range, as with {@link #writeAlone}. */
    public void writeZeroesAlone(long offset, long length, long piece) throws BlockException {
        writeZeroes(offset, length, true, piece);
    }

    private void writeZeroes(long offset, long length, boolean mayUnmap, long piece)
            throws BlockException {
        BlockNode at = node;
        checkWritable(at, Permission.WRITE | Permission.WRITE_UNCHANGED);
        checkRange(at, offset, length);
        admit(true, length);
        TrackedRequests.Entry request = at.beginWrite(offset, length, piece);
        try {
            at.writeZeroes(offset, length, mayUnmap && at.info().discardUnmap());
        } finally {
            try {
                at.written(offset, length);
            } finally {
                at.end(request);
            }
        }
    }

    /** Tells the node that a range is not needed any more, if its {@code discard} lets that through. */
    public void discard(long offset, long length) throws BlockException {
        BlockNode at = node;
        checkWritable(at, Permission.WRITE);
        checkRange(at, offset, length);
        if (!at.info().discardUnmap()) {
            return;
        }
        if (role == Role.FILTERED) {
            // QEMU's limits of drives do not count discards, its throttle driver does.
            admit(true, length);
        }
        TrackedRequests.Entry request = at.begin(offset, length, at.exclusion(offset, length));
        try {
            at.discard(offset, length);
        } finally {
            try {
                at.changed(offset, length);
            } finally {
                at.end(request);
            }
        }
    }

    /** Makes all completed writes durable; nothing to do for a node that is not written. */
    public void flush() throws BlockException {
        BlockNode at = node;
        if (!at.readOnly() && at.active()) {
            at.flush();
        }
    }

    /** The length as far as it is known without waiting, -1 where it is not. */
    public long lengthAtOnce() {
        return node.lengthAtOnce();
    }

    /** The length in bytes. */
    public long length() throws BlockException {
        return node.length();
    }

    /** What is known of the bytes from {@code offset} on; the answer covers at least one byte. */
    public BlockStatus status(long offset, long length) throws BlockException {
        return node.status(offset, length);
    }

    /** Changes the length. */
    public void truncate(long length) throws BlockException {
        BlockNode at = node;
        checkWritable(at, Permission.RESIZE);
        at.checkBitmaps(length);
        at.truncate(length);
        at.resized(at.length());
    }

    /** Forgets all data of the node's own layer so that everything is read from below again. */
    public void makeEmpty() throws BlockException {
        BlockNode at = node;
        checkWritable(at, Permission.WRITE);
        long length = at.length();
        try {
            at.makeEmpty();
        } finally {
            at.changed(0, length);
        }
    }

    private void admit(boolean write, long length) {
        Throttle limit = throttle;
        if (limit != null) {
            limit.admit(write, length);
        }
    }

    private void checkWritable(BlockNode at, int needed) throws BlockException {
        if (at.readOnly()) {
            throw new BlockException(Errno.EPERM);
        }
        if (!at.active()) {
            throw new BlockException(Errno.EPERM, "node is inactive");
        }
        if ((permissions & needed) == 0) {
            throw new BlockException(
                    Errno.EPERM,
                    user.describe() + " has no permission to do so on " + at.describe());
        }
    }

    /** Users of a whole disk stay within it; formats may write behind the end of what they are stored in. */
    private void checkRange(BlockNode at, long offset, long length) throws BlockException {
        if (offset < 0 || length < 0 || role == Role.ROOT && offset > at.length() - length) {
            throw new BlockException(Errno.EIO, "Access beyond the end of the medium");
        }
    }
}
