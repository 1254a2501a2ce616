package lockstep.codegen.tool;

import java.io.Serial;

/** A command line that is wrong; the message says how. */
final class UsageException extends Exception {
    @Serial private static final long serialVersionUID = 1L;

    UsageException(String message) {
        super(message);
    }
}
