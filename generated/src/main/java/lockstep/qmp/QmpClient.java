package lockstep.qmp;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.function.Predicate;

/**
 * A client of a QMP server: commands, events and the life of the connection. The typed methods for all
 * commands of a schema are in the class {@code Client} generated from it, which takes one of these.
 *
 * <p><b>Life.</b> {@link Builder#connect} gives a client that is connected; {@link Builder#start} one
 * that connects by and by. A connection that is lost fails all commands under way, as their outcome is
 * unknown. With a {@link Backoff} the client then connects again by itself, and commands fail until it
 * has; without one it is closed. {@link #close} ends everything and may be called by any thread.
 *
 * <p><b>Threads.</b> All methods may be called by any thread. One virtual thread reads, one writes; they
 * run no code of the user's except the {@link EventReader}. Listeners and futures run on the client's
 * executor, each listener on one thread at a time and in order. A listener may block, run commands and
 * close the client. One that is slow delays only itself: up to {@link Builder#queueCapacity} messages
 * wait for it, then the oldest are dropped, and the next one it gets says how many. Between an event
 * and a reply that come together, listener and future may run in either order.
 */
public final class QmpClient implements QmpCaller, AutoCloseable {
    private final Builder settings;
    private final EventHub events;
    private final Caller caller;
    private final Connector connector;
    private final AtomicLong ids = new AtomicLong();
    private final List<Mailbox<QmpMessage>> taps = new CopyOnWriteArrayList<>();
    private final List<Mailbox<QmpStateChange>> stateListeners = new CopyOnWriteArrayList<>();

    private QmpClient(Builder settings) {
        this.settings = settings;
        this.events =
                new EventHub(
                        settings.events,
                        settings.historyLength,
                        settings.queueCapacity,
                        settings.executor);
        this.caller = new Caller(this, false, settings.timeout, List.of());
        this.connector = new Connector(settings, new Connection(), this::changed);
    }

    /** A client with the defaults for that server; its events are {@link UnknownEvent}s. */
    public static QmpClient connect(QmpAddress address) throws IOException {
        return builder(address).connect();
    }

    /** A client to be set up. */
    public static Builder builder(QmpAddress address) {
        return new Builder(address);
    }

    // Commands

    @Override
    public <A, R> CompletableFuture<QmpReply<R>> requestAsync(
            QmpCommand<A, R> command, A arguments) {
        return caller.requestAsync(command, arguments);
    }

    @Override
    public <A, R> QmpReply<R> request(QmpCommand<A, R> command, A arguments)
            throws QmpException, IOException {
        return caller.request(command, arguments);
    }

    @Override
    public CompletableFuture<JsonValue> executeAsync(String command, JsonObject arguments) {
        return caller.executeAsync(command, arguments);
    }

    @Override
    public JsonValue execute(String command, JsonObject arguments)
            throws QmpException, IOException {
        return caller.execute(command, arguments);
    }

    @Override
    public QmpCaller outOfBand() {
        return caller.outOfBand();
    }

    @Override
    public QmpCaller withTimeout(Duration limit) {
        return caller.withTimeout(limit);
    }

    @Override
    public QmpCaller withDescriptors(Descriptor... descriptors) {
        return caller.withDescriptors(descriptors);
    }

    /**
     * Sends an object as it is, be it a request or not, and gives the message that answers it, be it
     * {@code return} or {@code error}. Only its {@code id} is replaced on the way, and put back into
     * the answer.
     */
    public CompletableFuture<JsonObject> send(JsonObject message) {
        JsonValue id = message.get("id");
        Caller how =
                message.has("exec-oob") && !message.has("execute")
                        ? new Caller(this, true, settings.timeout, List.of())
                        : caller;
        String name =
                message.get("execute") instanceof JsonString command
                        ? command.value()
                        : "a raw message";
        Call call =
                start(
                        how,
                        name,
                        true,
                        visitor ->
                                message.members()
                                        .forEach(
                                                (key, value) -> {
                                                    if (!key.equals("id")) {
                                                        visitor.any(key, value);
                                                    }
                                                }));
        CompletableFuture<JsonObject> result =
                call.reply.thenApplyAsync(
                        reply -> {
                            JsonObject answer = new JsonObject();
                            reply.members().forEach(answer::put);
                            answer.remove("id");
                            return id == null ? answer : answer.put("id", id);
                        },
                        settings.executor);
        withdrawWhenCancelled(call, result);
        return result;
    }

