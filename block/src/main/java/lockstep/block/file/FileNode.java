package lockstep.block.file;

import lockstep.api.BlockdevOptionsFile;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.Buffers;
import lockstep.block.node.Permission;
import lockstep.block.node.Pieces;
import lockstep.block.node.Route;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.ImageFile;

import org.jspecify.annotations.Nullable;

/**
 * A host file (driver {@code file}) or block device ({@code host_device}). Reads beyond the end
 * give zeroes and writes beyond it lengthen the file, because formats above decide what the length
 * means.
 *
 * <p>Locks follow QEMU: byte 100 plus bit number for each permission in use, byte 200 plus bit
 * number for each one that is not shared, all as shared locks; a conflict is a lock of somebody
 * else on the opposite byte.
 *
 * <p>With cache.direct data goes past the host's page cache, by a descriptor of its own. A write that is not aligned for
 * that takes the way through the cache, alone in its pages: the kernel writes these back before the next access past the
 * cache. Nothing else is ever in the cache.
 */
public final class FileNode extends BlockNode {
    /** Writes that the direct way cannot take keep others out of their pages, which the cache has then. */
    private static final long PAGE = 4096;

    private static final long PERMISSION_BYTE = 100;
    private static final long UNSHARED_BYTE = 200;
    private static final int BITS = 4;

    private final String path;
    private final boolean locking;
    private volatile ImageFile file;
    private volatile @Nullable ImageFile direct;
    private int alignment = (int) PAGE;

    /** As it was last seen; what is written behind it is seen by who asks for it. */
    private volatile long knownLength = -1;

    private final boolean byThreads;
    private @Nullable BlockdevOptionsFile asked;
    private boolean fileWritable;
    private int heldPermissions;
    private int heldUnshared;
    private volatile boolean canPunch = true;
    private volatile boolean unsynced = true;
    private final Object flushing = new Object();
    private final Route.Held wrote = () -> unsynced = true;

    /**
     * How to open a file.
     *
     * @param direct past the host's page cache
     * @param byThreads requests are made by threads, also where the kernel has a queue for them
     */
    public record Options(
            String path,
            boolean readOnly,
            boolean autoReadOnly,
            boolean locking,
            boolean direct,
            boolean byThreads) {
        /** The defaults of a file that is opened for reading and writing. */
        public static Options of(String path, boolean readOnly) {
            return new Options(path, readOnly, false, true, false, false);
        }

        /** Likewise without locks. */
        public Options unlocked() {
            return new Options(path, readOnly, autoReadOnly, false, direct, byThreads);
        }
    }

    private FileNode(
            BlockGraph graph,
            String driver,
            String name,
            Options options,
            ImageFile file,
            boolean readOnly) {
        super(graph, driver, name, readOnly);
        this.path = options.path();
        this.locking = options.locking();
        this.byThreads = options.byThreads();
        this.file = file;
        this.fileWritable = !readOnly;
    }

    /** Opens a file; the node is not in the graph yet. */
    public static FileNode open(BlockGraph graph, String driver, String name, Options options)
            throws BlockException {
        boolean readOnly = options.readOnly();
        ImageFile file;
        try {
            try {
                file = ImageFile.open(options.path(), !readOnly);
            } catch (ImageFile.Failure e) {
                boolean refused =
                        e.errno() == Errno.EACCES
                                || e.errno() == Errno.EROFS
                                || e.errno() == Errno.EPERM;
                if (readOnly || !options.autoReadOnly() || !refused) {
                    throw e;
                }
                file = ImageFile.open(options.path(), false);
                readOnly = true;
            }
        } catch (ImageFile.Failure e) {
            throw new BlockException(
                    e.errno(),
                    "Could not open '" + options.path() + "': " + Errno.text(e.errno()),
                    e);
        }
        try {
            if (!file.isDisk()) {
                throw new BlockException(
                        Errno.EINVAL,
                        "'file' driver requires '" + options.path() + "' to be a regular file");
            }
        } catch (ImageFile.Failure e) {
            file.close();
            throw new BlockException(e.errno(), "Could not stat file: " + Errno.text(e.errno()), e);
        } catch (BlockException e) {
            file.close();
            throw e;
        }
        FileNode node = new FileNode(graph, driver, name, options, file, readOnly);
        try {
            node.goDirect(options.direct());
        } catch (BlockException e) {
            file.close();
            throw e;
        }
        return node;
    }

