package lockstep.tools.shell;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A command line taken apart as GNU's getopt_long does: options anywhere up to {@code --}, short ones in a row, long ones
 * shortened as far as they stay unique.
 *
 * @param given the options in order
 * @param arguments what is no option
 */
public record Options(List<Option> given, List<String> arguments) {
    /** An option; short ones without their dash, long ones with both. */
    public record Option(String name, @Nullable String text) {
        /** The value of an option that has one. */
        public String value() {
            return String.valueOf(text);
        }
    }

    /** Whether the user asks what the program can do. */
    public boolean asksForHelp() {
        return has("h") || has("--help");
    }

    public boolean has(String name) {
        return last(name) != null;
    }

    private @Nullable Option last(String name) {
        for (int i = given.size() - 1; i >= 0; i--) {
            if (given.get(i).name.equals(name)) {
                return given.get(i);
            }
        }
        return null;
    }

    /** The last value of an option. */
    public @Nullable String get(String name) {
        Option option = last(name);
        return option == null ? null : option.text;
    }

    /** All values of an option that can be given several times. */
    public List<String> all(String name) {
        List<String> values = new ArrayList<>();
        for (Option option : given) {
            if (option.name.equals(name)) {
                values.add(option.value());
            }
        }
        return values;
    }

    /** The only argument. */
    public String onlyFile() throws ToolException {
        if (arguments.size() != 1) {
            throw ToolException.usage("Expecting one image file name");
        }
        return arguments.getFirst();
    }

    /**
     * What a program says of options that it does not take; each is a format with the word of the command line, or the
     * letter of a short option and the word that it is in, or the word and the whole name of a long option.
     */
    public record Words(
            String unknown,
            String unknownLetter,
            String excessive,
            String incomplete,
            String incompleteLetter) {
        /** qemu-img's. */
        public static final Words IMAGE_TOOL =
                new Words(
                        "unrecognized option '%s'",
                        "unrecognized option '%2$s'",
                        "unrecognized option '%s'",
                        "missing argument for option '%s'",
                        "missing argument for option '%2$s'");

        /** The C library's own. */
        public static final Words GETOPT =
                new Words(
                        "unrecognized option '%s'",
                        "invalid option -- '%s'",
                        "option '%2$s' doesn't allow an argument",
                        "option '%s' requires an argument",
                        "option requires an argument -- '%s'");

        private static ToolException wrong(String format, Object... what) {
            return ToolException.usage(format.formatted(what));
        }
    }

    /** Reads arguments as qemu-img does; see {@link #parse(List, String, Words)}. */
    public static Options parse(List<String> line, String known) throws ToolException {
        return parse(line, known, Words.IMAGE_TOOL);
    }

    /**
     * Reads arguments.
     *
     * @param known the options, separated by blanks; those with a value end in {@code =}, and {@code f|--format=} is a short
     *     one that has a long name too
     */
    public static Options parse(List<String> line, String known, Words words) throws ToolException {
        List<String> names = new ArrayList<>();
        Map<String, String> shorts = new HashMap<>();
        for (String name : (known + " h --help").split(" ")) {
            int bar = name.indexOf('|');
            names.add(name.substring(bar + 1));
            if (bar >= 0) {
                boolean valued = name.endsWith("=");
                names.add(name.substring(0, bar) + (valued ? "=" : ""));
                shorts.put(
                        name.substring(bar + 1, name.length() - (valued ? 1 : 0)),
                        name.substring(0, bar));
            }
        }
        List<Option> given = new ArrayList<>();
        List<String> arguments = new ArrayList<>();
        for (int i = 0; i < line.size(); i++) {
            String word = line.get(i);
            if (word.equals("--")) {
                arguments.addAll(line.subList(i + 1, line.size()));
                break;
            }
            if (word.startsWith("--")) {
                i = longOption(line, i, names, given, words);
            } else if (word.startsWith("-") && word.length() > 1) {
                i = shortOptions(line, i, names, given, words);
            } else {
                arguments.add(word);
            }
        }
        given.replaceAll(
                option -> new Option(shorts.getOrDefault(option.name, option.name), option.text));
        return new Options(List.copyOf(given), List.copyOf(arguments));
    }

    private static int longOption(
            List<String> line, int at, List<String> names, List<Option> given, Words words)
            throws ToolException {
        String word = line.get(at);
        int equals = word.indexOf('=');
        String wanted = equals < 0 ? word : word.substring(0, equals);
        String name = null;
        boolean takesValue = false;
        int found = 0;
        for (String candidate : names) {
            boolean valued = candidate.endsWith("=");
            String plain = valued ? candidate.substring(0, candidate.length() - 1) : candidate;
            if (plain.startsWith("--") && plain.startsWith(wanted)) {
                if (found == 0 || plain.equals(wanted)) {
                    name = plain;
                    takesValue = valued;
                }
                found = plain.equals(wanted) ? -1 : found < 0 ? found : found + 1;
            }
        }
        if (name == null || found > 1) {
            throw Words.wrong(words.unknown(), word);
        }
        if (equals >= 0 && !takesValue) {
            throw Words.wrong(words.excessive(), word, name);
        }
        if (!takesValue) {
            given.add(new Option(name, null));
            return at;
        }
        if (equals >= 0) {
            given.add(new Option(name, word.substring(equals + 1)));
            return at;
        }
        if (at + 1 == line.size()) {
            throw Words.wrong(words.incomplete(), word);
        }
        given.add(new Option(name, line.get(at + 1)));
        return at + 1;
    }

    private static int shortOptions(
            List<String> line, int at, List<String> names, List<Option> given, Words words)
            throws ToolException {
        String word = line.get(at);
        for (int i = 1; i < word.length(); i++) {
            String name = word.substring(i, i + 1);
            if (names.contains(name + "=")) {
                if (i + 1 < word.length()) {
                    given.add(new Option(name, word.substring(i + 1)));
                    return at;
                }
                if (at + 1 == line.size()) {
                    throw Words.wrong(words.incompleteLetter(), name, word);
                }
                given.add(new Option(name, line.get(at + 1)));
                return at + 1;
            }
            if (!names.contains(name) || name.equals("-")) {
                throw Words.wrong(words.unknownLetter(), name, word);
            }
            given.add(new Option(name, null));
        }
        return at;
    }
}
