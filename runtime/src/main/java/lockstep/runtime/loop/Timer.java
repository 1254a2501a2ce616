package lockstep.runtime.loop;

/** A one-shot alarm on a loop. Any thread may call it; the callback runs on the loop. */
public interface Timer {
    /** Not armed, as a deadline. Also what the migration stream carries for an idle timer. */
    long NEVER = -1;

    /** Arms or moves the alarm to an absolute time in nanoseconds of its clock; {@link #NEVER} cancels. */
    void arm(long deadline);

    /** Disarms; a callback already running is not waited for. */
    void cancel();

    /** The absolute deadline, or {@link #NEVER}. */
    long deadline();

    /** Whether the alarm is set. */
    default boolean armed() {
        return deadline() != NEVER;
    }
}
