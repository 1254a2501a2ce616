package lockstep.runtime.chardev;

import java.nio.ByteBuffer;

/**
 * The user of a character device: a monitor, a serial port, a net filter. Called on the loop that it was
 * attached with (the main loop holds the machine lock).
 */
public interface ChardevFrontend {
    /** How many bytes {@link #receive} would take now; 0 leaves the rest unread in the back end. */
    int canReceive();

    /** Takes all of {@code data}, at most {@link #canReceive} bytes. */
    void receive(ByteBuffer data);

    /**
     * Asked at the end of the input: whether what was received is still being worked on. The end then
     * waits for {@link Chardev.Attachment#acceptInput}, so that a peer that only closed its sending
     * direction gets every answer.
     */
    default boolean working() {
        return false;
    }

    /** A peer is there. Also called at attaching when one is there already. */
    default void opened() {}

    /** The peer left. */
    default void closed() {}

    /** A serial break was received. */
    default void broken() {}

    /** A device shared by several front ends sends its input to this one, or to another one, from now. */
    default void focused(boolean here) {}
}
