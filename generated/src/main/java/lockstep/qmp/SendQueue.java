package lockstep.qmp;

import org.jspecify.annotations.Nullable;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The calls of one connection: those that wait to be written and those that wait for a reply. Calls
 * are written in their order, except that
 *
 * <ul>
 *   <li>out-of-band ones go first;
 *   <li>where out-of-band execution is on, at most {@link #WINDOW} others are under way, because a
 *       server whose queue is full stops reading and could not be reached out of band either;
 *   <li>one with file descriptors waits until the one before has its reply, because a server holds
 *       the descriptors of one message only.
 * </ul>
 */
final class SendQueue {
    /** One less than QEMU's queue (QMP_REQ_QUEUE_LEN_MAX). */
    static final int WINDOW = 7;

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition writable = lock.newCondition();
    private final Deque<Call> inBand = new ArrayDeque<>();
    private final Deque<Call> outOfBand = new ArrayDeque<>();
    private final Map<Long, Call> sent = new LinkedHashMap<>();
    private boolean windowed;
    private int inBandSent;
    private boolean descriptorsSent;
    private boolean closed;

    /** Out-of-band execution is on. */
    void limit() {
        lock.lock();
        try {
            windowed = true;
        } finally {
            lock.unlock();
        }
    }

    /** Adds a call; false when the connection is gone. */
    boolean add(Call call) {
        lock.lock();
        try {
            if (closed) {
                return false;
            }
            (call.outOfBand ? outOfBand : inBand).add(call);
            writable.signal();
            return true;
        } finally {
            lock.unlock();
        }
    }

    /** Waits for calls that may be written now; empty when the connection is gone. */
    List<Call> take() throws InterruptedException {
        List<Call> batch = new ArrayList<>();
        lock.lockInterruptibly();
        try {
            while (!closed) {
                Call call = next();
                if (call != null) {
                    batch.add(call);
                } else if (batch.isEmpty()) {
                    writable.await();
                } else {
                    return batch;
                }
            }
            return batch;
        } finally {
            lock.unlock();
        }
    }

    private @Nullable Call next() {
        Call call = outOfBand.poll();
        if (call == null) {
            call = inBand.peek();
            boolean full = windowed && inBandSent >= WINDOW;
            if (call == null || full || (descriptorsSent && !call.descriptors.isEmpty())) {
                return null;
            }
            inBand.remove();
        }
        descriptorsSent |= !call.descriptors.isEmpty();
        if (call.answered) {
            sent.put(call.id, call);
            inBandSent += call.outOfBand ? 0 : 1;
        }
        return call;
    }

    /** The call that a reply is for, which is then done; null when there is none. */
    @Nullable Call answered(long id) {
        lock.lock();
        try {
            Call call = sent.remove(id);
            if (call != null) {
                inBandSent -= call.outOfBand ? 0 : 1;
                descriptorsSent &= call.descriptors.isEmpty();
                writable.signal();
            }
            return call;
        } finally {
            lock.unlock();
        }
    }

    /** The id of the call that has waited longest for its reply in band, or null. */
    @Nullable Long oldest() {
        lock.lock();
        try {
            for (Call call : sent.values()) {
                if (!call.outOfBand) {
                    return call.id;
                }
            }
            return null;
        } finally {
            lock.unlock();
        }
    }

    /** Takes back a call that nobody waits for any more, if it was not written yet. */
    void withdraw(Call call) {
        lock.lock();
        try {
            if (!inBand.remove(call)) {
                outOfBand.remove(call);
            }
        } finally {
            lock.unlock();
        }
    }

    /** Ends all calls: whose reply has not come, its outcome is unknown. */
    void close(String why, @Nullable Throwable cause) {
        List<Call> unsent = new ArrayList<>();
        List<Call> unanswered = new ArrayList<>();
        lock.lock();
        try {
            closed = true;
            unsent.addAll(outOfBand);
            unsent.addAll(inBand);
            unanswered.addAll(sent.values());
            outOfBand.clear();
            inBand.clear();
            sent.clear();
            writable.signalAll();
        } finally {
            lock.unlock();
        }
        for (Call call : unanswered) {
            call.fail(
                    new QmpConnectionException(
                            why
                                    + " before '"
                                    + call.name
                                    + "' was answered; its outcome is unknown",
                            true,
                            cause));
        }
        for (Call call : unsent) {
            call.fail(
                    new QmpConnectionException(
                            why + " before '" + call.name + "' was sent", false, cause));
        }
    }

    /** Number of calls that wait for a reply or to be written. */
    int size() {
        lock.lock();
        try {
            return sent.size() + inBand.size() + outOfBand.size();
        } finally {
            lock.unlock();
        }
    }
}
