package lockstep.qmp;

/**
 * A command of a schema. Generated as constants of the command interfaces; a handler is bound to it
 * in a {@link CommandTable}, a client sends it.
 *
 * @param <A> its arguments; {@link Empty} for none, {@link JsonObject} for untyped ones
 * @param <R> its result; {@link Empty} for none
 * @param name wire name
 * @param arguments reads the arguments
 * @param argumentsWriter writes the arguments
 * @param result reads the result
 * @param resultWriter writes the result
 * @param successResponse false when success has no reply
 * @param allowOob whether it may run out of band
 * @param allowPreconfig whether it may run before the machine is made
 */
public record QmpCommand<A, R>(
        String name,
        ValueReader<A> arguments,
        ValueWriter<A> argumentsWriter,
        ValueReader<R> result,
        ValueWriter<R> resultWriter,
        boolean successResponse,
        boolean allowOob,
        boolean allowPreconfig) {}
