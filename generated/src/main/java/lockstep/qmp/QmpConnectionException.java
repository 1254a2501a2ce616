package lockstep.qmp;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.Serial;

/** There is no connection, or it was lost before the reply came. */
public class QmpConnectionException extends IOException {
    @Serial private static final long serialVersionUID = 1L;

    private final boolean outcomeUnknown;

    /**
     * An error of the connection.
     *
     * @param outcomeUnknown whether a command may have been carried out
     */
    QmpConnectionException(String message, boolean outcomeUnknown, @Nullable Throwable cause) {
        super(message, cause);
        this.outcomeUnknown = outcomeUnknown;
    }

    /**
     * Whether the command was handed over before the connection was lost, so that the server may have
     * carried it out. When false it was never sent and can be repeated without harm.
     */
    public boolean outcomeUnknown() {
        return outcomeUnknown;
    }
}
