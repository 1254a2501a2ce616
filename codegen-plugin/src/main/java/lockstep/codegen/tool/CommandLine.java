package lockstep.codegen.tool;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

import javax.lang.model.SourceVersion;

/**
 * A command line as read: options may stand before and after the file, {@code --name=value} and
 * {@code -Dvalue} are understood, and {@code --} ends the options.
 *
 * @param command what to do; meaningless when help is asked for in general
 * @param help whether help is asked for
 * @param file the schema's main file
 * @param conditions symbols that are defined
 * @param firstError whether to stop at the first error
 * @param unmask whether names of types are shown
 * @param packageName package to generate
 * @param output directory to generate to
 */
record CommandLine(
        Command command,
        boolean help,
        String file,
        Set<String> conditions,
        boolean firstError,
        boolean unmask,
        String packageName,
        String output) {

    /** What the program can do. */
    enum Command {
        CHECK("report the errors of a schema", Option.FIRST_ERROR),
        DUMP("print what a schema says, with everything implied written out", Option.FIRST_ERROR),
        INTROSPECT(
                "print the JSON array that query-qmp-schema answers",
                Option.CONDITION,
                Option.UNMASK),
        GENERATE(
                "write Java types, commands and events",
                Option.PACKAGE,
                Option.OUTPUT,
                Option.CONDITION);

        private final String purpose;
        private final List<Option> options;

        Command(String purpose, Option... options) {
            this.purpose = purpose;
            this.options = List.of(options);
        }

        String wireName() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    private enum Option {
        FIRST_ERROR("--first-error", "", "stop at the first error, as QEMU's generator does"),
        CONDITION("-D", "COND", "define a symbol that 'if' conditions test; may be repeated"),
        UNMASK("--unmask", "", "show the names of types instead of numbers"),
        PACKAGE("--package", "P", "package of the generated types"),
        OUTPUT("--output", "DIR", "root of the generated sources, made if missing");

        private final String flag;
        private final String value;
        private final String purpose;

        Option(String flag, String value, String purpose) {
            this.flag = flag;
            this.value = value;
            this.purpose = purpose;
        }

        private String shown() {
            return value.isEmpty() ? flag : flag + " " + value;
        }

        private boolean required() {
            return this == PACKAGE || this == OUTPUT;
        }

        private String inUsage() {
            String text = required() ? shown() : "[" + shown() + "]";
            return this == CONDITION ? text + "..." : text;
        }
    }

    /** The name the program was called by. */
    static String program() {
        return System.getProperty("lockstep.argv0", "lockstep-qapi");
    }

    /** One line that names the commands. */
    static String usage() {
        String commands =
                Arrays.stream(Command.values())
                        .map(Command::wireName)
                        .collect(Collectors.joining(",", "{", "}"));
        return "usage: " + program() + " [-h] " + commands + " ...\n";
    }

    /** Everything the program understands. */
    static String helpText() {
        StringBuilder text = new StringBuilder(usage()).append('\n');
        text.append("Checks QAPI schemas, shows what they say and generates Java from them.\n");
        for (Command command : Command.values()) {
            text.append("\n  ").append(command.wireName()).append(" FILE");
            command.options.forEach(option -> text.append(' ').append(option.inUsage()));
            text.append("\n      ").append(command.purpose).append('\n');
        }
        text.append("\noptions:\n");
        text.append(String.format("  %-16s%s%n", "-h, --help", "show this text and exit"));
        for (Option option : Option.values()) {
            text.append(String.format("  %-16s%s%n", option.shown(), option.purpose));
        }
        return text.append(
                        "\n"
                            + "Exit status: 0; 1 for errors in the schema or output that cannot be"
                            + " written; 2 for wrong usage.\n")
                .toString();
    }

    /**
     * Reads a command line.
     *
     * @throws UsageException when it is wrong
     */
    static CommandLine parse(String[] args) throws UsageException {
        return new Reader(Arrays.asList(args).iterator()).read();
    }

    private static final class Reader {
        private final Iterator<String> args;
        private final Map<Option, List<String>> given = new EnumMap<>(Option.class);
        private final List<String> files = new ArrayList<>();

        Reader(Iterator<String> args) {
            this.args = args;
        }

        CommandLine read() throws UsageException {
            if (!args.hasNext()) {
                throw new UsageException("a command is required");
            }
            String name = args.next();
            if (name.equals("-h") || name.equals("--help")) {
                return result(Command.CHECK, true);
            }
            Command command = command(name);
            boolean optionsEnded = false;
            while (args.hasNext()) {
                String arg = args.next();
                if (optionsEnded || !arg.startsWith("-") || arg.equals("-")) {
                    files.add(arg);
                } else if (arg.equals("--")) {
                    optionsEnded = true;
                } else if (arg.equals("-h") || arg.equals("--help")) {
                    return result(command, true);
                } else {
                    option(command, arg);
                }
            }
            if (files.size() != 1) {
                throw new UsageException(
                        files.isEmpty()
                                ? "FILE is required"
                                : "unrecognized argument: " + files.get(1));
            }
            for (Option option : command.options) {
                if (option.required() && !given.containsKey(option)) {
                    throw new UsageException(option.flag + " is required");
                }
            }
            if (given.containsKey(Option.PACKAGE) && !SourceVersion.isName(last(Option.PACKAGE))) {
                throw new UsageException("not a package name: '" + last(Option.PACKAGE) + "'");
            }
            for (String condition : given.getOrDefault(Option.CONDITION, List.of())) {
                if (!condition.matches("[A-Z][A-Z0-9_]*")) {
                    throw new UsageException(
                            "not the name of a condition: '"
                                    + condition
                                    + "'; what is given is defined, what is not is undefined");
                }
            }
            return result(command, false);
        }

        private static Command command(String name) throws UsageException {
            for (Command command : Command.values()) {
                if (command.wireName().equals(name)) {
                    return command;
                }
            }
            throw new UsageException("no such command: '" + name + "'");
        }

        private void option(Command command, String arg) throws UsageException {
            for (Option option : command.options) {
                boolean attached =
                        option == Option.CONDITION
                                ? arg.startsWith("-D")
                                : arg.startsWith(option.flag + "=");
                if (arg.equals(option.flag) && option.value.isEmpty()) {
                    add(option, "");
                    return;
                }
                if (arg.equals(option.flag)) {
                    if (!args.hasNext()) {
                        throw new UsageException(option.flag + " needs " + option.value);
                    }
                    add(option, args.next());
                    return;
                }
                if (attached && !option.value.isEmpty()) {
                    int skip = option == Option.CONDITION ? 2 : option.flag.length() + 1;
                    add(option, arg.substring(skip));
                    return;
                }
            }
            throw new UsageException("unrecognized argument: " + arg);
        }

        private void add(Option option, String value) {
            given.computeIfAbsent(option, o -> new ArrayList<>()).add(value);
        }

        private String last(Option option) {
            List<String> values = given.getOrDefault(option, List.of(""));
            return values.get(values.size() - 1);
        }

        private CommandLine result(Command command, boolean help) {
            return new CommandLine(
                    command,
                    help,
                    files.isEmpty() ? "" : files.get(0),
                    new TreeSet<>(given.getOrDefault(Option.CONDITION, List.of())),
                    given.containsKey(Option.FIRST_ERROR),
                    given.containsKey(Option.UNMASK),
                    last(Option.PACKAGE),
                    last(Option.OUTPUT));
        }
    }
}
