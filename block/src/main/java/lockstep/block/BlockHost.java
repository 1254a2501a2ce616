package lockstep.block;

import lockstep.block.node.BlockNode;

/**
 * What the block room needs from the machine around it; tests and tools bring their own small one.
 */
public interface BlockHost {
    /** Runs a task on the main loop with the machine lock held. Any thread. */
    void post(Runnable task);

    /** A failed guest request met its policy. Called on the main loop. */
    default void ioError(BlockBackend backend, boolean read, ErrorAction action, int errno) {}

    /** The tray of a guest's drive moved. Called on the main loop. */
    default void trayMoved(BlockBackend backend, boolean open) {}

    /** A write went beyond a node's threshold, by so many bytes. Any thread. */
    default void thresholdExceeded(BlockNode node, long bytes, long threshold) {}

    /** The machine waits for a peer, and this is what for. Machine lock held. */
    default void waiting(String message) {}

    /** Stops the machine with run state io-error. Called on the main loop. */
    default void stopForIoError() {}

    /**
     * An image turned out to be damaged. Any thread.
     *
     * @param offset of the damage in the image's file; negative when there is no such place
     * @param size bytes; negative when that is not known
     * @param fatal the image cannot be written any more
     */
    default void imageCorrupted(
            BlockNode image, String message, long offset, long size, boolean fatal) {}

    /** A host that runs completions at once on the thread that finished the request. */
    static BlockHost direct() {
        return Runnable::run;
    }
}
