package lockstep.runtime.linux;

/** Error numbers of Linux system calls on x86-64, positive, and their texts. */
public final class Errno {
    /** EPERM. */
    public static final int EPERM = 1;

    /** ENOENT. */
    public static final int ENOENT = 2;

    /** EINTR. */
    public static final int EINTR = 4;

    /** EIO. */
    public static final int EIO = 5;

    /** ENXIO. */
    public static final int ENXIO = 6;

    /** EBADF. */
    public static final int EBADF = 9;

    /** EAGAIN. */
    public static final int EAGAIN = 11;

    /** ENOMEM. */
    public static final int ENOMEM = 12;

    /** EACCES. */
    public static final int EACCES = 13;

    /** EFAULT. */
    public static final int EFAULT = 14;

    /** EBUSY. */
    public static final int EBUSY = 16;

    /** EEXIST. */
    public static final int EEXIST = 17;

    /** ENODEV. */
    public static final int ENODEV = 19;

    /** ENOTDIR. */
    public static final int ENOTDIR = 20;

    /** EISDIR. */
    public static final int EISDIR = 21;

    /** EINVAL. */
    public static final int EINVAL = 22;

    /** EMFILE. */
    public static final int EMFILE = 24;

    /** ENOTTY. */
    public static final int ENOTTY = 25;

    /** EFBIG. */
    public static final int EFBIG = 27;

    /** ENOSPC. */
    public static final int ENOSPC = 28;

    /** ESPIPE. */
    public static final int ESPIPE = 29;

    /** EROFS. */
    public static final int EROFS = 30;

    /** EPIPE. */
    public static final int EPIPE = 32;

    /** ERANGE. */
    public static final int ERANGE = 34;

    /** ENAMETOOLONG. */
    public static final int ENAMETOOLONG = 36;

    /** ENOSYS. */
    public static final int ENOSYS = 38;

    /** EOVERFLOW. */
    public static final int EOVERFLOW = 75;

    /** EBADMSG. */
    public static final int EBADMSG = 74;

    /** EPROTO. */
    public static final int EPROTO = 71;

    /** EOPNOTSUPP. */
    public static final int EOPNOTSUPP = 95;

    /** EADDRINUSE. */
    public static final int EADDRINUSE = 98;

    /** EADDRNOTAVAIL. */
    public static final int EADDRNOTAVAIL = 99;

    /** ECONNABORTED. */
    public static final int ECONNABORTED = 103;

    /** ECONNRESET. */
    public static final int ECONNRESET = 104;

    /** ENOBUFS. */
    public static final int ENOBUFS = 105;

    /** ENOTCONN. */
    public static final int ENOTCONN = 107;

    /** ETIMEDOUT. */
    public static final int ETIMEDOUT = 110;

    /** ECONNREFUSED. */
    public static final int ECONNREFUSED = 111;

    /** EHOSTUNREACH. */
    public static final int EHOSTUNREACH = 113;

    /** ENETUNREACH. */
    public static final int ENETUNREACH = 101;

    /** EALREADY. */
    public static final int EALREADY = 114;

    /** EINPROGRESS. */
    public static final int EINPROGRESS = 115;

    /** ECANCELED. */
    public static final int ECANCELED = 125;

    /** EISCONN. */
    public static final int EISCONN = 106;

    /** ENOMEDIUM. */
    public static final int ENOMEDIUM = 123;

    /** ESHUTDOWN. */
    public static final int ESHUTDOWN = 108;

    /** E2BIG. */
    public static final int E2BIG = 7;

    /** EMSGSIZE. */
    public static final int EMSGSIZE = 90;

    /** ENODATA. */
    public static final int ENODATA = 61;

    /** EDQUOT. */
    public static final int EDQUOT = 122;

    /** ENOTSUP, in Linux the same as EOPNOTSUPP. */
    public static final int ENOTSUP = EOPNOTSUPP;

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
