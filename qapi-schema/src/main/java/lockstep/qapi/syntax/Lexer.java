package lockstep.qapi.syntax;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Cuts a schema file into tokens: the six structural characters, single-quoted strings of printable
 * ASCII with only the escape {@code \\}, {@code true}, {@code false} and comments.
 */
final class Lexer {
    /** Token type at the end of the text. */
    static final char END = 0;

    private static final Pattern STRAY = Pattern.compile("[^\\[\\]{}:,\\s']+");

    private final SourceInfo file;
    private final String text;
    private int cursor;
    private int line = 1;
    private int lineStart;

    /** One of {@code {}[]:,'tf#} or {@link #END}. */
    char token = END;

    /** Start of the token. */
    int position;

    /** Line the token starts on. */
    int tokenLine = 1;

    /** Text of a string or a comment. */
    String value = "";

    Lexer(SourceInfo file, String source) {
        this.file = file;
        this.text = source.isEmpty() || !source.endsWith("\n") ? source + "\n" : source;
    }

    SourceInfo info() {
        return file.atLine(tokenLine);
    }

    SchemaErrorException error(String message) {
        int column = 1;
        for (int i = lineStart; i < position; i++) {
            // A tab moves to the next multiple of eight, as QEMU's generator counts.
            column = text.charAt(i) == '\t' ? (column + 7) / 8 * 8 + 1 : column + 1;
        }
        return new SchemaErrorException(new SchemaError(file.atLine(line), column, message));
    }

    void next() {
        next(true);
    }

    /** Reads the next token; plain comments are tokens only when not skipped. */
    void next(boolean skipComments) {
        boolean skip = skipComments;
        while (true) {
            if (cursor >= text.length()) {
                token = END;
                return;
            }
            char c = text.charAt(cursor);
            position = cursor++;
            tokenLine = line;
            token = c;
            if (c == '#') {
                if (text.charAt(cursor) == '#') {
                    skip = false;
                }
                cursor = text.indexOf('\n', cursor);
                if (!skip) {
                    value = text.substring(position, cursor);
                    return;
                }
            } else if ("{}:,[]".indexOf(c) >= 0) {
                return;
            } else if (c == '\'') {
                value = string();
                return;
            } else if (text.startsWith("true", position)) {
                token = 't';
                cursor += 3;
                return;
            } else if (text.startsWith("false", position)) {
                token = 'f';
                cursor += 4;
                return;
            } else if (c == '\n') {
                if (cursor == text.length()) {
                    token = END;
                    return;
                }
                line++;
                lineStart = cursor;
            } else if (!Character.isWhitespace(c) && !Character.isSpaceChar(c)) {
                Matcher stray = STRAY.matcher(text).region(position, text.length());
                String shown = stray.lookingAt() ? stray.group() : String.valueOf(c);
                throw error("stray '" + shown + "'");
            }
        }
    }

    private String string() {
        StringBuilder result = new StringBuilder();
        boolean escape = false;
        while (true) {
            char c = text.charAt(cursor++);
            if (c == '\n') {
                throw error("missing terminating \"'\"");
            }
            if (escape) {
                if (c != '\\') {
                    throw error("unknown escape \\" + c);
                }
                escape = false;
            } else if (c == '\\') {
                escape = true;
                continue;
            } else if (c == '\'') {
                return result.toString();
            }
            if (c < 32 || c >= 127) {
                throw error("funny character in string");
            }
            result.append(c);
        }
    }

    /** After an error: goes on at the next line that starts with a brace or a comment. */
    void resynchronize() {
        while (cursor < text.length()) {
            int newline = text.indexOf('\n', Math.max(0, cursor - 1));
            if (newline < 0) {
                cursor = text.length();
                break;
            }
            line++;
            lineStart = newline + 1;
            cursor = newline + 1;
            if (cursor < text.length()) {
                char c = text.charAt(cursor);
                if (c == '{' || text.startsWith("##\n", cursor)) {
                    break;
                }
                cursor++;
            }
        }
        while (true) {
            try {
                next();
                return;
            } catch (SchemaErrorException again) {
                // The rest of a broken expression is not worth a second message.
            }
        }
    }
}
