package lockstep.qmp;

import org.jspecify.annotations.Nullable;

import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.function.Predicate;

/**
 * The commands a server knows, and how a request becomes a reply: QEMU's checks in QEMU's order, with
 * its texts. Handlers are registered before the first request; {@link #dispatch} may then be called
 * by any thread, and calls handlers on it.
 */
public final class CommandTable {
    private record Entry<A, R>(QmpCommand<A, R> command, CommandHandler<A, R> handler) {
        JsonValue run(JsonObject arguments) throws QmpException {
            A read = command.arguments().read(new JsonInputVisitor(arguments), null);
            R result = handler.handle(read);
            return JsonOutputVisitor.toJson(result, command.resultWriter());
        }
    }

    private final Map<String, Entry<?, ?>> entries = new LinkedHashMap<>();
    private Predicate<QmpCommand<?, ?>> available = command -> true;
    private BiConsumer<String, Throwable> failed = (name, failure) -> {};

    /** A table without commands. */
    public CommandTable() {}

    /**
     * Binds a handler to a command.
     *
     * @throws IllegalStateException when the command has one already
     */
    public <A, R> void register(QmpCommand<A, R> command, CommandHandler<A, R> handler) {
        if (entries.putIfAbsent(command.name(), new Entry<>(command, handler)) != null) {
            throw new IllegalStateException(
                    "Command '" + command.name() + "' has two handlers; keep one.");
        }
    }

    /** Forgets all commands but these. Before the first request. */
    public void keep(Collection<String> names) {
        entries.keySet().retainAll(names);
    }

    /** Says which commands may run now; others answer that the machine is not yet there. */
    public void availableWhen(Predicate<QmpCommand<?, ?>> predicate) {
        available = predicate;
    }

    /**
     * Says who is told, by the name of the command, when a handler throws what it should not; the
     * client's error does not hold the stack trace.
     */
    public void onFailure(BiConsumer<String, Throwable> listener) {
        failed = listener;
    }

    /** The command of that name, or null. */
    public @Nullable QmpCommand<?, ?> find(String name) {
        Entry<?, ?> entry = entries.get(name);
        return entry == null ? null : entry.command();
    }

    /** The names of all commands in the order of registration. */
    public Collection<String> names() {
        return Collections.unmodifiableCollection(entries.keySet());
    }

    /**
     * Runs a request and gives the reply, or null for a command that has none on success.
     *
     * @param request the text as parsed
     * @param allowOob whether the client has enabled out-of-band execution
     * @throws TryLater only where {@link TryLater#FIRST} is bound
     */
    public @Nullable JsonObject dispatch(JsonValue request, boolean allowOob) {
        JsonValue id = request instanceof JsonObject object ? object.get("id") : null;
        JsonObject reply = new JsonObject();
        try {
            if (!(request instanceof JsonObject object)) {
                throw new QmpException("QMP input must be a JSON object");
            }
            JsonValue result = execute(object, allowOob);
            if (result == null) {
                return null;
            }
            reply.put("return", result);
        } catch (QmpException e) {
            reply.put("error", e.toJson());
        }
        if (id != null) {
            reply.put("id", id);
        }
        return reply;
    }

    /** The reply to a text that is not JSON. */
    public static JsonObject errorReply(String description) {
        return new JsonObject().put("error", new QmpException(description).toJson());
    }

    /** Whether the request asks for out-of-band execution. */
    public static boolean isOob(JsonValue request) {
        return request instanceof JsonObject object
                && object.has("exec-oob")
                && !object.has("execute");
    }

    private @Nullable JsonValue execute(JsonObject request, boolean allowOob) throws QmpException {
        String key = checkMembers(request, allowOob);
        String name = request.get(key) instanceof JsonString string ? string.value() : "";
        Entry<?, ?> entry = entries.get(name);
        if (entry == null) {
            throw new QmpException(
                    ErrorClass.COMMAND_NOT_FOUND, "The command " + name + " has not been found");
        }
        QmpCommand<?, ?> command = entry.command();
        if (key.equals("exec-oob") && !command.allowOob()) {
            throw new QmpException("The command " + name + " does not support OOB");
        }
        if (!command.allowPreconfig() && !available.test(command)) {
            throw new QmpException(
                    "The command '"
                            + name
                            + "' is permitted only after machine initialization has completed");
        }
        JsonObject arguments =
                request.get("arguments") instanceof JsonObject given ? given : new JsonObject();
        JsonValue result;
        try {
            result = entry.run(arguments);
        } catch (TryLater e) {
            throw e;
        } catch (RuntimeException | StackOverflowError | OutOfMemoryError e) {
            failed.accept(name, e);
            throw new QmpException(
                    ErrorClass.GENERIC_ERROR, "Internal error in command '" + name + "': " + e, e);
        }
        return command.successResponse() ? result : null;
    }

    /** Checks the members of a request in the order QEMU meets them; gives the key of the name. */
    private static String checkMembers(JsonObject request, boolean allowOob) throws QmpException {
        String key = null;
        for (Map.Entry<String, JsonValue> member : request.inWireOrder()) {
            String name = member.getKey();
            if (name.equals("execute") || (name.equals("exec-oob") && allowOob)) {
                if (key != null) {
                    throw new QmpException(
                            "QMP input member '" + name + "' clashes with '" + key + "'");
                }
                if (!(member.getValue() instanceof JsonString)) {
                    throw new QmpException("QMP input member '" + name + "' must be a string");
                }
                key = name;
            } else if (name.equals("arguments")) {
                if (!(member.getValue() instanceof JsonObject)) {
                    throw new QmpException("QMP input member 'arguments' must be an object");
                }
            } else if (!name.equals("id")) {
                throw new QmpException("QMP input member '" + name + "' is unexpected");
            }
        }
        if (key == null) {
            throw new QmpException("QMP input lacks member 'execute'");
        }
        return key;
    }
}