    /** Goes past the host's page cache from now on, or through it. While nobody is inside. */
    public void goDirect(boolean wanted) throws BlockException {
        ImageFile old = direct;
        if (wanted == (old != null)) {
            return;
        }
        if (old != null) {
            direct = null;
            old.close();
            return;
        }
        try {
            alignment = file.directAlignment();
            trackRequests();
            direct = ImageFile.openDirect(path, fileWritable, alignment);
        } catch (ImageFile.Failure e) {
            throw new BlockException(
                    e.errno(),
                    "Could not open '"
                            + path
                            + "': "
                            + (e.errno() == Errno.EINVAL
                                    ? "filesystem does not support O_DIRECT"
                                    : Errno.text(e.errno())),
                    e);
        }
    }

    /** Keeps how the user asked for it. */
    public void asked(BlockdevOptionsFile options) {
        asked = options;
    }

    /** How the user asked for it; null when none did. */
    public @Nullable BlockdevOptionsFile asked() {
        return asked;
    }

    /** The path as it was given. */
    public String path() {
        return path;
    }

    @Override
    public String plainFilename() {
        return path;
    }

    /** Bytes that the host's file system has given the file. */
    public long allocatedBytes() throws BlockException {
        try {
            return file.allocatedBytes();
        } catch (ImageFile.Failure e) {
            throw failed(e);
        }
    }

    private static BlockException failed(ImageFile.Failure e) {
        return new BlockException(e.errno(), Errno.text(e.errno()), e);
    }

    @Override
    protected boolean route(Route route) {
        ImageFile past = direct;
        if (byThreads || past != null && !route.aligned(alignment)) {
            return false;
        }
        if (route.write()) {
            route.hold(wrote);
        }
        return route.ends(past == null ? file : past);
    }

    private boolean aligned(long offset, long length) {
        return ((offset | length) & alignment - 1) == 0;
    }

    @Override
    protected long exclusion(long offset, long length) {
        return direct == null || aligned(offset, length) ? 0 : Math.max(PAGE, alignment);
    }

    @Override
    protected void read(long offset, Pieces destination) throws BlockException {
        ImageFile past = direct;
        try {
            if (past == null) {
                file.read(offset, destination.segments());
            } else if (aligned(offset, destination.byteSize()) && destination.aligned(alignment)) {
                past.read(offset, destination.segments());
            } else {
                long start = offset & -alignment;
                long end = offset + destination.byteSize() + alignment - 1 & -alignment;
                try (Buffers.Lease lease = Buffers.take(end - start)) {
                    past.read(start, lease.segment());
                    destination.copyFrom(
                            lease.segment().asSlice(offset - start, destination.byteSize()));
                }
            }
        } catch (ImageFile.Failure e) {
            throw failed(e);
        }
    }

    @Override
    protected void write(long offset, Pieces source) throws BlockException {
        ImageFile past = direct;
        try {
            if (past == null || !aligned(offset, source.byteSize())) {
                file.write(offset, source.segments());
            } else if (source.aligned(alignment)) {
                past.write(offset, source.segments());
            } else {
                try (Buffers.Lease lease = Buffers.take(source.byteSize())) {
                    source.copyTo(lease.segment());
                    past.write(offset, lease.segment());
                }
            }
        } catch (ImageFile.Failure e) {
            throw failed(e);
        } finally {
            unsynced = true;
        }
    }

