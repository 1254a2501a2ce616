package lockstep.qapi.syntax;

import java.nio.file.Path;
import java.util.List;

/**
 * A schema with all its includes, as written.
 *
 * @param modules the files in the order of their first inclusion, the main file first
 * @param pragmas what the directives set
 * @param docs all documentation comments in reading order
 * @param errors errors of syntax; empty when the modules can be checked
 */
public record ParsedSchema(
        List<Module> modules, Pragmas pragmas, List<DocComment> docs, List<SchemaError> errors) {

    /**
     * One file.
     *
     * @param file path as reached
     * @param path the file itself
     * @param items its expressions and includes in order
     */
    public record Module(String file, Path path, List<Item> items) {}

    /** An expression or an include directive. */
    public sealed interface Item {}

    /** An expression. */
    public record Definition(Expression expression) implements Item {}

    /**
     * An include directive; repeated ones are kept.
     *
     * @param file path of the included file, from the including file's directory
     */
    public record Include(String file) implements Item {}
}
