package lockstep.runtime.object;

import lockstep.runtime.loop.EventLoop;

/** An {@code iothread} object as those who use it see it. Under the machine lock. */
public interface Iothread extends UserObject {
    /** The loop; it runs until the object is removed. */
    EventLoop loop();

    /** Counts a user; the object cannot be removed before {@link #release}. */
    void acquire();

    /** Gives that up. */
    void release();
}
