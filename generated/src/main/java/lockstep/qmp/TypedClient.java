package lockstep.qmp;

import java.time.Duration;

/**
 * What generated clients have in common: they add a method for each command of a schema to a {@link
 * QmpClient}, and share its connection. Any thread.
 *
 * @param <C> the generated class
 */
public abstract class TypedClient<C extends TypedClient<C>> implements AutoCloseable {
    private final QmpClient qmp;
    private final QmpCaller caller;

    /**
     * Adds methods.
     *
     * @param caller what runs the commands: the client, or one of its own with other settings
     */
    protected TypedClient(QmpClient qmp, QmpCaller caller) {
        this.qmp = qmp;
        this.caller = caller;
    }

    /** The same methods with commands run by another caller. */
    protected abstract C with(QmpCaller newCaller);

    /** The client underneath: events, raw messages and the life of the connection. */
    public QmpClient qmp() {
        return qmp;
    }

    /** What runs the commands. */
    public QmpCaller caller() {
        return caller;
    }

    /** The same methods, run out of band; see {@link QmpCaller#outOfBand}. */
    public C outOfBand() {
        return with(caller.outOfBand());
    }

    /** The same methods with a time limit each; see {@link QmpCaller#withTimeout}. */
    public C withTimeout(Duration limit) {
        return with(caller.withTimeout(limit));
    }

    /** The same methods with file descriptors; see {@link QmpCaller#withDescriptors}. */
    public C withDescriptors(Descriptor... descriptors) {
        return with(caller.withDescriptors(descriptors));
    }

    /** Closes the connection, for all that share it. */
    @Override
    public void close() {
        qmp.close();
    }
}
