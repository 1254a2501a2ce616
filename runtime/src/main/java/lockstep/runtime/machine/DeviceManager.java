package lockstep.runtime.machine;

import lockstep.api.DeviceDeletedEvent;
import lockstep.api.ObjectPropertyInfo;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.JsonBoolean;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpException;
import lockstep.runtime.Vmm;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceFactory;
import lockstep.runtime.spi.DeviceOptions;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/** The device drivers and the devices that users made. Under the machine lock. */
public final class DeviceManager {
    /** One device that a user made. */
    public record Made(String driver, @Nullable String id, String path, Device device) {}

    private final Vmm vmm;
    private final Map<String, DeviceFactory> factories = new LinkedHashMap<>();
    private Function<String, @Nullable String> refusal = type -> null;
    private final Map<String, Made> byPath = new LinkedHashMap<>();
    private final Map<String, String> globals = new LinkedHashMap<>();
    private int anonymous;

    /** Without drivers. */
    public DeviceManager(Vmm vmm) {
        this.vmm = vmm;
    }

    /** Adds a driver. */
    public void type(String driver, DeviceFactory factory) {
        if (factories.putIfAbsent(driver, factory) != null) {
            throw new IllegalArgumentException("device driver " + driver + " exists already");
        }
    }

    /** Sets what says why users cannot add a device of a type; null from it: there is no such type. */
    public void refusal(Function<String, @Nullable String> why) {
        refusal = why;
    }

    /** The names of all drivers. */
    public List<String> drivers() {
        return List.copyOf(factories.keySet());
    }

    /** What a user may set on a driver. */
    public List<ObjectPropertyInfo> properties(String driver) {
        DeviceFactory factory = factories.get(driver);
        return factory == null ? List.of() : factory.properties();
    }

    /** The devices of users, in order. */
    public List<Made> all() {
        return List.copyOf(byPath.values());
    }

    /** Sets a default of {@code -global driver.property=value}. */
    public void global(String driver, String property, String value) {
        globals.put(driver + "." + property, value);
    }

    /** A device that can be made, as far as is known before its factory has looked at it. */
    private record Request(DeviceFactory factory, DeviceOptions options, Machine machine) {}

    /**
     * Makes a device of the command line from flat properties, among them {@code driver}, {@code id} and
     * {@code bus}.
     */
    public void create(Map<String, String> properties) throws DeviceException {
        Request request = request(properties);
        DeviceOptions options = request.options();
        Device device = request.factory().create(options, request.machine());
        String id = options.id();
        String path = path(id);
        if (id == null) {
            anonymous++;
        }
        byPath.put(path, new Made(options.driver(), id, path, device));
        vmm.objects().add(path, options.driver(), device.properties());
    }

    /** Where the next device goes in the object tree. */
    private String path(@Nullable String id) {
        return id != null
                ? "/machine/peripheral/" + id
                : "/machine/peripheral-anon/device[" + anonymous + "]";
    }

    /** device_add: refuses, as no bus here takes devices once the machine is complete. */
    public void plug(Map<String, String> properties) throws DeviceException {
        Request request = request(properties);
        String bus = request.factory().bus(request.options(), request.machine());
        throw new DeviceException("Bus '" + bus + "' does not support hotplugging");
    }

    private Request request(Map<String, String> properties) throws DeviceException {
        Map<String, String> rest = new LinkedHashMap<>(properties);
        String driver = rest.remove("driver");
        String id = rest.remove("id");
        String bus = rest.remove("bus");
        if (driver == null) {
            throw new DeviceException("Parameter 'driver' is missing");
        }
        DeviceFactory factory = factories.get(driver);
        if (factory == null) {
            String why = refusal.apply(driver);
            throw new DeviceException(
                    why == null ? "'" + driver + "' is not a valid device model name" : why);
        }
        Machine machine = vmm.machine();
        if (machine == null) {
            throw new DeviceException(
                    "No '" + busType(driver) + "' bus found for device '" + driver + "'");
        }
        if (id != null && find(id) != null) {
            throw new DeviceException("Duplicate device ID '" + id + "'");
        }
        Map<String, String> defaults = new LinkedHashMap<>();
        globals.forEach(
                (key, value) -> {
                    if (key.startsWith(driver + ".")) {
                        defaults.put(key.substring(driver.length() + 1), value);
                    }
                });
        return new Request(
                factory, new DeviceOptions(driver, id, path(id), bus, rest, defaults), machine);
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

    /** Flat properties of a JSON object; nested members get dotted names. */
    public static Map<String, String> flatten(JsonObject object) throws QmpException {
        Map<String, String> flat = new LinkedHashMap<>();
        flatten("", object, flat);
        return flat;
    }

    private static void flatten(String prefix, JsonObject object, Map<String, String> flat)
            throws QmpException {
        List<String> names = new ArrayList<>(object.members().keySet());
        for (String name : names) {
            JsonValue value = object.get(name);
            switch (value) {
                case JsonObject inner -> flatten(prefix + name + ".", inner, flat);
                case JsonString s -> flat.put(prefix + name, s.value());
                case JsonBoolean b -> flat.put(prefix + name, b.value() ? "on" : "off");
                case null -> {}
                case lockstep.qmp.JsonNumber n -> flat.put(prefix + name, n.toString());
                default ->
                        throw new QmpException(
                                "Invalid parameter type for '"
                                        + prefix
                                        + name
                                        + "', expected: string");
            }
        }
    }
}
