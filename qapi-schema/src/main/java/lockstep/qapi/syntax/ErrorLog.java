package lockstep.qapi.syntax;

import java.util.ArrayList;
import java.util.List;

/**
 * Where the errors of a run go: all of them are collected, or the first one ends the run. Not for
 * use by several threads.
 */
public final class ErrorLog {
    private final boolean firstOnly;
    private final List<SchemaError> errors = new ArrayList<>();

    /**
     * An empty log.
     *
     * @param firstOnly whether the first error ends the run
     */
    public ErrorLog(boolean firstOnly) {
        this.firstOnly = firstOnly;
    }

    /**
     * Notes an error after which the caller goes on.
     *
     * @throws SchemaErrorException when the first error ends the run
     */
    public void report(SchemaError error) {
        if (firstOnly) {
            throw new SchemaErrorException(error);
        }
        errors.add(error);
    }

    /** Notes an error that has no column. */
    public void report(SourceInfo info, String message) {
        report(new SchemaError(info, 0, message));
    }

    /** How many errors there are. */
    public int count() {
        return errors.size();
    }

    /** The errors in the order they were found. */
    public List<SchemaError> errors() {
        return List.copyOf(errors);
    }
}
