package lockstep.runtime.process;

import lockstep.api.DeviceDeletedEvent;
import lockstep.api.ObjectPropertyInfo;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpException;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.spi.MigrationState;
import lockstep.runtime.spi.Vmm;

import org.jspecify.annotations.Nullable;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.BiPredicate;
import java.util.function.Function;

/** The device drivers and the devices that users made, from birth to death. Under the machine lock. */
public final class DeviceManager {
    /** The types of nodes of the object tree that are buses. */
    private static final Set<String> BUS_TYPES =
            Set.of("IDE", "ISA", "PCI", "System", "floppy-bus", "i2c-bus", "usb-bus");

    private static final String PERIPHERAL = "/machine/peripheral/";

    /** One device that a user made. */
    public static final class Made {
        private final DeviceRequest<?> request;
        private final Device device;
        private final DeviceScope scope;

        /** The guest's time until which it may think about letting the device go. */
        private long asked;

        private Made(DeviceRequest<?> request, Device device, DeviceScope scope) {
            this.request = request;
            this.device = device;
            this.scope = scope;
        }

        /** The name of its type. */
        public String driver() {
            return request.driver();
        }

        /** What the user calls it, or null. */
        public @Nullable String id() {
            return request.id();
        }

        /** The name of its bus. */
        public String bus() {
            return request.bus();
        }

        /** Where it is in the object tree. */
        public String path() {
            return request.path();
        }
    }

    private final Vmm vmm;
    private final Map<String, DeviceType<?>> types = new LinkedHashMap<>();
    private Function<String, @Nullable String> refusal = type -> null;
    private BiPredicate<String, String> kinship = String::equals;
    private final Map<String, Made> byPath = new LinkedHashMap<>();
    private final Map<String, Map<String, String>> globals = new LinkedHashMap<>();
    private int anonymous;

    /** Without drivers. */
    public DeviceManager(Vmm vmm) {
        this.vmm = vmm;
    }

    /** Whether a node of the object tree is a bus. */
    public static boolean isBus(ObjectTree.Node node) {
        return BUS_TYPES.contains(node.type());
    }

    /** Adds a driver. */
    public void type(DeviceType<?> type) {
        if (types.putIfAbsent(type.name(), type) != null) {
            throw new IllegalArgumentException("device driver " + type.name() + " exists already");
        }
    }

    /** Sets what says why users cannot add a device of a type; null from it: there is no such type. */
    public void refusal(Function<String, @Nullable String> why) {
        refusal = why;
    }

    /** Sets what says whether a type is, or specialises, another one. */
    public void kinship(BiPredicate<String, String> isA) {
        kinship = isA;
    }

    /** The drivers of a type and of all that specialise it. */
    public List<String> driversOf(String type) {
        return types.keySet().stream().filter(t -> kinship.test(t, type)).toList();
    }

    /** Whether there is a driver of that name, for users' devices or for parts of the board. */
    public boolean offers(String driver) {
        return types.containsKey(driver);
    }

    /** Whether there is a type of devices of that name, also one without a driver. */
    public boolean exists(String type) {
        return offers(type) || refusal.apply(type) != null;
    }

    /** The names of all drivers of devices that users can add. */
    public List<String> drivers() {
        return types.values().stream()
                .filter(t -> t.plugging() != DeviceType.Plugging.BUILT_IN)
                .map(DeviceType::name)
                .toList();
    }

    /** The type of the buses that devices of a driver go to; the driver must be there. */
    public String busType(String driver) {
        return Objects.requireNonNull(types.get(driver)).home().type();
    }

    /** What a user may set on a device of that type, or could if it were not built in. */
    public List<ObjectPropertyInfo> properties(String driver) {
        DeviceType<?> type = types.get(driver);
        return type == null ? List.of() : type.describe();
    }

    /** The devices of users, in order. */
    public List<Made> all() {
        return List.copyOf(byPath.values());
    }

    /** Sets a default of {@code -global driver.property=value}. */
    public void global(String driver, String property, String value) {
        globals.computeIfAbsent(driver, d -> new LinkedHashMap<>()).put(property, value);
    }

    /** Makes a device of the command line from text, among it {@code driver}, {@code id} and {@code bus}. */
    public void create(Map<String, String> text) throws DeviceException {
        add(texts(text), false, false);
    }

    /** Makes a device of the command line from JSON, with {@code driver}, {@code id} and {@code bus}. */
    public void create(JsonObject json) throws DeviceException {
        add(json, true, false);
    }

    /** device_add of HMP: the machine is complete. */
    public void plug(Map<String, String> text) throws DeviceException {
        add(texts(text), false, true);
    }

    /** device_add of QMP: the machine is complete. */
    public void plug(JsonObject json) throws DeviceException {
        add(json, true, true);
    }

    private static JsonObject texts(Map<String, String> text) {
        JsonObject object = new JsonObject();
        text.forEach((name, value) -> object.put(name, new JsonString(value)));
        return object;
    }

