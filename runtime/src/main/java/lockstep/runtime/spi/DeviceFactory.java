package lockstep.runtime.spi;

import lockstep.api.ObjectPropertyInfo;
import lockstep.runtime.machine.Machine;

import java.util.List;

/** Makes devices of one driver. Called under the machine lock. */
@FunctionalInterface
public interface DeviceFactory {
    /** Makes the device and plugs it into the machine. Calls {@link DeviceOptions#finish}. */
    Device create(DeviceOptions options, Machine machine) throws DeviceException;

    /**
     * The name of the bus that the device would go to, such as {@code pci.0}.
     *
     * @throws DeviceException there is no such bus
     */
    default String bus(DeviceOptions options, Machine machine) throws DeviceException {
        String chosen = options.bus();
        return chosen == null ? "main-system-bus" : chosen;
    }

    /** What device-list-properties answers. */
    default List<ObjectPropertyInfo> properties() {
        return List.of();
    }
}
