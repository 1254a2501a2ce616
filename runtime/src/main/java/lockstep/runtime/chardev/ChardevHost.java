package lockstep.runtime.chardev;

import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.tls.TlsEnd;

import org.jspecify.annotations.Nullable;

/** What character devices need of the process they live in. */
public interface ChardevHost {
    /** The loop that serves devices without a front end of another loop. */
    EventLoop mainLoop();

    /** Prints a message for the user, with the program's name in front. */
    void report(String message);

    /** Takes over a descriptor that a monitor was handed under that name; null if there is none. */
    @Nullable Integer takeDescriptor(String name);

    /** Whether the command line is still being carried out, so that descriptors have numbers, not names. */
    default boolean starting() {
        return false;
    }

    /** Ends the process as the escape of a mux asks. */
    void terminate();

    /** Whether the process is or becomes a daemon, which has no standard input and output. */
    boolean daemon();

    /** Whether the process ends, so that nobody should wait for a peer any more. Any thread. */
    default boolean ending() {
        return false;
    }

    /** Has {@code task} run even by a process that ends in the middle of everything. It must not block. */
    default void lastly(Runnable task) {}

    /** Where sockets with TLS have their credentials from. */
    default TlsEnd.Source tlsEnds() {
        return TlsEnd.Source.NONE;
    }

    /** A device was made. */
    default void added(Chardev device) {}

    /** A device is gone. */
    default void removed(Chardev device) {}
}
