package lockstep.qapi.syntax;

import org.jspecify.annotations.Nullable;

/**
 * Where something stands in a schema.
 *
 * @param file path as the user wrote it, or as reached through includes
 * @param line line number, from 1; 0 when the whole file is meant
 * @param parent the include directive that brought the file in, or null for the main file
 * @param definition the definition around it, as in {@code struct 'X'}, or null
 */
public record SourceInfo(
        String file, int line, @Nullable SourceInfo parent, @Nullable String definition) {

    /** The same file at another line. */
    public SourceInfo atLine(int other) {
        return new SourceInfo(file, other, parent, definition);
    }

    /** The same place, known to be part of a definition. */
    public SourceInfo within(String meta, String name) {
        return new SourceInfo(file, line, parent, meta + " '" + name + "'");
    }

    /** {@code FILE:LINE}, or {@code FILE} for a whole file. */
    public String location() {
        return line > 0 ? file + ":" + line : file;
    }

    /** The include chain, the definition and the location, as an error message starts. */
    @Override
    public String toString() {
        StringBuilder text = new StringBuilder();
        for (SourceInfo up = parent; up != null; up = up.parent) {
            text.insert(0, "In file included from " + up.location() + ":\n");
        }
        if (definition != null) {
            text.append(file).append(": In ").append(definition).append(":\n");
        }
        return text.append(location()).toString();
    }
}
