package lockstep.qapi.syntax;

/**
 * Cuts a schema file into tokens: the six structural characters, single-quoted strings of printable
 * ASCII with only the escape {@code \\}, {@code true}, {@code false} and comments.
 */
final class Lexer {
    /** Token type at the end of the text. */
    static final char END = 0;

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

    /** An error at the current token. */
    SchemaErrorException error(String message) {
        return errorAt(position, message);
    }

    /** An error at a character of the current line, counted from 0. */
    SchemaErrorException errorInLine(int index, String message) {
        return errorAt(lineStart + index, message);
    }

    private SchemaErrorException errorAt(int where, String message) {
        int column = 1;
        for (int i = lineStart; i < where && i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '\t') {
                // So does QEMU's generator count, though no editor does.
                column = (column + 7) % 8 + 1;
            } else if (!Character.isLowSurrogate(c)) {
                column++;
            }
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
                cursor += 3;
                return;
            } else if (text.startsWith("false", position)) {
                cursor += 4;
                return;
            } else if (c == '\n') {
                if (cursor == text.length()) {
                    token = END;
                    return;
                }
                line++;
                lineStart = cursor;
            } else if (!Whitespace.is(c)) {
                throw error("stray '" + stray() + "'");
            }
        }
    }

    /** The text up to the next white space, quote or structural character. */
    private String stray() {
        int end = position;
        while ("[]{}:,'".indexOf(text.charAt(end)) < 0 && !Whitespace.is(text.charAt(end))) {
            end++;
        }
        return text.substring(position, end);
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
                    String shown = Character.toString(text.codePointAt(cursor - 1));
                    throw error("unknown escape \\" + shown);
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

    /**
     * After an error in an expression: goes on where the next one seems to start, at a line that
     * begins with a brace or a documentation comment. Gives what has been passed over.
     *
     * @param start position of the broken expression's first token
     */
    String skipExpression(int start) {
        boolean expressionHere = token == '{' && position == lineStart;
        boolean commentHere = token == '#' && value.equals("##");
        boolean startsHere = position > start && (expressionHere || commentHere);
        if (startsHere) {
            cursor = position;
        } else {
            do {
                nextLine();
            } while (cursor < text.length()
                    && text.charAt(cursor) != '{'
                    && !text.startsWith("##", cursor));
        }
        return text.substring(start, cursor);
    }

    /** Whether the line below a comment is one, too. */
    boolean commentFollows() {
        return text.startsWith("\n#", cursor);
    }

    /** After an error in a documentation comment: goes on after its end, or at an expression. */
    void skipDocumentation() {
        if (token == '{' && position == lineStart) {
            cursor = position;
            return;
        }
        while (true) {
            nextLine();
            if (cursor >= text.length() || text.charAt(cursor) == '{') {
                return;
            }
            if (text.startsWith("##", cursor)) {
                cursor = text.indexOf('\n', cursor);
                return;
            }
        }
    }

    private void nextLine() {
        // The cursor may stand behind the newline that ended a string too early.
        int newline = text.indexOf('\n', Math.max(position, cursor - 1));
        if (newline < 0 || newline + 1 >= text.length()) {
            cursor = text.length();
        } else {
            line++;
            lineStart = newline + 1;
            cursor = lineStart;
        }
        position = cursor;
    }
}
