package lockstep.qmp;

import java.time.Duration;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/** What a client waits by: time limits of calls, and delays between attempts to connect. */
@FunctionalInterface
public interface QmpTimer {
    /**
     * Runs a task once after a delay. The task is short and does not block.
     *
     * @return cancels the task if it has not run; may be called in any case
     */
    Runnable after(Duration delay, Runnable task);

    /** A timer by the system's clock, with one daemon thread for all clients of the process. */
    static QmpTimer system() {
        return SystemTimer.INSTANCE;
    }

    /** Started by its first use. */
    final class SystemTimer implements QmpTimer {
        private static final SystemTimer INSTANCE = new SystemTimer();

        private final ScheduledThreadPoolExecutor executor;

        private SystemTimer() {
            executor =
                    new ScheduledThreadPoolExecutor(
                            1, Thread.ofPlatform().daemon().name("qmp-timer").factory());
            // Nearly all time limits are cancelled by the reply.
            executor.setRemoveOnCancelPolicy(true);
        }

        @Override
        public Runnable after(Duration delay, Runnable task) {
            ScheduledFuture<?> scheduled =
                    executor.schedule(task, delay.toNanos(), TimeUnit.NANOSECONDS);
            return () -> scheduled.cancel(false);
        }
    }
}
