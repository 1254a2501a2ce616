package lockstep.qmp;

import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;

/**
 * Runs commands. A {@link QmpClient} is one; {@link #outOfBand}, {@link #withTimeout} and {@link
 * #withDescriptors} give others that run them differently over the same connection.
 *
 * <p>All methods may be called by any thread, and any number of commands may be under way at once. The
 * methods named {@code Async} never block; their futures complete on the client's executor, so that
 * what is chained to them may block. The others wait, and give
 *
 * <ul>
 *   <li>{@link QmpException} when the server refused the command, with its class and description;
 *   <li>{@link QmpConnectionException} when there is no connection or it was lost meanwhile;
 *   <li>{@link QmpTimeoutException} when the reply did not come in time;
 *   <li>{@link QmpReplyException} when the reply does not fit the schema;
 *   <li>{@link java.io.InterruptedIOException} when the thread was interrupted, which it still is.
 * </ul>
 *
 * Futures fail with the same exceptions. Cancelling one, like a time limit, ends the waiting: a command
 * that was not sent yet is not sent, any other may still be carried out.
 */
public interface QmpCaller {
    /** Runs a command; gives its typed value with the JSON around it. */
    <A, R> CompletableFuture<QmpReply<R>> requestAsync(QmpCommand<A, R> command, A arguments);

    /** Runs a command and waits; gives its typed value with the JSON around it. */
    <A, R> QmpReply<R> request(QmpCommand<A, R> command, A arguments)
            throws QmpException, IOException;

    /** Runs a command by its name, which need not be in any schema. */
    CompletableFuture<JsonValue> executeAsync(String command, JsonObject arguments);

    /** Runs a command by its name, which need not be in any schema, and waits. */
    JsonValue execute(String command, JsonObject arguments) throws QmpException, IOException;

    /**
     * Runs commands that the server's main loop need not be free for. Each throws {@link
     * UnsupportedOperationException} where this was not negotiated; a command that cannot run so is
     * refused by the server.
     */
    QmpCaller outOfBand();

    /**
     * Runs commands with a time limit for each.
     *
     * @param limit zero for none
     */
    QmpCaller withTimeout(Duration limit);

    /**
     * Runs commands that take file descriptors, such as {@code getfd}, with these. The descriptors may
     * be closed when the command is answered. Each throws {@link UnsupportedOperationException} where
     * the client was not built with {@link QmpClient.Builder#descriptorPassing}.
     */
    QmpCaller withDescriptors(Descriptor... descriptors);

    /** Runs a command. */
    default <A, R> CompletableFuture<R> executeAsync(QmpCommand<A, R> command, A arguments) {
        return requestAsync(command, arguments).thenApply(QmpReply::value);
    }

    /** Runs a command that takes no arguments. */
    default <R> CompletableFuture<R> executeAsync(QmpCommand<Empty, R> command) {
        return executeAsync(command, Empty.EMPTY);
    }

    /** Runs a command and waits. */
    default <A, R> R execute(QmpCommand<A, R> command, A arguments)
            throws QmpException, IOException {
        return request(command, arguments).value();
    }

    /** Runs a command that takes no arguments, and waits. */
    default <R> R execute(QmpCommand<Empty, R> command) throws QmpException, IOException {
        return execute(command, Empty.EMPTY);
    }
}
