package lockstep.colo.checkpoint;

import org.jspecify.annotations.Nullable;

import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;

/**
 * How long the phases of a session may take. Each has the whole budget, but for those of a pause, which
 * share one: so the guest never stands longer. Past it the connection is cut, which ends whatever read or
 * write the session's thread is blocked in.
 *
 * <p>The session's thread says what it is about to do; a thread of the budget's own, which takes no other
 * lock, watches.
 */
final class TimeBudget implements AutoCloseable {
    private static final LongSupplier NONE = () -> 0;

    private final String title;
    private final LongSupplier millis;
    private final Runnable cut;

    // Under this.
    private boolean watching;
    private boolean pausing;
    private boolean closed;
    private long budget;
    private long deadline;
    private String missing = "";
    private LongSupplier progress = NONE;
    private long seen;

    private volatile @Nullable String exceeded;

    /**
     * @param title what messages begin with
     * @param millis the present budget in milliseconds, 0 for none
     * @param cut ends blocked calls on the connection and does not block
     */
    TimeBudget(String title, LongSupplier millis, Runnable cut) {
        this.title = title;
        this.millis = millis;
        this.cut = cut;
        Thread.ofPlatform().daemon().name("colo budget").start(this::watch);
    }

    /** A phase begins; {@code what} is missing as long as it lasts. */
    void phase(String what) {
        phase(what, NONE);
    }

    /** Likewise; outside of a pause the budget begins anew as long as {@code moved}, read by any thread, changes. */
    synchronized void phase(String what, LongSupplier moved) {
        missing = what;
        if (!pausing) {
            progress = moved;
            begin();
        }
    }

    /** The guest is about to stop: up to {@link #rest} all phases share one budget. */
    synchronized void pause() {
        pausing = true;
        missing = "end of the guest's disk writes";
        progress = NONE;
        begin();
    }

    /** Nothing is missing for now. */
    void rest() {
        rest("");
    }

    /** Likewise; but {@code what} is waited for, as long as it takes. */
    synchronized void rest(String what) {
        pausing = false;
        watching = false;
        missing = what;
    }

    /** How many milliseconds the present phase may still take, 0 for ever. */
    synchronized long left() {
        long whole = millis.getAsLong();
        if (whole == 0 || !watching) {
            return whole;
        }
        return Math.max(1, TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime()));
    }

    /** What went wrong, with the phase in which it did. */
    synchronized String tell(String error) {
        return missing.isEmpty() || error.startsWith(title)
                ? error
                : "%s: no %s: %s".formatted(title, missing, error);
    }

    private void begin() {
        budget = millis.getAsLong();
        watching = budget > 0;
        deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(budget);
        seen = progress.getAsLong();
        notifyAll();
    }

    /** What was missing when the budget was spent; null as long as it is not. */
    @Nullable String exceeded() {
        return exceeded;
    }

    private void watch() {
        if (spent()) {
            cut.run();
        }
    }

    private synchronized boolean spent() {
        try {
            while (!closed) {
                long left = deadline - System.nanoTime();
                long now = progress.getAsLong();
                if (!watching) {
                    wait();
                } else if (left > 0) {
                    TimeUnit.NANOSECONDS.timedWait(this, left);
                } else if (now != seen) {
                    begin();
                } else {
                    exceeded =
                            "%s: no %s within %d ms%s"
                                    .formatted(
                                            title,
                                            missing,
                                            budget,
                                            pausing ? " of the guest's stop" : "");
                    return true;
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        return false;
    }

    /** Ends the watch. */
    @Override
    public synchronized void close() {
        closed = true;
        notifyAll();
    }
}
