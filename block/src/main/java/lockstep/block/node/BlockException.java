package lockstep.block.node;

import lockstep.runtime.linux.Errno;

/**
 * A block operation failed. The error number decides what the guest and the wire see; the message
 * is what a person or a management client reads.
 */
public final class BlockException extends Exception {
    private static final long serialVersionUID = 1L;

    private final int errno;
    private final String hint;

    public BlockException(int errno) {
        this(errno, Errno.text(errno));
    }

    public BlockException(int errno, String message) {
        this(errno, message, "");
    }

    /** With a further sentence of advice, which goes to people and not to management clients. */
    public BlockException(int errno, String message, String hint) {
        super(message);
        this.errno = errno;
        this.hint = hint;
    }

    public BlockException(int errno, String message, Throwable cause) {
        super(message, cause);
        this.errno = errno;
        this.hint = cause instanceof BlockException inner ? inner.hint : "";
    }

    /** Advice for a person, "" when there is none. */
    public String hint() {
        return hint;
    }

    /** A positive Linux error number. */
    public int errno() {
        return errno;
    }
}
