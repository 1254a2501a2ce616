package lockstep.runtime.linux;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;

/**
 * An open disk image or block device: positioned I/O straight from native memory, holes, and the byte-range locks of an
 * open file description (fcntl(2), F_OFD_SETLK), which other users of the image see. I/O may come from several threads.
 */
@SuppressWarnings("restricted")
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

    private static final int O_RDONLY = 0;
    private static final int O_RDWR = 2;
    private static final int O_CREAT = 0100;
    private static final int O_TRUNC = 01000;
    private static final int O_CLOEXEC = 02000000;
    private static final int SEEK_END = 2;
    private static final int SEEK_DATA = 3;
    private static final int SEEK_HOLE = 4;
    private static final int FALLOC_FL_KEEP_SIZE = 1;
    private static final int FALLOC_FL_PUNCH_HOLE = 2;
    private static final int FALLOC_FL_ZERO_RANGE = 16;
    private static final int F_OFD_GETLK = 36;
    private static final int F_OFD_SETLK = 37;
    private static final short F_RDLCK = 0;
    private static final short F_WRLCK = 1;
    private static final short F_UNLCK = 2;
    private static final int ENXIO = 6;
    private static final int EINTR = 4;
    private static final int EIO = 5;

    /** Bounce buffer size for heap memory. */
    private static final int BOUNCE = 1 << 20;

    private static final class Native {
        private static final Linker LINKER = Linker.nativeLinker();
        private static final SymbolLookup LIBC = LINKER.defaultLookup();
        private static final MemoryLayout STATE = Linker.Option.captureStateLayout();
        private static final VarHandle ERRNO =
                STATE.varHandle(MemoryLayout.PathElement.groupElement("errno"));
        private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
        private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;

        static final MethodHandle OPEN =
                handle("open", FunctionDescriptor.of(INT, ValueLayout.ADDRESS, INT, INT), 2);
        static final MethodHandle CLOSE = handle("close", FunctionDescriptor.of(INT, INT), -1);
        static final MethodHandle PREAD =
                handle(
                        "pread",
                        FunctionDescriptor.of(LONG, INT, ValueLayout.ADDRESS, LONG, LONG),
                        -1);
        static final MethodHandle PWRITE =
                handle(
                        "pwrite",
                        FunctionDescriptor.of(LONG, INT, ValueLayout.ADDRESS, LONG, LONG),
                        -1);
        static final MethodHandle FDATASYNC =
                handle("fdatasync", FunctionDescriptor.of(INT, INT), -1);
        static final MethodHandle FTRUNCATE =
                handle("ftruncate", FunctionDescriptor.of(INT, INT, LONG), -1);
        static final MethodHandle LSEEK =
                handle("lseek", FunctionDescriptor.of(LONG, INT, LONG, INT), -1);
        static final MethodHandle FALLOCATE =
                handle("fallocate", FunctionDescriptor.of(INT, INT, INT, LONG, LONG), -1);
        static final MethodHandle FSTAT =
                handle("fstat", FunctionDescriptor.of(INT, INT, ValueLayout.ADDRESS), -1);
        static final MethodHandle FCNTL_LOCK =
                handle("fcntl", FunctionDescriptor.of(INT, INT, INT, ValueLayout.ADDRESS), 2);

        private static MethodHandle handle(String name, FunctionDescriptor type, int variadic) {
            MemorySegment symbol =
                    LIBC.find(name)
                            .orElseThrow(() -> new UnsatisfiedLinkError("no symbol " + name));
            Linker.Option capture = Linker.Option.captureCallState("errno");
            return variadic < 0
                    ? LINKER.downcallHandle(symbol, type, capture)
                    : LINKER.downcallHandle(
                            symbol, type, capture, Linker.Option.firstVariadicArg(variadic));
        }
    }

    /** Scratch of one thread: the errno capture and a buffer for memory on the heap. */
    private static final class Scratch {
        final MemorySegment state = Arena.ofAuto().allocate(Native.STATE);
        @Nullable MemorySegment bounce;

        MemorySegment bounce() {
            MemorySegment buffer = bounce;
            if (buffer == null) {
                buffer = Arena.ofAuto().allocate(BOUNCE, 4096);
                bounce = buffer;
            }
            return buffer;
        }

        int errno() {
            return (int) Native.ERRNO.get(state, 0L);
        }
    }

    private static final ThreadLocal<Scratch> SCRATCH = ThreadLocal.withInitial(Scratch::new);

    private final int fd;
    private volatile boolean closed;

    private ImageFile(int fd) {
        this.fd = fd;
    }

    /** Opens an existing file. */
    public static ImageFile open(String path, boolean writable) throws Failure {
        return open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    }

    /** Makes an empty file, or empties an existing one. */
    public static ImageFile create(String path) throws Failure {
        return open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC);
    }

    private static ImageFile open(String path, int flags) throws Failure {
        Scratch scratch = SCRATCH.get();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment text = arena.allocateFrom(path);
            while (true) {
                int fd = (int) Native.OPEN.invokeExact(scratch.state, text, flags, 0644);
                if (fd >= 0) {
                    return new ImageFile(fd);
                }
                if (scratch.errno() != EINTR) {
                    throw new Failure("open", scratch.errno());
                }
            }
        } catch (Failure e) {
            throw e;
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    private static RuntimeException unexpected(Throwable e) {
        if (e instanceof RuntimeException runtime) {
            return runtime;
        }
        if (e instanceof Error error) {
            throw error;
        }
        return new IllegalStateException(e);
    }

    /** Reads exactly the whole buffer; bytes beyond the end of the file are zero. */
    public void read(long offset, MemorySegment target) throws Failure {
        if (!target.isNative()) {
            MemorySegment bounce = SCRATCH.get().bounce();
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
        Scratch scratch = SCRATCH.get();
        long done = 0;
        long size = target.byteSize();
        while (done < size) {
            long n;
            try {
                n =
                        (long)
                                Native.PREAD.invokeExact(
                                        scratch.state,
                                        fd,
                                        target.asSlice(done),
                                        size - done,
                                        offset + done);
            } catch (Throwable e) {
                throw unexpected(e);
            }
            if (n < 0) {
                if (scratch.errno() == EINTR) {
                    continue;
                }
                throw new Failure("pread", scratch.errno());
            }
            if (n == 0) {
                target.asSlice(done).fill((byte) 0);
                return;
            }
            done += n;
        }
    }

    /** Writes the whole buffer. */
    public void write(long offset, MemorySegment source) throws Failure {
        if (!source.isNative()) {
            MemorySegment bounce = SCRATCH.get().bounce();
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
        Scratch scratch = SCRATCH.get();
        long done = 0;
        long size = source.byteSize();
        while (done < size) {
            long n;
            try {
                n =
                        (long)
                                Native.PWRITE.invokeExact(
                                        scratch.state,
                                        fd,
                                        source.asSlice(done),
                                        size - done,
                                        offset + done);
            } catch (Throwable e) {
                throw unexpected(e);
            }
            if (n < 0) {
                if (scratch.errno() == EINTR) {
                    continue;
                }
                throw new Failure("pwrite", scratch.errno());
            }
            if (n == 0) {
                throw new Failure("pwrite", EIO);
            }
            done += n;
        }
    }

    /** Makes written data durable. */
    public void sync() throws Failure {
        try {
            Scratch scratch = SCRATCH.get();
            check("fdatasync", (int) Native.FDATASYNC.invokeExact(scratch.state, fd));
        } catch (Failure e) {
            throw e;
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    /** Sets the length in bytes. */
    public void truncate(long length) throws Failure {
        try {
            Scratch scratch = SCRATCH.get();
            check("ftruncate", (int) Native.FTRUNCATE.invokeExact(scratch.state, fd, length));
        } catch (Failure e) {
            throw e;
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    private static void check(String call, int result) throws Failure {
        if (result < 0) {
            throw new Failure(call, SCRATCH.get().errno());
        }
    }

    /** The length in bytes, also of a block device. */
    public long length() throws Failure {
        return seek(0, SEEK_END);
    }

    /** Bytes that the file system has given the file (st_blocks of struct stat, at 64 on x86-64). */
    public long allocatedBytes() throws Failure {
        Scratch scratch = SCRATCH.get();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment stat = arena.allocate(144, 8);
            check("fstat", (int) Native.FSTAT.invokeExact(scratch.state, fd, stat));
            return stat.get(ValueLayout.JAVA_LONG, 64) * 512;
        } catch (Failure e) {
            throw e;
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    /** The first offset at or after {@code offset} that has data, -1 when there is none. */
    public long nextData(long offset) throws Failure {
        return seekOrEnd(offset, SEEK_DATA);
    }

    /** The first offset at or after {@code offset} that is in a hole, -1 when {@code offset} is beyond the end. */
    public long nextHole(long offset) throws Failure {
        return seekOrEnd(offset, SEEK_HOLE);
    }

    private long seekOrEnd(long offset, int whence) throws Failure {
        try {
            return seek(offset, whence);
        } catch (Failure e) {
            if (e.errno() == ENXIO) {
                return -1;
            }
            throw e;
        }
    }

    private long seek(long offset, int whence) throws Failure {
        Scratch scratch = SCRATCH.get();
        long result;
        try {
            result = (long) Native.LSEEK.invokeExact(scratch.state, fd, offset, whence);
        } catch (Throwable e) {
            throw unexpected(e);
        }
        if (result < 0) {
            throw new Failure("lseek", scratch.errno());
        }
        return result;
    }

    /** Gives the storage of a range back; it reads as zeroes then. The length stays. */
    public void punchHole(long offset, long length) throws Failure {
        allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
    }

    /** Makes a range read as zeroes and keeps its storage; may lengthen the file. */
    public void zeroRange(long offset, long length) throws Failure {
        allocate(FALLOC_FL_ZERO_RANGE, offset, length);
    }

    private void allocate(int mode, long offset, long length) throws Failure {
        try {
            Scratch scratch = SCRATCH.get();
            check(
                    "fallocate",
                    (int) Native.FALLOCATE.invokeExact(scratch.state, fd, mode, offset, length));
        } catch (Failure e) {
            throw e;
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    /** Takes a shared lock on one byte; false when someone else has it exclusively. */
    public boolean lockShared(long at) throws Failure {
        return setLock(at, F_RDLCK);
    }

    /** Gives the lock on one byte back. */
    public void unlock(long at) throws Failure {
        setLock(at, F_UNLCK);
    }

    private boolean setLock(long at, short type) throws Failure {
        Scratch scratch = SCRATCH.get();
        try (Arena arena = Arena.ofConfined()) {
            int result =
                    (int)
                            Native.FCNTL_LOCK.invokeExact(
                                    scratch.state, fd, F_OFD_SETLK, lock(arena, at, type));
            if (result == 0) {
                return true;
            }
            int errno = scratch.errno();
            // EAGAIN and EACCES both mean that the lock is taken.
            if (errno == 11 || errno == 13) {
                return false;
            }
            throw new Failure("fcntl(F_OFD_SETLK)", errno);
        } catch (Failure e) {
            throw e;
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    /** Whether some other open file description holds any lock on this byte. */
    public boolean lockedByOther(long at) throws Failure {
        Scratch scratch = SCRATCH.get();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment lock = lock(arena, at, F_WRLCK);
            int result = (int) Native.FCNTL_LOCK.invokeExact(scratch.state, fd, F_OFD_GETLK, lock);
            if (result != 0) {
                throw new Failure("fcntl(F_OFD_GETLK)", scratch.errno());
            }
            return lock.get(ValueLayout.JAVA_SHORT, 0) != F_UNLCK;
        } catch (Failure e) {
            throw e;
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    /** struct flock of x86-64: l_type at 0, l_whence at 2, l_start at 8, l_len at 16, l_pid at 24. */
    private static MemorySegment lock(Arena arena, long at, short type) {
        MemorySegment lock = arena.allocate(32, 8);
        lock.set(ValueLayout.JAVA_SHORT, 0, type);
        lock.set(ValueLayout.JAVA_LONG, 8, at);
        lock.set(ValueLayout.JAVA_LONG, 16, 1);
        return lock;
    }

    /** Closes the file, which gives all locks back. No I/O may be under way. */
    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        try {
            int ignored = (int) Native.CLOSE.invokeExact(SCRATCH.get().state, fd);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }
}