    /** Starts a call; what goes wrong is in its future. */
    Call start(Caller how, String name, boolean answered, Consumer<OutputVisitor> members) {
        long id = ids.incrementAndGet();
        Call call = call(id, how, name, answered, members);
        Session current = connector.session();
        if (current == null) {
            call.fail(
                    new QmpConnectionException(
                            "'" + name + "' was not sent: the client is " + describe(),
                            false,
                            null));
            return call;
        }
        if (how.inOutOfBand() && !current.outOfBand()) {
            throw new UnsupportedOperationException(
                    "'"
                            + name
                            + "' cannot run out of band: the server did not offer it, or the client"
                            + " was built without it.");
        }
        if (!how.descriptors().isEmpty() && !current.passesDescriptors()) {
            throw new UnsupportedOperationException(
                    "File descriptors go over UNIX sockets only, and the client must be built with"
                            + " descriptorPassing(true).");
        }
        current.submit(call);
        if (how.limit().isPositive() && !call.reply.isDone()) {
            Runnable cancel =
                    settings.timer.after(
                            how.limit(),
                            () -> {
                                current.withdraw(call);
                                call.reply.completeExceptionally(
                                        new QmpTimeoutException(
                                                "No reply to '"
                                                        + name
                                                        + "' within "
                                                        + how.limit()
                                                        + "; it may still be carried out"));
                            });
            call.reply.whenComplete((reply, failure) -> cancel.run());
        }
        return call;
    }

    private static Call call(
            long id, Caller how, String name, boolean answered, Consumer<OutputVisitor> members) {
        byte[] text =
                StreamCodec.write(
                        members,
                        (value, visitor, none) -> {
                            visitor.startStruct(none);
                            value.accept(visitor);
                            visitor.integer("id", id);
                            visitor.endStruct();
                        });
        byte[] line = java.util.Arrays.copyOf(text, text.length + 1);
        line[text.length] = '\n';
        return new Call(id, name, line, how.inOutOfBand(), answered, how.descriptors());
    }

    void withdraw(Call call) {
        Session current = connector.session();
        if (current != null) {
            current.withdraw(call);
        }
    }

    void withdrawWhenCancelled(Call call, CompletableFuture<?> result) {
        result.whenComplete(
                (value, failure) -> {
                    if (failure instanceof CancellationException) {
                        withdraw(call);
                        call.reply.cancel(false);
                    }
                });
    }

    Executor executor() {
        return settings.executor;
    }

    // Events and messages

    /** Calls the listener for each event of a type; {@code QmpEvent.class} means all events. */
    public <E extends QmpEvent> Subscription on(
            Class<E> type, Consumer<? super EventMessage<E>> listener) {
        return events.listen(type, event -> true, listener);
    }

    /** Calls the listener for each event of a wire name, such as {@code STOP}, known or not. */
    public Subscription on(String eventName, Consumer<? super EventMessage<QmpEvent>> listener) {
        return on(QmpEvent.class, event -> event.eventName().equals(eventName), listener);
    }

    /** Calls the listener for each event of a type that the filter wants; the filter is quick. */
    public <E extends QmpEvent> Subscription on(
            Class<E> type,
            Predicate<? super E> filter,
            Consumer<? super EventMessage<E>> listener) {
        return events.listen(type, filter, listener);
    }

    /** Collects the events of a type from now on, to be fetched. */
    public <E extends QmpEvent> EventQueue<E> events(Class<E> type) {
        return events(type, event -> true);
    }

