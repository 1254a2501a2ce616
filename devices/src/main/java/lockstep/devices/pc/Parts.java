package lockstep.devices.pc;

import lockstep.devices.pci.PciDevice;
import lockstep.qmp.JsonObject;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.vmstate.StateRegistry;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/**
 * Makes the parts of a board as users' devices are made: a record of options, to which {@code -global} adds, goes to the
 * type; what the device takes goes through its scope; its properties and buses appear in the object tree.
 */
final class Parts {
    /** Where the sections of parts stand in the migration stream, as QEMU 10.2 writes them. */
    enum Place {
        BRIDGE,
        HOST,
        FIRMWARE,
        /** The chips that QEMU makes inside the south bridge. */
        SOUTH,
        SOUTH_BRIDGE,
        BOARD
    }

    /**
     * One row of a board's table.
     *
     * @param path where it is in the object tree; null: numbered in the order of the table
     * @param told what the board tells it that is not usual, {@code property=value} each; also its {@code bus} if there
     *     are several of the type
     */
    record Part(DeviceType<?> type, Place place, @Nullable String path, List<String> told) {
        static Part of(DeviceType<?> type, String... told) {
            return new Part(type, Place.BOARD, null, List.of(told));
        }

        Part in(Place other) {
            return new Part(type, other, path, told);
        }

        Part at(String other) {
            return new Part(type, place, other, told);
        }
    }

    private final Machine machine;
    private final ObjectTree tree;
    private final DeviceScope board;
    private final Map<String, String> globals;
    private final List<Device> made = new ArrayList<>();
    private final Map<String, String> paths = new HashMap<>();
    private final Map<StateSection, Place> places = new IdentityHashMap<>();

    /**
     * Of a machine without any.
     *
     * @param globals {@code driver.property} to value
     * @param board what the parts leave with, the last one first
     */
    Parts(Machine machine, ObjectTree tree, Map<String, String> globals, DeviceScope board) {
        this.board = board;
        this.machine = machine;
        this.tree = tree;
        this.globals = globals;
    }

    /** Makes all parts of a table in its order. */
    void make(List<Part> table) throws DeviceException {
        for (Part part : table) {
            make(part);
        }
        machine.state().arrange(s -> places.containsKey(s) ? 1 + places.get(s).ordinal() : 0);
    }

    /** Makes one part, to which the scope belongs that it gives. */
    DeviceScope make(Part part) throws DeviceException {
        StateRegistry state = machine.state();
        List<StateSection> before = state.sections();
        DeviceScope scope = make(part, part.type());
        for (StateSection section : state.sections()) {
            if (!before.contains(section)) {
                places.put(section, part.place());
                scope.onClose(() -> places.remove(section));
            }
        }
        return scope;
    }

    private <O extends Record> DeviceScope make(Part part, DeviceType<O> type)
            throws DeviceException {
        JsonObject told = new JsonObject();
        String bus = type.home().placement().bus(machine);
        for (String text : part.told()) {
            String[] nameAndValue = text.split("=", 2);
            if (nameAndValue[0].equals("bus")) {
                bus = nameAndValue[1];
            } else {
                told.put(nameAndValue[0], nameAndValue[1]);
            }
        }
        String path = part.path() == null ? tree.nextUnattached() : part.path();
        String on = bus == null ? "" : bus;
        O options = type.onBoard(told, globals(type.name()));
        DeviceRequest<O> request = new DeviceRequest<>(type, null, path, on, false, options);
        DeviceScope scope = new DeviceScope(machine);
        scope.within(board);
        Device device = type.realize(request, scope, tree);
        made.add(device);
        scope.onClose(() -> made.remove(device));
        if (paths.putIfAbsent(type.name(), path) == null) {
            scope.onClose(() -> paths.remove(type.name()));
        }
        return scope;
    }

    private Map<String, String> globals(String driver) {
        Map<String, String> own = new HashMap<>();
        globals.forEach(
                (name, value) -> {
                    if (name.startsWith(driver + ".")) {
                        own.put(name.substring(driver.length() + 1), value);
                    }
                });
        return own;
    }

    /** Where the first part of that type is in the object tree; empty if there is none yet. */
    String pathOf(String type) {
        return paths.getOrDefault(type, "");
    }

    /** The part of that class, or null if the board has none. */
    <D> @Nullable D find(Class<D> kind) {
        for (Device device : made) {
            Object part = device instanceof PciDevice pci ? pci.function() : device;
            if (kind.isInstance(part)) {
                return kind.cast(part);
            }
        }
        return null;
    }

    /** The part of that class, which every board has. */
    <D> D get(Class<D> kind) {
        D part = find(kind);
        if (part == null) {
            throw new IllegalStateException("the board has no " + kind.getSimpleName());
        }
        return part;
    }
}
