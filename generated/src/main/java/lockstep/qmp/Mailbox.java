package lockstep.qmp;

import java.lang.System.Logger;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.Executor;
import java.util.concurrent.locks.ReentrantLock;

/**
 * What stands between the reader and one listener: messages in order, one at a time, on the executor.
 * Whoever posts never waits; when the box is full the oldest message goes.
 */
final class Mailbox<T> {
    private static final Logger LOG = System.getLogger(Mailbox.class.getName());

    /** Takes a message and how many were dropped before it. */
    interface Receiver<T> {
        void receive(T message, long missed);
    }

    private final int capacity;
    private final Executor executor;
    private final Receiver<T> receiver;
    private final ReentrantLock lock = new ReentrantLock();
    private final Deque<T> waiting = new ArrayDeque<>();
    private boolean draining;
    private boolean closed;
    private long missed;
    private long dropped;

    Mailbox(int capacity, Executor executor, Receiver<T> receiver) {
        this.capacity = capacity;
        this.executor = executor;
        this.receiver = receiver;
    }

    void post(T message) {
        lock.lock();
        try {
            if (closed) {
                return;
            }
            if (waiting.size() == capacity) {
                waiting.remove();
                missed++;
                dropped++;
            }
            waiting.add(message);
            if (draining) {
                return;
            }
            draining = true;
        } finally {
            lock.unlock();
        }
        executor.execute(this::drain);
    }

    private void drain() {
        while (true) {
            T message;
            long gap;
            lock.lock();
            try {
                message = waiting.poll();
                if (message == null || closed) {
                    draining = false;
                    return;
                }
                gap = missed;
                missed = 0;
            } finally {
                lock.unlock();
            }
            try {
                receiver.receive(message, gap);
            } catch (RuntimeException e) {
                LOG.log(Logger.Level.WARNING, "A listener failed; it stays registered.", e);
            }
        }
    }

    void close() {
        lock.lock();
        try {
            closed = true;
            waiting.clear();
        } finally {
            lock.unlock();
        }
    }

    long dropped() {
        lock.lock();
        try {
            return dropped;
        } finally {
            lock.unlock();
        }
    }
}
