package lockstep.qmp;

import org.jspecify.annotations.Nullable;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.System.Logger;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * One connection from its greeting to its end: a thread that reads and one that writes. The reader
 * hands everything on without waiting for anybody, so that nothing a user does delays a reply.
 */
final class Session {
    private static final Logger LOG = System.getLogger(Session.class.getName());
    private static final int BATCH = 64 * 1024;

    /** What the session tells the client; called by the reader, and must not block. */
    interface Owner {
        /** A request of the client's own, with an id that is new. */
        Call negotiation(boolean outOfBand);

        void event(String name, JsonObject message);

        void message(QmpMessage.Direction direction, JsonValue message);

        /** Whether anybody wants the messages sent, which have to be read again for it. */
        boolean wantsSent();

        void lost(Session session, Throwable cause);
    }

    private final Owner owner;
    private final Transport transport;
    private final boolean wantsOutOfBand;
    private final SendQueue queue = new SendQueue();
    private final CompletableFuture<QmpGreeting> ready = new CompletableFuture<>();
    private volatile boolean outOfBand;
    private volatile @Nullable Throwable closing;
    private final AtomicBoolean ended = new AtomicBoolean();
    private boolean greeted;

    Session(Owner owner, Transport transport, boolean wantsOutOfBand) {
        this.owner = owner;
        this.transport = transport;
        this.wantsOutOfBand = wantsOutOfBand;
    }

    /** Starts on a transport that is connected. */
    void start(String name) {
        Thread.ofVirtual().name("qmp-reader " + name).start(this::read);
        Thread.ofVirtual().name("qmp-writer " + name).start(this::write);
    }

    /** Completes when the server has greeted and negotiation is over; fails when it ends before. */
    CompletableFuture<QmpGreeting> ready() {
        return ready;
    }

    /** Whether out-of-band execution was negotiated. */
    boolean outOfBand() {
        return outOfBand;
    }

    boolean passesDescriptors() {
        return transport.passesDescriptors();
    }

    /** Sends a call, or fails it when the connection is gone. */
    void submit(Call call) {
        if (!queue.add(call)) {
            call.fail(
                    new QmpConnectionException(
                            "The connection was lost before '" + call.name + "' was sent",
                            false,
                            closing));
        }
    }

    /** Nobody waits for the call any more. */
    void withdraw(Call call) {
        queue.withdraw(call);
    }

    /** Ends the connection; calls that wait fail for that reason. */
    void close(Throwable reason) {
        if (closing == null) {
            closing = reason;
        }
        queue.close(message(reason), reason);
        transport.close();
    }

    private static String message(Throwable reason) {
        String text = reason.getMessage();
        return text == null ? reason.toString() : text;
    }

    private void read() {
        Throwable cause;
        try {
            MessageReader reader = new MessageReader(transport.input());
            while (true) {
                JsonValue message = reader.next();
                if (message == null) {
                    cause = new IOException("The connection was closed by the server");
                    break;
                }
                owner.message(QmpMessage.Direction.RECEIVED, message);
                if (message instanceof JsonObject object) {
                    dispatch(object);
                }
            }
        } catch (IOException e) {
            cause = new IOException("The connection was lost (" + message(e) + ")", e);
        } catch (RuntimeException | StackOverflowError | OutOfMemoryError e) {
            LOG.log(Logger.Level.ERROR, "Reading from a QMP server failed unexpectedly.", e);
            cause = new IOException("The connection was given up (" + e + ")", e);
        }
        Throwable given = closing;
        Throwable reason = given != null ? given : cause;
        closing = reason;
        transport.close();
        ready.completeExceptionally(reason);
        // First the client's state, so that whoever learns of it by a call finds it changed.
        owner.lost(this, reason);
        queue.close(message(reason), reason);
    }

    /** Marks the end; false when it was marked before. */
    boolean end() {
        return ended.compareAndSet(false, true);
    }

    private void dispatch(JsonObject message) {
        if (message.get("event") instanceof JsonString name) {
            owner.event(name.value(), message);
        } else if (message.has("QMP")) {
            if (!greeted) {
                greeted = true;
                negotiate(QmpGreeting.of(message));
            }
        } else {
            Call call = find(message);
            if (call == null) {
                LOG.log(Logger.Level.DEBUG, "Nobody waits for this message: {0}", message);
            } else {
                call.reply.complete(message);
            }
        }
    }

    private @Nullable Call find(JsonObject message) {
        if (message.get("id") instanceof JsonNumber number) {
            OptionalLong id = number.signed();
            return id.isPresent() ? queue.answered(id.getAsLong()) : null;
        }
        if (message.has("id") || !message.has("error")) {
            return null;
        }
        // A request that the server could not even read, such as one beyond its limits, is answered
        // without id; what goes in band is answered in order.
        Long oldest = queue.oldest();
        return oldest == null ? null : queue.answered(oldest);
    }

    private void negotiate(QmpGreeting greeting) {
        boolean enable = wantsOutOfBand && greeting.capabilities().contains("oob");
        Call call = owner.negotiation(enable);
        call.reply.whenComplete(
                (reply, failure) -> {
                    if (failure != null) {
                        ready.completeExceptionally(failure);
                    } else if (reply.get("error") instanceof JsonObject error) {
                        Throwable refused = QmpException.ofReply(error);
                        ready.completeExceptionally(
                                new IOException(
                                        "The server refused to negotiate: " + message(refused),
                                        refused));
                    } else {
                        if (enable) {
                            outOfBand = true;
                            queue.limit();
                        }
                        ready.complete(greeting);
                    }
                });
        submit(call);
    }

    private void write() {
        ByteArrayOutputStream batch = new ByteArrayOutputStream();
        try {
            while (true) {
                List<Call> calls = queue.take();
                if (calls.isEmpty()) {
                    return;
                }
                for (Call call : calls) {
                    if (owner.wantsSent()) {
                        sent(call);
                    }
                    if (!call.descriptors.isEmpty()) {
                        flush(batch);
                        transport.write(call.text, call.text.length, call.descriptors);
                        continue;
                    }
                    batch.writeBytes(call.text);
                    if (batch.size() >= BATCH) {
                        flush(batch);
                    }
                }
                flush(batch);
                for (Call call : calls) {
                    if (!call.answered) {
                        call.reply.complete(new JsonObject().put("return", new JsonObject()));
                    }
                }
            }
        } catch (IOException e) {
            // The reader gives the cause, after what the server still had to say.
            LOG.log(Logger.Level.DEBUG, "Writing to a QMP server failed.", e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void flush(ByteArrayOutputStream batch) throws IOException {
        if (batch.size() > 0) {
            transport.write(batch.toByteArray(), batch.size(), List.of());
            batch.reset();
        }
    }

    private void sent(Call call) {
        try {
            owner.message(
                    QmpMessage.Direction.SENT, StreamCodec.read(call.text, InputVisitor::any));
        } catch (QmpException e) {
            throw new IllegalStateException("A request of ours is not JSON.", e);
        }
    }
}
