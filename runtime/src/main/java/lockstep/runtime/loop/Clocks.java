package lockstep.runtime.loop;

/** The three clocks of a process. Reads are safe from any thread. */
public interface Clocks {
    /** The clock's time in nanoseconds. */
    long now(ClockType clock);

    /** Guest time in nanoseconds. */
    default long virtual() {
        return now(ClockType.VIRTUAL);
    }
}
