package lockstep.runtime.spi;

import org.jspecify.annotations.Nullable;

import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;

/**
 * The properties of one device as the user gave them ({@code -device} text or JSON, {@code device_add},
 * {@code -global} underneath). Each accessor marks its property as known; {@link #finish} refuses what
 * the device did not ask for.
 */
public final class DeviceOptions {
    private final String driver;
    private final @Nullable String id;
    private final String path;
    private final @Nullable String bus;
    private final Map<String, String> values;
    private final Set<String> unknown;

    /** Of a device that the board makes. */
    public DeviceOptions(
            String driver, @Nullable String id, @Nullable String bus, Map<String, String> values) {
        this(driver, id, "/machine/unattached", bus, values);
    }

    /**
     * With every property but {@code driver}, {@code id} and {@code bus}; nested names are dotted.
     *
     * @param path where the device will be in the object tree
     */
    public DeviceOptions(
            String driver,
            @Nullable String id,
            String path,
            @Nullable String bus,
            Map<String, String> values) {
        this.driver = driver;
        this.id = id;
        this.path = path;
        this.bus = bus;
        this.values = new LinkedHashMap<>(values);
        this.unknown = new LinkedHashSet<>(values.keySet());
    }

    /** The driver's name, such as {@code e1000}. */
    public String driver() {
        return driver;
    }

    /** The id, unique among devices, or null. */
    public @Nullable String id() {
        return id;
    }

    /** What management calls the device: its id, or its path in the object tree. */
    public String name() {
        return id == null ? path : id;
    }

    /** The bus that the user chose, or null. */
    public @Nullable String bus() {
        return bus;
    }

    /** A text property, or null when it is not given. */
    public @Nullable String string(String name) {
        unknown.remove(name);
        return values.get(name);
    }

    /** A text property with its default. */
    public String string(String name, String fallback) {
        String value = string(name);
        return value == null ? fallback : value;
    }

    /** An on/off property with its default. */
    public boolean bool(String name, boolean fallback) throws DeviceException {
        String value = string(name);
        return switch (value) {
            case null -> fallback;
            case "on", "yes", "true", "y" -> true;
            case "off", "no", "false", "n" -> false;
            default -> throw new DeviceException("Parameter '" + name + "' expects 'on' or 'off'");
        };
    }

    /** An integer property (decimal, 0x hexadecimal) between {@code min} and {@code max}. */
    public long integer(String name, long fallback, long min, long max) throws DeviceException {
        String value = string(name);
        if (value == null) {
            return fallback;
        }
        long number;
        try {
            number = Long.decode(value);
        } catch (NumberFormatException e) {
            throw new DeviceException("Parameter '" + name + "' expects a number");
        }
        if (number < min || number > max) {
            throw new DeviceException(
                    "Property '" + driver + "." + name + "' doesn't take value '" + value + "'");
        }
        return number;
    }

    /**
     * Called when the device has read all it knows.
     *
     * @throws DeviceException {@code Property 'e1000.bogus' not found}
     */
    public void finish() throws DeviceException {
        for (String name : unknown) {
            throw new DeviceException("Property '" + driver + "." + name + "' not found");
        }
    }
}
