package lockstep.net.user;

import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.Sockets;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.memory.BigEndian;

import org.jspecify.annotations.Nullable;

/**
 * One TCP connection (RFC 9293) of the guest's, and the socket that carries its bytes on in the host's world. Towards
 * the guest this is an end of TCP of its own: bytes from the socket are kept until the guest has acknowledged them, and
 * the window open to the guest is what the socket has room for. Segments that come out of order are asked for again.
 *
 * <p>Names of variables are those of RFC 9293 3.3.1.
 */
final class TcpFlow {
    static final int HEADER = 20;

    static final int FIN = 0x01;
    static final int SYN = 0x02;
    static final int RST = 0x04;
    static final int PSH = 0x08;
    static final int ACK = 0x10;

    /** What goes into an Ethernet frame. */
    static final int SEGMENT = 1500 - Ip.HEADER - HEADER;

    /** The size of a segment for who does not say (RFC 9293 3.7.1). */
    private static final int SMALLEST_SEGMENT = 536;

    private static final int BUFFER = 65535;
    private static final long TIMEOUT_NS = 500_000_000L;
    private static final long LONGEST_TIMEOUT_NS = 60_000_000_000L;
    private static final int ATTEMPTS = 12;
    private static final int SYN_ATTEMPTS = 7;
    private static final long TIME_WAIT_NS = 4_000_000_000L;
    private static final int DUPLICATES = 3;
    private static final int SHUT_WR = 1; // sys/socket.h

    enum State {
        SYN_SENT,
        SYN_RCVD,
        ESTABLISHED,
        CLOSE_WAIT,
        FIN_WAIT_1,
        CLOSING,
        LAST_ACK,
        FIN_WAIT_2,
        TIME_WAIT,
        CLOSED
    }

    /** The two ends, as the guest sees them. */
    record Key(int guest, int guestPort, int remote, int remotePort) {}

    private final Key key;
    private final UserStack stack;
    private final Fd fd;
    private final boolean incoming;

    private State state;
    private EventLoop.@Nullable Watch watch;
    private boolean connecting;

    // Towards the guest.
    private final ByteRing send = new ByteRing(BUFFER);
    private int una; // the oldest that is not acknowledged
    private int nxt; // the next to send
    private int max; // the highest sent so far, beyond nxt while something is sent again
    private int window;
    private int mss = SMALLEST_SEGMENT;
    private boolean hostEnded;
    private boolean finAcknowledged;
    private int duplicates;
    private int attempts;
    private long deadline = Long.MAX_VALUE;

    // From the guest.
    private final ByteRing received = new ByteRing(BUFFER);
    private int expected; // RCV.NXT
    private int announced; // the end of the window that the guest was told
    private boolean guestEnded;

    private TcpFlow(Key key, UserStack stack, Fd fd, boolean incoming, State state, int iss) {
        this.key = key;
        this.stack = stack;
        this.fd = fd;
        this.incoming = incoming;
        this.state = state;
        this.una = iss;
        this.nxt = iss;
        this.max = iss;
    }

    /**
     * A connection that the guest asked for, by a segment with SYN.
     *
     * @param connected whether the socket is connected; else it is about to be
     */
    static TcpFlow outgoing(
            Key key, UserStack stack, Fd fd, boolean connected, int iss, TcpSegment syn) {
        TcpFlow flow = new TcpFlow(key, stack, fd, false, State.SYN_RCVD, iss);
        flow.expected = syn.sequence() + 1;
        flow.window = syn.window();
        flow.mss = syn.segmentSize(SMALLEST_SEGMENT);
        flow.connecting = !connected;
        if (connected) {
            flow.handshake();
        }
        flow.interest();
        return flow;
    }

    /** A connection that somebody outside asked for, with a socket that was accepted. */
    static TcpFlow incoming(Key key, UserStack stack, Fd fd, int iss) {
        TcpFlow flow = new TcpFlow(key, stack, fd, true, State.SYN_SENT, iss);
        flow.handshake();
        flow.interest();
        return flow;
    }

    Key key() {
        return key;
    }

    State state() {
        return state;
    }

    /** Whether it is over, and its socket closed. */
    boolean closed() {
        return state == State.CLOSED;
    }

    /** When {@link #expire} has something to do. */
    long deadline() {
        return deadline;
    }

