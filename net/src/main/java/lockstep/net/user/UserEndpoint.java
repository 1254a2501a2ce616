package lockstep.net.user;

import lockstep.net.wire.Endpoint;
import lockstep.net.wire.Network;
import lockstep.runtime.loop.EventLoop;

import java.util.Arrays;
import java.util.function.Consumer;

/** The backend: what the guest sends goes into a user network, what comes out goes to the guest. */
final class UserEndpoint extends Endpoint {
    /** Bytes of the shortest Ethernet frame without its check sequence (IEEE 802.3). */
    private static final int SHORTEST = 60;

    private final UserStack stack;
    private final Consumer<UserEndpoint> gone;
    private final Runnable sent = this::taken;
    private final byte[] padded = new byte[SHORTEST];
    private int waiting;
    private boolean sending;

    @SuppressWarnings("this-escape") // The stack calls back only when there are frames.
    UserEndpoint(
            Network network,
            EventLoop loop,
            String id,
            UserConfig config,
            Consumer<UserEndpoint> gone) {
        super(network, id, "user");
        this.gone = gone;
        stack = new UserStack(config, loop, this::output, this::room, network::warn);
        info(
                "net=%s,restrict=%s"
                        .formatted(Ip.text(config.network()), config.restricted() ? "on" : "off"));
    }

    UserStack stack() {
        return stack;
    }

    private boolean room() {
        return waiting == 0 && !congested();
    }

    private void output(byte[] frame, int length, boolean paced) {
        byte[] whole = frame;
        if (length < SHORTEST) {
            System.arraycopy(frame, 0, padded, 0, length);
            Arrays.fill(padded, length, SHORTEST, (byte) 0);
            whole = padded;
        }
        boolean outer = sending;
        sending = true;
        try {
            // Counted first, as it may be gone before the call returns.
            waiting += paced ? 1 : 0;
            if (send(whole, 0, Math.max(length, SHORTEST), paced ? sent : null) != 0 && paced) {
                waiting--;
            }
        } finally {
            sending = outer;
        }
    }

    private void taken() {
        waiting--;
        if (!closed()) {
            resume();
        }
    }

    private void resume() {
        if (room()) {
            stack.resume();
        }
    }

    @Override
    protected void wake() {
        resume();
    }

    /** A frame that comes while one is sent, through a hub from another such network, is lost: its place is in use. */
    @Override
    protected int receive(byte[] frame, int offset, int length) {
        if (!sending) {
            stack.input(frame, offset, length);
        }
        return length;
    }

    @Override
    protected void cleanup() {
        stack.close();
        gone.accept(this);
    }
}
