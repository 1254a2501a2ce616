package lockstep.net.socket;

import lockstep.net.filter.FrameDecoder;
import lockstep.net.wire.Network;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.SocketName;
import lockstep.runtime.linux.Sockets;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.Timer;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Frames over a stream socket, each with its length in four bytes in front. A server serves one
 * peer at a time and waits for the next when it leaves.
 */
final class StreamEndpoint extends SocketEndpoint {
    private static final int INPUT = 65536;

    /** How the backend talks about its peers. */
    interface Style {
        /** The text of {@code info network} while a server waits. */
        String listening(SocketName address);

        /** The text while connected. */
        String connected(SocketName peer, boolean server);

        /** The text while a client looks for its peer. */
        default String connecting() {
            return "";
        }

        /** The text after the peer has left a client. */
        String disconnected();

        /** A peer is there. */
        default void opened(SocketName peer) {}

        /** The peer left. */
        default void closed() {}
    }

    private final EventLoop loop;
    private final Style style;
    private final @Nullable Fd listener;
    private final @Nullable SocketName server;
    private final long reconnectMs;
    private final byte[] input = new byte[INPUT];
    private final FrameDecoder decoder =
            new FrameDecoder(false, (data, length, header) -> incoming(data, length));
    private EventLoop.@Nullable Watch listenWatch;
    private @Nullable Fd connection;
    private EventLoop.@Nullable Watch watch;
    private boolean connecting;
    private byte[] output = new byte[0];
    private int written;
    private @Nullable Timer retry;

    private StreamEndpoint(
            Network network,
            EventLoop loop,
            String id,
            String type,
            Style style,
            @Nullable Fd listener,
            @Nullable SocketName server,
            long reconnectMs) {
        super(network, id, type);
        this.loop = loop;
        this.style = style;
        this.listener = listener;
        this.server = server;
        this.reconnectMs = reconnectMs;
    }

    /** A server on a socket that listens. */
    static StreamEndpoint server(
            Network network, EventLoop loop, String id, String type, Style style, Fd listener)
            throws IOException {
        StreamEndpoint e = new StreamEndpoint(network, loop, id, type, style, listener, null, 0);
        e.listen();
        return e;
    }

    /** A client; {@code reconnectMs} is 0 for a single attempt. */
    static StreamEndpoint client(
            Network network,
            EventLoop loop,
            String id,
            String type,
            Style style,
            SocketName server,
            long reconnectMs)
            throws IOException {
        StreamEndpoint e =
                new StreamEndpoint(network, loop, id, type, style, null, server, reconnectMs);
        e.info(style.connecting());
        e.connect();
        return e;
    }

    /** One that uses a connected socket. */
    static StreamEndpoint connected(
            Network network, EventLoop loop, String id, String type, Style style, Fd socket) {
        StreamEndpoint e = new StreamEndpoint(network, loop, id, type, style, null, null, 0);
        e.established(socket);
        return e;
    }

    private void listen() throws IOException {
        Fd l = listener;
        if (l != null) {
            info(style.listening(Sockets.localName(l.number())));
            listenWatch = loop.watch(l.number(), EventLoop.READ, events -> accept(l));
        }
    }

    private void accept(Fd l) {
        int fd = Sockets.accept(l);
        if (fd < 0) {
            return;
        }
        if (listenWatch != null) {
            listenWatch.close();
            listenWatch = null;
        }
        established(new Fd(fd));
    }

    private void connect() throws IOException {
        SocketName to = server;
        if (to == null) {
            return;
        }
        Fd fd = Sockets.stream(to.family());
        int result = Sockets.connect(fd, to);
        if (result == -Errno.EINPROGRESS) {
            connection = fd;
            connecting = true;
            watch = loop.watch(fd.number(), EventLoop.WRITE, events -> attempted(fd));
        } else if (result < 0) {
            fd.close();
            failed(-result);
        } else {
            established(fd);
        }
    }

    private void attempted(Fd fd) {
        int error = Sockets.error(fd);
        if (watch != null) {
            watch.close();
            watch = null;
        }
        connecting = false;
        connection = null;
        if (error == 0) {
            established(fd);
        } else {
            fd.close();
            failed(error);
        }
    }

    private void failed(int errno) {
        if (reconnectMs == 0) {
            network().warn("netdev " + name() + ": can't connect: " + Errno.text(errno));
        } else {
            retry();
        }
    }

