package lockstep.colo.checkpoint;

import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;

/**
 * How much time is from one checkpoint to the next: as much as the user allows at most, and less while the
 * guest stands longer in each than the user wishes, because a guest that changed less stands less. Never so
 * little that it stands most of the time: what no haste can shorten is borne. Where packets wait for the period to end it
 * is shortened too. Any thread.
 */
final class CheckpointPace {
    private static final double MOST_HASTE = 0.5;
    private static final double MOST_EASE = 1.25;

    /** A guest runs at least this many times as long as it stands. */
    private static final int SHARE = 4;

    private final LongSupplier most;
    private final LongSupplier wantedPause;
    private double present = Double.MAX_VALUE;

    /** With the sources of the longest period and of the wanted most pause, both in milliseconds; pause 0 for no wish. */
    CheckpointPace(LongSupplier most, LongSupplier wantedPause) {
        this.most = most;
        this.wantedPause = wantedPause;
    }

    /** The present period in milliseconds. */
    synchronized long millis() {
        return wantedPause.getAsLong() == 0
                ? most.getAsLong()
                : (long) Math.min(most.getAsLong(), present);
    }

    /**
     * The guest stood for a checkpoint.
     *
     * @param nanos for how long
     * @param waited whether packets waited for the time to come that set off the checkpoint
     */
    synchronized void stood(long nanos, boolean waited) {
        double pause = Math.max(1, nanos) / (double) TimeUnit.MILLISECONDS.toNanos(1);
        double limit = waited ? MOST_HASTE : MOST_EASE;
        double change = Math.clamp(wantedPause.getAsLong() / pause, MOST_HASTE, limit);
        present = Math.max(millis() * change, (SHARE + 1) * pause);
    }
}
