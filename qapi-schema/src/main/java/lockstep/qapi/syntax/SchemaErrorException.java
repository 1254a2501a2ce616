package lockstep.qapi.syntax;

import java.io.Serial;

/** Carries one {@link SchemaError} to the place that collects them. */
public final class SchemaErrorException extends RuntimeException {
    @Serial private static final long serialVersionUID = 1L;

    private final transient SchemaError error;

    /** An error at a place, without a column. */
    public SchemaErrorException(SourceInfo info, String message) {
        this(new SchemaError(info, 0, message));
    }

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
