package lockstep.runtime.machine;

/** What a board does when its guest goes to sleep with its RAM kept (ACPI S3). Called under the machine lock, vCPUs paused. */
public interface Sleep {
    /** What woke the guest. */
    enum Reason {
        /** The alarm of the clock. */
        ALARM,
        /** A user, or what came for the guest. */
        OTHER
    }

    /** The guest is about to sleep: notes what the firmware has to know at the next reset. */
    void begin();

    /** The machine has been reset, and the guest goes on. */
    void end(Reason reason);
}
