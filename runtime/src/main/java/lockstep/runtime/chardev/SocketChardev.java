package lockstep.runtime.chardev;

import static lockstep.linux.abi.LinuxAbi.SHUT_RDWR;

import lockstep.runtime.chardev.ChardevConfig.Address;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.SocketName;
import lockstep.runtime.linux.Sockets;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.Timer;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;

/**
 * A stream socket, TCP or unix, that listens for one peer at a time or connects to one. Behaviour as QEMU
 * has it: listen backlog 1, further clients wait in the kernel; reading stops while the front end is full;
 * the end of input is the end of the connection, after the output that is queued has left.
 *
 * <p>{@code lock} guards the sockets and the queue, is held for single non-blocking calls only, and never
 * while the front end is called.
 */
final class SocketChardev extends Backend {
    private static final int BACKLOG = 1;
    private static final int INPUT_BYTES = 16 * 1024;
    private static final long MILLISECOND = 1_000_000;

    /** How long a peer that ended its input may take to read what is queued for it. */
    private static final long LINGER_MS = 10_000;

    private final ChardevHost host;
    private final ChardevConfig.Socket config;
    private final Address address;

    /** The address as users see it: of a descriptor that was handed over, that of its socket. */
    private final Address named;

    private final boolean telnetText;
    private final TelnetFilter telnet = new TelnetFilter();
    private final byte[] input = new byte[INPUT_BYTES];

    private final ReentrantLock lock = new ReentrantLock();
    private final SendQueue queue = new SendQueue(Sockets::send);
    private final @Nullable SocketDialer dialer;
    private @Nullable Fd listener;
    private EventLoop.@Nullable Watch listenWatch;
    private @Nullable Fd connection;
    private EventLoop.@Nullable Watch watch;
    private volatile boolean connected;
    private final List<Fd> received = new ArrayList<>();
    private boolean carriesDescriptors;
    private boolean reading;
    private boolean ended;
    private boolean failed;
    private boolean closed;
    private EventLoop serving;
    private String filename;

    SocketChardev(String id, ChardevConfig.Socket config, ChardevHost host)
            throws ChardevException {
        super(id, host.mainLoop());
        this.host = host;
        this.config = config;
        this.serving = host.mainLoop();
        check(config);
        telnetText = config.telnet() || config.tn3270();
        if (config.address() instanceof Address.Descriptor d) {
            address = d;
            adopt(d);
        } else if (config.server()) {
            Fd fd = SocketConnector.listen(config.address(), BACKLOG);
            listener = fd;
            address = bound(config.address(), fd);
        } else {
            address = config.address();
        }
        named = address instanceof Address.Descriptor d ? nameOf(d) : address;
        dialer =
                reconnectMs() > 0
                        ? new SocketDialer(id, address, reconnectMs(), host, this::established)
                        : null;
        filename = disconnectedName();
    }

