package lockstep.runtime.monitor;

import lockstep.qmp.CommandTable;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonPrinter;
import lockstep.qmp.JsonStreamParser;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpException;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevException;
import lockstep.runtime.chardev.ChardevFrontend;
import lockstep.runtime.loop.EventLoop;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.List;

/**
 * One QMP monitor: greets each client, negotiates, runs commands one at a time and passes events on.
 * Lives on the main loop, under the machine lock.
 *
 * <p>One command is run per turn of the loop, so that a client with a thousand of them in one packet does
 * not keep timers and the guest's devices waiting, and a client that hangs up loses the rest.
 */
final class QmpSession implements ChardevFrontend {
    private static final int CHUNK = 4096;
    private static final int OOB_QUEUE = 8;

    /** Output a client has not read, from which on none of its commands is taken up. */
    private static final long BUSY_OUTPUT = 1 << 20;

    /** Output a client has not read, from which on it gets no more events. */
    private static final long FULL_OUTPUT = 16 << 20;

    private final EventLoop loop;
    private final CommandTable commands;
    private final CommandTable negotiation = new CommandTable();
    private final boolean pretty;
    private final boolean offersOob;
    private final Chardev.Attachment chardev;
    private final JsonStreamParser parser = new JsonStreamParser();
    private final ArrayDeque<JsonValue> queue = new ArrayDeque<>();
    private ByteBuffer input = ByteBuffer.allocate(0);
    private JsonStreamParser.@Nullable Message stash;
    private boolean scheduled;
    private boolean draining;
    private boolean connected;
    private boolean negotiated;
    private boolean oob;

    QmpSession(EventLoop loop, CommandTable commands, Chardev device, boolean pretty)
            throws ChardevException {
        this.loop = loop;
        this.commands = commands;
        this.pretty = pretty;
        this.offersOob = device.movable() || device.filename().startsWith("pty:");
        this.chardev = device.attach(this, loop);
    }

    @Override
    public void opened() {
        connected = true;
        negotiated = false;
        oob = false;
        JsonArray capabilities = new JsonArray();
        if (offersOob) {
            capabilities.add(new JsonString("oob"));
        }
        send(
                new JsonObject()
                        .put(
                                "QMP",
                                new JsonObject()
                                        .put("version", Version.toJson())
                                        .put("capabilities", capabilities)));
    }

    @Override
    public void closed() {
        connected = false;
        negotiated = false;
        parser.reset();
        queue.clear();
        stash = null;
        input = ByteBuffer.allocate(0);
    }

    @Override
    public int canReceive() {
        boolean full = oob ? queue.size() >= OOB_QUEUE : scheduled;
        return full || stash != null || input.hasRemaining() || draining ? 0 : CHUNK;
    }

    @Override
    public void receive(ByteBuffer data) {
        byte[] copy = new byte[data.remaining()];
        data.get(copy);
        input = ByteBuffer.wrap(copy);
        work();
    }

    /** Takes up one command, or all that wait when the client may overtake itself. */
    private void work() {
        while (connected && !draining) {
            if (oob && queue.size() >= OOB_QUEUE) {
                break;
            }
            JsonStreamParser.Message message = stash != null ? stash : parser.next(input);
            stash = null;
            if (message == null) {
                break;
            }
            JsonValue value = message.value();
            if (value == null) {
                send(CommandTable.errorReply(String.valueOf(message.error())));
            } else if (oob && CommandTable.isOob(value)) {
                reply(commands.dispatch(value, true));
            } else if (oob) {
                queue.add(value);
                continue;
            } else {
                dispatch(value);
            }
            if (!oob) {
                stash = connected ? parser.next(input) : null;
                break;
            }
        }
        if (!queue.isEmpty() || stash != null || input.hasRemaining()) {
            schedule();
        } else {
            chardev.acceptInput();
        }
    }

    private void schedule() {
        if (!scheduled && !draining) {
            scheduled = true;
            loop.execute(
                    () -> {
                        scheduled = false;
                        JsonValue next = queue.poll();
                        if (next != null && connected) {
                            dispatch(next);
                        }
                        work();
                    });
        }
    }

    private void dispatch(JsonValue request) {
        if (negotiated) {
            reply(commands.dispatch(request, oob));
            return;
        }
        JsonObject reply = negotiate(request);
        reply(reply);
    }

    private JsonObject negotiate(JsonValue request) {
        JsonObject object = request instanceof JsonObject o ? o : new JsonObject();
        boolean asked =
                object.get("execute") instanceof JsonString s
                        && s.value().equals("qmp_capabilities");
        if (!asked) {
            // The empty table makes the same checks of form; only its last word is another here.
            JsonObject reply = negotiation.dispatch(request, false);
            if (reply != null
                    && reply.get("error") instanceof JsonObject error
                    && error.get("class") instanceof JsonString s
                    && s.value().equals(ErrorClass.COMMAND_NOT_FOUND.wireName())) {
                error.put("desc", "Expecting capabilities negotiation with 'qmp_capabilities'");
            }
            return reply == null ? new JsonObject() : reply;
        }
        CommandTable table = new CommandTable();
        table.register(Negotiation.COMMAND, this::enable);
        JsonObject reply = table.dispatch(request, false);
        return reply == null ? new JsonObject() : reply;
    }

    private lockstep.qmp.Empty enable(List<String> capabilities) throws QmpException {
        boolean wantsOob = false;
        for (String capability : capabilities) {
            if (!capability.equals("oob")) {
                throw new QmpException(
                        "Parameter 'null' does not accept value '" + capability + "'");
            }
            if (!offersOob) {
                throw new QmpException("Capability oob not available");
            }
            wantsOob = true;
        }
        negotiated = true;
        oob = wantsOob;
        return lockstep.qmp.Empty.EMPTY;
    }

    private void reply(@Nullable JsonObject reply) {
        if (reply != null) {
            send(reply);
        }
    }

    /** Passes an event on to a client that has negotiated. */
    void event(JsonObject event) {
        if (negotiated && chardev.pending() < FULL_OUTPUT) {
            send(event);
        }
    }

    private void send(JsonObject message) {
        String text = pretty ? JsonPrinter.pretty(message) : JsonPrinter.compact(message);
        byte[] bytes = (text.replace("\n", "\r\n") + "\r\n").getBytes(StandardCharsets.UTF_8);
        try {
            chardev.write(ByteBuffer.wrap(bytes));
        } catch (IOException e) {
            return; // The client left; closed() follows.
        }
        if (chardev.pending() > BUSY_OUTPUT && !draining) {
            draining = true;
            chardev.whenDrained(
                    () -> {
                        draining = false;
                        work();
                    });
        }
    }

    /** Lets go of the device. */
    void close() {
        chardev.close();
    }
}
