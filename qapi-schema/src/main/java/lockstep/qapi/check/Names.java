package lockstep.qapi.check;

import org.jspecify.annotations.Nullable;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The rules for names. Each check gives what is wrong, or null. */
final class Names {
    private static final Pattern VALID =
            Pattern.compile("(__[a-z0-9.-]+_)?(x-)?([a-z][a-z0-9_-]*)", Pattern.CASE_INSENSITIVE);
    private static final Pattern CAMEL = Pattern.compile("[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*");

    private Names() {}

    /** The name as a C identifier would have it, which is what must be unique. */
    static String identifier(String name) {
        StringBuilder result = new StringBuilder(name);
        for (int i = 0; i < name.length(); i++) {
            char c = name.charAt(i);
            boolean plain = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9';
            if (!plain) {
                result.setCharAt(i, '_');
            }
        }
        return result.toString();
    }

    /** The name without a downstream or experimental prefix, or null when it is not one. */
    private static @Nullable String stem(String name) {
        Matcher match = VALID.matcher(name);
        boolean valid = match.matches() && !identifier(name).startsWith("q_");
        return valid ? match.group(3) : null;
    }

    private static String invalid(String source) {
        return source + " has an invalid name";
    }

    static @Nullable String lower(String name, String source, boolean upper, boolean underscore) {
        String stem = stem(name);
        if (stem == null) {
            return invalid(source);
        }
        boolean bad =
                (!upper && stem.chars().anyMatch(c -> c >= 'A' && c <= 'Z'))
                        || (!underscore && stem.indexOf('_') >= 0);
        return bad ? "name of " + source + " must not use uppercase or '_'" : null;
    }

    static @Nullable String upper(String name, String source) {
        String stem = stem(name);
        if (stem == null) {
            return invalid(source);
        }
        boolean bad = stem.chars().anyMatch(c -> (c >= 'a' && c <= 'z') || c == '-');
        return bad ? "name of " + source + " must not use lowercase or '-'" : null;
    }

    static @Nullable String camel(String name, String source) {
        String stem = stem(name);
        if (stem == null) {
            return invalid(source);
        }
        return CAMEL.matcher(stem).matches() ? null : "name of " + source + " must use CamelCase";
    }
}
