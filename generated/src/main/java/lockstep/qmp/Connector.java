package lockstep.qmp;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.time.Duration;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.random.RandomGenerator;

/**
 * The life of a client's connections: one session after the other, with delays in between, until it is
 * closed or there is no {@link Backoff}. Any thread.
 */
final class Connector {
    private final QmpClient.Builder settings;
    private final Session.Owner owner;
    private final Consumer<QmpStateChange> listener;
    private final RandomGenerator random;

    private final ReentrantLock lock = new ReentrantLock();
    private QmpState state = QmpState.CONNECTING;
    private @Nullable Transport transport;
    private @Nullable Session session;
    private @Nullable QmpGreeting greeting;
    private CompletableFuture<QmpGreeting> ready = new CompletableFuture<>();
    private Runnable cancelRetry = () -> {};
    private int attempt;

    /**
     * Sets what connections are made with.
     *
     * @param listener told of each change under a lock; does not block
     */
    Connector(QmpClient.Builder settings, Session.Owner owner, Consumer<QmpStateChange> listener) {
        this.settings = settings;
        this.owner = owner;
        this.listener = listener;
        this.random = new Random(settings.seed);
    }

    QmpState state() {
        lock.lock();
        try {
            return state;
        } finally {
            lock.unlock();
        }
    }

    @Nullable QmpGreeting greeting() {
        lock.lock();
        try {
            return greeting;
        } finally {
            lock.unlock();
        }
    }

    CompletableFuture<QmpGreeting> ready() {
        lock.lock();
        try {
            return ready.copy();
        } finally {
            lock.unlock();
        }
    }

    @Nullable Process process() {
        lock.lock();
        try {
            return transport instanceof StreamTransport streams ? streams.process() : null;
        } finally {
            lock.unlock();
        }
    }

    /** The session, if commands can be run over it. */
    @Nullable Session session() {
        lock.lock();
        try {
            return state == QmpState.CONNECTED ? session : null;
        } finally {
            lock.unlock();
        }
    }

    /** Ends it for good, by the user's wish. */
    void close(Throwable reason) {
        finish(reason, null);
    }

    private void change(QmpState next, @Nullable Throwable cause, Duration delay) {
        state = next;
        QmpStateChange change = new QmpStateChange(next, cause, attempt, delay);
        listener.accept(change);
    }

    private void finish(Throwable reason, @Nullable Throwable cause) {
        Session current;
        Transport open;
        CompletableFuture<QmpGreeting> waiting;
        lock.lock();
        try {
            if (state == QmpState.CLOSED) {
                return;
            }
            change(QmpState.CLOSED, cause, Duration.ZERO);
            cancelRetry.run();
            current = session;
            open = transport;
            if (ready.isDone()) {
                ready = new CompletableFuture<>();
            }
            waiting = ready;
        } finally {
            lock.unlock();
        }
        if (current != null) {
            current.close(reason);
        }
        if (open != null) {
            open.close();
        }
        waiting.completeExceptionally(reason);
    }

    /** Connects once, on a thread of its own. */
    void attempt() {
        lock.lock();
        try {
            if (state == QmpState.CLOSED) {
                return;
            }
            attempt++;
            change(QmpState.CONNECTING, null, Duration.ZERO);
        } finally {
            lock.unlock();
        }
        Thread.ofVirtual().name("qmp-connect " + settings.address).start(this::open);
    }

    private void open() {
        Transport opened;
        try {
            opened = settings.transport();
        } catch (IOException | RuntimeException e) {
            failed(null, e);
            return;
        }
        lock.lock();
        try {
            transport = opened;
            if (state == QmpState.CLOSED) {
                opened.close();
                return;
            }
        } finally {
            lock.unlock();
        }
        QmpTimeoutException late =
                new QmpTimeoutException(
                        "No greeting from "
                                + settings.address
                                + " within "
                                + settings.connectTimeout
                                + "; another client may be connected");
        Session made = new Session(owner, opened, settings.outOfBand);
        Runnable cancel =
                settings.connectTimeout.isPositive()
                        ? settings.timer.after(
                                settings.connectTimeout, () -> expire(made, opened, late))
                        : () -> {};
        made.ready()
                .whenComplete(
                        (greeted, failure) -> {
                            cancel.run();
                            if (failure == null) {
                                connected(made, greeted);
                            }
                        });
        try {
            opened.connect();
            lock.lock();
            try {
                session = made;
            } finally {
                lock.unlock();
            }
            made.start(settings.address.toString());
        } catch (IOException | RuntimeException e) {
            cancel.run();
            opened.close();
            failed(made, e);
        }
    }

    private void expire(Session made, Transport opened, QmpTimeoutException late) {
        // Closing a program may take a moment, and the timer has other tasks.
        settings.executor.execute(
                () -> {
                    if (made.ready().completeExceptionally(late)) {
                        made.close(late);
                        failed(made, late);
                    }
                });
    }

    private void connected(Session made, QmpGreeting greeted) {
        CompletableFuture<QmpGreeting> waiting;
        lock.lock();
        try {
            if (state != QmpState.CONNECTING || session != made) {
                return;
            }
            greeting = greeted;
            change(QmpState.CONNECTED, null, Duration.ZERO);
            attempt = 0;
            waiting = ready;
        } finally {
            lock.unlock();
        }
        waiting.completeAsync(() -> greeted, settings.executor);
    }

    /** A connection was lost, or could not be made. */
    void failed(@Nullable Session lost, Throwable cause) {
        lock.lock();
        try {
            if (state == QmpState.CLOSED || (lost != null && !lost.end())) {
                return;
            }
            session = null;
            Backoff backoff = settings.backoff;
            if (backoff != null && (settings.retryFirst || greeting != null)) {
                if (ready.isDone()) {
                    ready = new CompletableFuture<>();
                }
                Duration delay = backoff.delay(attempt + 1, random);
                attempt++;
                change(QmpState.WAITING, cause, delay);
                attempt--;
                cancelRetry = settings.timer.after(delay, this::attempt);
                return;
            }
        } finally {
            lock.unlock();
        }
        finish(cause, cause);
    }
}
