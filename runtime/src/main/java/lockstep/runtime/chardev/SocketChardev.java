package lockstep.runtime.chardev;

import lockstep.qmp.QmpException;
import lockstep.runtime.chardev.ChardevConfig.Address;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.Sockets;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.Timer;
import lockstep.runtime.tls.TlsCallers;
import lockstep.runtime.tls.TlsEnd;
import lockstep.runtime.tls.TlsStream;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

/**
 * A stream socket, TCP or unix, that listens for one peer at a time or connects to one. Behaviour as QEMU
 * has it: listen backlog 1, further clients wait in the kernel; reading stops while the front end is full;
 * the end of input is the end of the connection, after the output that is queued has left.
 *
 * <p>{@code lock} guards the sockets and the queue, is held for single non-blocking calls only, and never
 * while the front end is called.
 */
final class SocketChardev extends Backend {
    private static final int INPUT_BYTES = 16 * 1024;
    private static final long MILLISECOND = 1_000_000;

    /** How long a peer that ended its input may take to read what is queued for it. */
    private static final long LINGER_MS = 10_000;

    private final ChardevHost host;
    private final ChardevConfig.Socket config;
    private final Address address;
    private final SocketTitle title;
    private final boolean telnetText;
    private final TelnetFilter telnet = new TelnetFilter();
    private final byte[] input = new byte[INPUT_BYTES];

    private final ReentrantLock lock = new ReentrantLock();
    private final @Nullable SocketListener listener;
    private final @Nullable SocketDialer dialer;
    private final @Nullable TlsEnd tls;

    private final TlsCallers<TlsSocket> securing = new TlsCallers<>(TlsSocket::cut);

    /** Why the last peer was refused, told once of a row of such. */
    private String refusal = "";

    /** A connection that was handed over, until {@link #start}. */
    private @Nullable Fd given;

    private volatile @Nullable SocketConnection connection;
    private boolean closed;
    private EventLoop serving;
    private String filename;

    SocketChardev(String id, ChardevConfig.Socket config, ChardevHost host)
            throws ChardevException {
        super(id, host.mainLoop());
        this.host = host;
        this.config = config;
        this.serving = host.mainLoop();
        tls = tls(config, host);
        check(config);
        telnetText = config.telnet() || config.tn3270();
        Fd fd =
                config.address() instanceof Address.Descriptor d
                        ? adopted(d)
                        : config.server() ? SocketListener.open(config.address()) : null;
        Address named = fd == null ? config.address() : SocketTitle.of(config.address(), fd);
        address = config.address() instanceof Address.Descriptor d ? d : named;
        title = new SocketTitle(config, named);
        filename = title.disconnected();
        if (fd != null && config.server()) {
            listener = new SocketListener(fd, address, this::acceptOne);
        } else {
            listener = null;
            given = fd;
        }
        dialer =
                reconnectMs() > 0
                        ? new SocketDialer(id, address, reconnectMs(), host, this::established)
                        : null;
    }

    private static @Nullable TlsEnd tls(ChardevConfig.Socket c, ChardevHost host)
            throws ChardevException {
        String credentials = c.tlsCredentials();
        if (credentials == null) {
            return null;
        }
        try {
            return c.server()
                    ? host.tlsEnds().server(credentials, c.tlsAuthorization())
                    : host.tlsEnds()
                            .client(
                                    credentials,
                                    c.address() instanceof Address.Inet i ? i.host() : null);
        } catch (QmpException e) {
            throw new ChardevException(e.description());
        }
    }

