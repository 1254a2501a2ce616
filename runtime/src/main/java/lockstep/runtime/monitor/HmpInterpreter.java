package lockstep.runtime.monitor;

import lockstep.qmp.NumberText;
import lockstep.qmp.QmpException;
import lockstep.qmp.TryLater;
import lockstep.runtime.trace.InternalFailure;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;

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

    /** A {@code /4xb}: how many, in which base, of which size. */
    private record Format(int count, char letter, int size) {}

    private final HmpTable table;

    /** What the last one was: its letter and size are those of the next that gives none. */
    private Format format = new Format(1, 'x', 4);

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
        if (!table.available(command, !path.isEmpty())) {
            return "Command \"" + path + command.names().getFirst() + "\" is not available.\n";
        }
        String typed = path + (path.isEmpty() ? word : command.names().getFirst());
        HmpArguments arguments = new HmpArguments();
        String names = String.join("|", command.names());
        try {
            parse(command.pattern(), names, cursor, arguments);
        } catch (SyntaxException e) {
            return e.getMessage() + "\nTry \"help " + typed + "\" for more information\n";
        }
        try {
            command.handler().run(arguments, out);
        } catch (QmpException e) {
            out.append("Error: ").append(e.description()).append('\n');
        } catch (TryLater e) {
            throw e;
        } catch (RuntimeException | StackOverflowError | OutOfMemoryError e) {
            InternalFailure.log("command '" + names + "'", e);
            out.append("Error: ").append(InternalFailure.text("command '" + names + "'", e));
            out.append('\n');
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

    private void parse(String pattern, String names, Cursor cursor, HmpArguments arguments)
            throws SyntaxException {
        List<Parameter> parameters = parameters(pattern);
        for (int i = 0; i < parameters.size(); i++) {
            Parameter p = parameters.get(i);
            cursor.space();
            if (p.isFlag()) {
                flag(parameters.subList(i, parameters.size()), names, cursor, arguments);
                continue;
            }
            if (p.type().equals("/")) {
                format = cursor.format(format);
                arguments.put("count", (long) format.count());
                arguments.put("format", String.valueOf(format.letter()));
                arguments.put("size", (long) format.size());
                continue;
            }
            if (p.type().equals("i.")) {
                // A further number, behind a dot.
                if (cursor.peek(0) == '.') {
                    cursor.skip(1);
                    arguments.put(p.name(), word(names, cursor.expression(table)));
                }
                continue;
            }
            if (cursor.done()) {
                if (isNumber(p) && !p.optional()) {
                    throw new SyntaxException("unexpected end of expression");
                }
                if (p.optional()) {
                    continue;
                }
                if (p.type().equals("b")) {
                    throw notOnOff();
                }
                if (p.type().equals("o")) {
                    throw new SyntaxException("invalid size");
                }
                if (p.type().equals("O")) {
                    arguments.put(p.name(), ""); // The options' reader says which one is missing.
                    continue;
                }
                throw new SyntaxException(names + ": " + expected(p.type()));
            }
            switch (p.type()) {
                case "S" -> arguments.put(p.name(), cursor.rest());
                case "i" -> arguments.put(p.name(), word(names, cursor.expression(table)));
                case "l" -> arguments.put(p.name(), cursor.expression(table));
                case "M" -> arguments.put(p.name(), bytes(cursor.expression(table)));
                case "o" -> arguments.put(p.name(), cursor.size());
                case "b" -> arguments.put(p.name(), onOff(cursor.token(names)));
                default -> arguments.put(p.name(), cursor.token(names));
            }
        }
        cursor.space();
        if (!cursor.done()) {
            throw new SyntaxException(names + ": extraneous characters at the end of line");
        }
    }

    /** Takes the first of the expected parameters, a flag; one that a later flag is stays for that. */
    private static void flag(
            List<Parameter> expected, String names, Cursor cursor, HmpArguments arguments)
            throws SyntaxException {
        if (cursor.peek(0) != '-') {
            return;
        }
        char given = cursor.peek(1);
        String flag = given == 0 ? "-" : "-" + given;
        Parameter p = expected.getFirst();
        if (p.type().equals(flag)) {
            cursor.skip(2);
            arguments.put(p.name(), Boolean.TRUE);
        } else if (expected.stream().noneMatch(later -> later.type().equals(flag))) {
            throw new SyntaxException(names + ": unsupported option " + flag);
        }
    }

    private static String expected(String type) {
        return switch (type) {
            case "F" -> "filename expected";
            case "B" -> "block device name expected";
            default -> "string expected";
        };
    }

    private static boolean isNumber(Parameter p) {
        return Set.of("i", "l", "M").contains(p.type());
    }

    /** An argument of 32 bits; negative numbers do not fit. */
    private static Long word(String names, long value) throws SyntaxException {
        if (value >>> 32 != 0) {
            throw new SyntaxException("'" + names + "' has failed: integer is for 32-bit values");
        }
        return value;
    }

    /** An argument in MiB. */
    private static Long bytes(long value) throws SyntaxException {
        if (value < 0) {
            throw new SyntaxException("enter a positive value");
        }
        if (value > Long.MAX_VALUE >> 20) {
            throw new SyntaxException("number too large");
        }
        return value << 20;
    }

    private static SyntaxException notOnOff() {
        return new SyntaxException("Expected 'on' or 'off'");
    }

    private static Boolean onOff(String text) throws SyntaxException {
        return switch (text) {
            case "on" -> Boolean.TRUE;
            case "off" -> Boolean.FALSE;
            default -> throw notOnOff();
        };
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

        Long expression(HmpTable table) throws SyntaxException {
            HmpExpression expression = new HmpExpression(line, at, table::register);
            try {
                long value = expression.evaluate();
                at = expression.end();
                return value;
            } catch (IllegalArgumentException e) {
                throw new SyntaxException(String.valueOf(e.getMessage()));
            }
        }

        /** Bytes, in MiB without a suffix. */
        Long size() throws SyntaxException {
            NumberText size = NumberText.sizeAt(line, at, 'M');
            if (size.outcome() != NumberText.Outcome.NUMBER || size.value() < 0) {
                throw new SyntaxException("invalid size");
            }
            at = size.end();
            return size.value();
        }

        /** What stands behind a slash; {@code last} is what counts where there is nothing. */
        Format format(Format last) throws SyntaxException {
            if (peek(0) != '/') {
                return new Format(1, last.letter(), last.size());
            }
            at++;
            int count = peek(0) >= '0' && peek(0) <= '9' ? 0 : 1;
            while (peek(0) >= '0' && peek(0) <= '9') {
                count = count * 10 + peek(0) - '0'; // 32 bits that wrap, as in QEMU
                at++;
            }
            char letter = last.letter();
            int size = last.size();
            while (!done() && !Character.isWhitespace(peek(0))) {
                char c = line.charAt(at++);
                switch (c) {
                    case 'o', 'd', 'u', 'x', 'i', 'c' -> letter = c;
                    case 'b' -> size = 1;
                    case 'h' -> size = 2;
                    case 'w' -> size = 4;
                    case 'g', 'L' -> size = 8;
                    default -> throw new SyntaxException("invalid char in format: '" + c + "'");
                }
            }
            return new Format(count, letter, size);
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
        if (name.strip().equals("info")) {
            table.allInfo().forEach(c -> describe(out, "info ", c));
            return out.toString();
        }
        String[] words = name.strip().split("\\s+");
        boolean info = words[0].equals("info");
        HmpCommand c = info ? table.findInfo(words[1]) : table.find(words[0]);
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
