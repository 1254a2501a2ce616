package lockstep.runtime.loop;

import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The one lock that owns all device state of a virtual machine.
 *
 * <p>A vCPU thread holds it for the length of one device access, the main loop for the length of one
 * callback. It is never held across a blocking system call. Reentrant, so a callback may call code
 * that takes it again.
 */
public final class MachineLock {
    private final ReentrantLock lock = new ReentrantLock();

    /** Takes the lock; blocks until it is free. */
    public void acquire() {
        lock.lock();
    }

    /** Gives the lock back once. */
    public void release() {
        lock.unlock();
    }

    /** Whether the calling thread holds the lock. */
    public boolean held() {
        return lock.isHeldByCurrentThread();
    }

    /** A condition whose waiters release the lock while they wait. */
    public Condition condition() {
        return lock.newCondition();
    }

    /** Runs {@code body} under the lock. */
    public void run(Runnable body) {
        lock.lock();
        try {
            body.run();
        } finally {
            lock.unlock();
        }
    }
}
