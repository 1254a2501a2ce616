package lockstep.qmp;

/** A listener that is registered. May be closed by any thread, the listener's own too. */
public interface Subscription extends AutoCloseable {
    /** Ends it: nothing is delivered any more, except what is being delivered right now. */
    @Override
    void close();

    /** How many messages were dropped so far because the listener was slow. */
    long dropped();
}