    /** Collects the events of a type that the filter wants from now on; the filter is quick. */
    public <E extends QmpEvent> EventQueue<E> events(Class<E> type, Predicate<? super E> filter) {
        return events.queue(type, filter);
    }

    /**
     * The latest events, oldest first, at most {@link Builder#history}. Those that came before a reply
     * are in it when that reply is given.
     */
    public List<EventMessage<?>> history() {
        return events.history();
    }

    /** Calls the listener for every message that goes over the wire, with the bounds of events. */
    public Subscription onMessage(Consumer<? super QmpMessage> listener) {
        return register(taps, listener);
    }

    /** Calls the listener when the connection comes or goes. */
    public Subscription onState(Consumer<? super QmpStateChange> listener) {
        return register(stateListeners, listener);
    }

    private <T> Subscription register(List<Mailbox<T>> list, Consumer<? super T> listener) {
        Mailbox<T> mailbox =
                new Mailbox<>(
                        settings.queueCapacity,
                        settings.executor,
                        (message, missed) -> listener.accept(message));
        list.add(mailbox);
        return new Subscription() {
            @Override
            public void close() {
                list.remove(mailbox);
                mailbox.close();
            }

            @Override
            public long dropped() {
                return mailbox.dropped();
            }
        };
    }

    // Life of the connection

    /** Where the connection stands. */
    public QmpState state() {
        return connector.state();
    }

    /** What the server said of itself last; null before the first connection. */
    public @Nullable QmpGreeting greeting() {
        return connector.greeting();
    }

    /**
     * Completes when the client is connected, at once if it is; fails when it is closed before. A new
     * future for each caller.
     */
    public CompletableFuture<QmpGreeting> ready() {
        return connector.ready();
    }

    /** The program of a {@link QmpAddress.Program}; null for other addresses and before the start. */
    public @Nullable Process process() {
        return connector.process();
    }

    private String describe() {
        return switch (state()) {
            case CONNECTING -> "still connecting";
            case CONNECTED -> "connected anew";
            case WAITING -> "waiting to connect again";
            case CLOSED -> "closed";
        };
    }

    /** Ends the connection, and the program where there is one. Commands under way fail. */
    @Override
    public void close() {
        connector.close(new QmpConnectionException("The client was closed", false, null));
    }

    private void changed(QmpStateChange change) {
        stateListeners.forEach(listener -> listener.post(change));
        if (change.state() == QmpState.CLOSED) {
            events.end();
        }
    }

    /** What a session sees of this client. */
    private final class Connection implements Session.Owner {
        @Override
        public Call negotiation(boolean outOfBand) {
            JsonObject arguments = new JsonObject();
            if (outOfBand) {
                arguments.put("enable", new JsonArray().add(new JsonString("oob")));
            }
            return call(
                    ids.incrementAndGet(),
                    caller,
                    "qmp_capabilities",
                    true,
                    visitor -> {
                        visitor.string("execute", "qmp_capabilities");
                        visitor.any("arguments", arguments);
                    });
        }

        @Override
        public void event(String name, JsonObject message) {
            events.received(name, message);
        }

        @Override
        public void message(QmpMessage.Direction direction, JsonValue message) {
            if (!taps.isEmpty()) {
                QmpMessage made = new QmpMessage(direction, message);
                taps.forEach(tap -> tap.post(made));
            }
        }

        @Override
        public boolean wantsSent() {
            return !taps.isEmpty();
        }

        @Override
        public void lost(Session lost, Throwable cause) {
            connector.failed(lost, cause);
        }
    }

    /** How a client is set up. Not for use by several threads. */
    public static final class Builder {
        final QmpAddress address;
        private EventReader events = UnknownEvent::new;
        Executor executor = task -> Thread.ofVirtual().name("qmp-callback").start(task);
        QmpTimer timer = QmpTimer.system();
        private Duration timeout = Duration.ofMinutes(1);
        Duration connectTimeout = Duration.ofSeconds(10);
        @Nullable Backoff backoff;
        boolean retryFirst;
        long seed = System.nanoTime();
        boolean outOfBand = true;
        private boolean descriptorPassing;
        private int historyLength = 256;
        private int queueCapacity = 4096;

