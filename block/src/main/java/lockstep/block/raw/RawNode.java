package lockstep.block.raw;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Pieces;
import lockstep.block.node.Role;
import lockstep.block.node.Route;
import lockstep.runtime.linux.Errno;

import java.lang.foreign.MemorySegment;

/** Driver {@code raw}: its child's bytes, all of them or from an offset on. */
public final class RawNode extends BlockNode {
    private static final int PROBE = 512;

    private final long offset;
    private final long size;
    private final boolean probed;

    /**
     * A raw node; {@link #open} attaches the child.
     *
     * @param offset where the window starts
     * @param size the window's length, negative for all the rest
     * @param probed the format was guessed, so the guest must not make the first sector look like
     *     another format
     */
    public RawNode(
            BlockGraph graph,
            String name,
            boolean readOnly,
            long offset,
            long size,
            boolean probed) {
        super(graph, "raw", name, readOnly);
        this.offset = offset;
        this.size = size;
        this.probed = probed;
        if (probed) {
            trackRequests();
        }
    }

    /** Attaches the child and checks the window. */
    public void open(BlockNode file) throws BlockException {
        boolean window = offset != 0 || size >= 0;
        long length =
                graph().attach(this, "file", window ? Role.DATA : Role.FILTERED, file).length();
        if (offset > length) {
            throw new BlockException(
                    Errno.EINVAL,
                    "Offset ("
                            + offset
                            + ") cannot be greater than size of the containing file ("
                            + length
                            + ")");
        }
        if (size >= 0 && size > length - offset) {
            throw new BlockException(
                    Errno.EINVAL,
                    "The sum of offset ("
                            + offset
                            + ") and size ("
                            + size
                            + ") has to be smaller or equal to the  actual size of the containing"
                            + " file ("
                            + length
                            + ")");
        }
        if (size >= 0 && size % 512 != 0) {
            throw new BlockException(Errno.EINVAL, "Specified size is not multiple of 512");
        }
    }

    private ChildEdge file() {
        return children().getFirst();
    }

    @Override
    public ChildEdge primaryChild() {
        return children().getFirst();
    }

    @Override
    public String plainFilename() {
        return offset == 0 && size < 0 ? file().node().plainFilename() : "";
    }

    @Override
    protected boolean route(Route route) {
        return !ragged() && route.into(file(), offset + route.offset());
    }

    @Override
    protected void read(long position, Pieces destination) throws BlockException {
        long there = destination.byteSize();
        if (ragged()) {
            there = Math.clamp(file().length() - offset - position, 0, there);
            destination.slice(there).zero();
        }
        file().read(offset + position, destination.slice(0, there));
    }

    /** Whether the last sector is not wholly there: what is missing of it reads as zeroes. */
    private boolean ragged() {
        return size < 0 && offset % 512 != 0;
    }

    /** What is written to the first sector is looked at together with what stays of it. */
    @Override
    protected long exclusion(long position, long length) {
        return probed && position < PROBE ? PROBE : 0;
    }

    @Override
    protected void write(long position, Pieces source) throws BlockException {
        if (probed && position < PROBE) {
            long head = Math.min(PROBE - position, source.byteSize());
            MemorySegment sector = MemorySegment.ofArray(new byte[PROBE]);
            file().read(offset, sector);
            MemorySegment changed = sector.asSlice(position, head);
            source.slice(0, head).copyTo(changed);
            if (FormatProbe.looksLikeFormat(sector)) {
                throw new BlockException(Errno.EPERM);
            }
            // The copy that was looked at: the guest may have changed its own meanwhile.
            file().write(offset + position, changed);
            if (head < source.byteSize()) {
                file().write(offset + position + head, source.slice(head));
            }
            return;
        }
        file().write(offset + position, source);
    }

    @Override
    protected void writeZeroes(long position, long length, boolean mayUnmap) throws BlockException {
        file().writeZeroes(offset + position, length, mayUnmap);
    }

    @Override
    protected void discard(long position, long length) throws BlockException {
        file().discard(offset + position, length);
    }

    @Override
    protected void flush() throws BlockException {
        file().flush();
    }

    @Override
    protected long length() throws BlockException {
        // Whole sectors, like every other disk, also behind an odd offset.
        return size >= 0 ? size : file().length() - offset + 511 & -512L;
    }

    @Override
    protected long lengthAtOnce() {
        long below = size >= 0 ? size : file().lengthAtOnce();
        return size >= 0 || below < 0 ? below : below - offset + 511 & -512L;
    }

    @Override
    protected BlockStatus status(long position, long length) throws BlockException {
        long there = ragged() ? file().length() - offset - position : length;
        return there > 0
                ? file().status(offset + position, Math.min(length, there))
                : new BlockStatus(length, false, true, true);
    }

    @Override
    protected void truncate(long length) throws BlockException {
        if (size >= 0) {
            throw new BlockException(Errno.ENOTSUP, "Cannot resize fixed-size raw disks");
        }
        file().truncate(offset + length);
    }
}
