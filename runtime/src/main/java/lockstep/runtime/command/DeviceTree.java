package lockstep.runtime.command;

import lockstep.api.ObjectPropertyInfo;
import lockstep.qmp.JsonBoolean;
import lockstep.qmp.JsonNumber;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.process.DeviceManager;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/** The text of {@code info qtree}: the buses of a machine and what sits on them, the newest first. */
final class DeviceTree {
    private static final String ROOT = "/machine/unattached/sysbus";
    private static final String USERS = "/machine/peripheral/";

    /** Begins the names of options that QEMU has beside the settings. */
    private static final String UNLISTED = "bootindex";

    private final ObjectTree tree;
    private final DeviceManager types;
    private final boolean brief;
    private final Map<String, List<ObjectTree.Node>> byBus = new HashMap<>();
    private final StringBuilder out;

    /**
     * Of a machine, or of none.
     *
     * @param brief without the properties
     */
    DeviceTree(ObjectTree tree, DeviceManager types, boolean brief, StringBuilder out) {
        this.tree = tree;
        this.types = types;
        this.brief = brief;
        this.out = out;
    }

    /** Appends the text. */
    void print() {
        collect(tree.root());
        byBus.values()
                .forEach(on -> on.sort(Comparator.comparingLong(ObjectTree.Node::age).reversed()));
        bus("main-system-bus", "System", ROOT, "");
    }

    private void collect(ObjectTree.Node node) {
        QomProperty bus = node.property("parent_bus");
        if (bus != null) {
            byBus.computeIfAbsent(String.valueOf(bus.reader().get()), none -> new ArrayList<>())
                    .add(node);
        }
        node.children().forEach(this::collect);
    }

    private void bus(String name, String type, String path, String indent) {
        out.append(indent).append("bus: ").append(name).append('\n');
        out.append(indent).append("  type ").append(type).append('\n');
        byBus.getOrDefault(path, List.of()).forEach(node -> device(node, indent + "  "));
    }

    private void device(ObjectTree.Node node, String indent) {
        String id = node.path().startsWith(USERS) ? node.name() : "";
        out.append("%sdev: %s, id \"%s\"\n".formatted(indent, node.type(), id));
        String deeper = indent + "  ";
        if (!brief) {
            properties(node, deeper);
            node.notes().lines().forEach(n -> out.append(deeper).append(n).append('\n'));
        }
        for (ObjectTree.Node child : node.children().reversed()) {
            if (DeviceManager.isBus(child)) {
                bus(child.name(), child.type(), child.path(), deeper);
            }
        }
    }

    private void properties(ObjectTree.Node node, String indent) {
        Set<String> settings =
                types.properties(node.type()).stream()
                        .map(ObjectPropertyInfo::name)
                        .collect(Collectors.toCollection(HashSet::new));
        settings.removeIf(name -> name.startsWith(UNLISTED));
        for (QomProperty p : node.properties()) {
            if (settings.contains(p.name())) {
                QomProperty legacy = node.property("legacy-" + p.name());
                out.append(indent).append(p.name()).append(" = ");
                out.append(legacy == null ? text(p) : String.valueOf(legacy.reader().get()));
                out.append('\n');
            }
        }
    }

    private static String text(QomProperty property) {
        JsonValue value = ObjectCommands.json(property.reader().get());
        return switch (value) {
            case JsonString(String s) -> '"' + s + '"';
            case JsonBoolean(boolean on) -> String.valueOf(on);
            case JsonNumber n when property.type().equals("size") ->
                    "%s (%s)".formatted(n, size(Long.parseLong(n.toString())));
            case JsonNumber n -> "%s (0x%x)".formatted(n, Long.parseLong(n.toString()));
            default -> value.toString();
        };
    }

    /** A number of bytes with three digits and its unit. */
    private static String size(long bytes) {
        String units = "BKMGTPE";
        double rest = bytes;
        int unit = 0;
        while (rest >= 1000 && unit < units.length() - 1) {
            rest /= 1024;
            unit++;
        }
        String digits = rest == Math.rint(rest) ? "%.0f" : rest < 10 ? "%.2f" : "%.1f";
        return digits.formatted(rest) + ' ' + units.charAt(unit) + (unit == 0 ? "" : "iB");
    }
}
