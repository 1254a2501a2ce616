package lockstep.runtime.spi;

import lockstep.runtime.machine.Machine;

/** Makes devices of one driver. Called under the machine lock. */
@FunctionalInterface
public interface DeviceFactory {
    /** Makes the device and plugs it into the machine. Calls {@link DeviceOptions#finish}. */
    Device create(DeviceOptions options, Machine machine) throws DeviceException;
}
