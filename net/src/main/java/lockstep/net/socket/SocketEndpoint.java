package lockstep.net.socket;

import lockstep.net.wire.Endpoint;
import lockstep.net.wire.Network;

import java.util.Arrays;

/** What the socket backends share: when to read, and padding for a NIC that wants whole frames. */
abstract class SocketEndpoint extends Endpoint {
    /** Bytes of the shortest Ethernet frame without its check sequence (IEEE 802.3). */
    private static final int SHORTEST = 60;

    private final Runnable sent = this::resume;
    private boolean reading = true;

    SocketEndpoint(Network network, String id, String type) {
        super(network, id, type);
    }

    /** Whether input is wanted now. */
    final boolean reading() {
        return reading;
    }

    /** Sends a frame from the host's network on to the guest. */
    final void incoming(byte[] frame, int length) {
        Endpoint peer = peer();
        byte[] f = frame;
        int n = length;
        if (peer != null && peer.nic() && length < SHORTEST) {
            f = Arrays.copyOf(Arrays.copyOf(frame, length), SHORTEST);
            n = SHORTEST;
        }
        if (send(f, 0, n, sent) == 0) {
            reading = false;
            interest();
        }
    }

    /** Asks the filters whether input may go on; pauses it if not. */
    final boolean mayRead() {
        if (reading && congested()) {
            reading = false;
            interest();
            if (!congested()) {
                resume(); // Drained between the question and the pause.
            }
        }
        return reading;
    }

    private void resume() {
        if (!reading && !closed()) {
            reading = true;
            interest();
        }
    }

    @Override
    public void uncongested() {
        resume();
    }

    /** What is waited for has changed. */
    abstract void interest();
}
