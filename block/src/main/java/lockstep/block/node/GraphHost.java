package lockstep.block.node;

import lockstep.runtime.loop.EventLoop;

import org.jspecify.annotations.Nullable;

/** What a graph of nodes needs from the process around it; tests and tools bring their own small one. */
public interface GraphHost {
    /** Runs a task on the main loop with the machine lock held. Any thread. */
    void post(Runnable task);

    /**
     * The main loop, to take what the kernel has done for the requests; null where there is none, and then threads make
     * all of them.
     */
    default @Nullable EventLoop loop() {
        return null;
    }

    /** A write went beyond a node's threshold, by so many bytes. Any thread. */
    default void thresholdExceeded(BlockNode node, long bytes, long threshold) {}

    /**
     * An image turned out to be damaged. Any thread.
     *
     * @param offset of the damage in the image's file; negative when there is no such place
     * @param size bytes; negative when that is not known
     * @param fatal the image cannot be written any more
     */
    default void imageCorrupted(
            BlockNode image, String message, long offset, long size, boolean fatal) {}

    /** A host that runs tasks at once on the thread that brings them. */
    static GraphHost direct() {
        return Runnable::run;
    }
}
