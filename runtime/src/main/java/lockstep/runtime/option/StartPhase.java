package lockstep.runtime.option;

/**
 * The steps of starting a process, in their order. Command-line options take effect in the step they
 * belong to, and within it in the order of the command line, as in QEMU.
 */
public enum StartPhase {
    /** Process-wide settings: names, log files, accelerator, machine choice. Nothing is opened. */
    SETTINGS,
    /** Objects that others refer to: I/O threads, secrets, throttle groups. */
    EARLY_OBJECTS,
    /** Character devices; one with {@code wait=on} holds up everything behind it. */
    CHARDEVS,
    /** Block nodes and drives. */
    BLOCK,
    /** Net back ends. */
    NETDEVS,
    /** All other objects: filters, colo-compare, memory back ends. */
    OBJECTS,
    /** Monitors; they answer from here on, once the main loop runs. */
    MONITORS,
    /** The board and its built-in devices, before {@code -device}. */
    MACHINE,
    /** Devices from {@code -device}, in order. */
    DEVICES,
    /** The last step before the main loop: reset, incoming migration, start of the guest. */
    LAUNCH;

    /** Whether the step belongs to what {@code --preconfig} puts off. */
    public boolean late() {
        return compareTo(MACHINE) >= 0;
    }
}
