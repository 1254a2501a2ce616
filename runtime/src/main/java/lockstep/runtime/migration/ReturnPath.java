package lockstep.runtime.migration;

import lockstep.runtime.vmstate.StateInput;

import org.jspecify.annotations.Nullable;

import java.io.IOException;

/**
 * The source's ear for what the destination says on the way back: a thread that reads to the last message, and not a byte
 * further: in COLO the secondary's messages come behind it.
 */
final class ReturnPath {
    private static final String[] NAMES = {
        "INVALID",
        "SHUT",
        "PONG",
        "REQ_PAGES_ID",
        "REQ_PAGES",
        "RECV_BITMAP",
        "RESUME_ACK",
        "SWITCHOVER_ACK"
    };

    private final StateInput in;
    private @Nullable Thread thread;
    private volatile @Nullable String error;

    ReturnPath(StateInput in) {
        this.in = in;
    }

    /** Starts to listen. */
    void start() {
        thread = Thread.ofPlatform().daemon().name("mig/src/rp-thr").start(this::listen);
    }

    private void listen() {
        try {
            while (message()) {
                continue;
            }
        } catch (IOException e) {
            error = e.getMessage();
        }
    }

    /** Reads one message; false behind the last one. */
    private boolean message() throws IOException {
        int type = in.u16();
        int length = in.u16();
        if (type == 0 || type >= NAMES.length) {
            throw new IOException(
                    "Received invalid message 0x%04x length 0x%04x".formatted(type, length));
        }
        int expected =
                switch (type) {
                    case StreamFormat.RETURN_SHUT, StreamFormat.RETURN_PONG -> 4;
                    case 7 -> 0;
                    default ->
                            throw new IOException(
                                    "Received '%s' message (0x%04x), which only postcopy migration"
                                                    .formatted(NAMES[type], type)
                                            + " uses");
                };
        if (length != expected) {
            throw new IOException(
                    "Received '%s' message (0x%04x) withincorrect length %d expecting %d"
                            .formatted(NAMES[type], type, length, expected));
        }
        if (type == StreamFormat.RETURN_SHUT) {
            int value = in.u32();
            if (value != 0) {
                throw new IOException("Sibling indicated error " + value);
            }
            return false;
        }
        if (expected > 0) {
            in.u32();
        }
        return true;
    }

    /**
     * Waits for the last message.
     *
     * @param millis the longest time; 0 for any
     */
    void await(long millis) throws IOException {
        Thread t = thread;
        if (t != null) {
            try {
                t.join(millis);
                if (t.isAlive()) {
                    throw new IOException(
                            "The destination did not close the return path within %d ms"
                                    .formatted(millis));
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IOException("interrupted while waiting for the destination", e);
            }
        }
        String e = error;
        if (e != null) {
            throw new IOException(e);
        }
    }
}
