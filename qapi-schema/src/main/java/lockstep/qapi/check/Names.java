package lockstep.qapi.check;

import lockstep.qapi.syntax.Node;
import lockstep.qapi.syntax.SchemaErrorException;
import lockstep.qapi.syntax.SourceInfo;

import org.jspecify.annotations.Nullable;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The rules for names. */
final class Names {
    private static final Pattern VALID =
            Pattern.compile("(__[a-z0-9.-]+_)?(x-)?([a-z][a-z0-9_-]*)", Pattern.CASE_INSENSITIVE);
    private static final Pattern CAMEL = Pattern.compile("[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*");

    private Names() {}

    static String string(@Nullable Node node, SourceInfo info, String source) {
        if (node instanceof Node.Str string) {
            return string.value();
        }
        throw new SchemaErrorException(info, source + " requires a string name");
    }

    /** The name as a C identifier would have it, which is what must be unique. */
    static String identifier(String name) {
        return name.replaceAll("[^A-Za-z0-9_]", "_");
    }

    private static String stem(String name, SourceInfo info, String source) {
        Matcher match = VALID.matcher(name);
        if (!match.matches() || identifier(name).startsWith("q_")) {
            throw new SchemaErrorException(info, source + " has an invalid name");
        }
        return match.group(3);
    }

    static void lower(
            String name, SourceInfo info, String source, boolean upper, boolean underscore) {
        String stem = stem(name, info, source);
        boolean bad =
                (!upper && stem.chars().anyMatch(c -> c >= 'A' && c <= 'Z'))
                        || (!underscore && stem.indexOf('_') >= 0);
        if (bad) {
            throw new SchemaErrorException(
                    info, "name of " + source + " must not use uppercase or '_'");
        }
    }

    static void upper(String name, SourceInfo info, String source) {
        String stem = stem(name, info, source);
        if (stem.chars().anyMatch(c -> (c >= 'a' && c <= 'z') || c == '-')) {
            throw new SchemaErrorException(
                    info, "name of " + source + " must not use lowercase or '-'");
        }
    }

    static void camel(String name, SourceInfo info, String source) {
        String stem = stem(name, info, source);
        if (!CAMEL.matcher(stem).matches()) {
            throw new SchemaErrorException(info, "name of " + source + " must use CamelCase");
        }
    }
}
