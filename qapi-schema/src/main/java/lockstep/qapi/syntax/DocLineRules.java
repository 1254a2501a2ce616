package lockstep.qapi.syntax;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The rules for the format of single lines of one documentation comment. */
final class DocLineRules {
    private static final Pattern LITERAL = Pattern.compile("(\\.\\. +qmp-example)? *::");
    private static final Pattern ADDRESS = Pattern.compile(" *(https?|ftp)://[^ ]*");
    private static final Pattern SENTENCE =
            Pattern.compile(
                    "(\\be\\.g\\.|^ *\\d\\.|([.!?])) [A-Z0-9(]", Pattern.UNICODE_CHARACTER_CLASS);

    private boolean literal;
    private int indent;

    /** Whether the next line belongs to a literal block, for which there are no rules. */
    boolean literal(String line) {
        if (LITERAL.matcher(line).matches()) {
            literal = true;
            indent = 0;
        } else if (literal && !line.isEmpty()) {
            int here = Whitespace.leading(line);
            if (indent == 0) {
                indent = here;
            } else if (here < indent) {
                literal = false;
            }
        }
        return literal;
    }

    /** Columns of the line with its comment mark; 0 for an address, which cannot be broken. */
    static int width(String line) {
        if (line.length() < 60 || ADDRESS.matcher(line).matches()) {
            return 0;
        }
        return line.codePointCount(0, line.length()) + 2;
    }

    /**
     * The end of a sentence that only one space separates from the next one: index of its last
     * character, or -1.
     */
    static int sentenceAfterOneSpace(String line) {
        Matcher match = SENTENCE.matcher(line);
        while (match.find()) {
            if (match.group(2) != null) {
                return match.start(2);
            }
        }
        return -1;
    }
}