    private void handshake() {
        nxt = una;
        emit(state == State.SYN_SENT ? SYN : SYN | ACK, nxt, 0);
        nxt++;
        max = nxt;
        arm();
    }

    // From the guest.

    /** Takes a segment of the guest's. */
    void segment(TcpSegment s) {
        if (state == State.SYN_SENT) {
            answered(s);
            return;
        }
        boolean same = s.sequence() == expected;
        int edge = expected + receiveWindow();
        boolean inWindow =
                s.length() == 0
                        ? same || s.sequence() - expected >= 0 && s.sequence() - edge < 0
                        : s.sequence() - edge < 0 && s.sequence() + s.length() - expected >= 0;
        if (s.has(RST)) {
            if (inWindow) {
                abort();
            }
            return;
        }
        if (connecting) {
            return; // Nobody has answered the guest yet, so this is its SYN once more.
        }
        if (s.has(SYN)) {
            if (state == State.SYN_RCVD && s.sequence() + 1 == expected) {
                handshake();
            } else {
                acknowledge();
            }
            return;
        }
        if (!s.has(ACK)) {
            return;
        }
        if (state == State.SYN_RCVD) {
            if (s.acknowledgement() != nxt) {
                stack.tcp().reset(key, s.acknowledgement());
                return;
            }
            established(s);
        }
        if (s.acknowledgement() - max > 0) {
            acknowledge();
            return;
        }
        if (s.acknowledgement() - una >= 0) {
            acknowledged(s);
        }
        if (state == State.CLOSED) {
            return;
        }
        boolean answer = s.length() > 0 && take(s);
        if (state == State.CLOSED) {
            return;
        }
        answer |= s.length() == 0 && !same; // A probe whether we are there.
        output(answer);
    }

    /** The answer to our SYN. */
    private void answered(TcpSegment s) {
        if (s.has(ACK) && s.acknowledgement() != nxt) {
            if (!s.has(RST)) {
                stack.tcp().reset(key, s.acknowledgement());
            }
        } else if (s.has(RST)) {
            if (s.has(ACK)) {
                abort();
            }
        } else if (s.has(SYN)) {
            expected = s.sequence() + 1;
            mss = s.segmentSize(SMALLEST_SEGMENT);
            if (s.has(ACK)) {
                established(s);
                output(true);
            } else {
                state = State.SYN_RCVD;
                handshake();
            }
        }
    }

    private void established(TcpSegment s) {
        state = State.ESTABLISHED;
        una = nxt;
        window = s.window();
        attempts = 0;
        deadline = Long.MAX_VALUE;
        interest();
    }

    private void acknowledged(TcpSegment s) {
        int count = s.acknowledgement() - una;
        if (count > 0) {
            int data = Math.min(count, send.size());
            send.drop(data);
            una = s.acknowledgement();
            if (nxt - una < 0) {
                nxt = una;
            }
            attempts = 0;
            duplicates = 0;
            deadline = Long.MAX_VALUE;
            if (count > data) {
                finAcknowledged = true;
                finished();
            }
        } else if (s.length() == 0 && s.window() == window && max != una) {
            attempts = 0;
            if (++duplicates == DUPLICATES) {
                nxt = una; // What follows the lost segment goes again, too: it was thrown away or
                // is cheap.
            }
        }
        window = s.window();
        if (state != State.CLOSED) {
            arm();
            interest();
        }
    }

    private void finished() {
        switch (state) {
            case FIN_WAIT_1 -> state = State.FIN_WAIT_2;
            case CLOSING -> timeWait();
            case LAST_ACK -> {
                if (received.size() == 0) {
                    close();
                } else {
                    timeWait(); // The host has not taken all yet.
                }
            }
            default -> {}
        }
    }

