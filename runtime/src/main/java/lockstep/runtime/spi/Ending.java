package lockstep.runtime.spi;

import java.util.List;

/**
 * A room's part in the end of the process. The steps come in the order of the methods, and each of them for all rooms
 * before the next; {@code Shutdown} holds their budgets. Under the machine lock, the guest paused,
 * unless a method says otherwise.
 */
@FunctionalInterface
public interface Ending {
    /** Takes nothing new from outside: listeners are closed, clients are cut off. Returns at once. */
    default void stopTaking() {}

    /** Tells work that need not end well, such as jobs, to end. Returns at once. */
    default void cancel() {}

    /** What is still under way, each in words for the user; empty when nothing is. Called again and again. */
    default List<String> underWay() {
        return List.of();
    }

    /**
     * Begins to make durable what was written, on threads of the room's own. Returns at once. Any thread, and without
     * the machine lock: it is also the last resort of a process that is stuck elsewhere.
     */
    default void flush() {}

    /** What {@link #flush} has not made durable yet, each in words for the user. Any thread. */
    default List<String> unsaved() {
        return List.of();
    }

    /** Lets go of everything that can be let go without waiting for what is still under way. */
    void close();
}
