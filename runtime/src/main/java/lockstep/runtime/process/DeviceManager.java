package lockstep.runtime.process;

import lockstep.api.DeviceDeletedEvent;
import lockstep.api.ObjectPropertyInfo;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpException;
import lockstep.runtime.machine.BuiltinParts;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.spi.Vmm;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/** The device drivers and the devices that users made. Under the machine lock. */
public final class DeviceManager {
    /** One device that a user made. */
    public record Made(
            String driver,
            @Nullable String id,
            String path,
            Device device,
            List<QomProperty> properties) {}

    private final Vmm vmm;
    private final Map<String, DeviceType<?>> types = new LinkedHashMap<>();
    private Function<String, @Nullable String> refusal = type -> null;
    private final Map<String, Made> byPath = new LinkedHashMap<>();
    private final Map<String, Map<String, String>> globals = new LinkedHashMap<>();
    private int anonymous;

    /** Without drivers. */
    public DeviceManager(Vmm vmm) {
        this.vmm = vmm;
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

    /** The names of all drivers. */
    public List<String> drivers() {
        return List.copyOf(types.keySet());
    }

    /** What a user may set on a device of that type, or could if it were not built in. */
    public List<ObjectPropertyInfo> properties(String driver) {
        DeviceType<?> type = types.get(driver);
        return type == null ? BuiltinParts.options(driver) : type.describe();
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
        plan(texts(text), false).create();
    }

    /** Makes a device of the command line from JSON, with {@code driver}, {@code id} and {@code bus}. */
    public void create(JsonObject json) throws DeviceException {
        plan(json, true).create();
    }

    /** device_add of HMP. */
    public void plug(Map<String, String> text) throws DeviceException {
        plan(texts(text), false).plug();
    }

    /** device_add of QMP: refuses, as no bus here takes devices once the machine is complete. */
    public void plug(JsonObject json) throws DeviceException {
        plan(json, true).plug();
    }

    private static JsonObject texts(Map<String, String> text) {
        JsonObject object = new JsonObject();
        text.forEach((name, value) -> object.put(name, new JsonString(value)));
        return object;
    }

    /** A device that can be made, as far as is known before its factory has looked at it. */
    private final class Plan<O extends Record> {
        private final DeviceType<O> type;
        private final DeviceRequest<O> request;
        private final Machine machine;

        Plan(DeviceType<O> type, DeviceRequest<O> request, Machine machine) {
            this.type = type;
            this.request = request;
            this.machine = machine;
        }

        void create() throws DeviceException {
            Device device = type.create(request, machine);
            String id = request.id();
            if (id == null) {
                anonymous++;
            }
            String path = request.path();
            List<QomProperty> properties = new ArrayList<>(type.properties(request, device));
            properties.add(BuiltinParts.parentBus(vmm.objects(), device.bus()));
            byPath.put(path, new Made(type.name(), id, path, device, properties));
            vmm.objects().add(path, type.name(), properties);
        }

        void plug() throws DeviceException {
            throw new DeviceException(
                    "Bus '" + type.bus(request, machine) + "' does not support hotplugging");
        }
    }

    /** Where the next device goes in the object tree. */
    private String path(@Nullable String id) {
        return id != null
                ? "/machine/peripheral/" + id
                : "/machine/peripheral-anon/device[" + anonymous + "]";
    }

    private Plan<?> plan(JsonObject given, boolean typed) throws DeviceException {
        JsonObject rest = new JsonObject();
        given.inWireOrder().forEach(m -> rest.put(m.getKey(), m.getValue()));
        String driver = text(rest, "driver");
        String id = text(rest, "id");
        String bus = text(rest, "bus");
        if (driver == null) {
            throw new DeviceException("Parameter 'driver' is missing");
        }
        DeviceType<?> type = types.get(driver);
        if (type == null) {
            String why = refusal.apply(driver);
            throw new DeviceException(
                    why == null ? "'" + driver + "' is not a valid device model name" : why);
        }
        Machine machine = vmm.machine();
        if (machine == null) {
            throw new DeviceException(
                    bus != null
                            ? "Bus '" + bus + "' not found"
                            : "No '" + busType(driver) + "' bus found for device '" + driver + "'");
        }
        if (id != null && find(id) != null) {
            throw new DeviceException("Duplicate device ID '" + id + "'");
        }
        return plan(type, id, bus, rest, typed, machine);
    }

    private <O extends Record> Plan<O> plan(
            DeviceType<O> type,
            @Nullable String id,
            @Nullable String bus,
            JsonObject given,
            boolean typed,
            Machine machine)
            throws DeviceException {
        O options = type.options(given, typed, globals.getOrDefault(type.name(), Map.of()));
        return new Plan<>(
                type, new DeviceRequest<>(type.name(), id, path(id), bus, options), machine);
    }

    /** Takes one of the members that all devices have. */
    private static @Nullable String text(JsonObject object, String name) throws DeviceException {
        JsonValue value = object.remove(name);
        if (value == null || value instanceof JsonString) {
            return value == null ? null : ((JsonString) value).value();
        }
        throw new DeviceException("Invalid parameter type for '" + name + "', expected: string");
    }

    private static String busType(String driver) {
        return switch (driver.substring(0, driver.indexOf('-') + 1)) {
            case "usb-" -> "usb-bus";
            case "ide-" -> "IDE";
            case "isa-" -> "ISA";
            default -> "PCI";
        };
    }

    /** The device of that id or path, or null. */
    public @Nullable Made find(String idOrPath) {
        Made made = byPath.get(idOrPath);
        return made != null ? made : byPath.get("/machine/peripheral/" + idOrPath);
    }

    /** device_del. */
    public void remove(String idOrPath) throws QmpException {
        Made made = find(idOrPath);
        if (made == null) {
            throw new QmpException(
                    ErrorClass.DEVICE_NOT_FOUND, "Device '" + idOrPath + "' not found");
        }
        if (!made.device().removable()) {
            throw new QmpException(
                    "Bus '" + made.device().bus() + "' does not support hotplugging");
        }
        try {
            made.device().remove();
        } catch (DeviceException e) {
            throw new QmpException(ErrorClass.GENERIC_ERROR, String.valueOf(e.getMessage()), e);
        }
        byPath.remove(made.path());
        vmm.objects().remove(made.path());
        vmm.emit(new DeviceDeletedEvent(made.id(), made.path()));
    }
}