    /** Takes data and FIN; whether the guest is to be told. */
    private boolean take(TcpSegment s) {
        int known = expected - s.sequence();
        if (known < 0 || known >= s.length() || guestEnded) {
            return true;
        }
        int data = s.dataLength() - known;
        int taken = Math.min(data, received.room());
        int at = s.dataOffset() + known;
        int written = 0;
        if (taken > 0 && received.size() == 0) {
            int n = Sockets.send(fd.number(), s.data(), at, taken);
            if (n < 0 && n != -Errno.EAGAIN && n != -Errno.EINTR) {
                fail();
                return false;
            }
            written = Math.max(n, 0);
        }
        received.add(s.data(), at + written, taken - written);
        expected += taken;
        if (s.has(FIN) && taken == data) {
            expected++;
            guestEnded = true;
            switch (state) {
                case ESTABLISHED -> state = State.CLOSE_WAIT;
                case FIN_WAIT_1 -> state = State.CLOSING;
                case FIN_WAIT_2 -> timeWait();
                default -> {}
            }
        }
        if (guestEnded && received.size() == 0) {
            shutdown();
        }
        interest();
        return true;
    }

    private void shutdown() {
        if (!fd.isClosed()) {
            Sockets.shutdown(fd, SHUT_WR);
        }
    }

    private int receiveWindow() {
        return received.room();
    }

    // From the host.

    private void ready(int events) {
        if (connecting) {
            connected();
            return;
        }
        if ((events & EventLoop.WRITE) != 0) {
            drain();
        }
        if (state != State.CLOSED && (events & (EventLoop.READ | EventLoop.ERROR)) != 0) {
            if (reading()) {
                read();
            } else if ((events & EventLoop.ERROR) != 0) {
                hungUp();
            }
        }
    }

    private void connected() {
        int error = Sockets.error(fd);
        if (error != 0) {
            refused(error);
            return;
        }
        connecting = false;
        handshake();
        interest();
    }

    private void refused(int errno) {
        stack.tcp().refuse(key, expected, errno);
        close();
    }

    /** The socket is dead, or was ended both ways: the kernel will say so for ever. */
    private void hungUp() {
        int error = Sockets.error(fd);
        if (error != 0) {
            fail();
        } else if (watch != null) {
            watch.close(); // What it still holds is read when there is room.
            watch = null;
        }
    }

    private boolean reading() {
        return !hostEnded
                && send.room() > 0
                && (state == State.ESTABLISHED || state == State.CLOSE_WAIT);
    }

    private void read() {
        byte[] buffer = stack.tcp().scratch();
        int n = FileIo.read(fd.number(), buffer, 0, Math.min(buffer.length, send.room()));
        if (n > 0) {
            send.add(buffer, 0, n);
        } else if (n == 0) {
            hostEnded = true;
        } else if (n != -Errno.EAGAIN && n != -Errno.EINTR) {
            fail();
            return;
        }
        output(false);
        interest();
    }

    private void drain() {
        byte[] buffer = stack.tcp().scratch();
        int length = received.size();
        received.copy(0, buffer, 0, length);
        int n = length == 0 ? 0 : Sockets.send(fd.number(), buffer, 0, length);
        if (n < 0 && n != -Errno.EAGAIN && n != -Errno.EINTR) {
            fail();
            return;
        }
        received.drop(Math.max(n, 0));
        if (received.size() == 0 && guestEnded) {
            shutdown();
            if (state == State.TIME_WAIT) {
                release();
            }
        }
        interest();
        if (!guestEnded && expected + receiveWindow() - announced >= 2 * SEGMENT) {
            output(true); // The window opens again.
        }
    }

    private void interest() {
        if (fd.isClosed()) {
            return;
        }
        int wanted =
                (reading() ? EventLoop.READ : 0)
                        | (connecting || received.size() > 0 ? EventLoop.WRITE : 0);
        if (watch != null) {
            watch.interest(wanted);
        } else if (wanted != 0) {
            watch = stack.loop().watch(fd.number(), wanted, this::ready);
        }
    }

    // To the guest.

    /** Sends what may be sent now, and an acknowledgement if {@code answer}. */
    void output(boolean answer) {
        if (connecting || state == State.CLOSED || state.compareTo(State.ESTABLISHED) < 0) {
            return;
        }
        boolean due = answer;
        while (stack.room()) {
            int flying = nxt - una;
            int left = send.size() - flying;
            int length = Math.min(Math.min(left, window - flying), mss);
            if (length <= 0 || length < mss && length < left && flying > 0) {
                break;
            }
            emit(length == left ? ACK | PSH : ACK, nxt, length);
            nxt += length;
            due = false;
        }
        if (hostEnded && !finAcknowledged && nxt == una + send.size() && stack.room()) {
            emit(FIN | ACK, nxt, 0);
            nxt++;
            due = false;
            switch (state) {
                case ESTABLISHED -> state = State.FIN_WAIT_1;
                case CLOSE_WAIT -> state = State.LAST_ACK;
                default -> {}
            }
        }
        if (nxt - max > 0) {
            max = nxt;
        }
        if (due) {
            acknowledge();
        }
        arm();
    }

