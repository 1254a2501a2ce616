package lockstep.runtime.migration;

import java.io.IOException;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;

/** A TCP or unix socket. Small messages leave at once: a checkpoint is a chain of round trips. */
final class SocketLink implements MigrationChannel {
    private final SocketChannel socket;

    SocketLink(SocketChannel socket) throws IOException {
        this.socket = socket;
        socket.configureBlocking(true);
        if (socket.supportedOptions().contains(StandardSocketOptions.TCP_NODELAY)) {
            socket.setOption(StandardSocketOptions.TCP_NODELAY, true);
            acknowledgeAtOnce();
        }
    }

    @Override
    public int read(ByteBuffer target) throws IOException {
        int n = socket.read(target);
        if (target.position() < 64) {
            acknowledgeAtOnce();
        }
        return n;
    }

    /**
     * A peer that collects small segments (QEMU leaves Nagle's algorithm on) waits for our
     * acknowledgement before it sends the second of two messages; Linux would hold that back 40 ms. The
     * option wears off, so it is renewed behind each small read.
     */
    private void acknowledgeAtOnce() {
        try {
            if (socket.supportedOptions().contains(jdk.net.ExtendedSocketOptions.TCP_QUICKACK)) {
                socket.setOption(jdk.net.ExtendedSocketOptions.TCP_QUICKACK, true);
            }
        } catch (IOException e) {
            // Only costs time; a broken socket shows at the next read.
            return;
        }
    }

    @Override
    public void write(ByteBuffer source) throws IOException {
        while (source.hasRemaining()) {
            socket.write(source);
        }
    }

    @Override
    public void shutdown() {
        try {
            socket.shutdownInput();
        } catch (IOException e) {
            // Not connected any more: nothing is left to end.
        }
        try {
            socket.shutdownOutput();
        } catch (IOException e) {
            // As above.
        }
    }

    @Override
    public String kind() {
        return "socket";
    }

    @Override
    public void close() {
        try {
            socket.close();
        } catch (IOException e) {
            // Nothing of ours is in flight: every sender flushes and checks first.
        }
    }
}
