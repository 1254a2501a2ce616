package lockstep.colo.checkpoint;

import lockstep.api.FailoverStatus;
import lockstep.runtime.trace.Trace;
import lockstep.runtime.trace.TraceEvent;

import java.util.concurrent.CountDownLatch;

/** How far the failover of one session is, and the thread's wait for its end. Any thread. */
final class Failover {
    private static final TraceEvent TRACE = Trace.event("colo_failover_set_state");

    private FailoverStatus state = FailoverStatus.NONE;
    private final CountDownLatch released = new CountDownLatch(1);

    synchronized FailoverStatus state() {
        return state;
    }

    /** Whether one was asked for. */
    boolean wanted() {
        return state() != FailoverStatus.NONE;
    }

    /** Changes the state if it is {@code from}. */
    synchronized boolean move(FailoverStatus from, FailoverStatus to) {
        if (state != from) {
            return false;
        }
        state = to;
        TRACE.log("new state " + to.wireName());
        return true;
    }

    /** Lets the session's thread end. */
    void release() {
        released.countDown();
    }

    /** Waits, for as long as it takes, until the failover is done. */
    void awaitRelease() {
        boolean interrupted = false;
        while (true) {
            try {
                released.await();
                break;
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