    private static void check(ChardevConfig.Socket c) throws ChardevException {
        boolean reconnects = c.reconnectMs() != null && c.reconnectMs() != 0;
        if (c.address() instanceof Address.Descriptor && reconnects) {
            throw new ChardevException(
                    "'reconnect-ms' option is incompatible with 'fd' address type");
        }
        boolean secure = c.tlsCredentials() != null;
        if (c.address() instanceof Address.Descriptor && secure && !c.server()) {
            throw new ChardevException(
                    "'tls_creds' option is incompatible with 'fd' address type as client");
        }
        if (c.address() instanceof Address.Unix && secure) {
            throw new ChardevException(
                    "'tls_creds' option is incompatible with 'unix' address type");
        }
        if (c.tlsAuthorization() != null && !secure) {
            throw new ChardevException("'tls_authz' option requires 'tls_creds' option");
        }
        if (c.server() && c.reconnectMs() != null) {
            throw new ChardevException(
                    "'reconnect-ms' option is incompatible with socket in server listen mode");
        }
        if (!c.server() && c.waits() != null) {
            throw new ChardevException(
                    "'wait' option is incompatible with socket in client connect mode");
        }
    }

    private Fd adopted(Address.Descriptor descriptor) throws ChardevException {
        String text = descriptor.name();
        Integer number = host.takeDescriptor(text);
        if (number == null) {
            boolean tooLarge = text.matches("[+-]?[0-9]+");
            throw new ChardevException(
                    host.starting()
                            ? "Unable to parse FD number "
                                    + text
                                    + (tooLarge ? ": Numerical result out of range" : "")
                            : "File descriptor named '" + text + "' has not been found");
        }
        Fd fd = new Fd(number);
        if (!Sockets.isSocket(number)) {
            throw new ChardevException(
                    "File descriptor '" + descriptor.name() + "' is not a socket");
        }
        try {
            FileIo.nonBlocking(number, true);
        } catch (LinuxException e) {
            fd.close();
            throw new ChardevException(e.getMessage());
        }
        return fd;
    }

    /**
     * Begins to serve. With {@code wait=on} this blocks until a peer is there; {@code waiting} is told
     * first what is waited for.
     */
    void start(Consumer<String> waiting) throws ChardevException {
        Fd fd = given;
        if (listener != null) {
            if (Boolean.TRUE.equals(config.waits())) {
                waiting.accept("info: QEMU waiting for connection on: " + filename);
                established(listener.await(host::ending));
            } else {
                listenAgain(listener);
            }
        } else if (fd != null) {
            given = null;
            established(fd);
        } else if (dialer != null) {
            mainLoop.execute(dialer::dial);
        } else {
            established(SocketConnector.connect(address, host::ending));
        }
    }

    private long reconnectMs() {
        Long ms = config.reconnectMs();
        return ms == null ? 0 : ms;
    }

    @Override
    public String type() {
        return "chardev-socket";
    }

