package lockstep.net.filter;

import lockstep.runtime.chardev.ChardevFrontend;

import java.nio.ByteBuffer;

/**
 * The front end of a device that is only written to. What the peer sends is thrown away; reading it
 * is how its leaving is noticed.
 */
public final class OutputFrontend implements ChardevFrontend {
    /** A front end without state. */
    public OutputFrontend() {}

    @Override
    public int canReceive() {
        return 4096;
    }

    @Override
    public void receive(ByteBuffer data) {
        data.position(data.limit());
    }
}
