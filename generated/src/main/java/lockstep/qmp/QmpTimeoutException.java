package lockstep.qmp;

import java.io.IOException;
import java.io.Serial;

/**
 * The reply, or the greeting of a new connection, did not come in time. A command may still be
 * carried out; its late reply is dropped. The connection goes on.
 */
public class QmpTimeoutException extends IOException {
    @Serial private static final long serialVersionUID = 1L;

    QmpTimeoutException(String message) {
        super(message);
    }
}
