package lockstep.runtime.chardev;

import java.io.IOException;

/** A character device that cannot be made or used; the message is what a user reads. */
public class ChardevException extends IOException {
    private static final long serialVersionUID = 1L;

    /** With the sentence that a user reads. */
    public ChardevException(String message) {
        super(message);
    }
}
