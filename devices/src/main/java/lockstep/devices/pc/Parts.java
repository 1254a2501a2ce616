package lockstep.devices.pc;

import lockstep.devices.pci.PciDevice;
import lockstep.devices.piix4.PowerManagement;
import lockstep.qmp.JsonObject;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

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
    private final Map<String, String> globals;
    private final List<Device> made = new ArrayList<>();
    private final Map<String, String> paths = new HashMap<>();
    private final Map<StateSection, Place> places = new IdentityHashMap<>();

    /**
     * Of a machine without any.
     *
     * @param globals {@code driver.property} to value
     */
    Parts(Machine machine, ObjectTree tree, Map<String, String> globals) {
        this.machine = machine;
        this.tree = tree;
        this.globals = globals;
    }

    /** Makes all parts of a table in its order. */
    void make(List<Part> table) throws DeviceException {
        List<StateSection> before = machine.state().sections();
        for (Part part : table) {
            make(part, part.type());
            for (StateSection section : machine.state().sections()) {
                if (!before.contains(section)) {
                    places.putIfAbsent(section, part.place());
                }
            }
        }
        machine.state().arrange(s -> places.containsKey(s) ? 1 + places.get(s).ordinal() : 0);
    }

    private <O extends Record> void make(Part part, DeviceType<O> type) throws DeviceException {
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
        Device device = type.create(request, new DeviceScope(machine));
        made.add(device);
        paths.putIfAbsent(type.name(), path);
        List<QomProperty> shown = new ArrayList<>(type.properties(request, device));
        shown.add(tree.busLink(on));
        if (part.path() == null) {
            tree.addUnattached(type.name(), shown);
        } else {
            tree.add(path, type.name(), shown);
        }
        for (Device.Bus own : device.buses()) {
            tree.add(path + "/" + own.name(), own.type(), own.properties(handler(own, path)));
        }
    }

    private Supplier<String> handler(Device.Bus bus, String path) {
        return switch (bus.type()) {
            case PciDevice.BUS_TYPE -> () -> pathOf(PowerManagement.TYPE.name());
            case "usb-bus" -> () -> path + "/" + bus.name();
            default -> () -> "";
        };
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
