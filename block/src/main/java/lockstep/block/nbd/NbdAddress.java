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
    /**
     * A TCP port.
     *
     * @param lastPort a server listens on the first port up to this one that is free
     * @param family 4 or 6 for addresses of that kind only, 0 for any
     */
    record Inet(String host, int port, int lastPort, int family) implements NbdAddress {
        /** One port, on any kind of address. */
        public Inet(String host, int port) {
            this(host, port, port, 0);
        }

        boolean matches(InetAddress address) {
            return family == 0 || address.getAddress().length == (family == 4 ? 4 : 16);
        }

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

    /** An address as users give it. */
    static NbdAddress inet(lockstep.api.InetSocketAddress address) throws BlockException {
        Boolean four = address.ipv4();
        Boolean six = address.ipv6();
        if (Boolean.FALSE.equals(four) && Boolean.FALSE.equals(six)) {
            throw new BlockException(Errno.EINVAL, "Cannot disable IPv4 and IPv6 at same time");
        }
        boolean noFour = Boolean.FALSE.equals(four) || four == null && Boolean.TRUE.equals(six);
        boolean noSix = Boolean.FALSE.equals(six) || six == null && Boolean.TRUE.equals(four);
        int port = inet(address.host(), address.port()).port;
        Integer to = address.to();
        return new Inet(address.host(), port, to == null ? port : to, noFour ? 6 : noSix ? 4 : 0);
    }

    /** The port of a host, whose number is given in text. */
    static Inet inet(String host, String port) throws BlockException {
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
            case Inet inet -> {
                try {
                    for (InetAddress address : InetAddress.getAllByName(inet.host)) {
                        if (inet.matches(address)) {
                            return new InetSocketAddress(address, inet.port);
                        }
                    }
                    throw unresolved(toString(), "Address family for hostname not supported");
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
