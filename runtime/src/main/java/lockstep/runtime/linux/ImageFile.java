package lockstep.runtime.linux;

import static lockstep.linux.abi.LinuxAbi.*;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import lockstep.linux.abi.flock;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * An open disk image or block device: positioned I/O straight from native memory, holes, and the byte-range locks of an
 * open file description (fcntl(2), F_OFD_SETLK), which other users of the image see. I/O may come from several threads.
 */
public final class ImageFile implements AutoCloseable {
    /** A system call failed. */
    public static final class Failure extends IOException {
        private static final long serialVersionUID = 1L;
        private final int errno;

        Failure(String call, int errno) {
            super(call + ": errno " + errno);
            this.errno = errno;
        }

        /** A positive Linux error number. */
        public int errno() {
            return errno;
        }
    }

    /** Bounce buffer size for heap memory. */
    private static final int BOUNCE = 1 << 20;

    private static final ThreadLocal<MemorySegment> BOUNCE_BUFFER =
            ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(BOUNCE, 4096));

    private static final ThreadLocal<IoVectors> VECTORS = ThreadLocal.withInitial(IoVectors::new);

    /** As the kernel has it for x86-64 ({@code asm-generic/fcntl.h}). */
    private static final int O_DIRECT = 0x4000;

    private static final CFunction SYSCALL = CFunction.ofLong("syscall");
    private static final CFunction POSIX_FADVISE = CFunction.ofInt("posix_fadvise");
    private static final int POSIX_FADV_DONTNEED = 4;
    private static final long STATX = 332;
    private static final int STATX_DIOALIGN = 0x2000;
    private static final int AT_EMPTY_PATH = 0x1000;
    private static final long STATX_MASK = 0;
    private static final long STATX_MEMORY_ALIGN = 0x98;
    private static final long STATX_OFFSET_ALIGN = 0x9c;

    /** What every device takes, for kernels that do not say. */
    private static final int PAGE = 4096;

    private final int fd;

    /** More than 1 when I/O goes past the page cache. */
    private final int alignment;

    private volatile boolean closed;

    private ImageFile(int fd, int alignment) {
        this.fd = fd;
        this.alignment = alignment;
    }

    /** Opens an existing file; a pipe that nobody writes to is not waited for. */
    public static ImageFile open(String path, boolean writable) throws Failure {
        return open(path, O_NONBLOCK() | (writable ? O_RDWR() : O_RDONLY()));
    }

    /**
     * Opens an existing file past the host's page cache.
     *
     * @param alignment to which all I/O will be aligned, at least {@link #directAlignment}
     */
    public static ImageFile openDirect(String path, boolean writable, int alignment)
            throws Failure {
        int flags = O_DIRECT | (writable ? O_RDWR() : O_RDONLY());
        return new ImageFile((int) check("open", FileIo.tryOpen(path, flags, 0644)), alignment);
    }

    /** Makes an empty file, or empties an existing one. */
    public static ImageFile create(String path) throws Failure {
        return open(path, O_RDWR() | O_CREAT() | O_TRUNC());
    }

    private static ImageFile open(String path, int flags) throws Failure {
        return new ImageFile((int) check("open", FileIo.tryOpen(path, flags, 0644)), 1);
    }

    /** The result of a call, or the failure that a negated errno says. */
    private static long check(String call, long result) throws Failure {
        if (result < 0) {
            throw new Failure(call, (int) -result);
        }
        return result;
    }

    /** Reads exactly the whole buffer; bytes beyond the end of the file are zero. */
    public void read(long offset, MemorySegment target) throws Failure {
        if (!target.isNative()) {
            MemorySegment bounce = BOUNCE_BUFFER.get();
            for (long at = 0; at < target.byteSize(); at += BOUNCE) {
                long piece = Math.min(BOUNCE, target.byteSize() - at);
                readNative(offset + at, bounce.asSlice(0, piece));
                MemorySegment.copy(bounce, 0, target, at, piece);
            }
            return;
        }
        readNative(offset, target);
    }

    private void readNative(long offset, MemorySegment target) throws Failure {
        long done = 0;
        long size = target.byteSize();
        while (done < size) {
            long n = FileCalls.pread(fd, target.asSlice(done), size - done, offset + done);
            if (n == -Errno.EINTR) {
                continue;
            }
            if (check("pread", n) == 0) {
                target.asSlice(done).fill((byte) 0);
                return;
            }
            done += n;
            if (endsHere(done)) {
                target.asSlice(done).fill((byte) 0);
                return;
            }
        }
    }

    /** Reads likewise, into several buffers one after the other. */
    public void read(long offset, List<MemorySegment> targets) throws Failure {
        long done = 0;
        if (oneByOne(targets)) {
            for (MemorySegment target : targets) {
                read(offset + done, target);
                done += target.byteSize();
            }
            return;
        }
        IoVectors left = VECTORS.get();
        while (left.take(targets, done)) {
            long n = FileCalls.preadv(fd, left, offset + done);
            if (n == -Errno.EINTR) {
                continue;
            }
            if (check("preadv", n) == 0) {
                zero(targets, done);
                return;
            }
            done += n;
            if (endsHere(done)) {
                zero(targets, done);
                return;
            }
        }
    }

    /** Past the page cache, a read that ends out of alignment has met the end of the file, and cannot go on. */
    private boolean endsHere(long done) {
        return done % alignment != 0;
    }

    private static void zero(List<MemorySegment> targets, long from) {
        long skip = from;
        for (MemorySegment target : targets) {
            target.asSlice(Math.min(skip, target.byteSize())).fill((byte) 0);
            skip = Math.max(0, skip - target.byteSize());
        }
    }

    /** Whether a call of its own for each buffer is the way. */
    private static boolean oneByOne(List<MemorySegment> buffers) {
        boolean bounce = buffers.size() == 1;
        for (MemorySegment buffer : buffers) {
            bounce |= !buffer.isNative();
        }
        return bounce;
    }

    /** Writes the whole buffer. */
    public void write(long offset, MemorySegment source) throws Failure {
        if (!source.isNative()) {
            MemorySegment bounce = BOUNCE_BUFFER.get();
            for (long at = 0; at < source.byteSize(); at += BOUNCE) {
                long piece = Math.min(BOUNCE, source.byteSize() - at);
                MemorySegment.copy(source, at, bounce, 0, piece);
                writeNative(offset + at, bounce.asSlice(0, piece));
            }
            return;
        }
        writeNative(offset, source);
    }

    private void writeNative(long offset, MemorySegment source) throws Failure {
        long done = 0;
        long size = source.byteSize();
        while (done < size) {
            long n = FileCalls.pwrite(fd, source.asSlice(done), size - done, offset + done);
            if (n == -Errno.EINTR) {
                continue;
            }
            done += check("pwrite", n == 0 ? -Errno.EIO : n);
        }
    }

    /** Writes several buffers one after the other. */
    public void write(long offset, List<MemorySegment> sources) throws Failure {
        long done = 0;
        if (oneByOne(sources)) {
            for (MemorySegment source : sources) {
                write(offset + done, source);
                done += source.byteSize();
            }
            return;
        }
        IoVectors left = VECTORS.get();
        while (left.take(sources, done)) {
            long n = FileCalls.pwritev(fd, left, offset + done);
            if (n != -Errno.EINTR) {
                done += check("pwritev", n == 0 ? -Errno.EIO : n);
            }
        }
    }

    /**
     * Begins to read or write at once, without waiting for the end, of which {@code completion} hears. Less may be moved than
     * was asked for. Of the memory's bytes {@code length} are meant, behind the first {@code from}. It, and this file, stay open until then, which is the caller's affair.
     *
     * @return false when the ring cannot take it now
     */
    public boolean submit(
            IoUring ring,
            boolean write,
            long offset,
            List<MemorySegment> pieces,
            long from,
            long length,
            IoUring.Completion completion) {
        return ring.submit(write, fd, offset, pieces, from, length, completion);
    }

    /** Has the host forget what it remembers of the content, as far as it is the same as in the file. */
    public void forgetCached() {
        // An advice: who does not take it does no harm.
        POSIX_FADVISE.call(fd, 0, 0, POSIX_FADV_DONTNEED);
    }

    /** Makes written data durable. */
    public void sync() throws Failure {
        check("fdatasync", FileCalls.fdatasync(fd));
    }

    /** Sets the length in bytes. */
    public void truncate(long length) throws Failure {
        check("ftruncate", FileCalls.ftruncate(fd, length));
    }

    /** The length in bytes, also of a block device. */
    public long length() throws Failure {
        return seek(0, SEEK_END());
    }

    /** Whether it is a file with a length and a content, or a block device. */
    public boolean isDisk() throws Failure {
        MemorySegment stat = stat();
        int type = lockstep.linux.abi.stat.st_mode(stat) & S_IFMT();
        return type == S_IFREG() || type == S_IFBLK();
    }

    /**
     * To how many bytes, a power of two, offset, length and memory of I/O past the page cache have to be aligned
     * (statx(2), STATX_DIOALIGN).
     */
    public int directAlignment() {
        MemorySegment name = Native.small().asSlice(0, 1);
        MemorySegment status = Native.small().asSlice(8, 256);
        name.fill((byte) 0);
        status.fill((byte) 0);
        long result =
                SYSCALL.call(
                        STATX, fd, name.address(), AT_EMPTY_PATH, STATX_DIOALIGN, status.address());
        int memory = status.get(JAVA_INT, STATX_MEMORY_ALIGN);
        int offset = status.get(JAVA_INT, STATX_OFFSET_ALIGN);
        boolean known =
                result == 0
                        && (status.get(JAVA_INT, STATX_MASK) & STATX_DIOALIGN) != 0
                        && offset > 0;
        return known ? Math.max(512, Math.max(memory, offset)) : PAGE;
    }

    private MemorySegment stat() throws Failure {
        MemorySegment stat = Native.small().asSlice(0, lockstep.linux.abi.stat.sizeof());
        check("fstat", FileCalls.fstat(fd, stat));
        return stat;
    }

    /** Bytes that the file system has given the file. */
    public long allocatedBytes() throws Failure {
        // st_blocks counts 512 bytes each, whatever the file system's block is.
        return lockstep.linux.abi.stat.st_blocks(stat()) * 512;
    }

    /** The first offset at or after {@code offset} that has data, -1 when there is none. */
    public long nextData(long offset) throws Failure {
        return seekOrEnd(offset, SEEK_DATA());
    }

    /** The first offset at or after {@code offset} that is in a hole, -1 when {@code offset} is beyond the end. */
    public long nextHole(long offset) throws Failure {
        return seekOrEnd(offset, SEEK_HOLE());
    }

    private long seekOrEnd(long offset, int whence) throws Failure {
        try {
            return seek(offset, whence);
        } catch (Failure e) {
            if (e.errno() == Errno.ENXIO) {
                return -1;
            }
            throw e;
        }
    }

    private long seek(long offset, int whence) throws Failure {
        return check("lseek", FileCalls.lseek(fd, offset, whence));
    }

    /** Gives the storage of a range back; it reads as zeroes then. The length stays. */
    public void punchHole(long offset, long length) throws Failure {
        allocate(FALLOC_FL_PUNCH_HOLE() | FALLOC_FL_KEEP_SIZE(), offset, length);
    }

    /** Makes a range read as zeroes and keeps its storage; may lengthen the file. */
    public void zeroRange(long offset, long length) throws Failure {
        allocate(FALLOC_FL_ZERO_RANGE(), offset, length);
    }

    private void allocate(int mode, long offset, long length) throws Failure {
        check("fallocate", FileCalls.fallocate(fd, mode, offset, length));
    }

    /** Takes a shared lock on one byte; false when someone else has it exclusively. */
    public boolean lockShared(long at) throws Failure {
        return setLock(at, F_RDLCK());
    }

    /** Gives the lock on one byte back. */
    public void unlock(long at) throws Failure {
        setLock(at, F_UNLCK());
    }

    private boolean setLock(long at, int type) throws Failure {
        int result = FileCalls.fcntlPointer(fd, F_OFD_SETLK(), lock(at, type));
        if (result == -Errno.EAGAIN || result == -Errno.EACCES) {
            return false; // both mean that the lock is taken
        }
        check("fcntl(F_OFD_SETLK)", result);
        return true;
    }

    /** Whether some other open file description holds any lock on this byte. */
    public boolean lockedByOther(long at) throws Failure {
        MemorySegment lock = lock(at, F_WRLCK());
        check("fcntl(F_OFD_GETLK)", FileCalls.fcntlPointer(fd, F_OFD_GETLK(), lock));
        return flock.l_type(lock) != F_UNLCK();
    }

    private static MemorySegment lock(long at, int type) {
        MemorySegment lock = Native.small().asSlice(0, flock.sizeof());
        lock.fill((byte) 0);
        flock.l_type(lock, (short) type);
        flock.l_start(lock, at);
        flock.l_len(lock, 1);
        return lock;
    }

    /** Closes the file, which gives all locks back. No I/O may be under way. */
    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        FileCalls.close(fd);
    }
}
