package lockstep.qapi.syntax;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A schema with all its includes, as written.
 *
 * @param modules the files in the order of their first inclusion, the main file first: how each was
 *     reached, and its path
 * @param items expressions and includes of all files in reading order
 * @param pragmas what the directives set
 * @param lost names of definitions that could not be read
 * @param complete whether every file could be read
 */
public record ParsedSchema(
        Map<String, Path> modules,
        List<Item> items,
        List<DocComment> docs,
        Pragmas pragmas,
        Set<String> lost,
        boolean complete) {

    /** An expression or an include directive. */
    public sealed interface Item permits Expression, Include {
        /** Where it starts. */
        SourceInfo info();
    }

    /**
     * An include directive; repeated ones are kept.
     *
     * @param file path of the included file, from the including file's directory
     */
    public record Include(String file, SourceInfo info) implements Item {}
}
