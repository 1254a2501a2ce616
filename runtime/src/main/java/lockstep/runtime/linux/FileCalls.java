package lockstep.runtime.linux;

import static lockstep.runtime.linux.CFunction.address;

import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.util.Objects;

/**
 * File, memory and process calls as the C library offers them: the result, or the negated errno.
 *
 * <p>Nothing here throws for a failed call and nothing is allocated once a thread has made its first call, so these
 * are the calls of the hot paths. All methods may be called from any thread. Text arguments are zero terminated.
 */
public final class FileCalls {
    private static final CFunction OPEN = CFunction.ofInt("open");
    private static final CFunction CLOSE = CFunction.ofInt("close");
    private static final CFunction READ = CFunction.ofLong("read");
    private static final CFunction WRITE = CFunction.ofLong("write");
    private static final CFunction PREAD = CFunction.ofLong("pread");
    private static final CFunction PWRITE = CFunction.ofLong("pwrite");
    private static final CFunction PREADV = CFunction.ofLong("preadv");
    private static final CFunction PWRITEV = CFunction.ofLong("pwritev");
    private static final CFunction LSEEK = CFunction.ofLong("lseek");
    private static final CFunction FSYNC = CFunction.ofInt("fsync");
    private static final CFunction FDATASYNC = CFunction.ofInt("fdatasync");
    private static final CFunction FTRUNCATE = CFunction.ofInt("ftruncate");
    private static final CFunction FALLOCATE = CFunction.ofInt("fallocate");
    private static final CFunction FSTAT = CFunction.ofInt("fstat");
    private static final CFunction FCNTL = CFunction.ofInt("fcntl");
    private static final CFunction IOCTL = CFunction.ofInt("ioctl");
    private static final CFunction DUP = CFunction.ofInt("dup");
    private static final CFunction PIPE2 = CFunction.ofInt("pipe2");
    private static final CFunction POLL = CFunction.ofInt("poll");
    private static final CFunction UNLINK = CFunction.ofInt("unlink");
    private static final CFunction ISATTY = CFunction.ofInt("isatty");
    private static final CFunction TCGETATTR = CFunction.ofInt("tcgetattr");
    private static final CFunction TCSETATTR = CFunction.ofInt("tcsetattr");
    private static final CFunction POSIX_OPENPT = CFunction.ofInt("posix_openpt");
    private static final CFunction UNLOCKPT = CFunction.ofInt("unlockpt");
    private static final CFunction MEMFD_CREATE = CFunction.ofInt("memfd_create");
    private static final CFunction MUNMAP = CFunction.ofInt("munmap");
    private static final CFunction MADVISE = CFunction.ofInt("madvise");
    private static final CFunction EVENTFD = CFunction.ofInt("eventfd");
    private static final CFunction TIMERFD_CREATE = CFunction.ofInt("timerfd_create");
    private static final CFunction TIMERFD_SETTIME = CFunction.ofInt("timerfd_settime");
    private static final CFunction EPOLL_CREATE1 = CFunction.ofInt("epoll_create1");
    private static final CFunction EPOLL_CTL = CFunction.ofInt("epoll_ctl");
    private static final CFunction EPOLL_WAIT = CFunction.ofInt("epoll_wait");
    private static final CFunction SIGTIMEDWAIT = CFunction.ofInt("sigtimedwait");
    private static final CFunction TGKILL = CFunction.ofInt("tgkill");
    private static final CFunction KILL = CFunction.ofInt("kill");
    private static final CFunction PRCTL = CFunction.ofInt("prctl");

    private FileCalls() {}

    /** open(2). */
    public static int open(MemorySegment path, int flags, int mode) {
        int result = (int) OPEN.call(address(path), flags, mode);
        Reference.reachabilityFence(path);
        return result;
    }

    /** close(2); the descriptor is gone whatever the result. */
    public static int close(int fd) {
        return (int) CLOSE.call(fd);
    }

    /** read(2) of at most {@code length} bytes. */
    public static long read(int fd, MemorySegment buffer, long length) {
        Objects.checkFromIndexSize(0, length, buffer.byteSize());
        return READ.call(fd, buffer, length);
    }

    /** write(2) of at most {@code length} bytes. */
    public static long write(int fd, MemorySegment buffer, long length) {
        Objects.checkFromIndexSize(0, length, buffer.byteSize());
        return WRITE.call(fd, buffer, length);
    }

    /** pread(2). */
    public static long pread(int fd, MemorySegment buffer, long length, long offset) {
        Objects.checkFromIndexSize(0, length, buffer.byteSize());
        return PREAD.call(fd, buffer, length, offset);
    }

    /** pwrite(2). */
    public static long pwrite(int fd, MemorySegment buffer, long length, long offset) {
        Objects.checkFromIndexSize(0, length, buffer.byteSize());
        return PWRITE.call(fd, buffer, length, offset);
    }

    /** preadv(2). */
    static long preadv(int fd, IoVectors to, long offset) {
        return PREADV.callWith(to.owner(), fd, to.vectors(), to.count(), offset);
    }

    /** pwritev(2). */
    static long pwritev(int fd, IoVectors from, long offset) {
        return PWRITEV.callWith(from.owner(), fd, from.vectors(), from.count(), offset);
    }

    /** lseek(2). */
    public static long lseek(int fd, long offset, int whence) {
        return LSEEK.call(fd, offset, whence);
    }

    /** fsync(2). */
    public static int fsync(int fd) {
        return (int) FSYNC.call(fd);
    }

