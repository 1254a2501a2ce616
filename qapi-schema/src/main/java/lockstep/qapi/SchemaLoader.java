package lockstep.qapi;

import lockstep.qapi.check.SchemaChecker;
import lockstep.qapi.model.Schema;
import lockstep.qapi.syntax.ErrorLog;
import lockstep.qapi.syntax.ParsedSchema;
import lockstep.qapi.syntax.SchemaError;
import lockstep.qapi.syntax.SchemaErrorException;
import lockstep.qapi.syntax.SchemaParser;

import java.util.ArrayList;
import java.util.List;

/** Reads and checks a schema. */
public final class SchemaLoader {
    private SchemaLoader() {}

    /**
     * Loads a schema and reports all errors that can be found in one run, at most a thousand. What
     * follows from an error already reported is no error of its own. The first one is that of {@link
     * #loadFirstError}.
     *
     * @param mainFile path of the main file as it shall appear in messages
     * @throws InvalidSchemaException with at least one error
     */
    public static Schema load(String mainFile) throws InvalidSchemaException {
        return load(mainFile, false);
    }

    /**
     * Loads a schema and stops at the first error, as QEMU's generator does.
     *
     * @param mainFile path of the main file as it shall appear in messages
     * @throws InvalidSchemaException with exactly one error
     */
    public static Schema loadFirstError(String mainFile) throws InvalidSchemaException {
        return load(mainFile, true);
    }

    private static Schema load(String mainFile, boolean first) throws InvalidSchemaException {
        ErrorLog log = new ErrorLog(first);
        Schema schema;
        try {
            ParsedSchema parsed = SchemaParser.parse(mainFile, log);
            schema = new SchemaChecker(parsed, log).check();
        } catch (SchemaErrorException e) {
            List<SchemaError> errors = new ArrayList<>(log.errors());
            errors.add(e.error());
            throw new InvalidSchemaException(errors);
        }
        if (log.count() > 0) {
            throw new InvalidSchemaException(log.errors());
        }
        return schema;
    }
}
