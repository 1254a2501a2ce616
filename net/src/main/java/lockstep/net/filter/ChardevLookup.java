package lockstep.net.filter;

import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.loop.EventLoop;

import org.jspecify.annotations.Nullable;

/** Where filters find their character devices, and the loop that serves them. */
public interface ChardevLookup {
    /** The device of that id, or null. */
    @Nullable Chardev find(String id);

    /** The loop that holds the machine lock. */
    EventLoop loop();

    /** Whether a part of this process takes no packets on purpose, and will go on or be ended by others. */
    default boolean held() {
        return false;
    }
}
