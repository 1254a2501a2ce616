package lockstep.qapi;

import lockstep.qapi.syntax.SchemaError;

import java.io.Serial;
import java.util.List;
import java.util.stream.Collectors;

/** A schema has errors. The message has them all, as QEMU's generator would print each. */
public final class InvalidSchemaException extends Exception {
    @Serial private static final long serialVersionUID = 1L;

    private final transient List<SchemaError> errors;

    /** Takes at least one error. */
    public InvalidSchemaException(List<SchemaError> errors) {
        super(errors.stream().map(SchemaError::toString).collect(Collectors.joining("\n")));
        this.errors = List.copyOf(errors);
    }

    /** The errors in the order they were found. */
    public List<SchemaError> errors() {
        return errors;
    }
}