        private Builder(QmpAddress address) {
            this.address = address;
        }

        /** How events are typed: {@code Event::read} of the generated schema. */
        public Builder events(EventReader reader) {
            events = reader;
            return this;
        }

        /** Time limit of each command; zero for none, one minute if not set. */
        public Builder timeout(Duration limit) {
            timeout = limit;
            return this;
        }

        /** Time limit from connecting to the end of negotiation; zero for none, 10 s if not set. */
        public Builder connectTimeout(Duration limit) {
            connectTimeout = limit;
            return this;
        }

        /** Connects again when the connection is lost. */
        public Builder reconnect(Backoff delays) {
            if (address instanceof QmpAddress.Streams) {
                throw new IllegalStateException("Given streams cannot be connected again.");
            }
            backoff = delays;
            return this;
        }

        /** Seeds the random part of the delays; by the system's clock if not set. */
        public Builder seed(long value) {
            seed = value;
            return this;
        }

        /** What time limits and delays go by; the system's clock if not set. */
        public Builder timer(QmpTimer value) {
            timer = value;
            return this;
        }

        /** Whether to negotiate out-of-band execution where it is offered; true if not set. */
        public Builder outOfBand(boolean wanted) {
            outOfBand = wanted;
            return this;
        }

        /**
         * Whether file descriptors will be passed, which takes a UNIX socket and Linux, and native access
         * ({@code --enable-native-access=lockstep.qmp}); false if not set.
         */
        public Builder descriptorPassing(boolean wanted) {
            descriptorPassing = wanted;
            return this;
        }

        /** How many events {@link QmpClient#history} keeps; 256 if not set. */
        public Builder history(int length) {
            historyLength = length;
            return this;
        }

        /** How many messages wait for each listener and in each queue; 4096 if not set. */
        public Builder queueCapacity(int messages) {
            if (messages < 1) {
                throw new IllegalArgumentException("A queue needs room for a message.");
            }
            queueCapacity = messages;
            return this;
        }

        /** What runs listeners and completes futures; a new virtual thread each if not set. */
        public Builder executor(Executor value) {
            executor = value;
            return this;
        }

        /**
         * Connects and negotiates.
         *
         * @throws IOException when that fails; a {@link QmpTimeoutException} when it takes too long
         */
        public QmpClient connect() throws IOException {
            QmpClient client = new QmpClient(this);
            CompletableFuture<QmpGreeting> ready = client.ready();
            client.connector.attempt();
            try {
                ready.get();
                return client;
            } catch (InterruptedException e) {
                client.close();
                Thread.currentThread().interrupt();
                throw new InterruptedIOException("interrupted while connecting to " + address);
            } catch (ExecutionException e) {
                client.close();
                throw e.getCause() instanceof IOException cause ? cause : new IOException(e);
            }
        }

        /**
         * Starts to connect, and goes on until it succeeds where {@link #reconnect} was set. Wait with
         * {@link QmpClient#ready}.
         */
        public QmpClient start() {
            retryFirst = true;
            QmpClient client = new QmpClient(this);
            client.connector.attempt();
            return client;
        }

        /** A new transport that is not connected yet. */
        Transport transport() throws IOException {
            if (descriptorPassing) {
                if (address instanceof QmpAddress.Unix unix) {
                    return new DescriptorTransport(unix.path());
                }
                throw new UnsupportedOperationException(
                        "File descriptors go over UNIX sockets only, not over " + address + ".");
            }
            return switch (address) {
                case QmpAddress.Unix unix -> new SocketTransport(unix);
                case QmpAddress.Tcp tcp -> new SocketTransport(tcp);
                case QmpAddress.Program program -> new StreamTransport(program);
                case QmpAddress.Streams streams -> new StreamTransport(streams);
            };
        }
    }
}
