package lockstep.runtime.spi;

import lockstep.api.MachineOptionsMembers;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.object.RecordType;

import java.util.List;

/**
 * A kind of board.
 *
 * @param <O> the generated record of what {@code -machine} can tell it
 */
public interface MachineType<O extends Record & MachineOptionsMembers> {
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

    /** What {@code -machine} can tell it, with the usual values. */
    RecordType<O> options();

    /** The most vCPUs. */
    default int maxCpus() {
        return 1;
    }

    /**
     * Builds the board with its built-in devices. The vCPUs are paused.
     *
     * @param options what {@code -machine} said, with the usual value of what it did not say
     *
     * @throws DeviceException when it cannot be built: no accelerator, no firmware, bad property
     */
    Machine create(MachineConfig config, O options, Vmm vmm) throws DeviceException;
}