    private void add(JsonObject given, boolean typed, boolean hot) throws DeviceException {
        JsonObject rest = new JsonObject();
        given.inWireOrder().forEach(m -> rest.put(m.getKey(), m.getValue()));
        String driver = text(rest, "driver");
        String id = text(rest, "id");
        String wanted = text(rest, "bus");
        if (driver == null) {
            throw new DeviceException("Parameter 'driver' is missing");
        }
        DeviceType<?> type = types.get(driver);
        if (type == null) {
            String why = refusal.apply(driver);
            throw new DeviceException(
                    why == null ? "'" + driver + "' is not a valid device model name" : why);
        }
        if (type.plugging() == DeviceType.Plugging.BUILT_IN
                || hot && type.plugging() != DeviceType.Plugging.ANY_TIME) {
            throw new DeviceException("Parameter 'driver' expects a pluggable device type");
        }
        Machine machine = vmm.machine();
        String bus = bus(type, wanted, machine);
        if (bus == null || machine == null) {
            throw new DeviceException(
                    "No '%s' bus found for device '%s'".formatted(type.home().type(), driver));
        }
        if (hot && !type.home().hot()) {
            throw new DeviceException("Bus '" + bus + "' does not support hotplugging");
        }
        if (hot && migrating()) {
            throw new DeviceException("device_add not allowed while migrating");
        }
        if (id != null && byPath.containsKey(PERIPHERAL + id)) {
            throw new DeviceException("Duplicate device ID '" + id + "'");
        }
        make(type, id, bus, hot, rest, typed, machine);
    }

    /** The bus that was asked for, or one that fits; null if none fits. */
    private @Nullable String bus(
            DeviceType<?> type, @Nullable String wanted, @Nullable Machine machine)
            throws DeviceException {
        if (wanted == null) {
            return machine == null ? null : type.home().placement().bus(machine);
        }
        ObjectTree.Node node = vmm.objects().find(wanted);
        if (node == null || !isBus(node)) {
            throw new DeviceException("Bus '" + wanted + "' not found");
        }
        if (!node.type().equals(type.home().type())) {
            throw new DeviceException(
                    "Device '%s' can't go on %s bus".formatted(type.name(), node.type()));
        }
        return node.name();
    }

    private boolean migrating() {
        return vmm.find(MigrationState.class).map(MigrationState::busy).orElse(false);
    }

    private <O extends Record> void make(
            DeviceType<O> type,
            @Nullable String id,
            String bus,
            boolean hot,
            JsonObject given,
            boolean typed,
            Machine machine)
            throws DeviceException {
        O options = type.options(given, typed, globals.getOrDefault(type.name(), Map.of()));
        String path =
                id != null
                        ? PERIPHERAL + id
                        : "/machine/peripheral-anon/device[" + anonymous++ + "]";
        DeviceRequest<O> request = new DeviceRequest<>(type, id, path, bus, hot, options);
        DeviceScope scope = new DeviceScope(machine);
        // First in is last out: users learn of it when everything is given back.
        scope.onClose(() -> gone(path));
        Device device = type.realize(request, scope, vmm.objects());
        byPath.put(path, new Made(request, device, scope));
        if (hot) {
            device.announce();
        }
    }

    /** Takes all of them out, the newest first, without a word to anybody: at the end of the process. */
    public void closeAll() {
        List<Made> all = List.copyOf(byPath.values());
        byPath.clear();
        all.reversed().forEach(made -> made.scope.close());
    }

    private void gone(String path) {
        Made made = byPath.remove(path);
        if (made != null) {
            vmm.emit(new DeviceDeletedEvent(made.id(), path));
        }
    }

    /** Takes one of the members that all devices have. */
    private static @Nullable String text(JsonObject object, String name) throws DeviceException {
        JsonValue value = object.remove(name);
        if (value == null || value instanceof JsonString) {
            return value == null ? null : ((JsonString) value).value();
        }
        throw new DeviceException("Invalid parameter type for '" + name + "', expected: string");
    }

    /** device_del: takes the device out, or asks the guest to let it go. */
    public void remove(String idOrPath) throws QmpException {
        Made made = byPath.get(idOrPath.startsWith("/") ? idOrPath : PERIPHERAL + idOrPath);
        if (made == null) {
            throw notMade(idOrPath);
        }
        long now = vmm.clocks().virtual();
        if (now < made.asked) {
            throw new QmpException("Device " + idOrPath + " is already in the process of unplug");
        }
        DeviceType<?> type = made.request.type();
        if (!type.home().hot() || type.plugging() != DeviceType.Plugging.ANY_TIME) {
            throw stays(type, made.bus());
        }
        if (migrating()) {
            throw new QmpException("device_del not allowed while migrating");
        }
        made.asked = now + made.device.unplug(made.scope);
    }

    /** What is said of a path at which there is no device that a user made. */
    private QmpException notMade(String path) {
        ObjectTree.Node node = path.startsWith("/") ? vmm.objects().find(path) : null;
        if (node == null) {
            return new QmpException(ErrorClass.DEVICE_NOT_FOUND, "Device '" + path + "' not found");
        }
        DeviceType<?> type = types.get(node.type());
        return type == null
                ? new QmpException(path + " is not a hotpluggable device")
                : stays(type, bus(node));
    }

    /** The name of the bus that a part of the board sits on. */
    private static String bus(ObjectTree.Node node) {
        QomProperty bus = node.property("parent_bus");
        String path = bus == null ? "" : String.valueOf(bus.reader().get());
        String name = path.substring(path.lastIndexOf('/') + 1);
        return name.equals("sysbus") ? "main-system-bus" : name;
    }

    private static QmpException stays(DeviceType<?> type, String bus) {
        return new QmpException(
                type.home().hot()
                        ? "Device '" + type.name() + "' does not support hotplugging"
                        : "Bus '" + bus + "' does not support hotplugging");
    }
}