    /** fdatasync(2). */
    public static int fdatasync(int fd) {
        return (int) FDATASYNC.call(fd);
    }

    /** ftruncate(2). */
    public static int ftruncate(int fd, long length) {
        return (int) FTRUNCATE.call(fd, length);
    }

    /** fallocate(2). */
    public static int fallocate(int fd, int mode, long offset, long length) {
        return (int) FALLOCATE.call(fd, mode, offset, length);
    }

    /** fstat(2) into a {@code struct stat}. */
    public static int fstat(int fd, MemorySegment stat) {
        return (int) FSTAT.call(fd, stat);
    }

    /** fcntl(2) with a number. */
    public static int fcntl(int fd, int command, int argument) {
        return (int) FCNTL.call(fd, command, argument);
    }

    /** fcntl(2) with a structure. */
    public static int fcntlPointer(int fd, int command, MemorySegment argument) {
        int result = (int) FCNTL.call(fd, command, address(argument));
        Reference.reachabilityFence(argument);
        return result;
    }

    /** ioctl(2) with a number. */
    public static int ioctl(int fd, long request, long argument) {
        return (int) IOCTL.call(fd, request, argument);
    }

    /** ioctl(2) with a structure. */
    public static int ioctlPointer(int fd, long request, MemorySegment argument) {
        int result = (int) IOCTL.call(fd, request, address(argument));
        Reference.reachabilityFence(argument);
        return result;
    }

    /** dup(2). */
    public static int dup(int fd) {
        return (int) DUP.call(fd);
    }

    /** pipe2(2) into two ints. */
    public static int pipe2(MemorySegment descriptors, int flags) {
        int result = (int) PIPE2.call(address(descriptors), flags);
        Reference.reachabilityFence(descriptors);
        return result;
    }

    /** poll(2). */
    public static int poll(MemorySegment descriptors, long count, int milliseconds) {
        int result = (int) POLL.call(address(descriptors), count, milliseconds);
        Reference.reachabilityFence(descriptors);
        return result;
    }

    /** unlink(2). */
    public static int unlink(MemorySegment path) {
        int result = (int) UNLINK.call(address(path));
        Reference.reachabilityFence(path);
        return result;
    }

    /** isatty(3): 1, or 0. */
    public static int isatty(int fd) {
        return (int) ISATTY.call(fd);
    }

    /** tcgetattr(3). */
    public static int tcgetattr(int fd, MemorySegment termios) {
        return (int) TCGETATTR.call(fd, termios);
    }

    /** tcsetattr(3). */
    public static int tcsetattr(int fd, int when, MemorySegment termios) {
        int result = (int) TCSETATTR.call(fd, when, address(termios));
        Reference.reachabilityFence(termios);
        return result;
    }

    /** posix_openpt(3). */
    public static int openPty(int flags) {
        return (int) POSIX_OPENPT.call(flags);
    }

    /** unlockpt(3). */
    public static int unlockPty(int fd) {
        return (int) UNLOCKPT.call(fd);
    }

    /** memfd_create(2). */
    public static int memfdCreate(MemorySegment name, int flags) {
        int result = (int) MEMFD_CREATE.call(address(name), flags);
        Reference.reachabilityFence(name);
        return result;
    }

    /** munmap(2). */
    public static int munmap(long address, long length) {
        return (int) MUNMAP.call(address, length);
    }

    /** madvise(2). */
    public static int madvise(long address, long length, int advice) {
        return (int) MADVISE.call(address, length, advice);
    }

    /** eventfd(2). */
    public static int eventfd(int initial, int flags) {
        return (int) EVENTFD.call(initial, flags);
    }

    /** timerfd_create(2). */
    public static int timerfdCreate(int clock, int flags) {
        return (int) TIMERFD_CREATE.call(clock, flags);
    }

    /** timerfd_settime(2). */
    public static int timerfdSettime(
            int fd, int flags, MemorySegment specification, MemorySegment old) {
        int result = (int) TIMERFD_SETTIME.call(fd, flags, address(specification), address(old));
        Reference.reachabilityFence(specification);
        Reference.reachabilityFence(old);
        return result;
    }

    /** epoll_create1(2). */
    public static int epollCreate(int flags) {
        return (int) EPOLL_CREATE1.call(flags);
    }

    /** epoll_ctl(2). */
    public static int epollCtl(int epoll, int operation, int fd, MemorySegment event) {
        int result = (int) EPOLL_CTL.call(epoll, operation, fd, address(event));
        Reference.reachabilityFence(event);
        return result;
    }

    /** epoll_wait(2). */
    public static int epollWait(int epoll, MemorySegment events, int capacity, int milliseconds) {
        return (int) EPOLL_WAIT.call(epoll, events, capacity, milliseconds);
    }

    /** sigtimedwait(2): the number of the signal taken. */
    public static int sigtimedwait(MemorySegment set, MemorySegment info, MemorySegment timeout) {
        int result = (int) SIGTIMEDWAIT.call(address(set), info, address(timeout));
        Reference.reachabilityFence(set);
        Reference.reachabilityFence(timeout);
        return result;
    }

    /** tgkill(2). */
    public static int tgkill(int process, int thread, int signal) {
        return (int) TGKILL.call(process, thread, signal);
    }

    /** kill(2). */
    public static int kill(int process, int signal) {
        return (int) KILL.call(process, signal);
    }

    /** prctl(2) with one number. */
    public static int prctl(int option, long argument) {
        return (int) PRCTL.call(option, argument);
    }
}
