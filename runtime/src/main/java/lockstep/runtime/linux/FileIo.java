package lockstep.runtime.linux;

import static lockstep.linux.abi.LinuxAbi.*;

import lockstep.linux.abi.flock;
import lockstep.linux.abi.stat;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Files and descriptors, with errors as {@link LinuxException}. Any thread. */
public final class FileIo {
    private static final int CLOSE_ON_EXEC = 1; // FD_CLOEXEC

    private FileIo() {}

    /** What fstat(2) says of a descriptor. */
    public record Status(int mode, long size, long device, long inode, long specialDevice) {
        /** Whether it is a regular file. */
        public boolean regular() {
            return (mode & S_IFMT()) == S_IFREG();
        }

        /** Whether it is a block device. */
        public boolean block() {
            return (mode & S_IFMT()) == S_IFBLK();
        }

        /** Whether it is a character device. */
        public boolean character() {
            return (mode & S_IFMT()) == S_IFCHR();
        }

        /** Whether it is a directory. */
        public boolean directory() {
            return (mode & S_IFMT()) == S_IFDIR();
        }

        /** Whether it is a socket. */
        public boolean socket() {
            return (mode & S_IFMT()) == S_IFSOCK();
        }
    }

    /**
     * Opens a file; O_CLOEXEC is always added. Names of {@link DescriptorSets} are taken from there.
     *
     * @param flags O_* bits
     * @param mode permissions of a file that is created
     * @return the descriptor, or the negated errno
     */
    public static int tryOpen(String path, int flags, int mode) {
        if (path.startsWith(DescriptorSets.PREFIX)) {
            return DescriptorSets.open(path, flags);
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment name = arena.allocateFrom(path);
            int fd;
            do {
                fd = FileCalls.open(name, flags | O_CLOEXEC(), mode);
            } while (fd == -Errno.EINTR);
            return fd;
        }
    }

    /** As {@link #tryOpen}; the error's message is {@code Could not open 'path': reason}. */
    public static Fd open(String path, int flags, int mode) throws LinuxException {
        return new Fd(Errno.check(tryOpen(path, flags, mode), "Could not open '" + path + "'"));
    }

    /** Removes a name, such as that of a unix socket. Returns 0 or the negated errno. */
    public static int unlink(String path) {
        try (Arena arena = Arena.ofConfined()) {
            return FileCalls.unlink(arena.allocateFrom(path));
        }
    }

    /** fstat(2). */
    public static Status status(int fd) throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment s = stat.allocate(arena);
            Errno.check(FileCalls.fstat(fd, s), "fstat");
            return new Status(
                    stat.st_mode(s),
                    stat.st_size(s),
                    stat.st_dev(s),
                    stat.st_ino(s),
                    stat.st_rdev(s));
        }
    }

    /** Sets or clears O_NONBLOCK, which all holders of the open file share. */
    public static void nonBlocking(int fd, boolean on) throws LinuxException {
        int flags = Errno.check(FileCalls.fcntl(fd, F_GETFL(), 0), "F_GETFL");
        int wanted = on ? flags | O_NONBLOCK() : flags & ~O_NONBLOCK();
        if (wanted != flags) {
            Errno.check(FileCalls.fcntl(fd, F_SETFL(), wanted), "F_SETFL");
        }
    }

    /** Whether {@code fd} was open when this process began: what it opens itself it closes on exec. */
    public static boolean isInherited(int fd) {
        int flags = FileCalls.fcntl(fd, F_GETFD(), 0);
        return flags >= 0 && (flags & CLOSE_ON_EXEC) == 0;
    }

    /** Whether {@code fd} is an open descriptor of this process. */
    public static boolean isOpen(int fd) {
        return FileCalls.fcntl(fd, F_GETFD(), 0) >= 0;
    }

    /** The O_* flags the file was opened with. */
    public static int flags(int fd) throws LinuxException {
        return Errno.check(FileCalls.fcntl(fd, F_GETFL(), 0), "F_GETFL");
    }

    /** Another descriptor of the same open file, close-on-exec. */
    public static Fd duplicate(int fd) throws LinuxException {
        return new Fd(Errno.check(FileCalls.fcntl(fd, F_DUPFD_CLOEXEC(), 3), "dup"));
    }

    /** A pipe: read end, write end. Close-on-exec. */
    public static Fd[] pipe() throws LinuxException {
        MemorySegment pair = Native.small();
        Errno.check(FileCalls.pipe2(pair, O_CLOEXEC()), "pipe");
        return new Fd[] {
            new Fd(pair.get(ValueLayout.JAVA_INT, 0)), new Fd(pair.get(ValueLayout.JAVA_INT, 4))
        };
    }

    /**
     * Reads into a byte array through a buffer of the calling thread; at most 64 KiB a call.
     *
     * @return bytes read, 0 at the end of the file, or the negated errno
     */
    public static int read(int fd, byte[] target, int offset, int length) {
        MemorySegment scratch = Native.scratch();
        int wanted = (int) Math.min(length, scratch.byteSize());
        int n = (int) FileCalls.read(fd, scratch, wanted);
        if (n > 0) {
            MemorySegment.copy(scratch, ValueLayout.JAVA_BYTE, 0, target, offset, n);
        }
        return n;
    }

    /** Writes from a byte array likewise; returns bytes written or the negated errno. */
    public static int write(int fd, byte[] source, int offset, int length) {
        MemorySegment scratch = Native.scratch();
        int wanted = (int) Math.min(length, scratch.byteSize());
        MemorySegment.copy(source, offset, scratch, ValueLayout.JAVA_BYTE, 0, wanted);
        return (int) FileCalls.write(fd, scratch, wanted);
    }

    /**
     * Takes, changes or drops an open-file-description lock on a byte range, without waiting.
     *
     * @param type F_RDLCK, F_WRLCK or F_UNLCK
     * @return 0, or the negated errno ({@link Errno#EAGAIN} when another open file holds it)
     */
    public static int lock(int fd, int type, long start, long length) {
        MemorySegment lock = lockAt(type, start, length);
        return FileCalls.fcntlPointer(fd, F_OFD_SETLK(), lock);
    }

    /**
     * Whether a lock of that type could be taken now.
     *
     * @return null when it could, else the type (F_RDLCK, F_WRLCK) of a lock in the way
     */
    public static @Nullable Integer lockInTheWay(int fd, int type, long start, long length)
            throws LinuxException {
        MemorySegment lock = lockAt(type, start, length);
        Errno.check(FileCalls.fcntlPointer(fd, F_OFD_GETLK(), lock), "F_OFD_GETLK");
        int found = flock.l_type(lock);
        return found == F_UNLCK() ? null : Integer.valueOf(found);
    }

    private static MemorySegment lockAt(int type, long start, long length) {
        MemorySegment lock = Native.small().asSlice(0, flock.sizeof());
        lock.fill((byte) 0);
        flock.l_type(lock, (short) type);
        flock.l_whence(lock, (short) SEEK_SET());
        flock.l_start(lock, start);
        flock.l_len(lock, length);
        return lock;
    }
}
