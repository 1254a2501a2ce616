package lockstep.qmp;

import org.jspecify.annotations.Nullable;

import java.time.Duration;

/**
 * A change of a client's connection.
 *
 * @param state what it is now
 * @param cause why, where it was lost or an attempt failed; null otherwise
 * @param attempt number of the attempt since the last connection, from 1; 0 where none is meant
 * @param delay time until the next attempt; zero unless {@link QmpState#WAITING}
 */
public record QmpStateChange(
        QmpState state, @Nullable Throwable cause, int attempt, Duration delay) {}
