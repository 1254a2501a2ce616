package lockstep.net.user;

import lockstep.net.NetException;
import lockstep.net.wire.Checksum;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.SocketName;
import lockstep.runtime.linux.Sockets;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.memory.BigEndian;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/** All TCP connections of a user network, and the ports of the host's that lead to the guest. */
final class TcpRelay implements Ethernet.Protocol {
    /** The most connections at a time; each may hold 128 KiB. */
    static final int MOST = 512;

    private static final int SOL_SOCKET = 1;
    private static final int SO_REUSEADDR = 2;
    private static final int SO_OOBINLINE = 10;
    private static final int BACKLOG = 16;

    private record Listener(HostForward rule, Fd fd, int port, EventLoop.Watch watch) {
        void close() {
            watch.close();
            fd.close();
        }
    }

    private final UserStack stack;
    private final Ethernet ethernet;
    private final Icmp icmp;
    private final Map<TcpFlow.Key, TcpFlow> flows = new LinkedHashMap<>();
    private final List<Listener> listeners = new ArrayList<>();
    private final SplittableRandom sequences = new SplittableRandom();
    private final byte[] scratch = new byte[65536];

    TcpRelay(UserStack stack, Ethernet ethernet, Icmp icmp) {
        this.stack = stack;
        this.ethernet = ethernet;
        this.icmp = icmp;
    }

    /** A buffer that is anybody's until the next call. */
    byte[] scratch() {
        return scratch;
    }

    @Override
    public void packet(int source, int destination, byte[] f, int at, int length) {
        UserConfig config = stack.config();
        TcpSegment s = TcpSegment.parse(source, destination, f, at, length);
        if (s == null
                || !config.inside(source)
                || config.broadcast(destination)
                || Ip.isMulticast(destination)) {
            return;
        }
        TcpFlow.Key key = new TcpFlow.Key(source, s.sourcePort(), destination, s.destinationPort());
        TcpFlow flow = flows.get(key);
        boolean opens = s.has(TcpFlow.SYN) && !s.has(TcpFlow.ACK) && !s.has(TcpFlow.RST);
        if (flow != null && opens && flow.state() == TcpFlow.State.TIME_WAIT) {
            flow.close();
            flow = null;
        }
        if (flow != null) {
            flow.segment(s);
        } else if (opens && !config.restricted() && flows.size() < MOST) {
            open(key, s);
        } else if (!s.has(TcpFlow.RST)) {
            refuse(key, s);
        }
    }

    private void open(TcpFlow.Key key, TcpSegment syn) {
        SocketName to = Ip.name(stack.translate(key.remote()), key.remotePort());
        Fd fd;
        try {
            fd = Sockets.stream(to.family());
        } catch (LinuxException e) {
            refuse(key, syn); // Out of descriptors.
            return;
        }
        prepare(fd);
        int result = Sockets.connect(fd, to);
        if (result < 0 && result != -Errno.EINPROGRESS) {
            fd.close();
            refuse(key, syn.sequence() + 1, -result);
            return;
        }
        flows.put(key, TcpFlow.outgoing(key, stack, fd, result == 0, sequences.nextInt(), syn));
    }

    private static void prepare(Fd fd) {
        Sockets.noDelay(fd, true);
        Sockets.option(fd.number(), SOL_SOCKET, SO_OOBINLINE, 1);
    }

    /** Answers a segment that belongs to no connection. */
    private void refuse(TcpFlow.Key key, TcpSegment s) {
        if (s.has(TcpFlow.ACK)) {
            reset(key, s.acknowledgement());
        } else {
            refuse(key, s.sequence() + s.length(), Errno.ECONNREFUSED);
        }
    }

    /** Tells the guest why its connection does not come about. */
    void refuse(TcpFlow.Key key, int acknowledgement, int errno) {
        if (errno == Errno.ENETUNREACH || errno == Errno.EHOSTUNREACH || errno == Errno.ETIMEDOUT) {
            byte[] start = new byte[8];
            BigEndian.put16(start, 0, key.guestPort());
            BigEndian.put16(start, 2, key.remotePort());
            BigEndian.put32(start, 4, acknowledgement - 1);
            int code = errno == Errno.ENETUNREACH ? Icmp.NET : Icmp.HOST;
            icmp.unreachable(code, Ip.TCP, key.guest(), key.remote(), start, 0);
        } else {
            send(key, 0, acknowledgement, TcpFlow.RST | TcpFlow.ACK, 0, TcpFlow.HEADER, 0);
        }
    }

    /** Resets the guest's end. */
    void reset(TcpFlow.Key key, int sequence) {
        send(key, sequence, 0, TcpFlow.RST, 0, TcpFlow.HEADER, 0);
    }