    private static void check(ChardevConfig.Socket c) throws ChardevException {
        boolean reconnects = c.reconnectMs() != null && c.reconnectMs() != 0;
        if (c.address() instanceof Address.Descriptor && reconnects) {
            throw new ChardevException(
                    "'reconnect-ms' option is incompatible with 'fd' address type");
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

    private void adopt(Address.Descriptor descriptor) throws ChardevException {
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
        if (config.server()) {
            listener = fd;
        } else {
            connection = fd;
        }
    }

    private Address nameOf(Address.Descriptor descriptor) {
        Fd fd = listener != null ? listener : connection;
        try {
            if (fd != null) {
                SocketName name = Sockets.localName(fd.number());
                if (name instanceof SocketName.Unix u) {
                    return new Address.Unix(u.path(), false, true);
                }
                return bound(new Address.Inet("", "", null, null), fd);
            }
        } catch (IOException e) {
            // Its number serves as well.
        }
        return descriptor;
    }

    private static Address bound(Address wanted, Fd fd) {
        try {
            if (wanted instanceof Address.Inet i
                    && Sockets.localName(fd.number()) instanceof SocketName.Inet real) {
                String host = SocketNames.text(new SocketName.Inet(real.address()));
                int colon = host.lastIndexOf(':');
                return new Address.Inet(
                        host.substring(0, colon).replace("[", "").replace("]", ""),
                        host.substring(colon + 1),
                        i.ipv4(),
                        i.ipv6());
            }
        } catch (IOException e) {
            // The name as given serves as well.
        }
        return wanted;
    }

    /**
     * Begins to serve. With {@code wait=on} this blocks until a peer is there; {@code waiting} is told
     * first what is waited for.
     */
    void start(java.util.function.Consumer<String> waiting) throws ChardevException {
        Fd server = listener;
        if (server != null) {
            if (Boolean.TRUE.equals(config.waits())) {
                waiting.accept("info: QEMU waiting for connection on: " + filename);
                established(SocketConnector.accept(server, host::ending));
            } else {
                listenAgain();
            }
            return;
        }
        Fd given = connection;
        if (given != null) {
            connection = null;
            established(given);
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

    private String protocol() {
        return config.tn3270() ? "tn3270" : config.telnet() ? "telnet" : "tcp";
    }

    private String plainName() {
        String tail = config.server() ? ",server=on" : "";
        return switch (named) {
            case Address.Inet i ->
                    protocol()
                            + ":"
                            + (i.host().indexOf(':') >= 0 ? "[" + i.host() + "]" : i.host())
                            + ":"
                            + i.port()
                            + tail;
            case Address.Unix u -> "unix:" + u.path() + tail;
            case Address.Descriptor d -> "fd:" + d.name() + tail;
        };
    }

    private String disconnectedName() {
        return "disconnected:" + plainName();
    }

    private String connectedName(Fd fd) {
        try {
            if (Sockets.localName(fd.number()) instanceof SocketName.Inet local
                    && Sockets.peerName(fd.number()) instanceof SocketName.Inet peer) {
                return protocol()
                        + ":"
                        + SocketNames.text(local)
                        + (config.server() ? ",server=on" : "")
                        + " <-> "
                        + SocketNames.text(peer);
            }
        } catch (IOException e) {
            // The peer is gone already; the next event tells.
        }
        return plainName();
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
        return connected;
    }

    @Override
    long pending() {
        return queue.bytes();
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
            if (moved && listenWatch != null) {
                listenWatch.close();
                listenWatch = null;
                watchListener();
            }
            if (dialer != null) {
                dialer.move(loop);
            }
            Fd fd = connection;
            if (fd != null) {
                if (moved && watch != null) {
                    watch.close();
                    watch = null;
                }
                // Without a front end nothing is read; the watch still reports a hang-up.
                reading = frontendOpen();
                watchConnection(fd);
            }
        } finally {
            lock.unlock();
        }
    }

    @Override
    void resumeInput() {
        lock.lock();
        try {
            if (!reading && !ended) {
                reading = true;
                interest();
            }
        } finally {
            lock.unlock();
        }
    }

    private void interest() {
        EventLoop.Watch w = watch;
        if (w != null) {
            w.interest((reading ? EventLoop.READ : 0) | (queue.isEmpty() ? 0 : EventLoop.WRITE));
        }
    }

    private void watchConnection(Fd fd) {
        if (watch == null) {
            watch = serving.watch(fd.number(), 0, events -> ready(fd, events));
        }
        interest();
    }

    private void watchListener() {
        Fd fd = listener;
        if (fd != null && !closed) {
            listenWatch = serving.watch(fd.number(), EventLoop.READ, events -> acceptOne(fd));
        }
    }

    private void listenAgain() {
        lock.lock();
        try {
            if (listenWatch == null) {
                watchListener();
            }
        } finally {
            lock.unlock();
        }
    }

    private void acceptOne(Fd server) {
        int fd;
        lock.lock();
        try {
            if (closed || connection != null || server.isClosed()) {
                return;
            }
            fd = Sockets.accept(server);
        } finally {
            lock.unlock();
        }
        if (fd >= 0) {
            established(new Fd(fd));
        }
    }

    private void established(Fd fd) {
        lock.lock();
        try {
            if (closed) {
                fd.close();
                return;
            }
            if (listenWatch != null) {
                // One client at a time: the next one stays in the kernel's backlog.
                listenWatch.close();
                listenWatch = null;
            }
            Sockets.noDelay(fd, true);
            connection = fd;
            ended = false;
            failed = false;
            filename = connectedName(fd);
            carriesDescriptors = !isInet(fd);
            connected = true;
            reading = frontendOpen();
            watchConnection(fd);
            if (telnetText) {
                byte[] greeting =
                        config.tn3270() ? TelnetFilter.GREETING_3270 : TelnetFilter.GREETING;
                push(fd, ByteBuffer.wrap(greeting));
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

    private void ready(Fd fd, int events) {
        if ((events & EventLoop.WRITE) != 0) {
            flush(fd);
        }
        if ((events & EventLoop.READ) != 0) {
            readable(fd);
        } else if ((events & EventLoop.ERROR) != 0) {
            disconnect(fd);
        }
    }

    private void readable(Fd fd) {
        int room = room();
        if (room == 0) {
            pauseInput(fd);
            return;
        }
        int n;
        lock.lock();
        try {
            if (connection != fd || fd.isClosed()) {
                return;
            }
            int length = Math.min(room, input.length);
            n = carriesDescriptors ? receive(fd, length) : read(fd, length);
            if (n == -Errno.EAGAIN || n == -Errno.EINTR) {
                return;
            }
        } finally {
            lock.unlock();
        }
        if (n == 0) {
            end(fd);
            return;
        }
        if (n < 0) {
            disconnect(fd);
            return;
        }
        int length = telnetText ? telnet.strip(input, n) : n;
        if (telnet.takeBreak()) {
            tellBroken();
        }
        deliver(input, 0, length);
    }

    /** The peer ended its own sending: what it asked for and what is queued still goes out. */
    private void end(Fd fd) {
        boolean wait = working();
        boolean send;
        lock.lock();
        try {
            send = !wait && connection == fd && !queue.isEmpty();
            ended = send;
            if (wait || send) {
                reading = false;
                interest();
            }
        } finally {
            lock.unlock();
        }
        if (send) {
            linger(fd);
        } else if (!wait) {
            disconnect(fd);
        }
    }

    /** Leaves the rest unread; a front end that has room again says so. */
    private void pauseInput(Fd fd) {
        lock.lock();
        try {
            if (connection != fd) {
                return;
            }
            reading = false;
            interest();
        } finally {
            lock.unlock();
        }
        if (room() > 0) {
            resumeInput(); // Room was made between the question and the pause.
        }
    }

    private void linger(Fd fd) {
        Timer t = serving.timer(ClockType.REALTIME, () -> disconnect(fd));
        t.arm(serving.clocks().now(ClockType.REALTIME) + LINGER_MS * MILLISECOND);
    }

    @Override
    void send(ByteBuffer data) throws IOException {
        lock.lock();
        try {
            Fd fd = connection;
            if (fd == null || failed) {
                throw new ChardevException("chardev '" + id + "' has no peer");
            }
            push(fd, data);
            if (failed) {
                throw new ChardevException("the peer of chardev '" + id + "' is gone");
            }
        } finally {
            lock.unlock();
        }
    }

    /** Sends or queues. Under the lock. */
    private void push(Fd fd, ByteBuffer data) {
        if (!queue.push(fd, data)) {
            fail(fd);
        } else if (!queue.isEmpty()) {
            interest();
        }
    }

    private void fail(Fd fd) {
        failed = true;
        queue.clear();
        // The front end is told from the loop, never from inside its own write.
        serving.execute(() -> disconnect(fd));
    }

    private void flush(Fd fd) {
        boolean finished;
        lock.lock();
        try {
            if (connection != fd || failed) {
                return;
            }
            if (!queue.flush(fd)) {
                fail(fd);
            }
            interest();
            finished = ended && queue.isEmpty();
        } finally {
            lock.unlock();
        }
        if (queue.bytes() == 0) {
            drained();
        }
        if (finished) {
            disconnect(fd);
        }
    }

    /** Ends the connection, tells the front end, and waits for or seeks the next peer. On the loop. */
    private void disconnect(Fd fd) {
        lock.lock();
        try {
            if (connection != fd) {
                return;
            }
            release();
        } finally {
            lock.unlock();
        }
        drained();
        tellClosed();
        if (listener != null) {
            listenAgain();
        } else if (dialer != null) {
            dialer.dialLater();
        }
    }

    /** Whether descriptors cannot come along; a unix socket need not have a name. */
    private static boolean isInet(Fd fd) {
        try {
            return Sockets.localName(fd.number()) instanceof SocketName.Inet;
        } catch (IOException e) {
            return true; // The peer is gone already; the next event tells.
        }
    }

    @Override
    public boolean adoptClient(Fd client) {
        lock.lock();
        try {
            if (closed || connection != null) {
                return false;
            }
        } finally {
            lock.unlock();
        }
        established(client);
        return true;
    }

    private int read(Fd fd, int length) {
        return FileIo.read(fd.number(), input, 0, length);
    }

    /** Reads bytes and descriptors; new descriptors take the place of those nobody took. */
    private int receive(Fd fd, int length) {
        List<Fd> along = new ArrayList<>();
        int n = Sockets.receiveDescriptors(fd.number(), input, 0, length, along);
        if (!along.isEmpty()) {
            forgetReceived();
            received.addAll(along);
        }
        return n;
    }

    private void forgetReceived() {
        received.forEach(Fd::close);
        received.clear();
    }

    @Override
    @Nullable Fd takeDescriptor() {
        lock.lock();
        try {
            return received.isEmpty() ? null : received.removeFirst();
        } finally {
            lock.unlock();
        }
    }

    /** Drops the connection. Under the lock. */
    private void release() {
        Fd fd = connection;
        connection = null;
        connected = false;
        forgetReceived();
        filename = disconnectedName();
        queue.clear();
        if (watch != null) {
            watch.close();
            watch = null;
        }
        if (fd != null) {
            Sockets.shutdown(fd, SHUT_RDWR());
            fd.close();
        }
    }

    @Override
    public void yank() {
        lock.lock();
        try {
            Fd fd = connection;
            if (fd != null) {
                Sockets.shutdown(fd, SHUT_RDWR());
            }
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
            if (listenWatch != null) {
                listenWatch.close();
                listenWatch = null;
            }
            if (dialer != null) {
                dialer.close();
            }
            if (listener != null) {
                listener.close();
                listener = null;
                if (address instanceof Address.Unix u && !u.isAbstract()) {
                    FileIo.unlink(u.path());
                }
            }
        } finally {
            lock.unlock();
        }
        drained();
        loop().execute(this::tellClosed);
    }
}
