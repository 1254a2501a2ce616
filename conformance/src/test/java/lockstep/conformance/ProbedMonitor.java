package lockstep.conformance;

import lockstep.qmp.EventMessage;
import lockstep.qmp.EventQueue;
import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonStreamParser;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpAddress;
import lockstep.qmp.QmpClient;
import lockstep.qmp.QmpEvent;
import lockstep.qmp.QmpException;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** A QMP connection to a monitor, ours or QEMU's, for tests that compare answers as JSON. */
final class ProbedMonitor implements AutoCloseable {
    private final QmpClient client;
    private final EventQueue<QmpEvent> events;

    /** Connects, waiting for the server's greeting. */
    ProbedMonitor(QmpAddress address) {
        try {
            client = QmpClient.connect(address);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        events = client.events(QmpEvent.class);
    }

    /** A program with a monitor on its standard input and output. */
    static ProbedMonitor start(String program, String... arguments) {
        List<String> command = new ArrayList<>(List.of(program));
        command.addAll(List.of(arguments));
        command.addAll(List.of("-qmp", "stdio"));
        return new ProbedMonitor(new QmpAddress.Program(command));
    }

    /**
     * The answer to a command: what it returns, or an object {@code error} with class and description.
     *
     * @param arguments JSON text, single quotes allowed; empty for none
     */
    JsonValue answer(String command, String arguments) {
        try {
            JsonValue given =
                    arguments.isEmpty() ? new JsonObject() : JsonStreamParser.parse(arguments);
            return client.execute(command, (JsonObject) given);
        } catch (QmpException e) {
            return new JsonObject()
                    .put(
                            "error",
                            new JsonObject()
                                    .put("class", e.errorClass().wireName())
                                    .put("desc", e.description()));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** What a command returns; an error fails the test. */
    JsonValue execute(String command, String arguments) {
        JsonValue answer = answer(command, arguments);
        if (failed(answer)) {
            throw new AssertionError(command + " " + arguments + " got " + answer);
        }
        return answer;
    }

    JsonValue execute(String command) {
        return execute(command, "");
    }

    /** The objects of a list that a command returns. */
    List<JsonObject> list(String command, String arguments) {
        List<JsonObject> list = new ArrayList<>();
        for (JsonValue element : (JsonArray) execute(command, arguments)) {
            list.add((JsonObject) element);
        }
        return list;
    }

    /** Whether an answer is an error. */
    static boolean failed(JsonValue answer) {
        return answer instanceof JsonObject o && o.get("error") instanceof JsonObject;
    }

    /** A text member, or the empty text. */
    static String text(JsonValue value, String member) {
        return value instanceof JsonObject o && o.get(member) instanceof JsonString s
                ? s.value()
                : "";
    }

    /** The events up to one of that name, each with the status it tells, if it does. */
    List<String> eventsUntil(String name) {
        return eventsUntil(name, "");
    }

    /** Likewise up to one of that name and status. */
    List<String> eventsUntil(String name, String status) {
        List<String> seen = new ArrayList<>();
        try {
            while (true) {
                EventMessage<QmpEvent> message = events.poll(Duration.ofSeconds(30));
                if (message == null) {
                    throw new AssertionError("waited in vain for " + name + " after " + seen);
                }
                String event = message.event().eventName();
                String told = text(message.raw().get("data"), "status");
                seen.add(told.isEmpty() ? event : event + " " + told);
                if (event.equals(name) && told.contains(status)) {
                    return seen;
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new AssertionError(e);
        }
    }

    /** The data of the first event of that name that came or comes. */
    JsonObject event(String name) {
        try {
            while (true) {
                EventMessage<QmpEvent> message = events.poll(Duration.ofSeconds(30));
                if (message == null) {
                    throw new AssertionError("waited in vain for " + name);
                }
                if (message.event().eventName().equals(name)
                        && message.raw().get("data") instanceof JsonObject data) {
                    return data;
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new AssertionError(e);
        }
    }

    @Override
    public void close() {
        client.close();
    }
}