    /** Sends a segment to the guest; options and data stand in the packet in the making already. */
    void send(
            TcpFlow.Key key,
            int sequence,
            int acknowledgement,
            int flags,
            int window,
            int header,
            int length) {
        byte[] p = ethernet.packet;
        int at = Ethernet.PAYLOAD;
        BigEndian.put16(p, at, key.remotePort());
        BigEndian.put16(p, at + 2, key.guestPort());
        BigEndian.put32(p, at + 4, sequence);
        BigEndian.put32(p, at + 8, acknowledgement);
        p[at + 12] = (byte) (header / 4 << 4);
        p[at + 13] = (byte) flags;
        BigEndian.put16(p, at + 14, window);
        BigEndian.put32(p, at + 16, 0);
        int size = header + length;
        long sum =
                Checksum.sum(p, at, size)
                        + Checksum.pseudoHeader(key.remote(), key.guest(), Ip.TCP, size);
        BigEndian.put16(p, at + 16, Checksum.fold(sum));
        ethernet.send(Ip.TCP, key.remote(), key.guest(), size, length > 0);
    }

    /** A connection is over. */
    void gone(TcpFlow flow) {
        flows.remove(flow.key(), flow);
    }

    void forward(HostForward rule) throws NetException {
        Fd fd = null;
        try {
            SocketName name = Ip.name(rule.host(), rule.port());
            fd = Sockets.stream(name.family());
            Sockets.option(fd.number(), SOL_SOCKET, SO_REUSEADDR, 1);
            Errno.check(Sockets.bind(fd, name), "bind");
            Errno.check(Sockets.listen(fd, BACKLOG), "listen");
            int port = Ip.port(Sockets.localName(fd.number()));
            Fd listening = fd;
            EventLoop.Watch watch =
                    stack.loop()
                            .watch(fd.number(), EventLoop.READ, events -> accept(rule, listening));
            listeners.addFirst(new Listener(rule, fd, port, watch));
        } catch (LinuxException e) {
            if (fd != null) {
                fd.close();
            }
            throw new NetException(String.valueOf(e.getMessage()), e);
        }
    }

    private void accept(HostForward rule, Fd listener) {
        int number = Sockets.accept(listener);
        if (number < 0) {
            return;
        }
        Fd fd = new Fd(number);
        prepare(fd);
        SocketName peer;
        try {
            peer = Sockets.peerName(number);
        } catch (LinuxException e) {
            fd.close(); // Gone again.
            return;
        }
        TcpFlow.Key key =
                new TcpFlow.Key(
                        rule.guest(),
                        rule.guestPort(),
                        stack.appearance(Ip.address(peer)),
                        Ip.port(peer));
        TcpFlow before = flows.get(key);
        if (before != null && before.state() == TcpFlow.State.TIME_WAIT) {
            before.close();
            before = null;
        }
        if (before != null || flows.size() >= MOST) {
            Sockets.abortOnClose(fd);
            fd.close();
            return;
        }
        flows.put(key, TcpFlow.incoming(key, stack, fd, sequences.nextInt()));
    }

    /** The port that a socket is bound to, or 0. */
    static int localPort(Fd fd) {
        try {
            return Ip.port(Sockets.localName(fd.number()));
        } catch (LinuxException e) {
            return 0;
        }
    }

    boolean unforward(int host, int port) {
        for (Listener l : listeners) {
            if (l.rule.host() == host && l.port == port) {
                listeners.remove(l);
                l.close();
                return true;
            }
        }
        return false;
    }

    /** The guest has room again. */
    void resume() {
        for (TcpFlow flow : List.copyOf(flows.values())) {
            if (!stack.room()) {
                return;
            }
            flow.output(false);
        }
    }

    /** Sends again what is overdue; gives the time of the next such look. */
    long expire(long now) {
        long next = Long.MAX_VALUE;
        for (TcpFlow flow : List.copyOf(flows.values())) {
            flow.expire(now);
            next = Math.min(next, flow.deadline());
        }
        return next;
    }

    void describe(ConnectionTable out) {
        for (TcpFlow flow : List.copyOf(flows.values()).reversed()) {
            flow.describe(out);
        }
        for (Listener l : listeners) {
            HostForward rule = l.rule;
            out.line(
                    "TCP[HOST_FORWARD]",
                    l.fd.number(),
                    rule.host(),
                    l.port,
                    rule.guest(),
                    rule.guestPort(),
                    0,
                    0);
        }
    }

    void close() {
        listeners.forEach(Listener::close);
        listeners.clear();
        List.copyOf(flows.values()).forEach(TcpFlow::close);
    }
}
