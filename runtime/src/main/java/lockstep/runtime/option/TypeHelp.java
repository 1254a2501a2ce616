package lockstep.runtime.option;

import lockstep.api.ObjectOptions;
import lockstep.api.ObjectPropertyInfo;
import lockstep.qmp.MemberOutline;
import lockstep.qmp.QmpException;
import lockstep.qmp.ValueReader;

import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Set;

/**
 * What is answered to {@code help} instead of a type, or behind one, by options and by the human monitor's commands: from
 * the same readers as the options.
 */
public final class TypeHelp {
    private static final Set<String> NO_OPTIONS = Set.of("qom-type", "id");

    private TypeHelp() {}

    /** Whether a text asks what could stand in its place: which types, or which members. */
    public static boolean askedForTypes(String text) {
        return text.equals("help") || text.equals("?");
    }

    /** Whether a text asks for help on the type it names. */
    public static boolean asked(OptionValues values) {
        return values.get("help") != null || values.get("?") != null;
    }

    /** The types of devices. */
    public static String devices(Collection<String> drivers) {
        StringBuilder out = new StringBuilder();
        drivers.forEach(d -> out.append("name \"").append(d).append("\"\n"));
        return out.toString();
    }

    /** The properties of a type of devices. */
    public static String device(String driver, List<ObjectPropertyInfo> properties) {
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
        return out.toString();
    }

    /** The types of objects that users make. */
    public static String objects(Collection<String> types) {
        StringBuilder out = new StringBuilder("List of user creatable objects:\n");
        types.forEach(t -> out.append("  ").append(t).append('\n'));
        return out.toString();
    }

    /**
     * The properties of a type of objects.
     *
     * @throws QmpException when there is no such type
     */
    public static String object(String type) throws QmpException {
        StringBuilder out = new StringBuilder();
        MemberOutline.of(ObjectOptions::read, type).stream()
                .filter(m -> !NO_OPTIONS.contains(m.name()))
                .sorted(Comparator.comparing(MemberOutline::name))
                .forEach(m -> out.append("  %s=<%s>\n".formatted(m.name(), m.type())));
        return out.isEmpty()
                ? "There are no options for " + type + ".\n"
                : type + " options:\n" + out;
    }

    /** The members of a group of options, a line each. */
    public static String members(ValueReader<?> reader) {
        StringBuilder out = new StringBuilder();
        MemberOutline.of(reader).stream()
                .sorted(Comparator.comparing(MemberOutline::name))
                .forEach(m -> out.append("  %s=<%s>\n".formatted(m.name(), m.type())));
        return out.toString();
    }
}
