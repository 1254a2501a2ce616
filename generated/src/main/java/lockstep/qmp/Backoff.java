package lockstep.qmp;

import java.time.Duration;
import java.util.random.RandomGenerator;

/**
 * How long to wait before each attempt to connect again: a delay that grows by a factor up to a
 * limit, of which a random part is left out so that many clients do not come at once.
 *
 * @param first delay before the first attempt
 * @param limit the longest delay
 * @param factor growth from one attempt to the next, at least 1
 * @param jitter the part of each delay that is random, from 0 to 1
 */
public record Backoff(Duration first, Duration limit, double factor, double jitter) {
    /** From 100 ms to 10 s, doubling, a quarter of it random. */
    public static final Backoff DEFAULT =
            new Backoff(Duration.ofMillis(100), Duration.ofSeconds(10), 2, 0.25);

    /** Checks the ranges. */
    public Backoff {
        if (first.isNegative() || limit.compareTo(first) < 0 || !(factor >= 1)) {
            throw new IllegalArgumentException(
                    "Delays must not be negative or shrink: "
                            + first
                            + " to "
                            + limit
                            + " by "
                            + factor);
        }
        if (!(jitter >= 0 && jitter <= 1)) {
            throw new IllegalArgumentException("Jitter " + jitter + " is not from 0 to 1.");
        }
    }

    /**
     * The delay before an attempt.
     *
     * @param attempt from 1
     */
    Duration delay(int attempt, RandomGenerator random) {
        double full = Math.min(limit.toNanos(), first.toNanos() * Math.pow(factor, attempt - 1.0));
        return Duration.ofNanos((long) (full * (1 - jitter * random.nextDouble())));
    }
}
