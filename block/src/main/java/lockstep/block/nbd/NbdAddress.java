package lockstep.block.nbd;

import lockstep.block.node.BlockException;
import lockstep.qmp.NumberText;
import lockstep.runtime.linux.Errno;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.net.UnixDomainSocketAddress;
import java.net.UnknownHostException;
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

    /** The port of a host, whose number is given in text. */
    static NbdAddress inet(String host, String port) throws BlockException {
        int number =
                NumberText.port(port)
                        .orElseThrow(
                                () ->
                                        unresolved(
                                                host + ":" + port,
                                                "Servname not supported for ai_socktype"));
        return new Inet(host, number);
    }

    private static BlockException unresolved(String address, String reason) {
        return new BlockException(
                Errno.ENOENT, "address resolution failed for " + address + ": " + reason);
    }

    /** The address for the JDK's channels. */
    default SocketAddress resolve() throws BlockException {
        switch (this) {
            case Inet(String host, int port) -> {
                try {
                    return new InetSocketAddress(InetAddress.getByName(host), port);
                } catch (UnknownHostException e) {
                    String text = String.valueOf(e.getMessage());
                    throw unresolved(
                            toString(), text.substring(text.lastIndexOf(": ") + 1).strip());
                }
            }
            case Unix(String path) -> {
                return UnixDomainSocketAddress.of(path);
            }
        }
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
            if (address instanceof InetSocketAddress) {
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
