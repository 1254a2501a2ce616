package lockstep.runtime.linux;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.Objects;

/**
 * File, memory and process calls as the C library offers them: the result, or the negated errno.
 *
 * <p>Nothing here throws for a failed call and nothing is allocated once a thread has made its first call, so these
 * are the calls of the hot paths. All methods may be called from any thread. Text arguments are zero terminated.
 */
public final class FileCalls {
    private FileCalls() {}

    /** open(2). */
    public static int open(MemorySegment path, int flags, int mode) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Open.CALL.invokeExact(state, path, flags, mode);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** close(2); the descriptor is gone whatever the result. */
    public static int close(int fd) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Close.CALL.invokeExact(state, fd);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** read(2) of at most {@code length} bytes. */
    public static long read(int fd, MemorySegment buffer, long length) {
        Objects.checkFromIndexSize(0, length, buffer.byteSize());
        MemorySegment state = Native.callState();
        try {
            long result = (long) Read.CALL.invokeExact(state, fd, buffer, length);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** write(2) of at most {@code length} bytes. */
    public static long write(int fd, MemorySegment buffer, long length) {
        Objects.checkFromIndexSize(0, length, buffer.byteSize());
        MemorySegment state = Native.callState();
        try {
            long result = (long) Write.CALL.invokeExact(state, fd, buffer, length);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** pread(2). */
    public static long pread(int fd, MemorySegment buffer, long length, long offset) {
        Objects.checkFromIndexSize(0, length, buffer.byteSize());
        MemorySegment state = Native.callState();
        try {
            long result = (long) Pread.CALL.invokeExact(state, fd, buffer, length, offset);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** pwrite(2). */
    public static long pwrite(int fd, MemorySegment buffer, long length, long offset) {
        Objects.checkFromIndexSize(0, length, buffer.byteSize());
        MemorySegment state = Native.callState();
        try {
            long result = (long) Pwrite.CALL.invokeExact(state, fd, buffer, length, offset);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** readv(2); see {@link IoVectors}. */
    public static long readv(int fd, MemorySegment vectors, int count) {
        MemorySegment state = Native.callState();
        try {
            long result = (long) Readv.CALL.invokeExact(state, fd, vectors, count);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** writev(2); see {@link IoVectors}. */
    public static long writev(int fd, MemorySegment vectors, int count) {
        MemorySegment state = Native.callState();
        try {
            long result = (long) Writev.CALL.invokeExact(state, fd, vectors, count);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** preadv(2). */
    public static long preadv(int fd, MemorySegment vectors, int count, long offset) {
        MemorySegment state = Native.callState();
        try {
            long result = (long) Preadv.CALL.invokeExact(state, fd, vectors, count, offset);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** pwritev(2). */
    public static long pwritev(int fd, MemorySegment vectors, int count, long offset) {
        MemorySegment state = Native.callState();
        try {
            long result = (long) Pwritev.CALL.invokeExact(state, fd, vectors, count, offset);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** lseek(2). */
    public static long lseek(int fd, long offset, int whence) {
        MemorySegment state = Native.callState();
        try {
            long result = (long) Lseek.CALL.invokeExact(state, fd, offset, whence);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** fsync(2). */
    public static int fsync(int fd) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Fsync.CALL.invokeExact(state, fd);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** fdatasync(2). */
    public static int fdatasync(int fd) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Fdatasync.CALL.invokeExact(state, fd);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** ftruncate(2). */
    public static int ftruncate(int fd, long length) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Ftruncate.CALL.invokeExact(state, fd, length);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** fallocate(2). */
    public static int fallocate(int fd, int mode, long offset, long length) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Fallocate.CALL.invokeExact(state, fd, mode, offset, length);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** fstat(2) into a {@code struct stat}. */
    public static int fstat(int fd, MemorySegment stat) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Fstat.CALL.invokeExact(state, fd, stat);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** fcntl(2) with a number. */
    public static int fcntl(int fd, int command, int argument) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Fcntl.CALL.invokeExact(state, fd, command, argument);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** fcntl(2) with a structure. */
    public static int fcntlPointer(int fd, int command, MemorySegment argument) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) FcntlPointer.CALL.invokeExact(state, fd, command, argument);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** ioctl(2) with a number. */
    public static int ioctl(int fd, long request, long argument) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Ioctl.CALL.invokeExact(state, fd, request, argument);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** ioctl(2) with a structure. */
    public static int ioctlPointer(int fd, long request, MemorySegment argument) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) IoctlPointer.CALL.invokeExact(state, fd, request, argument);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** dup(2). */
    public static int dup(int fd) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Dup.CALL.invokeExact(state, fd);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** pipe2(2) into two ints. */
    public static int pipe2(MemorySegment descriptors, int flags) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Pipe2.CALL.invokeExact(state, descriptors, flags);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** poll(2). */
    public static int poll(MemorySegment descriptors, long count, int milliseconds) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Poll.CALL.invokeExact(state, descriptors, count, milliseconds);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** unlink(2). */
    public static int unlink(MemorySegment path) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Unlink.CALL.invokeExact(state, path);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** isatty(3): 1, or 0. */
    public static int isatty(int fd) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Isatty.CALL.invokeExact(state, fd);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** tcgetattr(3). */
    public static int tcgetattr(int fd, MemorySegment termios) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Tcgetattr.CALL.invokeExact(state, fd, termios);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** tcsetattr(3). */
    public static int tcsetattr(int fd, int when, MemorySegment termios) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Tcsetattr.CALL.invokeExact(state, fd, when, termios);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** posix_openpt(3). */
    public static int openPty(int flags) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) OpenPty.CALL.invokeExact(state, flags);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** unlockpt(3). */
    public static int unlockPty(int fd) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) UnlockPty.CALL.invokeExact(state, fd);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** memfd_create(2). */
    public static int memfdCreate(MemorySegment name, int flags) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) MemfdCreate.CALL.invokeExact(state, name, flags);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** munmap(2). */
    public static int munmap(long address, long length) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Munmap.CALL.invokeExact(state, address, length);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** madvise(2). */
    public static int madvise(long address, long length, int advice) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Madvise.CALL.invokeExact(state, address, length, advice);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** eventfd(2). */
    public static int eventfd(int initial, int flags) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Eventfd.CALL.invokeExact(state, initial, flags);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** timerfd_create(2). */
    public static int timerfdCreate(int clock, int flags) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) TimerfdCreate.CALL.invokeExact(state, clock, flags);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** timerfd_settime(2). */
    public static int timerfdSettime(
            int fd, int flags, MemorySegment specification, MemorySegment old) {
        MemorySegment state = Native.callState();
        try {
            int result =
                    (int) TimerfdSettime.CALL.invokeExact(state, fd, flags, specification, old);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** epoll_create1(2). */
    public static int epollCreate(int flags) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) EpollCreate.CALL.invokeExact(state, flags);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** epoll_ctl(2). */
    public static int epollCtl(int epoll, int operation, int fd, MemorySegment event) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) EpollCtl.CALL.invokeExact(state, epoll, operation, fd, event);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** epoll_wait(2). */
    public static int epollWait(int epoll, MemorySegment events, int capacity, int milliseconds) {
        MemorySegment state = Native.callState();
        try {
            int result =
                    (int) EpollWait.CALL.invokeExact(state, epoll, events, capacity, milliseconds);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** sigtimedwait(2): the number of the signal taken. */
    public static int sigtimedwait(MemorySegment set, MemorySegment info, MemorySegment timeout) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Sigtimedwait.CALL.invokeExact(state, set, info, timeout);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** tgkill(2). */
    public static int tgkill(int process, int thread, int signal) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Tgkill.CALL.invokeExact(state, process, thread, signal);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** kill(2). */
    public static int kill(int process, int signal) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Kill.CALL.invokeExact(state, process, signal);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** prctl(2) with one number. */
    public static int prctl(int option, long argument) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Prctl.CALL.invokeExact(state, option, argument);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** prctl(2) with one pointer. */
    public static int prctlPointer(int option, MemorySegment argument) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) PrctlPointer.CALL.invokeExact(state, option, argument);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    private static final class Open {
        static final MethodHandle CALL =
                Native.linkVariadic(2, "open", JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT);
    }

    private static final class Close {
        static final MethodHandle CALL = Native.link("close", JAVA_INT, JAVA_INT);
    }

    private static final class Read {
        static final MethodHandle CALL =
                Native.link("read", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG);
    }

    private static final class Write {
        static final MethodHandle CALL =
                Native.link("write", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG);
    }

    private static final class Pread {
        static final MethodHandle CALL =
                Native.link("pread", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_LONG);
    }

    private static final class Pwrite {
        static final MethodHandle CALL =
                Native.link("pwrite", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_LONG);
    }

    private static final class Readv {
        static final MethodHandle CALL =
                Native.link("readv", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_INT);
    }

    private static final class Writev {
        static final MethodHandle CALL =
                Native.link("writev", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_INT);
    }

    private static final class Preadv {
        static final MethodHandle CALL =
                Native.link("preadv", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_INT, JAVA_LONG);
    }

    private static final class Pwritev {
        static final MethodHandle CALL =
                Native.link("pwritev", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_INT, JAVA_LONG);
    }

    private static final class Lseek {
        static final MethodHandle CALL =
                Native.link("lseek", JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_INT);
    }

    private static final class Fsync {
        static final MethodHandle CALL = Native.link("fsync", JAVA_INT, JAVA_INT);
    }

    private static final class Fdatasync {
        static final MethodHandle CALL = Native.link("fdatasync", JAVA_INT, JAVA_INT);
    }

    private static final class Ftruncate {
        static final MethodHandle CALL = Native.link("ftruncate", JAVA_INT, JAVA_INT, JAVA_LONG);
    }

    private static final class Fallocate {
        static final MethodHandle CALL =
                Native.link("fallocate", JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG);
    }

    private static final class Fstat {
        static final MethodHandle CALL = Native.link("fstat", JAVA_INT, JAVA_INT, ADDRESS);
    }

    private static final class Fcntl {
        static final MethodHandle CALL =
                Native.linkVariadic(2, "fcntl", JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT);
    }

    private static final class FcntlPointer {
        static final MethodHandle CALL =
                Native.linkVariadic(2, "fcntl", JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS);
    }

    private static final class Ioctl {
        static final MethodHandle CALL =
                Native.linkVariadic(2, "ioctl", JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG);
    }

    private static final class IoctlPointer {
        static final MethodHandle CALL =
                Native.linkVariadic(2, "ioctl", JAVA_INT, JAVA_INT, JAVA_LONG, ADDRESS);
    }

    private static final class Dup {
        static final MethodHandle CALL = Native.link("dup", JAVA_INT, JAVA_INT);
    }

    private static final class Pipe2 {
        static final MethodHandle CALL = Native.link("pipe2", JAVA_INT, ADDRESS, JAVA_INT);
    }

    private static final class Poll {
        static final MethodHandle CALL =
                Native.link("poll", JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT);
    }

    private static final class Unlink {
        static final MethodHandle CALL = Native.link("unlink", JAVA_INT, ADDRESS);
    }

    private static final class Isatty {
        static final MethodHandle CALL = Native.link("isatty", JAVA_INT, JAVA_INT);
    }

    private static final class Tcgetattr {
        static final MethodHandle CALL = Native.link("tcgetattr", JAVA_INT, JAVA_INT, ADDRESS);
    }

    private static final class Tcsetattr {
        static final MethodHandle CALL =
                Native.link("tcsetattr", JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS);
    }

    private static final class OpenPty {
        static final MethodHandle CALL = Native.link("posix_openpt", JAVA_INT, JAVA_INT);
    }

    private static final class UnlockPty {
        static final MethodHandle CALL = Native.link("unlockpt", JAVA_INT, JAVA_INT);
    }

    private static final class MemfdCreate {
        static final MethodHandle CALL = Native.link("memfd_create", JAVA_INT, ADDRESS, JAVA_INT);
    }

    private static final class Munmap {
        static final MethodHandle CALL = Native.link("munmap", JAVA_INT, JAVA_LONG, JAVA_LONG);
    }

    private static final class Madvise {
        static final MethodHandle CALL =
                Native.link("madvise", JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT);
    }

    private static final class Eventfd {
        static final MethodHandle CALL = Native.link("eventfd", JAVA_INT, JAVA_INT, JAVA_INT);
    }

    private static final class TimerfdCreate {
        static final MethodHandle CALL =
                Native.link("timerfd_create", JAVA_INT, JAVA_INT, JAVA_INT);
    }

    private static final class TimerfdSettime {
        static final MethodHandle CALL =
                Native.link("timerfd_settime", JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS, ADDRESS);
    }

    private static final class EpollCreate {
        static final MethodHandle CALL = Native.link("epoll_create1", JAVA_INT, JAVA_INT);
    }

    private static final class EpollCtl {
        static final MethodHandle CALL =
                Native.link("epoll_ctl", JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS);
    }

    private static final class EpollWait {
        static final MethodHandle CALL =
                Native.link("epoll_wait", JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT);
    }

    private static final class Sigtimedwait {
        static final MethodHandle CALL =
                Native.link("sigtimedwait", JAVA_INT, ADDRESS, ADDRESS, ADDRESS);
    }

    private static final class Tgkill {
        static final MethodHandle CALL =
                Native.link("tgkill", JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT);
    }

    private static final class Kill {
        static final MethodHandle CALL = Native.link("kill", JAVA_INT, JAVA_INT, JAVA_INT);
    }

    private static final class Prctl {
        static final MethodHandle CALL =
                Native.linkVariadic(1, "prctl", JAVA_INT, JAVA_INT, JAVA_LONG);
    }

    private static final class PrctlPointer {
        static final MethodHandle CALL =
                Native.linkVariadic(1, "prctl", JAVA_INT, JAVA_INT, ADDRESS);
    }
}
