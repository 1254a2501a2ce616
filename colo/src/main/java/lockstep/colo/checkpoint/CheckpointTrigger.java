package lockstep.colo.checkpoint;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.LongSupplier;

/**
 * What sets off a checkpoint: the time since the last trigger, a request, the end of the session. Each
 * trigger sets the clock anew; the period counts from trigger to trigger. Any thread; never blocks on
 * anything but its own short lock.
 */
final class CheckpointTrigger {
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private final LongSupplier delayMillis;
    private long deadline;
    private boolean pending;
    private boolean requested;
    private boolean ended;

    /** With the source of the present delay. */
    CheckpointTrigger(LongSupplier delayMillis) {
        this.delayMillis = delayMillis;
    }

    private long delay() {
        return TimeUnit.MILLISECONDS.toNanos(delayMillis.getAsLong());
    }

    /** Starts the clock. */
    void start() {
        lock.lock();
        try {
            deadline = System.nanoTime() + delay();
        } finally {
            lock.unlock();
        }
    }

    /** A checkpoint is due now. */
    void request() {
        lock.lock();
        try {
            pending = true;
            requested = true;
            deadline = System.nanoTime() + delay();
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** Nothing is to be waited for any more. */
    void end() {
        lock.lock();
        try {
            ended = true;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** Waits until a checkpoint is due or the session ends. Returns whether the time alone made it due. */
    boolean await() {
        lock.lock();
        try {
            while (!ended && !pending) {
                long left = deadline - System.nanoTime();
                if (left <= 0) {
                    expire();
                } else {
                    changed.awaitNanos(left);
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            ended = true;
        } finally {
            lock.unlock();
        }
        return !requested;
    }

    /** Triggers up to now are answered by the checkpoint under way. */
    void clear() {
        lock.lock();
        try {
            if (deadline - System.nanoTime() <= 0) {
                expire();
            }
            pending = false;
            requested = false;
        } finally {
            lock.unlock();
        }
    }

    private void expire() {
        pending = true;
        long now = System.nanoTime();
        long delay = delay();
        // Periods that passed unnoticed during a long checkpoint count as one trigger.
        deadline = delay == 0 ? now : deadline + ((now - deadline) / delay + 1) * delay;
    }
}
