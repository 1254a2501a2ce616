package lockstep.net;

import java.io.IOException;

/** Something about the network cannot be made or used; the message is what a user reads. */
public class NetException extends IOException {
    private static final long serialVersionUID = 1L;

    /** With the sentence that a user reads. */
    public NetException(String message) {
        super(message);
    }

    /** With the sentence that a user reads, and what caused it. */
    public NetException(String message, Throwable cause) {
        super(message, cause);
    }
}
