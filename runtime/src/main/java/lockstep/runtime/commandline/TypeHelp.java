package lockstep.runtime.commandline;

import lockstep.api.ObjectOptions;
import lockstep.api.ObjectPropertyInfo;
import lockstep.qmp.MemberOutline;
import lockstep.qmp.QmpException;
import lockstep.qmp.ValueReader;
import lockstep.runtime.machine.MachineProperties;
import lockstep.runtime.object.RecordType;
import lockstep.runtime.option.EndOfProgram;
import lockstep.runtime.option.OptionValues;

import java.util.Comparator;
import java.util.List;
import java.util.Set;

/** The answers to {@code -device X,help} and its like, from the same readers as the options. */
final class TypeHelp {
    private static final Set<String> NO_OPTIONS = Set.of("qom-type", "id");

    private TypeHelp() {}

    /** Whether a text asks for help on the type it names. */
    static boolean asked(OptionValues values) {
        return values.get("help") != null || values.get("?") != null;
    }

    static EndOfProgram device(String driver, List<ObjectPropertyInfo> properties) {
        StringBuilder out = new StringBuilder(driver).append(" options:\n");
        properties.stream()
                .sorted(Comparator.comparing(ObjectPropertyInfo::name))
                .forEach(
                        p -> {
                            String name = p.name() + "=<" + p.type() + ">";
                            String what = p.description() == null ? "" : " - " + p.description();
                            String preset =
                                    p.defaultValue() == null
                                            ? ""
                                            : " (default: " + p.defaultValue() + ")";
                            out.append("  %-22s%s%s".formatted(name, what, preset).stripTrailing());
                            out.append('\n');
                        });
        return new EndOfProgram(out.toString());
    }

    static EndOfProgram machine(String type, RecordType<?> options) {
        StringBuilder out = new StringBuilder(type + " options:\n");
        MachineProperties.describe(options).stream()
                .map(p -> "  %s=<%s>\n".formatted(p.name(), p.type()))
                .sorted()
                .forEach(out::append);
        return new EndOfProgram(out.toString());
    }

    /** Ends the program with the names of a group of options if the text asks for them. */
    static void group(String text, String name, ValueReader<?> reader) throws EndOfProgram {
        if (text.equals("help") || text.equals("?")) {
            throw new EndOfProgram(name + " options:\n" + members(reader));
        }
    }

    private static String members(ValueReader<?> reader) {
        StringBuilder out = new StringBuilder();
        MemberOutline.of(reader).stream()
                .sorted(Comparator.comparing(MemberOutline::name))
                .forEach(m -> out.append("  %s=<%s>\n".formatted(m.name(), m.type())));
        return out.toString();
    }

    static EndOfProgram object(String type) throws QmpException {
        StringBuilder out = new StringBuilder();
        MemberOutline.of(ObjectOptions::read, type).stream()
                .filter(m -> !NO_OPTIONS.contains(m.name()))
                .sorted(Comparator.comparing(MemberOutline::name))
                .forEach(m -> out.append("  %s=<%s>\n".formatted(m.name(), m.type())));
        return new EndOfProgram(
                out.isEmpty()
                        ? "There are no options for " + type + ".\n"
                        : type + " options:\n" + out);
    }
}
