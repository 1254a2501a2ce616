package lockstep.runtime.linux;

import java.io.IOException;

/** A system call failed. {@link #reason} is the C library's text, {@link #errno} its number. */
public final class LinuxException extends IOException {
    private static final long serialVersionUID = 1L;

    private final int errno;

    /**
     * {@code what} says in the words of the user what could not be done; the message becomes {@code
     * what: reason}.
     */
    public LinuxException(String what, int errno) {
        super(what + ": " + Errno.text(errno));
        this.errno = errno;
    }

    /** The sentence; never null. */
    @Override
    public String getMessage() {
        return String.valueOf(super.getMessage());
    }

    /** The positive error number, such as {@link Errno#ENOENT}. */
    public int errno() {
        return errno;
    }

    /** The C library's text for the error, such as {@code No such file or directory}. */
    public String reason() {
        return Errno.text(errno);
    }
}
