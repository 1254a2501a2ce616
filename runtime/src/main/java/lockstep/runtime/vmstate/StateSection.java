package lockstep.runtime.vmstate;

/**
 * One FULL section of the migration stream. Called under the machine lock while the VM is stopped.
 *
 * <p>{@link #describe} may store what it loads in the device's fields directly, but must validate each
 * value that later indexes, sizes or counts something. What a refused section left half done is {@link
 * #undoable taken back}, so a device is as the stream says or as it was.
 */
public interface StateSection {
    /** The name on the wire, with the bus path in front where the bus has one. */
    String name();

    /** Which of several sections of one name. */
    default int instance() {
        return 0;
    }

    /** The version written, and the newest that can be read. */
    int version();

    /** The oldest version that can be read. */
    default int minimumVersion() {
        return version();
    }

    /** Sections of higher priority are written first; the local APIC's is 1. */
    default int priority() {
        return 0;
    }

    /** Whether the section is written at all. */
    default boolean needed() {
        return true;
    }

    /**
     * Whether a device whose section is refused gets back what it had, by saving it before. Not for one whose
     * fields are a copy of what the kernel has: it hands them over in {@link #afterLoad} when all is well, and
     * fetches them before the next use.
     */
    default boolean undoable() {
        return true;
    }

    /** Describes the section's content, both ways. */
    void describe(StateCodec c) throws StateException;

    /** Brings derived state up to date before saving. */
    default void beforeSave() throws StateException {}

    /** Checks what was loaded and recomputes derived state (timers, interrupt levels, mappings). */
    default void afterLoad(int version) throws StateException {}
}
