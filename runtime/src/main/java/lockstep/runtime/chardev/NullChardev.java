package lockstep.runtime.chardev;

import java.nio.ByteBuffer;

/** Swallows output and never has input. Connected from the start. */
final class NullChardev extends Backend {
    NullChardev(String id, ChardevHost host) {
        super(id, host.mainLoop());
    }

    @Override
    boolean connected() {
        return true;
    }

    @Override
    void send(ByteBuffer data) {
        data.position(data.limit());
    }

    @Override
    public String type() {
        return "chardev-null";
    }

    @Override
    public String filename() {
        return "null";
    }
}
