package lockstep.runtime.monitor;

import lockstep.qmp.CommandTable;
import lockstep.qmp.Empty;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonPrinter;
import lockstep.qmp.JsonStreamParser;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpException;
import lockstep.qmp.TryLater;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevException;
import lockstep.runtime.chardev.ChardevFrontend;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.Timer;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * One QMP monitor: greets each client, negotiates, runs commands and passes events on.
 *
 * <p>Two threads serve it. The <b>reader</b> loop has the device: it greets, parses, and runs commands
 * that ask to be executed out of band, so that those are answered while the main loop is blocked. All
 * other commands wait in a queue for the <b>main</b> loop, which runs one of them per turn under the
 * machine lock: a client with a thousand commands in one packet does not keep timers and the guest's
 * devices waiting, and one that hangs up loses the rest. Events and replies are sent by any thread.
 *
 * <p>{@code guard} protects what both threads use. It is held while something is written, so that nothing
 * reaches a client it was not meant for; under it only the device's own lock is taken.
 */
final class QmpSession implements ChardevFrontend {
    private static final int CHUNK = 4096;
    private static final int OOB_QUEUE = 8;

    /** From when on a command takes long. */
    private static final long LONG = TimeUnit.SECONDS.toNanos(1);

    /** Output a client has not read, from which on its commands wait, unless one of them ends the process. */
    private static final long BUSY_OUTPUT = 1 << 20;

    /** Output a client has not read, from which on it gets no more of it. */
    private static final long FULL_OUTPUT = 16 << 20;

    /** How many commands of a client that reads nothing are looked at for one that ends the process. */
    private static final int AHEAD = 1024;

    /**
     * What a client sent.
     *
     * @param client tells it from those before and after
     * @param began when it was run first; 0 before that
     * @param quits it ends the process, and does so whatever becomes of its client
     */
    private record Request(
            int client, JsonStreamParser.Message message, long began, boolean quits) {
        Request begun() {
            return new Request(client, message, System.nanoTime(), quits);
        }
    }

    private final EventLoop reader;
    private final EventLoop main;
    private final CommandTable commands;
    private final boolean pretty;
    private final boolean offersOob;
    private final Runnable leaving;
    private final Timer patience;
    private final Chardev.Attachment chardev;

    // Only the reader.
    private final JsonStreamParser parser = new JsonStreamParser();
    private ByteBuffer input = ByteBuffer.allocate(0);

    // Under the guard.
    private final Object guard = new Object();
    private final ArrayDeque<Request> queue = new ArrayDeque<>();
    private int client;
    private boolean negotiated;
    private boolean oob;

    /** A command is being run; {@code exclusive}: of a client that cannot overtake itself. */
    private boolean running;

    private boolean exclusive;
    private long runningSince;
    private boolean watched;

    /** The reader has stopped and is to be told when it may go on. */
    private boolean stalled;

    private boolean draining;

    /**
     * Over a device.
     *
     * @param reader serves the device; the main loop if the device cannot be served by another one
     * @param leaving told that a client waits for its turn to end the process
     */
    QmpSession(
            EventLoop reader,
            EventLoop main,
            CommandTable commands,
            Chardev device,
            boolean pretty,
            boolean offersOob,
            Runnable leaving)
            throws ChardevException {
        this.reader = reader;
        this.main = main;
        this.commands = commands;
        this.pretty = pretty;
        this.offersOob = offersOob;
        this.leaving = leaving;
        this.patience = reader.timer(ClockType.REALTIME, this::lookAhead);
        synchronized (guard) { // The reader may be in a callback before this returns.
            this.chardev = device.attach(this, reader);
        }
    }

    // ---- on the reader loop

    @Override
    public void opened() {
        JsonArray capabilities = new JsonArray();
        if (offersOob) {
            capabilities.add(new JsonString("oob"));
        }
        synchronized (guard) {
            client++;
            negotiated = false;
            oob = false;
            write(
                    new JsonObject()
                            .put(
                                    "QMP",
                                    new JsonObject()
                                            .put("version", Version.toJson())
                                            .put("capabilities", capabilities)));
        }
    }

    @Override
    public void closed() {
        synchronized (guard) {
            client++;
            queue.removeIf(request -> !request.quits());
            draining = false;
            if (!chardev.connected()) {
                negotiated = false;
            } // Else only the input has ended, as that of standard input may: events still go out.
        }
        parser.reset();
        input = ByteBuffer.allocate(0);
    }

    @Override
    public int canReceive() {
        return mustWait(true) || input.hasRemaining() ? 0 : CHUNK;
    }

    /**
     * Whether the next command must not be taken up yet.
     *
     * @param more something is there to be taken up; then {@link #advance} will be called
     */
    private boolean mustWait(boolean more) {
        synchronized (guard) {
            int most = draining ? AHEAD : oob ? OOB_QUEUE : 1;
            boolean wait = exclusive || queue.size() >= most;
            stalled |= wait && more;
            return wait;
        }
    }

    @Override
    public boolean working() {
        synchronized (guard) {
            boolean working = running || !queue.isEmpty();
            stalled |= working;
            return working;
        }
    }

    @Override
    public void receive(ByteBuffer data) {
        byte[] copy = new byte[data.remaining()];
        data.get(copy);
        input = ByteBuffer.wrap(copy);
        parse();
    }

    private void parse() {
        while (!mustWait(input.hasRemaining() || parser.hasReady())) {
            JsonStreamParser.Message message = parser.next(input);
            if (message == null) {
                return;
            }
            accept(message);
        }
    }

    /** Goes on after a wait. */
    private void advance() {
        parse();
        chardev.acceptInput();
    }

