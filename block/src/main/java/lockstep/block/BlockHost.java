package lockstep.block;

import lockstep.block.luks.Secrets;
import lockstep.block.node.GraphHost;
import lockstep.runtime.tls.TlsEnd;

/**
 * What the block room needs from the machine around it; tests and tools bring their own small one.
 */
public interface BlockHost extends GraphHost {
    /** A failed guest request met its policy. Called on the main loop. */
    default void ioError(BlockBackend backend, boolean read, ErrorAction action, int errno) {}

    /** The tray of a guest's drive moved. Called on the main loop. */
    default void trayMoved(BlockBackend backend, boolean open) {}

    /** The machine waits for a peer, and this is what for. Machine lock held. */
    default void waiting(String message) {}

    /** Where connections with TLS have their credentials from. */
    default TlsEnd.Source tlsEnds() {
        return TlsEnd.Source.NONE;
    }

    /** Where the passwords of encrypted images are. */
    default Secrets secrets() {
        return Secrets.NONE;
    }

    /** Stops the machine with run state io-error. Called on the main loop. */
    default void stopForIoError() {}

    /** A host that runs completions at once on the thread that finished the request. */
    static BlockHost direct() {
        return Runnable::run;
    }
}
