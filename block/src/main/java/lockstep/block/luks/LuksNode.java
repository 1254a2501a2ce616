package lockstep.block.luks;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.Buffers;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Pieces;
import lockstep.block.node.Role;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

/** Driver {@code luks}: a LUKS volume; the disk follows its header. */
public final class LuksNode extends BlockNode {
    private static final int PIECE = 1 << 20;

    private final LuksHeader header;
    private final @Nullable DiskCipher cipher;

    private LuksNode(
            BlockGraph graph,
            String name,
            boolean readOnly,
            LuksHeader header,
            @Nullable DiskCipher cipher) {
        super(graph, "luks", name, readOnly);
        this.header = header;
        this.cipher = cipher;
        trackRequests();
    }

    /**
     * Opens a volume and enters the node.
     *
     * @param file the node that it is stored in; this node takes its own reference
     * @param secrets where the password is; null when nothing will be read or written
     * @param secret the identifier of the password's object
     */
    public static LuksNode open(
            BlockGraph graph,
            String name,
            boolean readOnly,
            boolean active,
            BlockNode file,
            @Nullable Secrets secrets,
            @Nullable String secret)
            throws BlockException {
        ChildEdge look = ChildEdge.look(file);
        long end = look.length();
        LuksHeader.Storage storage =
                (offset, target) -> {
                    if (offset + target.byteSize() > end) {
                        throw new BlockException(
                                Errno.EINVAL,
                                "Unable to read LUKS header: " + Errno.text(Errno.EINVAL));
                    }
                    look.read(offset, target);
                };
        LuksHeader header = LuksHeader.read(storage);
        DiskCipher cipher = null;
        if (secrets != null) {
            if (secret == null) {
                throw new BlockException(
                        Errno.EINVAL, "Parameter 'key-secret' is required for cipher");
            }
            cipher = header.unlock(storage, secrets.find(secret), secret);
        }
        LuksNode node = new LuksNode(graph, name, readOnly, header, cipher);
        if (!active) {
            BlockGraph.startInactive(node);
        }
        graph.add(node);
        try {
            graph.attach(node, "file", Role.STORAGE, file);
        } catch (BlockException e) {
            graph.release(node);
            throw e;
        }
        return node;
    }

    public LuksHeader header() {
        return header;
    }

    private ChildEdge file() {
        return children().getFirst();
    }

    private DiskCipher cipher() throws BlockException {
        if (cipher == null) {
            throw new BlockException(Errno.EIO, "The volume was opened without its key");
        }
        return cipher;
    }

    @Override
    public String plainFilename() {
        return "";
    }

    @Override
    protected long length() throws BlockException {
        return file().length() - header.payloadOffset() & -DiskCipher.SECTOR;
    }

    @Override
    protected long exclusion(long offset, long length) {
        return Sectors.ragged(offset, length) ? DiskCipher.SECTOR : 0;
    }

    @Override
    protected void read(long offset, Pieces destination) throws BlockException {
        checkRange(offset, destination.byteSize(), length());
        if (Sectors.ragged(offset, destination.byteSize())) {
            Sectors.read(this::read, offset, destination);
            return;
        }
        DiskCipher key = cipher();
        long total = destination.byteSize();
        for (long done = 0; done < total; done += PIECE) {
            long piece = Math.min(PIECE, total - done);
            try (Buffers.Lease lease = Buffers.take(piece)) {
                file().read(header.payloadOffset() + offset + done, lease.segment());
                key.decrypt(offset + done, lease.segment());
                destination.slice(done, piece).copyFrom(lease.segment());
            }
        }
    }

    @Override
    protected void write(long offset, Pieces source) throws BlockException {
        checkRange(offset, source.byteSize(), length());
        if (Sectors.ragged(offset, source.byteSize())) {
            Sectors.write(this::read, this::write, offset, source);
            return;
        }
        DiskCipher key = cipher();
        long total = source.byteSize();
        for (long done = 0; done < total; done += PIECE) {
            long piece = Math.min(PIECE, total - done);
            try (Buffers.Lease lease = Buffers.take(piece)) {
                source.slice(done, piece).copyTo(lease.segment());
                key.encrypt(offset + done, lease.segment());
                file().write(header.payloadOffset() + offset + done, lease.segment());
            }
        }
    }

    @Override
    protected void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        writeZeroesByWriting(offset, length);
    }

    @Override
    protected void discard(long offset, long length) {
        // What a discarded range of the file holds would not be zeroes here, and shows what is in
        // use.
    }

    @Override
    protected void flush() throws BlockException {
        file().flush();
    }

    @Override
    protected BlockStatus status(long offset, long length) {
        return new BlockStatus(length, true, false, true);
    }

    @Override
    protected void truncate(long length) throws BlockException {
        if (length > Long.MAX_VALUE - header.payloadOffset()) {
            throw new BlockException(Errno.EFBIG, "The requested file size is too large");
        }
        file().truncate(header.payloadOffset() + length);
    }
}
