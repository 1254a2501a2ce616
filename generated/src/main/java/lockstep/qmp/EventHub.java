package lockstep.qmp;

import org.jspecify.annotations.Nullable;

import java.lang.System.Logger;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executor;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.Predicate;

/** Makes events of messages, keeps the latest ones and hands them to listeners and queues. */
final class EventHub {
    private static final Logger LOG = System.getLogger(EventHub.class.getName());

    private final EventReader reader;
    private final int historyLength;
    private final int capacity;
    private final Executor executor;
    private final ReentrantLock lock = new ReentrantLock();
    private final Deque<EventMessage<?>> history = new ArrayDeque<>();
    private final List<Sink> sinks = new CopyOnWriteArrayList<>();

    EventHub(EventReader reader, int historyLength, int capacity, Executor executor) {
        this.reader = reader;
        this.historyLength = historyLength;
        this.capacity = capacity;
        this.executor = executor;
    }

    /** Takes a message that has an {@code event} member. Called by the reader; does not block. */
    void received(String name, JsonObject message) {
        JsonObject data =
                message.get("data") instanceof JsonObject object ? object : new JsonObject();
        QmpEvent event;
        try {
            event = reader.read(name, data);
        } catch (QmpException e) {
            LOG.log(
                    Logger.Level.DEBUG,
                    "Event {0} does not fit the schema and is given as unknown: {1}",
                    name,
                    e.description());
            event = new UnknownEvent(name, data);
        }
        EventMessage<QmpEvent> made = new EventMessage<>(time(message), event, message, 0);
        if (historyLength > 0) {
            lock.lock();
            try {
                if (history.size() == historyLength) {
                    history.remove();
                }
                history.add(made);
            } finally {
                lock.unlock();
            }
        }
        sinks.forEach(sink -> sink.post(made));
    }

    private static Instant time(JsonObject message) {
        if (message.get("timestamp") instanceof JsonObject stamp
                && stamp.get("seconds") instanceof JsonNumber seconds
                && stamp.get("microseconds") instanceof JsonNumber microseconds) {
            try {
                return Instant.ofEpochSecond(
                        seconds.signed().orElse(0), microseconds.signed().orElse(0) * 1000);
            } catch (DateTimeException | ArithmeticException e) {
                return Instant.EPOCH;
            }
        }
        return Instant.EPOCH;
    }

    List<EventMessage<?>> history() {
        lock.lock();
        try {
            return new ArrayList<>(history);
        } finally {
            lock.unlock();
        }
    }

    <E extends QmpEvent> Subscription listen(
            Class<E> type,
            Predicate<? super E> filter,
            Consumer<? super EventMessage<E>> listener) {
        Listener<E> made = new Listener<>(type, filter, listener);
        sinks.add(made);
        return made;
    }

    <E extends QmpEvent> EventQueue<E> queue(Class<E> type, Predicate<? super E> filter) {
        EventQueue<E> made = new EventQueue<>(capacity, type, filter, sinks::remove);
        sinks.add(made);
        return made;
    }

    /** The client is closed. */
    void end() {
        sinks.forEach(Sink::end);
    }

    /** Where events go. */
    interface Sink {
        /** Takes an event without waiting. */
        void post(EventMessage<?> message);

        /** No more events come. */
        void end();

        /** The message if it is wanted, typed; else null. */
        static <E extends QmpEvent> @Nullable EventMessage<E> select(
                EventMessage<?> message, Class<E> type, Predicate<? super E> filter) {
            if (!type.isInstance(message.event())) {
                return null;
            }
            E event = type.cast(message.event());
            return filter.test(event)
                    ? new EventMessage<>(message.time(), event, message.raw(), 0)
                    : null;
        }
    }

    private final class Listener<E extends QmpEvent> implements Sink, Subscription {
        private final Class<E> type;
        private final Predicate<? super E> filter;
        private final Mailbox<EventMessage<E>> mailbox;

        Listener(
                Class<E> type,
                Predicate<? super E> filter,
                Consumer<? super EventMessage<E>> listener) {
            this.type = type;
            this.filter = filter;
            this.mailbox =
                    new Mailbox<>(
                            capacity,
                            executor,
                            (message, missed) -> listener.accept(message.withMissed(missed)));
        }

        @Override
        public void post(EventMessage<?> message) {
            EventMessage<E> wanted = Sink.select(message, type, filter);
            if (wanted != null) {
                mailbox.post(wanted);
            }
        }

        @Override
        public void end() {
            // What waits in the mailbox is still delivered.
        }

        @Override
        public void close() {
            sinks.remove(this);
            mailbox.close();
        }

        @Override
        public long dropped() {
            return mailbox.dropped();
        }
    }
}