    private void acknowledge() {
        emit(ACK, max, 0);
    }

    private void emit(int flags, int sequence, int length) {
        byte[] p = stack.ethernet().packet;
        int header = HEADER + ((flags & SYN) != 0 ? 4 : 0);
        if (header > HEADER) {
            BigEndian.put32(p, Ethernet.PAYLOAD + HEADER, 0x0204_0000 | SEGMENT);
        }
        send.copy(length == 0 ? 0 : sequence - una, p, Ethernet.PAYLOAD + header, length);
        announced = expected + receiveWindow();
        stack.tcp()
                .send(
                        key,
                        sequence,
                        (flags & ACK) != 0 ? expected : 0,
                        flags,
                        receiveWindow(),
                        header,
                        length);
    }

    // Time.

    /** Sets the alarm for what was not acknowledged, and for a window that is shut, unless it is set. */
    private void arm() {
        if (state == State.TIME_WAIT || state == State.CLOSED) {
            return;
        }
        if (max == una && (send.size() == 0 || window > 0)) {
            deadline = Long.MAX_VALUE;
        } else if (deadline == Long.MAX_VALUE) {
            deadline =
                    stack.now()
                            + Math.min(TIMEOUT_NS << Math.min(attempts, 10), LONGEST_TIMEOUT_NS);
            stack.wake(deadline);
        }
    }

    private void timeWait() {
        state = State.TIME_WAIT;
        if (received.size() == 0) {
            release();
        }
        deadline = stack.now() + TIME_WAIT_NS;
        stack.wake(deadline);
    }

    /** Sends again what is overdue. */
    void expire(long now) {
        if (deadline > now || state == State.CLOSED) {
            return;
        }
        deadline = Long.MAX_VALUE;
        if (state == State.TIME_WAIT) {
            if (received.size() == 0) {
                close();
            } else {
                timeWait();
            }
            return;
        }
        if (!stack.room()) {
            arm(); // The guest takes nothing at all now.
            return;
        }
        attempts++;
        boolean handshake = state == State.SYN_SENT || state == State.SYN_RCVD;
        if (attempts > (handshake ? SYN_ATTEMPTS : ATTEMPTS)) {
            fail();
        } else if (handshake) {
            handshake();
        } else if (window == 0 && send.size() > 0) {
            emit(ACK, una, 1); // A probe whether the window is still shut (RFC 9293 3.8.6.1).
            max = max == una ? una + 1 : max;
            arm();
        } else {
            nxt = una;
            output(false);
            arm();
        }
    }

    // The end.

    /** The guest gave up: so does the socket's peer. */
    private void abort() {
        if (!fd.isClosed()) {
            Sockets.abortOnClose(fd);
        }
        close();
    }

    /** The host's side failed, or the guest does not answer: both are told. */
    private void fail() {
        if (state != State.SYN_SENT) {
            stack.tcp().reset(key, max);
        }
        abort();
    }

    /** Gives the socket back, as there is nothing left to carry. */
    private void release() {
        if (watch != null) {
            watch.close();
            watch = null;
        }
        fd.close();
    }

    /** Forgets the connection. The guest is not told. */
    void close() {
        state = State.CLOSED;
        deadline = Long.MAX_VALUE;
        release();
        stack.tcp().gone(this);
    }

    void describe(ConnectionTable out) {
        String name = "TCP[" + state + "]";
        int number = fd.isClosed() ? -1 : fd.number();
        int waiting = received.size();
        if (incoming) {
            int port = fd.isClosed() ? key.remotePort : TcpRelay.localPort(fd);
            out.line(name, number, 0, port, key.guest, key.guestPort, waiting, send.size());
        } else {
            out.line(
                    name,
                    number,
                    key.guest,
                    key.guestPort,
                    key.remote,
                    key.remotePort,
                    waiting,
                    send.size());
        }
    }
}
