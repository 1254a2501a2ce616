package lockstep.qapi.syntax;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * Where the errors of a run go: all of them are collected, or the first one ends the run. Not for
 * use by several threads.
 */
public final class ErrorLog {
    private static final int LIMIT = 1000;

    private final boolean firstOnly;
    private final Set<SchemaError> errors = new LinkedHashSet<>();
    private int count;

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
     * @throws SchemaErrorException when the first error ends the run, or there are too many
     */
    public void report(SchemaError error) {
        if (firstOnly) {
            throw new SchemaErrorException(error);
        }
        if (errors.size() == LIMIT) {
            String message = "more than " + LIMIT + " errors, the rest is left out";
            throw new SchemaErrorException(new SchemaError(error.info(), 0, message));
        }
        errors.add(error);
        count++;
    }

    /** Notes an error that has no column. */
    public void report(SourceInfo info, String message) {
        report(new SchemaError(info, 0, message));
    }

    /** How often an error was reported. */
    public int count() {
        return count;
    }

    /** The errors in the order they were found, equal ones once. */
    public List<SchemaError> errors() {
        return List.copyOf(errors);
    }
}
