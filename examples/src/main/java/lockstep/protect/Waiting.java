package lockstep.protect;

import lockstep.qmp.QmpException;

import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** Waits for something that gets on, and notices when it does not. */
final class Waiting {
    private static final long POLL_NANOS = TimeUnit.MILLISECONDS.toNanos(20);

    private final Duration patience;
    private final String silence;
    private long last = Long.MIN_VALUE;
    private long since = System.nanoTime();

    /**
     * From now on.
     *
     * @param silence what to say when nothing has got on for so long
     */
    Waiting(Duration patience, String silence) {
        this.patience = patience;
        this.silence = silence;
    }

    /**
     * Waits a little.
     *
     * @param place how far it is
     * @throws QmpException when it has been there for too long
     */
    void at(long place) throws QmpException {
        long now = System.nanoTime();
        if (place != last) {
            last = place;
            since = now;
        } else if (now - since > patience.toNanos()) {
            throw new QmpException(
                    "%s for %.0f seconds".formatted(silence, patience.toNanos() / 1e9));
        }
        pause();
    }

    /** Whether that time is over for something that does not get on. */
    boolean over() {
        return System.nanoTime() - since > patience.toNanos();
    }

    static void pause() {
        LockSupport.parkNanos(POLL_NANOS);
    }
}
