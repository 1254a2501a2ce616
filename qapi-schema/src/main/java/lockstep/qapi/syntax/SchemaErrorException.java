package lockstep.qapi.syntax;

import java.io.Serial;

/** Carries one {@link SchemaError} to the place where reading goes on, or ends. */
public final class SchemaErrorException extends RuntimeException {
    @Serial private static final long serialVersionUID = 1L;

    private final transient SchemaError error;

    /** Wraps an error. */
    public SchemaErrorException(SchemaError error) {
        super(error.toString(), null, false, false);
        this.error = error;
    }

    /** The error. */
    public SchemaError error() {
        return error;
    }
}
