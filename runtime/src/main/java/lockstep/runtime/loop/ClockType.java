package lockstep.runtime.loop;

/** The clocks that timers run on. All count nanoseconds. */
public enum ClockType {
    /** Monotonic host time; never stops. */
    REALTIME,
    /** The guest's time: stands still while the virtual machine is stopped, travels in migration. */
    VIRTUAL,
    /** The host's wall clock since the Unix epoch; may jump. */
    HOST
}
