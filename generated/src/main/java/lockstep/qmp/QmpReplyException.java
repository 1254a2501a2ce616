package lockstep.qmp;

import java.io.IOException;
import java.io.Serial;

/**
 * A command succeeded, but what it returned does not fit the schema that the client was generated
 * from. The message names the member; {@link #raw} has everything.
 */
public class QmpReplyException extends IOException {
    @Serial private static final long serialVersionUID = 1L;

    private final transient JsonValue raw;

    QmpReplyException(String message, JsonValue raw, Throwable cause) {
        super(message, cause);
        this.raw = raw;
    }

    /** What the command returned. */
    public JsonValue raw() {
        return raw;
    }
}
