package lockstep.runtime.tls;

import java.util.ArrayDeque;
import java.util.function.Consumer;

/**
 * Who has connected and has yet to show who it is. Many may do so side by side, so that one that says nothing keeps nobody
 * waiting; when there are too many, the one that came first is sent away. Guarded by its owner's lock.
 */
public final class TlsCallers<C> {
    private static final int MOST = 16;

    private final ArrayDeque<C> callers = new ArrayDeque<>();
    private final Consumer<C> sendAway;

    /** With what ends a caller's connection; the thread that waits for the caller closes it. */
    public TlsCallers(Consumer<C> sendAway) {
        this.sendAway = sendAway;
    }

    /** Another one has come. */
    public void add(C caller) {
        if (callers.size() == MOST) {
            sendAway.accept(callers.removeFirst());
        }
        callers.add(caller);
    }

    /** A caller has shown who it is, or failed to; false when it was sent away before. */
    public boolean remove(C caller) {
        return callers.remove(caller);
    }

    /** Ends the connections of all; each is still removed as one that failed. */
    public void cut() {
        callers.forEach(sendAway);
    }

    /** Sends all away. */
    public void clear() {
        cut();
        callers.clear();
    }

    /** Whether there is nobody. */
    public boolean isEmpty() {
        return callers.isEmpty();
    }
}
