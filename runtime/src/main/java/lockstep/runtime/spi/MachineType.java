package lockstep.runtime.spi;

import lockstep.runtime.machine.Machine;

import java.util.List;

/** A kind of board. */
public interface MachineType {
    /** The versioned name, such as {@code pc-i440fx-10.2}. */
    String name();

    /** Other names; the default type answers to {@code pc} too. */
    List<String> aliases();

    /** The line of {@code -machine help}. */
    String description();

    /** Whether it is used when {@code -machine} names none. */
    default boolean isDefault() {
        return false;
    }

    /** What the object is called that becomes its RAM when the user names none. */
    String memoryId();

    /** The most vCPUs. */
    default int maxCpus() {
        return 1;
    }

    /**
     * Builds the board with its built-in devices. The vCPUs are paused.
     *
     * @throws DeviceException when it cannot be built: no accelerator, no firmware, bad property
     */
    Machine create(MachineConfig config, Vmm vmm) throws DeviceException;
}
