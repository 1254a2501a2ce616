package lockstep.net.room;

import lockstep.api.Netdev;
import lockstep.qmp.InputVisitor;
import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonInputVisitor;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonStreamParser;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.KeyvalInputVisitor;
import lockstep.qmp.KeyvalText;
import lockstep.qmp.OptionText;
import lockstep.qmp.QmpException;
import lockstep.runtime.option.EndOfProgram;
import lockstep.runtime.option.OptionException;
import lockstep.runtime.option.OptionHandler;
import lockstep.runtime.option.StartPhase;
import lockstep.runtime.option.TypeHelp;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** {@code -netdev}. */
final class NetdevOption implements OptionHandler {
    private static final String HINT =
            "\nIdentifiers consist of letters, digits, '-', '.', '_', starting with a letter.";

    private static final List<String> LISTS = List.of("dnssearch", "hostfwd", "guestfwd");

    private final Netdevs netdevs;
    private final Deque<Netdev> parsed = new ArrayDeque<>();
    private final Set<String> ids = new HashSet<>();

    NetdevOption(Netdevs netdevs) {
        this.netdevs = netdevs;
    }

    @Override
    public List<String> names() {
        return List.of("netdev");
    }

    @Override
    public StartPhase phase() {
        return StartPhase.NETDEVS;
    }

    @Override
    public void parse(String argument) throws OptionException {
        netdevs.given();
        if (TypeHelp.askedForTypes(argument)) {
            throw new EndOfProgram(
                    "Available netdev backend types:\n" + String.join("\n", Netdevs.TYPES) + "\n");
        }
        try {
            Netdev netdev = read(argument);
            if (!OptionText.isIdentifier(netdev.id())) {
                throw new OptionException("Parameter 'id' expects an identifier" + HINT);
            }
            if (!ids.add(netdev.id())) {
                throw new OptionException("Duplicate ID '" + netdev.id() + "' for netdev");
            }
            parsed.add(netdev);
        } catch (QmpException e) {
            throw new OptionException(e.description());
        }
    }

    private static Netdev read(String argument) throws QmpException {
        if (argument.startsWith("{")) {
            JsonValue value = JsonStreamParser.parse(argument);
            return finish(new JsonInputVisitor(value));
        }
        return read(tree(argument));
    }

    /** The options of a text; the older backends have looser rules. */
    static JsonObject tree(String argument) throws QmpException {
        return strict(argument) ? KeyvalText.parse(argument, "type") : flat(argument);
    }

    /** The options of the older text, in which those of a list are given once for each element. */
    static JsonObject flat(String argument) throws QmpException {
        OptionText text = OptionText.parse(argument, "type");
        JsonObject tree = text.toTree();
        for (String name : LISTS) {
            JsonArray list = new JsonArray();
            for (OptionText.Option option : text.options()) {
                if (option.name().equals(name)) {
                    JsonObject element = new JsonObject();
                    element.put("str", new JsonString(option.value()));
                    list.add(element);
                }
            }
            if (list.size() > 0) {
                tree.put(name, list);
            }
        }
        return tree;
    }

    private static boolean strict(String type) {
        return type.matches("(type=)?(stream|dgram)(,.*)?");
    }

    /** Reads the options of a tree. */
    static Netdev read(JsonObject tree) throws QmpException {
        boolean strict = tree.get("type") instanceof JsonString type && strict(type.value());
        return finish(
                new KeyvalInputVisitor(
                        tree,
                        strict
                                ? KeyvalInputVisitor.Style.KEYVAL
                                : KeyvalInputVisitor.Style.OPTIONS));
    }

    private static Netdev finish(InputVisitor visitor) throws QmpException {
        return Netdev.read(visitor, null);
    }

    @Override
    public void apply(String argument) throws OptionException {
        try {
            netdevs.add(parsed.remove(), " for netdev");
        } catch (QmpException e) {
            throw new OptionException(e.description());
        }
    }

    @Override
    public String help() {
        return "-netdev user|tap|socket|stream|dgram|hubport,id=ID[,...]  connect to the host's"
                + " network\n";
    }
}
