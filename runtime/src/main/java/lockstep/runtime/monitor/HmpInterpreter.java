package lockstep.runtime.monitor;

import lockstep.qmp.KeyvalText;
import lockstep.qmp.QmpException;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;

/** Runs command lines of the human monitor. Under the machine lock. */
public final class HmpInterpreter {
    private static final class SyntaxException extends Exception {
        private static final long serialVersionUID = 1L;

        SyntaxException(String message) {
            super(message);
        }
    }

    /** One argument of a pattern. */
    private record Parameter(String name, String type, boolean optional) {
        boolean isFlag() {
            return type.startsWith("-");
        }
    }

    private final HmpTable table;

    /** Over the commands of {@code table}. */
    public HmpInterpreter(HmpTable table) {
        this.table = table;
    }

    /** Runs a line and gives what it prints; lines end in {@code \n}. */
    public String run(String line) {
        StringBuilder out = new StringBuilder();
        Cursor cursor = new Cursor(line);
        String word = cursor.word();
        if (word.isEmpty()) {
            return "";
        }
        HmpCommand command = table.find(word);
        String path = "";
        if (command == null) {
            return "unknown command: '" + word + "'\n";
        }
        if (word.equals("info")) {
            Cursor inner = new Cursor(line);
            inner.word();
            String topic = inner.word();
            if (!topic.isEmpty()) {
                command = table.findInfo(topic);
                path = "info ";
                cursor = inner;
                if (command == null) {
                    return "unknown command: 'info " + topic + "'\n";
                }
            }
        }
        HmpArguments arguments = new HmpArguments();
        String names = String.join("|", command.names());
        try {
            parse(command.pattern(), names, cursor, arguments);
        } catch (SyntaxException e) {
            return e.getMessage()
                    + "\nTry \"help "
                    + path
                    + command.names().getFirst()
                    + "\" for more information\n";
        }
        try {
            command.handler().run(arguments, out);
        } catch (QmpException e) {
            out.append("Error: ").append(e.description()).append('\n');
        } catch (Exception e) {
            out.append("Error: ").append(String.valueOf(e.getMessage())).append('\n');
        }
        return out.toString();
    }

    private static List<Parameter> parameters(String pattern) {
        List<Parameter> list = new ArrayList<>();
        for (String part : pattern.split(",")) {
            int colon = part.indexOf(':');
            if (colon > 0) {
                String type = part.substring(colon + 1);
                boolean optional = type.endsWith("?");
                list.add(
                        new Parameter(
                                part.substring(0, colon),
                                optional ? type.substring(0, type.length() - 1) : type,
                                optional));
            }
        }
        return list;
    }

    private static void parse(String pattern, String names, Cursor cursor, HmpArguments arguments)
            throws SyntaxException {
        for (Parameter p : parameters(pattern)) {
            cursor.space();
            if (p.isFlag()) {
                flag(p, names, cursor, arguments);
                continue;
            }
            if (cursor.done()) {
                if (p.optional()) {
                    continue;
                }
                throw new SyntaxException(names + ": " + expected(p.type()));
            }
            switch (p.type()) {
                case "S" -> arguments.put(p.name(), cursor.rest());
                case "i", "l", "M" -> arguments.put(p.name(), number(names, cursor.token(names)));
                case "o" -> arguments.put(p.name(), size(names, cursor.token(names)));
                case "b" -> arguments.put(p.name(), onOff(names, cursor.token(names)));
                case "e" -> arguments.put(p.name(), expression(names, cursor.rest()));
                default -> arguments.put(p.name(), cursor.token(names));
            }
        }
        cursor.space();
        if (!cursor.done()) {
            throw new SyntaxException(names + ": extraneous characters at the end of line");
        }
    }

    private static void flag(Parameter p, String names, Cursor cursor, HmpArguments arguments)
            throws SyntaxException {
        if (cursor.peek(0) != '-') {
            return;
        }
        char given = cursor.peek(1);
        if (given == p.type().charAt(1)) {
            cursor.skip(2);
            arguments.put(p.name(), Boolean.TRUE);
        } else if (given != 0 && !Character.isWhitespace(given)) {
            throw new SyntaxException(names + ": unsupported option -" + given);
        }
    }

