package lockstep.runtime.spi;

import org.jspecify.annotations.Nullable;

/**
 * One device that is to be made.
 *
 * @param type its type
 * @param id its identifier, unique among devices, or null
 * @param path where it will be in the object tree
 * @param bus the bus that it goes to
 * @param hotplugged whether the machine is complete already
 * @param options what it is told, with the usual value of whatever was not said
 * @param <O> the generated record of its options
 */
public record DeviceRequest<O extends Record>(
        DeviceType<O> type,
        @Nullable String id,
        String path,
        String bus,
        boolean hotplugged,
        O options) {
    /** The name of its type, such as {@code e1000}. */
    public String driver() {
        return type.name();
    }

    /** What management calls the device: its id, or its path in the object tree. */
    public String name() {
        return id == null ? path : id;
    }

    /**
     * Refuses what only exists because others have it, with another value than the usual.
     *
     * @throws DeviceException names the first such property
     */
    public void requireUsual(String... properties) throws DeviceException {
        type.requireUsual(options, properties);
    }

    /** The error for a value of the right type which cannot be. */
    public DeviceException refused(String property, Object value) {
        return refused(driver(), property, value);
    }

    /** The error for a value of the right type which cannot be. */
    public static DeviceException refused(String owner, String property, Object value) {
        return new DeviceException(
                "Property '" + owner + "." + property + "' doesn't take value '" + value + "'");
    }
}
