package lockstep.runtime.spi;

import lockstep.api.ObjectPropertyInfo;
import lockstep.runtime.machine.Machine;

import java.util.List;

/** Makes devices of one driver. Called under the machine lock. */
@FunctionalInterface
public interface DeviceFactory {
    /** Makes the device and plugs it into the machine. Calls {@link DeviceOptions#finish}. */
    Device create(DeviceOptions options, Machine machine) throws DeviceException;

    /** What device-list-properties answers. */
    default List<ObjectPropertyInfo> properties() {
        return List.of();
    }
}
