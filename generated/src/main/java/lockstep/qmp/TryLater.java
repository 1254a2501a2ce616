package lockstep.qmp;

import java.util.concurrent.TimeUnit;

/**
 * Thrown by a command that cannot go on yet and has changed nothing: whoever dispatched it runs it once more a little
 * later, and has time for others meanwhile.
 */
public final class TryLater extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** When the command was run first, as {@link System#nanoTime} tells; bound by those who run it again. */
    public static final ScopedValue<Long> FIRST = ScopedValue.newInstance();

    private TryLater() {
        super(null, null, false, false);
    }

    /** Whether the present command would be run again. */
    public static boolean possible() {
        return FIRST.isBound();
    }

    /** Throws if the present command would be run again and began less than {@code patience} nanoseconds ago. */
    public static void within(long patience) {
        if (possible() && System.nanoTime() - FIRST.get() < patience) {
            throw new TryLater();
        }
    }

    /** The time between two runs. */
    public static long pauseNanos() {
        return TimeUnit.MILLISECONDS.toNanos(20);
    }
}
