package lockstep.net.socket;

import lockstep.net.wire.Endpoint;
import lockstep.net.wire.Network;

/** What the socket backends share: when to read. */
abstract class SocketEndpoint extends Endpoint {
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
        if (send(frame, 0, length, sent) == 0) {
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
    protected void wake() {
        resume();
    }

    /** What is waited for has changed. */
    abstract void interest();
}
