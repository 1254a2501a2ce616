package lockstep.runtime.chardev;

import lockstep.runtime.linux.Fd;
import lockstep.runtime.loop.EventLoop;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;

/** A named byte stream to the host world. Made, attached and closed under the machine lock. */
public interface Chardev extends AutoCloseable {
    /** One front end's hold on the device. */
    interface Attachment extends AutoCloseable {
        /** Whether output has somewhere to go. Any thread. */
        boolean connected();

        /**
         * Sends all of {@code data}: what the peer does not take at once is queued, in order, without
         * blocking. Any thread.
         *
         * @throws IOException when no peer is connected; the data is lost
         */
        void write(ByteBuffer data) throws IOException;

        /** Bytes queued and not yet taken by the host, for front ends that hold back when it grows. */
        long pending();

        /** Tells the back end that {@link ChardevFrontend#canReceive} may have grown. Any thread. */
        void acceptInput();

        /**
         * Hands the front end at once what the peer has sent and the host has here, as far as it takes it.
         * On the front end's loop. False when there was nothing, or the back end cannot.
         */
        default boolean poll() {
            return false;
        }

        /**
         * The oldest file descriptor that came with what the peer sent last, and was not taken yet; null
         * if there is none, as on everything but unix sockets. The caller owns it. Any thread.
         */
        default @Nullable Fd takeDescriptor() {
            return null;
        }

        /** Runs {@code task} once on the loop when {@link #pending} has become 0 (at once if it is). */
        void whenDrained(Runnable task);

        /** Lets go of the device, which may then have another front end. No callback follows. */
        @Override
        void close();
    }

    /** The id, unique among chardevs. */
    String id();

    /** QEMU's type name, such as {@code chardev-socket}. */
    default String type() {
        return "chardev";
    }

    /** What query-chardev calls the file name: address and state of the connection. */
    String filename();

    /** Whether a front end has opened the device. */
    boolean frontendOpen();

    /** Whether the back end can be served by another loop than the main loop (sockets can). */
    boolean movable();

    /** Whether the back end survives the loss of its peer (sockets do). */
    boolean reconnectable();

    /**
     * Makes {@code frontend} the device's user, served on {@code loop}.
     *
     * @throws ChardevException {@code chardev 'x' is already in use}
     */
    Attachment attach(ChardevFrontend frontend, EventLoop loop) throws ChardevException;

    /** Passes a break on to the peer, where the back end knows what that is. */
    default void sendBreak() {}

    /**
     * Takes a connection over as if it had been accepted. False if the device cannot, or has one; the
     * caller keeps the descriptor then.
     */
    default boolean adoptClient(Fd client) {
        return false;
    }

    /** Cuts the connection, so that nobody waits for the peer any longer. Any thread. */
    default void yank() {}

    /** Closes connection and listener; a front end gets {@link ChardevFrontend#closed}. */
    @Override
    void close();
}
