package lockstep.block.nbd;

import lockstep.block.BlockException;
import lockstep.block.Errno;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.SocketChannel;

/** Where a server listens. */
public sealed interface NbdAddress {
    /** A TCP port. */
    record Inet(String host, int port) implements NbdAddress {
        @Override
        public String toString() {
            return host + ":" + port;
        }
    }

    /** A UNIX socket. */
    record Unix(String path) implements NbdAddress {
        @Override
        public String toString() {
            return path;
        }
    }

    /** The address for the JDK's channels. */
    default SocketAddress resolve() {
        return switch (this) {
            case Inet(String host, int port) -> new InetSocketAddress(host, port);
            case Unix(String path) -> UnixDomainSocketAddress.of(path);
        };
    }

    /** A blocking channel to the server. */
    default SocketChannel connect(NbdAttempt attempt) throws BlockException {
        SocketChannel channel = null;
        try {
            channel =
                    this instanceof Unix
                            ? SocketChannel.open(StandardProtocolFamily.UNIX)
                            : SocketChannel.open();
            attempt.on(channel);
            SocketAddress address = resolve();
            if (address instanceof InetSocketAddress inet) {
                if (inet.isUnresolved()) {
                    throw new BlockException(
                            Errno.ENOENT,
                            "address resolution failed for "
                                    + this
                                    + ": Name or service not known");
                }
                channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
            }
            channel.connect(address);
            return channel;
        } catch (IOException e) {
            close(channel);
            String reason =
                    e instanceof ClosedChannelException ? "Operation canceled" : e.getMessage();
            throw new BlockException(
                    Errno.ECONNREFUSED, "Failed to connect to '" + this + "': " + reason, e);
        } catch (BlockException e) {
            close(channel);
            throw e;
        }
    }

    static void close(@org.jspecify.annotations.Nullable SocketChannel channel) {
        if (channel != null) {
            try {
                channel.close();
            } catch (IOException e) {
                // Nothing was sent over it.
                System.getLogger("lockstep.block").log(System.Logger.Level.DEBUG, e);
            }
        }
    }
}