    private static String expected(String type) {
        return switch (type) {
            case "F" -> "filename expected";
            case "B" -> "block device name expected";
            case "i", "l", "M", "e" -> "expression expected";
            case "o" -> "size expected";
            case "b" -> "'on' or 'off' expected";
            default -> "string expected";
        };
    }

    private static Long number(String names, String text) throws SyntaxException {
        return expression(names, text);
    }

    private static Long size(String names, String text) throws SyntaxException {
        var size = KeyvalText.size(text, 'M');
        if (size.isEmpty()) {
            throw new SyntaxException(names + ": invalid size '" + text + "'");
        }
        return size.getAsLong();
    }

    private static Boolean onOff(String names, String text) throws SyntaxException {
        return switch (text) {
            case "on" -> Boolean.TRUE;
            case "off" -> Boolean.FALSE;
            default -> throw new SyntaxException(names + ": Expected 'on' or 'off'");
        };
    }

    private static Long expression(String names, String text) throws SyntaxException {
        try {
            return HmpExpression.evaluate(text);
        } catch (IllegalArgumentException e) {
            throw new SyntaxException(names + ": " + e.getMessage());
        }
    }

    /** The names that begin with {@code prefix}, of commands or of {@code info} topics; sorted. */
    List<String> completions(String prefix, boolean info) {
        List<String> found = new ArrayList<>();
        for (HmpCommand c : info ? table.allInfo() : table.all()) {
            for (String name : c.names()) {
                if (name.startsWith(prefix)) {
                    found.add(name);
                }
            }
        }
        found.sort(null);
        return found;
    }

    /** The table, for {@code help}. */
    HmpTable table() {
        return table;
    }

    /** Walks along a line. */
    private static final class Cursor {
        private final String line;
        private int at;

        Cursor(String line) {
            this.line = line;
        }

        boolean done() {
            return at >= line.length();
        }

        char peek(int ahead) {
            return at + ahead < line.length() ? line.charAt(at + ahead) : 0;
        }

        void skip(int count) {
            at += count;
        }

        void space() {
            while (!done() && Character.isWhitespace(line.charAt(at))) {
                at++;
            }
        }

        String rest() {
            String rest = line.substring(at);
            at = line.length();
            return rest;
        }

        /** The command word: up to white space or a slash, which starts a format. */
        String word() {
            space();
            int start = at;
            while (!done() && !Character.isWhitespace(line.charAt(at)) && line.charAt(at) != '/') {
                at++;
            }
            return line.substring(start, at);
        }

        /** One argument, perhaps in double quotes. */
        String token(String names) throws SyntaxException {
            space();
            StringBuilder text = new StringBuilder();
            if (peek(0) != '"') {
                while (!done() && !Character.isWhitespace(line.charAt(at))) {
                    text.append(line.charAt(at++));
                }
                return text.toString();
            }
            at++;
            while (!done() && line.charAt(at) != '"') {
                char c = line.charAt(at++);
                if (c == '\\') {
                    char escape = peek(0);
                    at++;
                    switch (escape) {
                        case 'n' -> text.append('\n');
                        case 'r' -> text.append('\r');
                        case '\\', '\'', '"' -> text.append(escape);
                        default ->
                                throw new SyntaxException(
                                        "unsupported escape code: '\\" + escape + "'");
                    }
                } else {
                    text.append(c);
                }
            }
            if (done()) {
                throw new SyntaxException(names + ": unterminated string");
            }
            at++;
            return text.toString();
        }
    }

    /** The text of {@code help}, or of one command or {@code info} topic. */
    public String helpText(@Nullable String name) {
        StringBuilder out = new StringBuilder();
        if (name == null || name.isEmpty()) {
            table.all().forEach(c -> describe(out, "", c));
            return out.toString();
        }
        if (name.equals("info")) {
            table.allInfo().forEach(c -> describe(out, "info ", c));
            return out.toString();
        }
        boolean info = name.startsWith("info ");
        HmpCommand c = info ? table.findInfo(name.substring(5).strip()) : table.find(name);
        if (c == null) {
            return "unknown command: '" + name + "'\n";
        }
        describe(out, info ? "info " : "", c);
        return out.toString();
    }

    private static void describe(StringBuilder out, String prefix, HmpCommand c) {
        out.append(prefix)
                .append(String.join("|", c.names()))
                .append(' ')
                .append(c.params())
                .append(" -- ")
                .append(c.help())
                .append('\n');
    }
}
