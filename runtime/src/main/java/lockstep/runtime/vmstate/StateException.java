package lockstep.runtime.vmstate;

import java.io.IOException;

/** Device state that cannot be written or read; the message is a full sentence for the user. */
public class StateException extends IOException {
    private static final long serialVersionUID = 1L;

    /** With the sentence that a user reads. */
    public StateException(String message) {
        super(message);
    }

    /** With the sentence that a user reads, and what caused it. */
    public StateException(String message, Throwable cause) {
        super(message, cause);
    }
}
