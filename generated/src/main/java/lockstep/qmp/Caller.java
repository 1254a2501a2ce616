package lockstep.qmp;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;

/** A client with the settings of its calls. */
record Caller(QmpClient client, boolean inOutOfBand, Duration limit, List<Descriptor> descriptors)
        implements QmpCaller {
    @Override
    public QmpCaller outOfBand() {
        return new Caller(client, true, limit, descriptors);
    }

    @Override
    public QmpCaller withTimeout(Duration newLimit) {
        return new Caller(client, inOutOfBand, newLimit, descriptors);
    }

    @Override
    public QmpCaller withDescriptors(Descriptor... newDescriptors) {
        return new Caller(client, inOutOfBand, limit, List.of(newDescriptors));
    }

    private <A> Call start(
            String command, A arguments, ValueWriter<A> writer, boolean answered, boolean none) {
        return client.start(
                this,
                command,
                answered,
                visitor -> {
                    visitor.string(inOutOfBand ? "exec-oob" : "execute", command);
                    if (!none) {
                        writer.write(arguments, visitor, "arguments");
                    }
                });
    }

    private <A, R> Call start(QmpCommand<A, R> command, A arguments) {
        return start(
                command.name(),
                arguments,
                command.argumentsWriter(),
                command.successResponse(),
                arguments == Empty.EMPTY);
    }

    private Call start(String command, JsonObject arguments) {
        return start(
                command,
                arguments,
                (value, visitor, name) -> visitor.any(name, value),
                true,
                arguments.isEmpty());
    }

    @Override
    public <A, R> CompletableFuture<QmpReply<R>> requestAsync(
            QmpCommand<A, R> command, A arguments) {
        return later(start(command, arguments), reply -> typed(command, reply));
    }

    @Override
    public CompletableFuture<JsonValue> executeAsync(String command, JsonObject arguments) {
        return later(start(command, arguments), Caller::result);
    }

    @Override
    public <A, R> QmpReply<R> request(QmpCommand<A, R> command, A arguments)
            throws QmpException, IOException {
        return typed(command, await(start(command, arguments)));
    }

    @Override
    public JsonValue execute(String command, JsonObject arguments)
            throws QmpException, IOException {
        return result(await(start(command, arguments)));
    }

    private interface Decoder<T> {
        T decode(JsonObject reply) throws QmpException, IOException;
    }

    private <T> CompletableFuture<T> later(Call call, Decoder<T> decoder) {
        CompletableFuture<T> result =
                call.reply.thenApplyAsync(
                        reply -> {
                            try {
                                return decoder.decode(reply);
                            } catch (QmpException | IOException e) {
                                throw new CompletionException(e);
                            }
                        },
                        client.executor());
        client.withdrawWhenCancelled(call, result);
        return result;
    }

    private JsonObject await(Call call) throws IOException {
        try {
            return call.reply.get();
        } catch (InterruptedException e) {
            client.withdraw(call);
            Thread.currentThread().interrupt();
            InterruptedIOException interrupted =
                    new InterruptedIOException("interrupted while waiting for '" + call.name + "'");
            interrupted.initCause(e);
            throw interrupted;
        } catch (ExecutionException e) {
            // Made anew, so that it shows who called.
            switch (e.getCause()) {
                case QmpConnectionException lost ->
                        throw new QmpConnectionException(
                                String.valueOf(lost.getMessage()), lost.outcomeUnknown(), lost);
                case QmpTimeoutException late ->
                        throw new QmpTimeoutException(String.valueOf(late.getMessage()));
                case null, default -> throw new IOException(e);
            }
        }
    }

    private static JsonValue result(JsonObject reply) throws QmpException {
        if (reply.get("error") instanceof JsonObject error) {
            throw QmpException.ofReply(error);
        }
        JsonValue value = reply.get("return");
        return value == null ? new JsonObject() : value;
    }

    private static <R> QmpReply<R> typed(QmpCommand<?, R> command, JsonObject reply)
            throws QmpException, IOException {
        JsonValue value = result(reply);
        JsonInputVisitor visitor = JsonInputVisitor.lenient(value);
        try {
            R read = command.result().read(visitor, null);
            return new QmpReply<>(read, value, visitor.unrecognized(), visitor.missing());
        } catch (QmpException e) {
            throw new QmpReplyException(
                    "The reply to '"
                            + command.name()
                            + "' does not fit the schema: "
                            + e.description(),
                    value,
                    e);
        }
    }
}
