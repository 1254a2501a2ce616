package lockstep.shell;

import java.io.Serial;

/** What the user typed is not understood; the message says why. */
final class UsageException extends Exception {
    @Serial private static final long serialVersionUID = 1L;

    UsageException(String message) {
        super(message);
    }

    UsageException(String message, Throwable cause) {
        super(message, cause);
    }
}
