package lockstep.qmp;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;

/** Makes a value of the tokens of one text. The reader bounds their number and nesting. */
final class JsonTokens {
    /**
     * A token.
     *
     * @param type a structural character, {@code s} for a string, {@code n} for a number or {@code
     *     k} for a keyword
     * @param text its bytes as written; empty for structural characters
     */
    record Token(char type, byte[] text) {
        String ascii() {
            return new String(text, StandardCharsets.UTF_8);
        }
    }

    private static final byte[] NO_TEXT = {};
    private static final Token[] STRUCTURAL = {
        new Token('{', NO_TEXT),
        new Token('}', NO_TEXT),
        new Token('[', NO_TEXT),
        new Token(']', NO_TEXT),
        new Token(':', NO_TEXT),
        new Token(',', NO_TEXT)
    };

    private final List<Token> tokens;
    private int next;

    JsonTokens(List<Token> tokens) {
        this.tokens = tokens;
    }

    static Token token(char type, byte[] text, int length) {
        for (Token shared : STRUCTURAL) {
            if (shared.type() == type) {
                return shared;
            }
        }
        return new Token(type, Arrays.copyOf(text, length));
    }

    JsonValue parse() throws QmpException {
        return value();
    }

    private static QmpException error(String what) {
        return new QmpException("JSON parse error, " + what);
    }

    private Token peek() throws QmpException {
        if (next >= tokens.size()) {
            throw error("premature EOI");
        }
        return tokens.get(next);
    }

    private Token take() throws QmpException {
        Token token = peek();
        next++;
        return token;
    }

    private JsonValue value() throws QmpException {
        Token token = take();
        return switch (token.type()) {
            case '{' -> object();
            case '[' -> array();
            case 's' -> new JsonString(string(token.text()));
            case 'n' -> JsonNumber.parse(token.ascii());
            case 'k' -> keyword(token.ascii());
            default -> throw error("expecting value");
        };
    }

    private static JsonValue keyword(String word) throws QmpException {
        return switch (word) {
            case "true" -> new JsonBoolean(true);
            case "false" -> new JsonBoolean(false);
            case "null" -> JsonNull.NULL;
            default -> throw error("invalid keyword '" + word + "'");
        };
    }

    private JsonObject object() throws QmpException {
        JsonObject object = new JsonObject();
        if (peek().type() == '}') {
            next++;
            return object;
        }
        while (true) {
            pair(object);
            Token token = take();
            if (token.type() == '}') {
                return object;
            }
            if (token.type() != ',') {
                throw error("expected separator in dict");
            }
        }
    }

    private void pair(JsonObject object) throws QmpException {
        if (!(value() instanceof JsonString key)) {
            throw error("key is not a string in object");
        }
        if (take().type() != ':') {
            throw error("missing : in object pair");
        }
        JsonValue value = value();
        if (object.has(key.value())) {
            throw error("duplicate key");
        }
        object.put(key.value(), value);
    }

    private JsonArray array() throws QmpException {
        JsonArray array = new JsonArray();
        if (peek().type() == ']') {
            next++;
            return array;
        }
        while (true) {
            array.add(value());
            Token token = take();
            if (token.type() == ']') {
                return array;
            }
            if (token.type() != ',') {
                throw error("expected separator in list");
            }
        }
    }

    private static String string(byte[] text) throws QmpException {
        StringBuilder result = new StringBuilder(text.length);
        int i = 1;
        int end = text.length - 1;
        while (i < end) {
            byte b = text[i];
            if (b == '\\') {
                i = escape(text, i, end, result);
            } else if (b >= 0) {
                result.append((char) b);
                i++;
            } else {
                ModifiedUtf8 sequence = new ModifiedUtf8(text, i, end);
                int code = sequence.next();
                if (code < 0) {
                    throw error("invalid UTF-8 sequence in string");
                }
                result.appendCodePoint(code);
                i = sequence.position;
            }
        }
        return result.toString();
    }

    private static int escape(byte[] text, int at, int end, StringBuilder result)
            throws QmpException {
        int i = at + 2;
        switch (text[at + 1]) {
            case '"' -> result.append('"');
            case '\'' -> result.append('\'');
            case '\\' -> result.append('\\');
            case '/' -> result.append('/');
            case 'b' -> result.append('\b');
            case 'f' -> result.append('\f');
            case 'n' -> result.append('\n');
            case 'r' -> result.append('\r');
            case 't' -> result.append('\t');
            case 'u' -> {
                int code = hex(text, i, end);
                i += 4;
                if (code >= 0xD800
                        && code <= 0xDBFF
                        && i + 1 < end
                        && text[i] == '\\'
                        && text[i + 1] == 'u') {
                    int low = hex(text, i + 2, end);
                    if (low >= 0xDC00 && low <= 0xDFFF) {
                        code = 0x10000 + ((code & 0x3FF) << 10 | low & 0x3FF);
                        i += 6;
                    }
                }
                if (!ModifiedUtf8.valid(code)) {
                    String shown =
                            new String(
                                    text,
                                    at,
                                    Math.min(i, text.length) - at,
                                    StandardCharsets.UTF_8);
                    throw error(shown + " is not a valid Unicode character");
                }
                result.appendCodePoint(code);
            }
            default -> throw error("invalid escape sequence in string");
        }
        return i;
    }

    private static int hex(byte[] text, int at, int end) {
        int code = 0;
        for (int i = at; i < at + 4; i++) {
            int digit = i < end ? Character.digit((char) text[i], 16) : -1;
            if (digit < 0 || text[i] < 0) {
                return -1;
            }
            code = code << 4 | digit;
        }
        return code;
    }
}
