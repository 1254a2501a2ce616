package lockstep.runtime.spi;

import lockstep.qmp.NumberText;

import org.jspecify.annotations.Nullable;

import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.OptionalLong;
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
    private final Set<String> globals;

    /** Of a device that the board makes. */
    public DeviceOptions(
            String driver, @Nullable String id, @Nullable String bus, Map<String, String> values) {
        this(driver, id, "/machine/unattached", bus, values, Map.of());
    }

    /**
     * With every property but {@code driver}, {@code id} and {@code bus}; nested names are dotted.
     *
     * @param path where the device will be in the object tree
     * @param globals defaults of {@code -global}, which {@code values} come before
     */
    public DeviceOptions(
            String driver,
            @Nullable String id,
            String path,
            @Nullable String bus,
            Map<String, String> values,
            Map<String, String> globals) {
        this.driver = driver;
        this.id = id;
        this.path = path;
        this.bus = bus;
        this.values = new LinkedHashMap<>(globals);
        this.values.putAll(values);
        this.unknown = new LinkedHashSet<>(this.values.keySet());
        this.globals = new LinkedHashSet<>(globals.keySet());
        this.globals.removeAll(values.keySet());
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
            default -> throw refusal(name, "Parameter '" + name + "' expects 'on' or 'off'");
        };
    }

    /**
     * An integer property between {@code min} and {@code max}: 32 bits, signed if {@code min} is
     * negative. Decimal, 0x hexadecimal or 0 octal.
     */
    public long integer(String name, long fallback, long min, long max) throws DeviceException {
        String value = string(name);
        if (value == null) {
            return fallback;
        }
        boolean signed = min < 0;
        OptionalLong read =
                (signed ? NumberText.signed(value) : NumberText.wrapping(value)).toOptional();
        if (read.isEmpty()) {
            throw refusal(name, value, signed ? "int64" : "uint64");
        }
        long number = read.getAsLong();
        if (signed ? number != (int) number : number >>> 32 != 0) {
            throw refusal(
                    name, "Parameter '" + name + "' expects " + (signed ? "int32_t" : "uint32_t"));
        }
        if (number < min || number > max) {
            throw refusal(
                    name,
                    "Property '" + driver + "." + name + "' doesn't take value '" + value + "'");
        }
        return number;
    }

    /** A 64-bit unsigned property; negative texts stand for their 64 bits. */
    public long uint64(String name, long fallback) throws DeviceException {
        String value = string(name);
        if (value == null) {
            return fallback;
        }
        OptionalLong read = NumberText.wrapping(value).toOptional();
        if (read.isEmpty()) {
            throw refusal(name, value, "uint64");
        }
        return read.getAsLong();
    }

    /** A property in bytes that takes suffixes, between {@code min} and {@code max}. */
    public long size(String name, long fallback, long min, long max) throws DeviceException {
        String value = string(name);
        if (value == null) {
            return fallback;
        }
        OptionalLong read = NumberText.size(value).toOptional();
        if (read.isEmpty()) {
            throw refusal(name, "Parameter '" + name + "' expects size");
        }
        long size = read.getAsLong();
        if (size < min || size > max) {
            throw refusal(
                    name,
                    "Property ."
                            + name
                            + " doesn't take value "
                            + size
                            + " (minimum: "
                            + min
                            + ", maximum: "
                            + max
                            + ")");
        }
        return size;
    }

    /** The text for what is no integer: options and the defaults of -global are read by two readers. */
    private DeviceException refusal(String name, String value, String type) {
        String expected = globals.contains(name) ? type : "integer";
        return refusal(name, "Parameter '" + name + "' expects " + expected);
    }

    private DeviceException refusal(String name, String text) {
        String origin =
                globals.contains(name)
                        ? "can't apply global "
                                + driver
                                + "."
                                + name
                                + "="
                                + values.get(name)
                                + ": "
                        : "";
        return new DeviceException(origin + text);
    }

    /**
     * Called when the device has read all it knows.
     *
     * @throws DeviceException {@code Property 'e1000.bogus' not found}
     */
    public void finish() throws DeviceException {
        for (String name : unknown) {
            throw refusal(name, "Property '" + driver + "." + name + "' not found");
        }
    }
}