    private void accept(JsonStreamParser.Message message) {
        JsonValue value = message.value();
        int sender;
        synchronized (guard) {
            sender = client;
            if (value == null || !oob || draining || !CommandTable.isOob(value)) {
                boolean quits = negotiated && isQuit(value);
                queue.add(new Request(sender, message, 0, quits));
                main.execute(this::runNext);
                if (quits) {
                    leaving.run();
                }
                return;
            }
        }
        JsonObject reply = commands.dispatch(value, true);
        synchronized (guard) {
            reply(sender, reply);
        }
    }

    private static boolean isQuit(@Nullable JsonValue value) {
        return value instanceof JsonObject object
                && object.get("execute") instanceof JsonString name
                && name.value().equals("quit")
                && !(object.get("arguments") instanceof JsonObject given
                        && !given.members().isEmpty());
    }

    /** Takes up one more command of a client whose present one takes long: it may be {@code quit}. */
    private void lookAhead() {
        synchronized (guard) {
            watched = running;
            if (!running) {
                return;
            }
            if (System.nanoTime() - runningSince >= LONG) {
                exclusive = false;
                resumeReader();
            }
            watch();
        }
    }

    /** Under the guard. */
    private void watch() {
        watched = true;
        patience.arm(main.clocks().now(ClockType.REALTIME) + LONG);
    }

    // ---- on the main loop

    private void runNext() {
        Request request;
        boolean known;
        boolean overtaking;
        synchronized (guard) {
            if (running) {
                return; // One that tries later goes first, and then calls again.
            }
            if (draining && queue.stream().noneMatch(Request::quits)) {
                return; // Once the client has read what there is, drained() calls again.
            }
            request = queue.poll();
            if (request == null) {
                return; // Its client hung up.
            }
            known = negotiated || request.quits();
            overtaking = oob;
            running = true;
            runningSince = System.nanoTime();
            if (!watched) {
                watch();
            }
            exclusive = !overtaking;
            resumeReader();
        }
        run(request.begun(), known, overtaking);
    }

    private void run(Request request, boolean known, boolean overtaking) {
        JsonValue value = request.message().value();
        JsonObject reply;
        if (value == null) {
            reply = CommandTable.errorReply(String.valueOf(request.message().error()));
        } else if (known) {
            try {
                reply =
                        ScopedValue.where(Monitors.CLIENT, chardev)
                                .where(TryLater.FIRST, request.began())
                                .call(() -> commands.dispatch(value, overtaking));
            } catch (TryLater e) {
                // Also for a client that has left meanwhile: what it began must not stay halfway.
                Timer again = main.timer(ClockType.REALTIME, () -> run(request, known, overtaking));
                again.arm(main.clocks().now(ClockType.REALTIME) + TryLater.pauseNanos());
                return;
            }
        } else {
            reply = negotiate(value, request.client());
        }
        synchronized (guard) {
            running = false;
            exclusive = false;
            reply(request.client(), reply);
            resumeReader();
            if (!queue.isEmpty()) {
                main.execute(this::runNext);
            }
        }
    }

    /** Under the guard. */
    private void resumeReader() {
        if (stalled && !exclusive) {
            stalled = false;
            reader.execute(this::advance);
        }
    }

    private @Nullable JsonObject negotiate(JsonValue request, int sender) {
        // A table of this one command makes the same checks of form; only its last word differs.
        CommandTable table = new CommandTable();
        table.register(Negotiation.COMMAND, capabilities -> enable(capabilities, sender));
        JsonObject reply = table.dispatch(request, false);
        if (reply != null
                && reply.get("error") instanceof JsonObject error
                && error.get("class") instanceof JsonString s
                && s.value().equals(ErrorClass.COMMAND_NOT_FOUND.wireName())) {
            error.put("desc", "Expecting capabilities negotiation with 'qmp_capabilities'");
        }
        return reply;
    }

    private Empty enable(List<String> capabilities, int sender) throws QmpException {
        for (String capability : capabilities) {
            if (!capability.equals("oob")) {
                throw new QmpException(
                        "Parameter 'null' does not accept value '" + capability + "'");
            }
        }
        if (!capabilities.isEmpty() && !offersOob) {
            throw new QmpException("Capability oob not available");
        }
        synchronized (guard) {
            if (client == sender) {
                negotiated = true;
                oob = !capabilities.isEmpty();
            }
        }
        return Empty.EMPTY;
    }

    // ---- on any thread

    /** Passes an event on to a client that has negotiated. */
    void event(JsonObject event) {
        synchronized (guard) {
            if (negotiated && chardev.pending() < FULL_OUTPUT) {
                write(event);
            }
        }
    }

    /** Sends a reply unless the one who asked has left. Under the guard. */
    private void reply(int sender, @Nullable JsonObject reply) {
        if (reply != null && sender == client && chardev.pending() < FULL_OUTPUT) {
            write(reply);
        }
    }

    /** Under the guard. */
    private void write(JsonObject message) {
        String text = pretty ? JsonPrinter.pretty(message) : JsonPrinter.compact(message);
        byte[] bytes = (text.replace("\n", "\r\n") + "\r\n").getBytes(StandardCharsets.UTF_8);
        try {
            chardev.write(ByteBuffer.wrap(bytes));
        } catch (IOException e) {
            return; // The client left; closed() follows.
        }
        if (chardev.pending() > BUSY_OUTPUT && !draining) {
            draining = true;
            // Posted: nothing of ours is called with the guard held.
            reader.execute(() -> chardev.whenDrained(this::drained));
        }
    }

    private void drained() {
        synchronized (guard) {
            draining = false;
        }
        main.execute(this::runNext);
        advance();
    }

    /** Lets go of the device. */
    void close() {
        chardev.close();
    }
}