    @Override
    public String filename() {
        lock.lock();
        try {
            return filename;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public boolean movable() {
        return true;
    }

    @Override
    public boolean reconnectable() {
        return true;
    }

    @Override
    boolean connected() {
        return connection != null;
    }

    @Override
    long pending() {
        SocketConnection c = connection;
        return c == null ? 0 : c.pending();
    }

    /** Moves everything that is watched to another loop. */
    @Override
    void serve(EventLoop loop) {
        lock.lock();
        try {
            if (closed) {
                return;
            }
            boolean moved = serving != loop;
            serving = loop;
            if (moved && listener != null) {
                listener.move(loop);
            }
            if (dialer != null) {
                dialer.move(loop);
            }
            SocketConnection c = connection;
            if (c != null) {
                if (moved) {
                    c.watch(loop, events -> ready(c, events));
                }
                // Without a front end nothing is read.
                c.reading(frontendOpen());
            }
        } finally {
            lock.unlock();
        }
    }

    @Override
    void resumeInput() {
        lock.lock();
        try {
            SocketConnection c = connection;
            if (c != null) {
                c.reading(true);
            }
        } finally {
            lock.unlock();
        }
    }

    private void listenAgain(SocketListener server) {
        lock.lock();
        try {
            if (!closed) {
                server.watch(serving);
            }
        } finally {
            lock.unlock();
        }
    }

    /** Whether there is a peer, or the only one there can be has yet to show who it is. Under the lock. */
    private boolean occupied() {
        return connection != null || listener == null && !securing.isEmpty();
    }

    private void acceptOne() {
        Fd fd;
        lock.lock();
        try {
            if (closed || occupied() || listener == null) {
                return;
            }
            fd = listener.accept();
        } finally {
            lock.unlock();
        }
        if (fd != null) {
            established(fd);
        }
    }

    private void established(Fd fd) {
        TlsEnd end = tls;
        if (end == null) {
            connected(new SocketConnection(fd));
            return;
        }
        TlsSocket socket = new TlsSocket(fd, host::ending);
        lock.lock();
        try {
            if (closed) {
                fd.close();
                return;
            }
            Sockets.noDelay(fd, true);
            securing.add(socket);
            if (listener != null) {
                listener.watch(serving); // the next one may be the right one
            }
        } finally {
            lock.unlock();
        }
        Thread.ofPlatform().daemon().name("tls-" + id).start(() -> secure(socket, end));
    }

    /** Makes the peers known to each other. On a thread of its own. */
    private void secure(TlsSocket socket, TlsEnd end) {
        Runnable next;
        try {
            TlsStream stream = end.over(socket);
            next = () -> secured(socket, stream);
        } catch (IOException | RuntimeException e) {
            next = () -> refused(socket, String.valueOf(e.getMessage()));
        }
        Runnable then = next;
        EventLoop loop;
        lock.lock();
        try {
            loop = serving;
        } finally {
            lock.unlock();
        }
        loop.execute(then);
    }

    /** The first peer that has shown that it is the right one is the one; whoever else is about to is sent away. */
    private void secured(TlsSocket socket, TlsStream stream) {
        lock.lock();
        try {
            if (!securing.remove(socket)) {
                socket.fd().close(); // sent away
                return;
            }
            securing.clear();
        } finally {
            lock.unlock();
        }
        connected(new SocketConnection(socket, stream));
    }

    /** The peer is not the right one; another one may be. */
    private void refused(TlsSocket socket, String why) {
        boolean over;
        boolean news;
        lock.lock();
        try {
            over = !securing.remove(socket); // or sent away
            socket.fd().close();
            news = !why.equals(refusal);
            refusal = why;
        } finally {
            lock.unlock();
        }
        if (over) {
            return;
        }
        if (dialer != null) {
            dialer.failed(why);
        } else if (news) {
            host.report("character device " + id + ": " + why);
        }
    }

    private void connected(SocketConnection c) {
        lock.lock();
        try {
            refusal = "";
            if (closed || connection != null) {
                c.close();
                return;
            }
            if (listener != null) {
                listener.pause();
            }
            if (dialer != null) {
                dialer.served();
            }
            Sockets.noDelay(c.fd(), true);
            connection = c;
            filename = title.connected(c.fd());
            c.watch(serving, events -> ready(c, events));
            c.reading(frontendOpen());
            if (telnetText) {
                byte[] greeting =
                        config.tn3270() ? TelnetFilter.GREETING_3270 : TelnetFilter.GREETING;
                push(c, ByteBuffer.wrap(greeting));
            }
        } finally {
            lock.unlock();
        }
        EventLoop loop = serving;
        if (loop.inLoop()) {
            tellOpened();
        } else {
            loop.execute(this::tellOpened);
        }
    }

    private void ready(SocketConnection c, int events) {
        if ((events & EventLoop.WRITE) != 0) {
            flush(c);
        }
        if ((events & EventLoop.READ) != 0) {
            readable(c);
        } else if ((events & EventLoop.ERROR) != 0) {
            disconnect(c);
        }
    }

    @Override
    boolean poll() {
        SocketConnection c = connection;
        return c != null && readable(c);
    }

    /** Reads once; whether something was there. */
    private boolean readable(SocketConnection c) {
        int room = room();
        if (room == 0) {
            pauseInput(c);
            return false;
        }
        int n;
        lock.lock();
        try {
            if (connection != c) {
                return false;
            }
            n = c.read(input, Math.min(room, input.length));
            if (n == -Errno.EAGAIN || n == -Errno.EINTR) {
                return false;
            }
        } finally {
            lock.unlock();
        }
        if (n == 0) {
            end(c);
            return false;
        }
        if (n < 0) {
            disconnect(c);
            return false;
        }
        int length = telnetText ? telnet.strip(input, n) : n;
        if (telnet.takeBreak()) {
            tellBroken();
        }
        deliver(input, 0, length);
        return true;
    }

    /** The peer ended its own sending: what it asked for and what is queued still goes out. */
    private void end(SocketConnection c) {
        boolean wait = working();
        boolean send;
        lock.lock();
        try {
            send = !wait && connection == c && c.pending() > 0;
            if (send) {
                c.lastWords();
            } else if (wait) {
                c.reading(false);
            }
        } finally {
            lock.unlock();
        }
        if (send) {
            linger(c);
        } else if (!wait) {
            disconnect(c);
        }
    }

    /** Leaves the rest unread; a front end that has room again says so. */
    private void pauseInput(SocketConnection c) {
        lock.lock();
        try {
            if (connection != c) {
                return;
            }
            c.reading(false);
        } finally {
            lock.unlock();
        }
        if (room() > 0) {
            resumeInput(); // Room was made between the question and the pause.
        }
    }

    private void linger(SocketConnection c) {
        Timer t = serving.timer(ClockType.REALTIME, () -> disconnect(c));
        t.arm(serving.clocks().now(ClockType.REALTIME) + LINGER_MS * MILLISECOND);
    }

    @Override
    void send(ByteBuffer data) throws IOException {
        lock.lock();
        try {
            SocketConnection c = connection;
            if (c == null || c.failed()) {
                throw new ChardevException("chardev '" + id + "' has no peer");
            }
            if (!push(c, data)) {
                throw new ChardevException("the peer of chardev '" + id + "' is gone");
            }
        } finally {
            lock.unlock();
        }
    }

    /** Sends or queues. Under the lock. */
    private boolean push(SocketConnection c, ByteBuffer data) {
        boolean sent = c.push(data);
        if (!sent) {
            gone(c);
        }
        return sent;
    }

    /** The front end is told from the loop, never from inside its own write. */
    private void gone(SocketConnection c) {
        serving.execute(() -> disconnect(c));
    }

    private void flush(SocketConnection c) {
        boolean finished;
        lock.lock();
        try {
            if (connection != c || c.failed()) {
                return;
            }
            if (!c.flush()) {
                gone(c);
            }
            finished = c.finished();
        } finally {
            lock.unlock();
        }
        if (c.pending() == 0) {
            drained();
        }
        if (finished) {
            disconnect(c);
        }
    }

    /** Ends the connection, tells the front end, and waits for or seeks the next peer. On the loop. */
    private void disconnect(SocketConnection c) {
        lock.lock();
        try {
            if (connection != c) {
                return;
            }
            release();
        } finally {
            lock.unlock();
        }
        drained();
        tellClosed();
        if (listener != null) {
            listenAgain(listener);
        } else if (dialer != null) {
            dialer.dialLater();
        }
    }

    @Override
    public boolean adoptClient(Fd client) {
        lock.lock();
        try {
            if (closed || occupied()) {
                return false;
            }
        } finally {
            lock.unlock();
        }
        established(client);
        return true;
    }

    @Override
    @Nullable Fd takeDescriptor() {
        lock.lock();
        try {
            SocketConnection c = connection;
            return c == null ? null : c.takeDescriptor();
        } finally {
            lock.unlock();
        }
    }

    /** Drops the connection. Under the lock. */
    private void release() {
        SocketConnection c = connection;
        connection = null;
        filename = title.disconnected();
        if (c != null) {
            c.close();
        }
    }

    @Override
    public void yank() {
        lock.lock();
        try {
            SocketConnection c = connection;
            if (c != null) {
                c.shutdown();
            }
            securing.cut();
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void close() {
        lock.lock();
        try {
            if (closed) {
                return;
            }
            release();
            closed = true;
            securing.clear(); // whoever waits for its handshake closes it
            if (dialer != null) {
                dialer.close();
            }
            if (listener != null) {
                listener.close();
            }
            Fd fd = given;
            if (fd != null) {
                fd.close();
            }
        } finally {
            lock.unlock();
        }
        drained();
        super.close();
    }
}
