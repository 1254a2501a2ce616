package lockstep.shell;

import lockstep.qmp.EventMessage;
import lockstep.qmp.JsonNull;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonPrinter;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpClient;
import lockstep.qmp.QmpEvent;
import lockstep.qmp.Subscription;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

/** A connection with what the shell does over it. */
final class Session {
    private final QmpClient client;
    private final Options options;
    private final ReentrantLock order = new ReentrantLock();
    private @Nullable CompletableFuture<Schema> schema;

    Session(QmpClient client, Options options) {
        this.client = client;
        this.options = options;
    }

    /** The server's schema, asked for once; our own where it has none to tell. */
    synchronized CompletableFuture<Schema> schema() {
        CompletableFuture<Schema> known = schema;
        if (known == null) {
            known =
                    client.executeAsync("query-qmp-schema", new JsonObject())
                            .handle(
                                    (reply, failure) -> {
                                        Schema told = failure == null ? Schema.of(reply) : null;
                                        return told == null ? Schema.own() : told;
                                    });
            schema = known;
        }
        return known;
    }

    /** The request that words stand for. */
    JsonObject request(List<String> words) throws UsageException {
        if (options.hmp()) {
            return human(String.join(" ", words));
        }
        if (words.getFirst().equals("hmp") && words.size() > 1) {
            return human(String.join(" ", words.subList(1, words.size())));
        }
        // Without arguments there is nothing whose type would have to be known.
        return words.size() == 1
                ? new JsonObject().put("execute", words.getFirst())
                : new Request(schema().join()).of(words);
    }

    private static JsonObject human(String line) {
        return new JsonObject()
                .put("execute", "human-monitor-command")
                .put("arguments", new JsonObject().put("command-line", line));
    }

    /**
     * Sends a request and waits until its answer was shown. Events and answers are shown by the client's
     * reader, so in the order in which they came.
     */
    JsonObject send(JsonObject request, Consumer<JsonObject> show) throws IOException {
        CompletableFuture<JsonObject> shown;
        // What comes after the answer waits until it is known where the answer goes.
        order.lock();
        try {
            shown =
                    client.send(request)
                            .thenApply(
                                    answer -> {
                                        ordered(() -> show.accept(answer));
                                        return answer;
                                    });
        } finally {
            order.unlock();
        }
        try {
            return shown.get();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted");
        } catch (ExecutionException e) {
            throw e.getCause() instanceof IOException cause ? cause : new IOException(e);
        }
    }

    /** Has each event written as it comes. */
    Subscription events(Consumer<String> writer) {
        return client.on(
                QmpEvent.class,
                (EventMessage<QmpEvent> m) -> ordered(() -> writer.accept(text(m.raw()))));
    }

    private void ordered(Runnable output) {
        order.lock();
        try {
            output.run();
        } finally {
            order.unlock();
        }
    }

    /** Whether an input is JSON rather than a command's name. */
    static boolean isJson(String text) {
        return text.startsWith("{") || text.startsWith("[");
    }

    /** JSON in the form that is wanted. */
    String text(JsonValue value) {
        return options.pretty() ? JsonPrinter.pretty(value) : JsonPrinter.compact(value);
    }

    /** What a human monitor's command printed, or null when the answer is an error. */
    static @Nullable String human(JsonObject answer) {
        return answer.get("return") instanceof JsonString text ? text.value() : null;
    }

    /** The error of an answer, or null. */
    static @Nullable String error(JsonObject answer) {
        return answer.get("error") instanceof JsonObject error
                ? text(error, "desc") + " (" + text(error, "class") + ")"
                : null;
    }

    private static String text(JsonObject object, String name) {
        JsonValue value = object.get(name);
        return value instanceof JsonString text
                ? text.value()
                : String.valueOf(value == null ? JsonNull.NULL : value);
    }

    QmpClient client() {
        return client;
    }

    Options options() {
        return options;
    }
}
