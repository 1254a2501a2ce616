package lockstep.runtime.linux;

import static lockstep.linux.abi.LinuxAbi.*;

/** Error numbers of system calls, positive, and their texts. */
public final class Errno {
    /** EPERM. */
    public static final int EPERM = EPERM();

    /** ENOENT. */
    public static final int ENOENT = ENOENT();

    /** EINTR. */
    public static final int EINTR = EINTR();

    /** EIO. */
    public static final int EIO = EIO();

    /** ENXIO. */
    public static final int ENXIO = ENXIO();

    /** EBADF. */
    public static final int EBADF = EBADF();

    /** EAGAIN. */
    public static final int EAGAIN = EAGAIN();

    /** ENOMEM. */
    public static final int ENOMEM = ENOMEM();

    /** EACCES. */
    public static final int EACCES = EACCES();

    /** EFAULT. */
    public static final int EFAULT = EFAULT();

    /** EBUSY. */
    public static final int EBUSY = EBUSY();

    /** EEXIST. */
    public static final int EEXIST = EEXIST();

    /** ENODEV. */
    public static final int ENODEV = ENODEV();

    /** ENOTDIR. */
    public static final int ENOTDIR = ENOTDIR();

    /** EISDIR. */
    public static final int EISDIR = EISDIR();

    /** EINVAL. */
    public static final int EINVAL = EINVAL();

    /** EMFILE. */
    public static final int EMFILE = EMFILE();

    /** ENOTTY. */
    public static final int ENOTTY = ENOTTY();

    /** EFBIG. */
    public static final int EFBIG = EFBIG();

    /** ENOSPC. */
    public static final int ENOSPC = ENOSPC();

    /** ESPIPE. */
    public static final int ESPIPE = ESPIPE();

    /** EROFS. */
    public static final int EROFS = EROFS();

    /** EPIPE. */
    public static final int EPIPE = EPIPE();

    /** ERANGE. */
    public static final int ERANGE = ERANGE();

    /** ENAMETOOLONG. */
    public static final int ENAMETOOLONG = ENAMETOOLONG();

    /** ENOSYS. */
    public static final int ENOSYS = ENOSYS();

    /** EOVERFLOW. */
    public static final int EOVERFLOW = EOVERFLOW();

    /** EBADMSG. */
    public static final int EBADMSG = EBADMSG();

    /** EPROTO. */
    public static final int EPROTO = EPROTO();

    /** EOPNOTSUPP. */
    public static final int EOPNOTSUPP = EOPNOTSUPP();

    /** EADDRINUSE. */
    public static final int EADDRINUSE = EADDRINUSE();

    /** EADDRNOTAVAIL. */
    public static final int EADDRNOTAVAIL = EADDRNOTAVAIL();

    /** ECONNABORTED. */
    public static final int ECONNABORTED = ECONNABORTED();

    /** ECONNRESET. */
    public static final int ECONNRESET = ECONNRESET();

    /** ENOBUFS. */
    public static final int ENOBUFS = ENOBUFS();

    /** ENOTCONN. */
    public static final int ENOTCONN = ENOTCONN();

    /** ETIMEDOUT. */
    public static final int ETIMEDOUT = ETIMEDOUT();

    /** ECONNREFUSED. */
    public static final int ECONNREFUSED = ECONNREFUSED();

    /** EHOSTUNREACH. */
    public static final int EHOSTUNREACH = EHOSTUNREACH();

    /** ENETUNREACH. */
    public static final int ENETUNREACH = ENETUNREACH();

    /** EALREADY. */
    public static final int EALREADY = EALREADY();

    /** EINPROGRESS. */
    public static final int EINPROGRESS = EINPROGRESS();

    /** ECANCELED. */
    public static final int ECANCELED = ECANCELED();

    /** EISCONN. */
    public static final int EISCONN = EISCONN();

    /** ENOMEDIUM. */
    public static final int ENOMEDIUM = ENOMEDIUM();

    /** ESHUTDOWN. */
    public static final int ESHUTDOWN = ESHUTDOWN();

    /** E2BIG. */
    public static final int E2BIG = E2BIG();

    /** EMSGSIZE. */
    public static final int EMSGSIZE = EMSGSIZE();

    /** ENODATA. */
    public static final int ENODATA = ENODATA();

    private Errno() {}

    /** The C library's English text, as {@code strerror} gives it in the C locale. */
    public static String text(int errno) {
        return Native.strerror(errno);
    }

    /**
     * Passes on the result of a call, or throws for a negated errno.
     *
     * @param what what could not be done, in the words of the user
     */
    public static int check(int result, String what) throws LinuxException {
        if (result < 0) {
            throw new LinuxException(what, -result);
        }
        return result;
    }

    /** As {@link #check(int, String)} for long results. */
    public static long check(long result, String what) throws LinuxException {
        if (result < 0) {
            throw new LinuxException(what, (int) -result);
        }
        return result;
    }
}
