package lockstep.colo.compare;

import java.io.IOException;

/** A comparison that cannot be set up; the message is what a user reads. */
public final class CompareException extends IOException {
    private static final long serialVersionUID = 1L;

    /** With the sentence that a user reads. */
    public CompareException(String message) {
        super(message);
    }
}
