package lockstep.qmp;

/** What a command does. */
@FunctionalInterface
public interface CommandHandler<A, R> {
    /**
     * Runs the command; on which thread is up to the server that dispatches.
     *
     * @throws QmpException with the class and the text that the client gets
     */
    R handle(A arguments) throws QmpException;
}
