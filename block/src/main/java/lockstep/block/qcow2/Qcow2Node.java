package lockstep.block.qcow2;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Pieces;
import lockstep.block.node.Role;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;

/**
 * Driver {@code qcow2}: the image's life from opening to closing, its size, and its whole content;
 * requests go to its {@link GuestDisk}.
 */
public final class Qcow2Node extends BlockNode {
    private final Guard guard;
    private final ChildEdge opening;
    private volatile Qcow2Header header;
    private volatile Mapping map;
    private volatile GuestDisk disk;

    private Qcow2Node(
            BlockGraph graph,
            String name,
            boolean readOnly,
            boolean active,
            OverlapChecks checks,
            ChildEdge file,
            Qcow2Header h)
            throws BlockException {
        super(graph, "qcow2", name, readOnly);
        opening = file;
        guard =
                new Guard(
                        this::file,
                        checks.parts(),
                        () -> !readOnly() && active(),
                        (message, offset, size, fatal) ->
                                graph.host().imageCorrupted(this, message, offset, size, fatal));
        guard.opened(h);
        header = h;
        map = new Mapping(guard, h, active);
        disk = new GuestDisk(guard, h, map, this::below);
    }

    /**
     * Opens an image and enters the node; the backing node is attached by {@link #attachBacking}.
     *
     * @param file the node the image is stored in; this node takes its own reference
     * @param active false while another process may still write the image
     * @param checks what is protected from wrong writes
     */
    public static Qcow2Node open(
            BlockGraph graph,
            String name,
            boolean readOnly,
            BlockNode file,
            boolean active,
            OverlapChecks checks)
            throws BlockException {
        ChildEdge look = ChildEdge.look(file);
        Qcow2Header header = Qcow2Header.read(look, !readOnly && active);
        Qcow2Node node = new Qcow2Node(graph, name, readOnly, active, checks, look, header);
        if (!active) {
            BlockGraph.startInactive(node);
        }
        graph.add(node);
        try {
            graph.attach(node, "file", Role.STORAGE, file);
            if (!readOnly && active) {
                node.prepareForWriting();
            }
        } catch (BlockException e) {
            graph.release(node);
            throw e;
        }
        return node;
    }

    /** Sets the node that unallocated clusters are read from. */
    public void attachBacking(BlockNode backing) throws BlockException {
        graph().attach(this, "backing", Role.BACKING, backing);
    }

    /** Changes what is protected from wrong writes. */
    public void protect(OverlapChecks checks) throws BlockException {
        disk.alone(
                () -> {
                    guard.protect(checks);
                    map.guardInactive();
                });
    }

    /** Whether the image is marked as corrupt. Any thread. */
    public boolean corrupt() {
        return guard.corrupt();
    }

    /** The header as it was read when the image was opened or activated. */
    public Qcow2Header header() {
        return header;
    }

    @Override
    public String plainFilename() {
        return info().backingOverridden() ? "" : file().node().plainFilename();
    }

    /** The node that the image is stored in. */
    private ChildEdge file() {
        ChildEdge edge = child("file");
        return edge == null ? opening : edge;
    }

    /** The node that unallocated clusters are read from. */
    private @Nullable ChildEdge below() {
        return child("backing");
    }

    @Override
    public long allocationUnit() {
        return header.clusterSize();
    }

    /** Starts over with what the image holds now; nobody is inside. */
    private void load() throws BlockException {
        Qcow2Header h = Qcow2Header.read(file(), !readOnly() && active());
        guard.opened(h);
        header = h;
        map = new Mapping(guard, h, active());
        disk = new GuestDisk(guard, h, map, this::below);
    }

    private void prepareForWriting() throws BlockException {
        if (header.has(Qcow2Header.DIRTY)) {
            // Refcounts cannot be trusted: the last writer postponed them and did not come back.
            new Qcow2Repair(guard, header, map).rebuildRefcounts();
            patchHeader(Qcow2Header.INCOMPATIBLE_AT, header.incompatible() & ~Qcow2Header.DIRTY);
            guard.flush();
            load();
        }
        if (header.autoclear() != 0) {
            // None of those features is kept up to date here, so the image must stop promising
            // them.
            patchHeader(Qcow2Header.AUTOCLEAR_AT, 0);
        }
    }

    private void patchHeader(int at, long value) throws BlockException {
        MemorySegment field = MemorySegment.ofArray(new byte[8]);
        field.set(Qcow2Header.BE64, 0, value);
        guard.write(MetadataMap.HEADER, at, field);
    }

    @Override
    protected void onActivate() throws BlockException {
        load();
        if (!readOnly()) {
            prepareForWriting();
        }
    }

    @Override
    protected void onInactivate() throws BlockException {
        if (!readOnly()) {
            flush();
        }
    }

    @Override
    protected void onReopen(boolean readOnly) throws BlockException {
        if (readOnly) {
            flush();
        } else if (active()) {
            onActivate();
        }
    }

    @Override
    protected void close() throws BlockException {
        if (!readOnly() && active() && child("file") != null && length() != 0 && !guard.stopped()) {
            flush();
        }
    }

    @Override
    protected long length() {
        return disk.size();
    }

    @Override
    protected void read(long offset, Pieces destination) throws BlockException {
        checkRange(offset, destination.byteSize(), length());
        disk.read(offset, destination);
    }

    @Override
    protected void write(long offset, Pieces source) throws BlockException {
        guard.checkUsable();
        checkRange(offset, source.byteSize(), length());
        disk.write(offset, source);
    }

    @Override
    protected void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        guard.checkUsable();
        checkRange(offset, length, length());
        disk.writeZeroes(offset, length, mayUnmap);
    }

    @Override
    protected void discard(long offset, long length) throws BlockException {
        guard.checkUsable();
        checkRange(offset, length, length());
        disk.discard(offset, length);
    }

    @Override
    protected BlockStatus status(long offset, long length) throws BlockException {
        checkRange(offset, length, length());
        return disk.status(offset, length);
    }

    @Override
    protected void flush() throws BlockException {
        if (!readOnly()) {
            map.writeBack();
            guard.flush();
        }
    }

    @Override
    protected void truncate(long length) throws BlockException {
        guard.checkUsable();
        if (length % 512 != 0) {
            throw new BlockException(Errno.EINVAL, "The new size must be a multiple of 512");
        }
        disk.alone(() -> grow(length));
    }

    private void grow(long length) throws BlockException {
        if (header.snapshots() != 0 && header.version() < 3) {
            throw new BlockException(Errno.ENOTSUP, "Can't resize a v2 image which has snapshots");
        }
        if (length < length()) {
            throw new BlockException(Errno.ENOTSUP, "qcow2 images cannot be shrunk");
        }
        long needed = Qcow2Header.l1Needed(length, header.clusterBits());
        if (needed * 8 > 32L << 20) {
            throw new BlockException(Errno.EFBIG, "The image is too big");
        }
        map.writeBack();
        if (needed > map.l1().length) {
            map.growL1((int) needed);
        }
        patchHeader(Qcow2Header.SIZE_AT, length);
        guard.flush();
        disk.resized(length);
    }

    @Override
    public boolean canMakeEmpty() {
        return true;
    }

    @Override
    protected void makeEmpty() throws BlockException {
        guard.checkUsable();
        disk.alone(map::makeEmpty);
    }
}
