package lockstep.runtime.chardev;

import static lockstep.linux.abi.LinuxAbi.SHUT_RDWR;

import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.SocketName;
import lockstep.runtime.linux.Sockets;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.tls.TlsStream;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntConsumer;

/**
 * One peer of a socket device: what is read from it and what is queued for it. Under the device's lock, except for
 * {@link #pending}.
 */
final class SocketConnection {
    private final Fd fd;
    private final SendQueue queue;
    private final @Nullable TlsStream tls;
    private final boolean carriesDescriptors;
    private final List<Fd> received = new ArrayList<>();
    private final List<Fd> along = new ArrayList<>();
    private volatile EventLoop.@Nullable Watch watch;
    private volatile boolean reading;
    private volatile boolean reminded;
    private Runnable readable = () -> {};
    private boolean ended;
    private boolean failed;

    /** Of a plain socket. */
    SocketConnection(Fd fd) {
        this.fd = fd;
        queue = new SendQueue(Sockets::send);
        tls = null;
        carriesDescriptors = !isInet(fd);
    }

    /** Of a socket with TLS, after the handshake. */
    SocketConnection(TlsSocket socket, TlsStream tls) {
        fd = socket.fd();
        queue = socket.queue();
        this.tls = tls;
        carriesDescriptors = false;
        socket.settle();
    }

    Fd fd() {
        return fd;
    }

    /** Whether descriptors cannot come along; a unix socket need not have a name. */
    private static boolean isInet(Fd fd) {
        try {
            return Sockets.localName(fd.number()) instanceof SocketName.Inet;
        } catch (IOException e) {
            return true; // The peer is gone already; the next event tells.
        }
    }

    /** Watches the socket on a loop, instead of the one before; {@code events} is called there. */
    void watch(EventLoop loop, IntConsumer events) {
        EventLoop.Watch old = watch;
        if (old != null) {
            old.close();
        }
        EventLoop.Watch now = loop.watch(fd.number(), 0, events::accept);
        watch = now;
        reminded = false;
        readable =
                () ->
                        loop.execute(
                                () -> {
                                    if (watch == now) {
                                        reminded = false;
                                        if (reading) {
                                            events.accept(EventLoop.READ);
                                        }
                                    }
                                });
        interest();
    }

    /** Whether input is wanted now; the watch reports a hang-up all the same. Not after {@link #lastWords}. */
    void reading(boolean wanted) {
        reading = wanted && !ended;
        interest();
    }

    private void interest() {
        EventLoop.Watch w = watch;
        if (w != null) {
            w.interest((reading ? EventLoop.READ : 0) | (queue.isEmpty() ? 0 : EventLoop.WRITE));
            if (tls != null && reading && !reminded && tls.holds()) {
                // The socket does not tell a second time of what was read from it.
                reminded = true;
                readable.run();
            }
        }
    }

    /**
     * Reads bytes, and descriptors that come along: new ones take the place of those nobody took.
     *
     * @return bytes, 0 at the end of the input, or a negated errno
     */
    int read(byte[] input, int length) {
        if (tls != null) {
            return read(tls, ByteBuffer.wrap(input, 0, length));
        }
        if (!carriesDescriptors) {
            return FileIo.read(fd.number(), input, 0, length);
        }
        int n = Sockets.receiveDescriptors(fd.number(), input, 0, length, along);
        if (!along.isEmpty()) {
            forgetReceived();
            received.addAll(along);
            along.clear();
        }
        return n;
    }

    private int read(TlsStream secure, ByteBuffer input) {
        try {
            int n = secure.read(input);
            return n < 0 ? 0 : n == 0 ? -Errno.EAGAIN : n;
        } catch (IOException e) {
            return -Errno.EIO; // what was wrong with it was told the peer
        } finally {
            interest();
        }
    }

    private void forgetReceived() {
        received.forEach(Fd::close);
        received.clear();
    }

    /** A descriptor that the peer sent along, or null. */
    @Nullable Fd takeDescriptor() {
        return received.isEmpty() ? null : received.removeFirst();
    }

    /** Sends or queues; false when the peer is gone. */
    boolean push(ByteBuffer data) {
        if (failed) {
            return false;
        }
        if (!sent(data)) {
            fail();
            return false;
        }
        if (!queue.isEmpty()) {
            interest();
        }
        return true;
    }

    private boolean sent(ByteBuffer data) {
        if (tls == null) {
            return queue.push(fd, data);
        }
        try {
            tls.write(data);
            return true;
        } catch (IOException e) {
            return false;
        }
    }

    /** Sends what is queued as far as the peer takes it; false when it is gone. */
    boolean flush() {
        if (failed) {
            return true; // Whoever saw it fail deals with it.
        }
        boolean sent = queue.flush(fd);
        if (!sent) {
            fail();
        }
        interest();
        return sent;
    }

    private void fail() {
        failed = true;
        queue.clear();
    }

    /** Whether a write has failed. */
    boolean failed() {
        return failed;
    }

    /** Bytes queued. Any thread. */
    long pending() {
        return queue.bytes();
    }

    /** Nothing is read any more, and the connection ends once what is queued has left. */
    void lastWords() {
        ended = true;
        reading(false);
    }

    /** Whether all has been said. */
    boolean finished() {
        return ended && queue.isEmpty();
    }

    /** Ends the connection as a peer sees it; the watch reports it. */
    void shutdown() {
        Sockets.shutdown(fd, SHUT_RDWR());
    }

    /** Ends the connection. */
    void close() {
        if (tls != null && !failed) {
            tls.end();
        }
        forgetReceived();
        queue.clear();
        EventLoop.Watch w = watch;
        if (w != null) {
            w.close();
            watch = null;
        }
        shutdown();
        fd.close();
    }
}