    @Override
    protected void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        if (canPunch) {
            try {
                long end = file.length();
                if (mayUnmap && offset + length <= end) {
                    file.punchHole(offset, length);
                } else {
                    file.zeroRange(offset, length);
                }
                unsynced = true;
                return;
            } catch (ImageFile.Failure e) {
                if (e.errno() == Errno.ENOSPC || e.errno() == Errno.EIO) {
                    throw failed(e);
                }
                canPunch = false;
            }
        }
        writeZeroesByWriting(offset, length);
    }

    @Override
    protected void discard(long offset, long length) throws BlockException {
        if (!canPunch) {
            return;
        }
        try {
            file.punchHole(offset, length);
            unsynced = true;
        } catch (ImageFile.Failure e) {
            if (e.errno() == Errno.EIO) {
                throw failed(e);
            }
            canPunch = false;
        }
    }

    @Override
    protected void flush() throws BlockException {
        if (info().cacheNoFlush() || readOnly()) {
            return;
        }
        // Who finds nothing to do must not be faster than the flush that does it.
        synchronized (flushing) {
            if (!unsynced) {
                return;
            }
            // A write that completes from here on asks for another flush.
            unsynced = false;
            try {
                file.sync();
            } catch (ImageFile.Failure e) {
                unsynced = true;
                throw failed(e);
            }
        }
    }

    /** Whole sectors, like every other disk; what the file lacks of the last reads as zeroes. */
    @Override
    protected long length() throws BlockException {
        try {
            long length = file.length() + 511 & -512L;
            knownLength = length;
            return length;
        } catch (ImageFile.Failure e) {
            throw failed(e);
        }
    }

    @Override
    protected long lengthAtOnce() {
        return knownLength;
    }

    @Override
    protected BlockStatus status(long offset, long length) throws BlockException {
        try {
            ImageFile current = file;
            long data = current.nextData(offset);
            if (data < 0 || data > offset) {
                long run = data < 0 ? length : Math.min(length, data - offset);
                return new BlockStatus(run, false, true, true);
            }
            long hole = current.nextHole(offset);
            long run = hole <= offset ? length : Math.min(length, hole - offset);
            return new BlockStatus(run, true, false, true);
        } catch (ImageFile.Failure e) {
            return new BlockStatus(length, true, false, true);
        }
    }

    @Override
    protected void truncate(long length) throws BlockException {
        try {
            knownLength = -1;
            file.truncate(length);
            unsynced = true;
        } catch (ImageFile.Failure e) {
            throw failed(e);
        }
    }

    @Override
    protected void close() {
        ImageFile past = direct;
        if (past != null) {
            past.close();
        }
        file.close();
    }

    /** What the host remembers of the file may be older than what another host wrote. */
    @Override
    protected void onActivate() {
        file.forgetCached();
    }

    @Override
    protected void onReopen(boolean readOnly) throws BlockException {
        // A descriptor opened for writing may stay for reading; the other way needs a new one, made
        // with the locks.
        if (!readOnly && !fileWritable) {
            permissionsChanged(heldPermissions, Permission.ALL & ~heldUnshared);
        }
    }

    @Override
    protected void permissionsChanged(int permissions, int shared) throws BlockException {
        boolean needWrite =
                (permissions & (Permission.WRITE | Permission.RESIZE)) != 0 || !readOnly();
        try {
            if (needWrite && !fileWritable && active()) {
                ImageFile writable = ImageFile.open(path, true);
                ImageFile old = file;
                file = writable;
                fileWritable = true;
                heldPermissions = 0;
                heldUnshared = 0;
                old.close();
                ImageFile past = direct;
                if (past != null) {
                    direct = ImageFile.openDirect(path, true, alignment);
                    past.close();
                }
            }
            if (locking) {
                int wanted = active() ? permissions : 0;
                int unshared = active() ? Permission.ALL & ~shared : 0;
                lock(wanted, unshared);
            }
        } catch (ImageFile.Failure e) {
            throw failed(e);
        }
    }

    private void lock(int permissions, int unshared) throws ImageFile.Failure, BlockException {
        int oldPermissions = heldPermissions;
        int oldUnshared = heldUnshared;
        try {
            for (int bit = 0; bit < BITS; bit++) {
                take(PERMISSION_BYTE + bit, permissions & ~oldPermissions, bit, "");
                take(UNSHARED_BYTE + bit, unshared & ~oldUnshared, bit, "shared ");
            }
            heldPermissions |= permissions;
            heldUnshared |= unshared;
            for (int bit = 0; bit < BITS; bit++) {
                if ((permissions & ~oldPermissions & 1 << bit) != 0
                        && file.lockedByOther(UNSHARED_BYTE + bit)) {
                    throw conflict("", bit);
                }
                if ((unshared & ~oldUnshared & 1 << bit) != 0
                        && file.lockedByOther(PERMISSION_BYTE + bit)) {
                    throw conflict("shared ", bit);
                }
            }
        } catch (BlockException e) {
            drop(permissions & ~oldPermissions, unshared & ~oldUnshared);
            throw e;
        }
        drop(oldPermissions & ~permissions, oldUnshared & ~unshared);
    }

    private void take(long at, int bits, int bit, String kind)
            throws ImageFile.Failure, BlockException {
        if ((bits & 1 << bit) != 0 && !file.lockShared(at)) {
            throw conflict(kind, bit);
        }
    }

    private void drop(int permissions, int unshared) throws ImageFile.Failure {
        for (int bit = 0; bit < BITS; bit++) {
            if ((permissions & 1 << bit) != 0) {
                file.unlock(PERMISSION_BYTE + bit);
            }
            if ((unshared & 1 << bit) != 0) {
                file.unlock(UNSHARED_BYTE + bit);
            }
        }
        heldPermissions &= ~permissions;
        heldUnshared &= ~unshared;
    }

    private BlockException conflict(String kind, int bit) {
        return new BlockException(
                11,
                "Failed to get " + kind + "\"" + Permission.name(bit) + "\" lock",
                "Is another process using the image [" + path + "]?");
    }
}
