package lockstep.block.nbd;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.channels.SocketChannel;

/** The first connection of a node while it is being made, so that yank can end an attempt that hangs. Any thread. */
final class NbdAttempt {
    private @Nullable SocketChannel channel;
    private boolean cut;

    /** This channel is used from now on; closes it if the attempt was cut. */
    synchronized void on(SocketChannel used) throws IOException {
        channel = used;
        if (cut) {
            used.close();
        }
    }

    /** Ends the attempt: whoever blocks on its channel fails, and no further channel is tried. */
    synchronized void cut() {
        cut = true;
        if (channel != null) {
            NbdAddress.close(channel);
        }
    }

    synchronized boolean isCut() {
        return cut;
    }
}
