package lockstep.runtime.spi;

import lockstep.runtime.object.QomProperty;

import java.util.List;

/** One device of a machine, made by a {@link DeviceType}. Used under the machine lock. */
public interface Device {
    /** What qom-list, qom-get and info qtree show, in the order of declaration. */
    default List<QomProperty> properties() {
        return List.of();
    }

    /** The name of the bus it sits on, such as {@code pci.0}. */
    default String bus() {
        return "main-system-bus";
    }

    /** Whether device_del works. */
    default boolean removable() {
        return false;
    }

    /** Takes the device out of the machine; only called if {@link #removable}. */
    default void remove() throws DeviceException {
        throw new DeviceException("Device cannot be unplugged");
    }
}
