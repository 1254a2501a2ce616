package lockstep.block;

/**
 * A block operation failed. The error number decides what the guest and the wire see; the message is what a person or a
 * management client reads.
 */
public final class BlockException extends Exception {
    private static final long serialVersionUID = 1L;

    private final int errno;

    public BlockException(int errno) {
        this(errno, Errno.text(errno));
    }

    public BlockException(int errno, String message) {
        super(message);
        this.errno = errno;
    }

    public BlockException(int errno, String message, Throwable cause) {
        super(message, cause);
        this.errno = errno;
    }

    /** A positive Linux error number. */
    public int errno() {
        return errno;
    }
}
