package lockstep.qmp;

import java.util.Locale;
import java.util.Map;

/**
 * Prints values as QEMU does: members in QEMU's order, {@code ", "} and {@code ": "} between them,
 * everything outside printable ASCII escaped, so that the text is ASCII.
 */
public final class JsonPrinter {
    private final StringBuilder out = new StringBuilder();
    private final boolean pretty;
    private int depth;

    private JsonPrinter(boolean pretty) {
        this.pretty = pretty;
    }

    /** One line without a line end. */
    public static String compact(JsonValue value) {
        JsonPrinter printer = new JsonPrinter(false);
        printer.value(value);
        return printer.out.toString();
    }

    /** Several lines indented by four spaces, separated by LF, without a last line end. */
    public static String pretty(JsonValue value) {
        JsonPrinter printer = new JsonPrinter(true);
        printer.value(value);
        return printer.out.toString();
    }

    /** A string with its quotes and escapes. */
    public static String quote(String text) {
        StringBuilder out = new StringBuilder(text.length() + 2);
        quote(text, out);
        return out.toString();
    }

    private void value(JsonValue value) {
        switch (value) {
            case JsonObject object -> object(object);
            case JsonArray array -> array(array);
            case JsonString string -> quote(string.value(), out);
            case JsonNumber number -> out.append(number);
            case JsonBoolean bool -> out.append(bool.value());
            case JsonNull none -> out.append(none);
        }
    }

    private void object(JsonObject object) {
        out.append('{');
        depth++;
        boolean first = true;
        for (Map.Entry<String, JsonValue> member : object.inWireOrder()) {
            separate(first);
            first = false;
            quote(member.getKey(), out);
            out.append(": ");
            value(member.getValue());
        }
        depth--;
        newline();
        out.append('}');
    }

    private void array(JsonArray array) {
        out.append('[');
        depth++;
        boolean first = true;
        for (JsonValue element : array) {
            separate(first);
            first = false;
            value(element);
        }
        depth--;
        newline();
        out.append(']');
    }

    private void separate(boolean first) {
        if (!first) {
            out.append(pretty ? "," : ", ");
        }
        newline();
    }

    private void newline() {
        if (pretty) {
            out.append('\n').append("    ".repeat(depth));
        }
    }

    private static void quote(String text, StringBuilder out) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            switch (c) {
                case '"' -> out.append("\\\"");
                case '\\' -> out.append("\\\\");
                case '\b' -> out.append("\\b");
                case '\f' -> out.append("\\f");
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                default -> {
                    if (c >= 0x20 && c < 0x7F) {
                        out.append(c);
                    } else {
                        // What could not be read back is replaced: halves and noncharacters.
                        int code = text.codePointAt(i);
                        boolean valid = ModifiedUtf8.valid(code);
                        escape(valid ? c : '\uFFFD', out);
                        if (Character.isSupplementaryCodePoint(code)) {
                            i++;
                            if (valid) {
                                escape(text.charAt(i), out);
                            }
                        }
                    }
                }
            }
        }
        out.append('"');
    }

    private static void escape(char c, StringBuilder out) {
        out.append(String.format(Locale.ROOT, "\\u%04X", (int) c));
    }
}