    private void retry() {
        Timer t = retry;
        if (t == null) {
            t = loop.timer(ClockType.REALTIME, this::reconnect);
            retry = t;
        }
        t.arm(loop.clocks().now(ClockType.REALTIME) + reconnectMs * 1_000_000);
    }

    private void reconnect() {
        if (!closed()) {
            try {
                connect();
            } catch (IOException e) {
                network().warn("netdev " + name() + ": " + e.getMessage());
                retry();
            }
        }
    }

    private void established(Fd fd) {
        connection = fd;
        decoder.reset();
        output = new byte[0];
        written = 0;
        Sockets.noDelay(fd, true);
        SocketName peer;
        try {
            peer = Sockets.peerName(fd.number());
            if (listener != null && !(peer instanceof SocketName.Inet)) {
                // The server's name is the one that both know.
                peer = Sockets.localName(fd.number());
            }
        } catch (IOException e) {
            peer = new SocketName.Unnamed();
        }
        info(style.connected(peer, server == null));
        watch = loop.watch(fd.number(), 0, events -> ready(fd, events));
        interest();
        style.opened(peer);
        flushIncoming();
    }

    @Override
    void interest() {
        EventLoop.Watch w = watch;
        if (w != null && !connecting) {
            w.interest(
                    (reading() ? EventLoop.READ : 0)
                            | (written < output.length ? EventLoop.WRITE : 0));
        }
    }

    private void ready(Fd fd, int events) {
        if ((events & EventLoop.WRITE) != 0) {
            drain(fd);
        }
        if (connection == fd && (events & (EventLoop.READ | EventLoop.ERROR)) != 0 && mayRead()) {
            int n = FileIo.read(fd.number(), input, 0, input.length);
            if (n > 0) {
                if (!decoder.feed(ByteBuffer.wrap(input, 0, n))) {
                    network().warn(FrameDecoder.OVERSIZED);
                    disconnect(fd);
                }
            } else if (n != -Errno.EAGAIN && n != -Errno.EINTR) {
                disconnect(fd);
            }
        } else if (connection == fd
                && (events & EventLoop.ERROR) != 0
                && (events & EventLoop.READ) == 0) {
            disconnect(fd);
        }
    }

    private void drain(Fd fd) {
        while (written < output.length) {
            int n = Sockets.send(fd.number(), output, written, output.length - written);
            if (n == -Errno.EAGAIN || n == -Errno.EINTR) {
                return;
            }
            if (n < 0) {
                disconnect(fd);
                return;
            }
            written += n;
        }
        output = new byte[0];
        written = 0;
        interest();
        flushIncoming();
    }

    @Override
    protected int receive(byte[] frame, int offset, int length) {
        Fd fd = connection;
        if (fd == null || connecting) {
            return length; // Nobody is at the other end of the cable.
        }
        if (written < output.length) {
            return 0;
        }
        ByteBuffer b = ByteBuffer.allocate(4 + length);
        b.putInt(length).put(frame, offset, length);
        int n = Sockets.send(fd.number(), b.array(), 0, b.capacity());
        if (n < 0) {
            if (n == -Errno.EAGAIN || n == -Errno.EINTR) {
                n = 0;
            } else {
                loop.execute(() -> disconnect(fd));
                return length;
            }
        }
        if (n < b.capacity()) {
            output = b.array();
            written = n;
            interest();
        }
        return length;
    }

    private void disconnect(Fd fd) {
        if (connection != fd) {
            return;
        }
        release();
        info(reconnectMs > 0 ? style.connecting() : style.disconnected());
        style.closed();
        flushIncoming();
        try {
            listen();
        } catch (IOException e) {
            network().warn("netdev " + name() + ": " + e.getMessage());
        }
        if (reconnectMs > 0) {
            retry();
        }
    }

    private void release() {
        if (watch != null) {
            watch.close();
            watch = null;
        }
        if (connection != null) {
            connection.close();
            connection = null;
        }
        connecting = false;
        output = new byte[0];
        written = 0;
    }

    @Override
    protected void cleanup() {
        release();
        if (listenWatch != null) {
            listenWatch.close();
        }
        if (listener != null) {
            listener.close();
        }
        if (retry != null) {
            retry.cancel();
        }
    }
}
