package lockstep.qmp;

import org.jspecify.annotations.Nullable;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.Predicate;

/**
 * Events to be fetched when it suits: opened before the command that causes them, so that none is
 * missed. Bounded; when it is full the oldest event goes, and the next one says how many did. Any
 * thread.
 */
public final class EventQueue<E extends QmpEvent> implements Subscription, EventHub.Sink {
    private final int capacity;
    private final Class<E> type;
    private final Predicate<? super E> filter;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private final Deque<EventMessage<E>> waiting = new ArrayDeque<>();
    private final Consumer<EventQueue<E>> onClose;
    private boolean ended;
    private long missed;
    private long dropped;

    EventQueue(
            int capacity,
            Class<E> type,
            Predicate<? super E> filter,
            Consumer<EventQueue<E>> onClose) {
        this.capacity = capacity;
        this.type = type;
        this.filter = filter;
        this.onClose = onClose;
    }

    @Override
    public void post(EventMessage<?> message) {
        EventMessage<E> wanted = EventHub.Sink.select(message, type, filter);
        if (wanted == null) {
            return;
        }
        lock.lock();
        try {
            if (ended) {
                return;
            }
            if (waiting.size() == capacity) {
                waiting.remove();
                missed++;
                dropped++;
            }
            waiting.add(wanted);
            changed.signal();
        } finally {
            lock.unlock();
        }
    }

    /**
     * The next event, or null when none came in time or the client is closed and all were fetched.
     *
     * @param limit how long to wait; zero not to wait
     */
    public @Nullable EventMessage<E> poll(Duration limit) throws InterruptedException {
        long left = limit.toNanos();
        lock.lockInterruptibly();
        try {
            while (waiting.isEmpty() && !ended && left > 0) {
                left = changed.awaitNanos(left);
            }
            EventMessage<E> message = waiting.poll();
            if (message == null) {
                return null;
            }
            long gap = missed;
            missed = 0;
            return message.withMissed(gap);
        } finally {
            lock.unlock();
        }
    }

    // Those that wait can still be fetched.
    @Override
    public void end() {
        lock.lock();
        try {
            ended = true;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void close() {
        end();
        onClose.accept(this);
    }

    @Override
    public long dropped() {
        lock.lock();
        try {
            return dropped;
        } finally {
            lock.unlock();
        }
    }
}
