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

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * UDP (RFC 768): each port of the guest's has a socket of the host's, which takes datagrams of everyone as long as it is
 * used. The services of the network itself are asked first.
 */
final class UdpRelay implements Ethernet.Protocol {
    /** Bytes of a header. */
    static final int HEADER = 8;

    private static final int MOST = 256;
    private static final int BURST = 16;
    private static final int DNS = 53;
    private static final long PATIENCE_NS = 240_000_000_000L;
    // A question to a name server is asked from a port that is not used again.
    private static final long DNS_PATIENCE_NS = 10_000_000_000L;

    /** A service on the gateway. */
    interface Service {
        /** Takes a datagram. */
        void datagram(int source, int port, byte[] f, int at, int length);
    }

    private record Key(int guest, int port) {}

    private final UserStack stack;
    private final Ethernet ethernet;
    private final Icmp icmp;
    private final Map<Integer, Service> services = new HashMap<>();

    /** Where a port of the guest's sends: its own flow, or the forwarding that it heard from last. The one used last is last. */
    private final Map<Key, Flow> flows = new LinkedHashMap<>(16, 0.75f, true);

    /** The ports that lead to the guest, newest first. */
    private final List<Flow> forwards = new ArrayList<>();

    UdpRelay(UserStack stack, Ethernet ethernet, Icmp icmp) {
        this.stack = stack;
        this.ethernet = ethernet;
        this.icmp = icmp;
    }

    /** Puts a service on a port of the gateway. */
    void service(int port, Service service) {
        services.put(port, service);
    }

    @Override
    public void packet(int source, int destination, byte[] f, int at, int length) {
        if (length < HEADER) {
            return;
        }
        int size = BigEndian.get16(f, at + 4);
        if (size < HEADER
                || size > length
                || BigEndian.get16(f, at + 6) != 0
                        && Checksum.fold(
                                        Checksum.sum(f, at, size)
                                                + Checksum.pseudoHeader(
                                                        source, destination, Ip.UDP, size))
                                != 0) {
            return;
        }
        int port = BigEndian.get16(f, at);
        int destinationPort = BigEndian.get16(f, at + 2);
        UserConfig config = stack.config();
        Service service = services.get(destinationPort);
        if (service != null && (destination == config.host() || config.broadcast(destination))) {
            service.datagram(source, port, f, at + HEADER, size - HEADER);
            return;
        }
        if (!config.inside(source) || config.broadcast(destination)) {
            return;
        }
        Key key = new Key(source, port);
        Flow flow = flows.get(key);
        if (flow == null && !config.restricted()) {
            flow = open(key);
        }
        if (flow == null || config.restricted() && !flow.forward) {
            return;
        }
        flow.lastAddress = destination;
        flow.lastPort = destinationPort;
        flow.lastPeer = stack.translate(destination);
        flow.used(destinationPort == DNS ? DNS_PATIENCE_NS : PATIENCE_NS);
        int result =
                Sockets.sendTo(
                        flow.fd.number(),
                        f,
                        at + HEADER,
                        size - HEADER,
                        Ip.name(flow.lastPeer, destinationPort));
        if (result < 0 && result != -Errno.EAGAIN && result != -Errno.ECONNREFUSED) {
            icmp.unreachable(Icmp.NET, Ip.UDP, source, destination, f, at);
        }
    }

    private @Nullable Flow open(Key key) {
        try {
            Fd fd = Sockets.datagram(Ip.name(0, 0).family());
            Flow flow = new Flow(key, fd, false, 0, 0);
            flows.put(key, flow);
            if (flows.size() > MOST) {
                Iterator<Flow> oldest = flows.values().iterator();
                oldest.next().leave();
                oldest.remove();
            }
            return flow;
        } catch (LinuxException e) {
            return null; // Out of descriptors: the datagram is lost, as datagrams are.
        }
    }

    /** Sends {@code length} bytes that stand behind the place for our header in the packet in the making. */
    void send(int source, int port, int destination, int destinationPort, int length) {
        byte[] p = ethernet.packet;
        int at = Ethernet.PAYLOAD;
        int size = HEADER + length;
        BigEndian.put16(p, at, port);
        BigEndian.put16(p, at + 2, destinationPort);
        BigEndian.put16(p, at + 4, size);
        BigEndian.put16(p, at + 6, 0);
        int check =
                Checksum.fold(
                        Checksum.sum(p, at, size)
                                + Checksum.pseudoHeader(source, destination, Ip.UDP, size));
        BigEndian.put16(p, at + 6, check == 0 ? 0xffff : check);
        ethernet.send(Ip.UDP, source, destination, size, true);
    }

    void forward(HostForward rule) throws NetException {
        Fd fd = null;
        try {
            SocketName name = Ip.name(rule.host(), rule.port());
            fd = Sockets.datagram(name.family());
            Errno.check(Sockets.bind(fd, name), "bind");
            SocketName bound = Sockets.localName(fd.number());
            Key key = new Key(rule.guest(), rule.guestPort());
            forwards.addFirst(new Flow(key, fd, true, rule.host(), Ip.port(bound)));
        } catch (LinuxException e) {
            if (fd != null) {
                fd.close();
            }
            throw new NetException(String.valueOf(e.getMessage()), e);
        }
    }

    boolean unforward(int host, int port) {
        for (Flow f : forwards) {
            if (f.host == host && f.hostPort == port) {
                forwards.remove(f);
                flows.remove(f.key, f);
                f.close();
                return true;
            }
        }
        return false;
    }

    /** Reads again what had to wait. */
    void resume() {
        flows.values().forEach(f -> f.watch.interest(EventLoop.READ));
        forwards.forEach(f -> f.watch.interest(EventLoop.READ));
    }

    /** Closes what was not used for long; gives the time of the next such look. */
    long expire(long now) {
        long next = Long.MAX_VALUE;
        for (Iterator<Flow> i = flows.values().iterator(); i.hasNext(); ) {
            Flow f = i.next();
            if (f.expires <= now) {
                f.leave();
                i.remove();
            } else {
                next = Math.min(next, f.expires);
            }
        }
        return next;
    }

    void describe(ConnectionTable out) {
        for (Flow f : List.copyOf(flows.values()).reversed()) {
            if (!f.forward) {
                long seconds = (f.expires - stack.now()) / 1_000_000_000L;
                out.line(
                        "UDP[%d sec]".formatted(seconds),
                        f.fd.number(),
                        f.key.guest,
                        f.key.port,
                        f.lastAddress,
                        f.lastPort,
                        0,
                        0);
            }
        }
        for (Flow f : forwards) {
            out.line(
                    "UDP[HOST_FORWARD]",
                    f.fd.number(),
                    f.host,
                    f.hostPort,
                    f.key.guest,
                    f.key.port,
                    0,
                    0);
        }
    }

    void close() {
        flows.values().forEach(Flow::leave);
        flows.clear();
        forwards.forEach(Flow::close);
        forwards.clear();
    }

    /** A port of the guest's and its socket. */
    private final class Flow {
        private final Key key;
        private final Fd fd;
        private final boolean forward;
        private final int host;
        private final int hostPort;
        private final EventLoop.Watch watch;
        private final SocketName[] from = {new SocketName.Unnamed()};
        private int lastAddress;
        private int lastPort;
        private int lastPeer;
        private long expires;

        Flow(Key key, Fd fd, boolean forward, int host, int hostPort) {
            this.key = key;
            this.fd = fd;
            this.forward = forward;
            this.host = host;
            this.hostPort = hostPort;
            this.watch = stack.loop().watch(fd.number(), EventLoop.READ, events -> ready());
        }

        private void used(long patience) {
            expires = stack.now() + patience;
            stack.wake(expires);
        }

        private void ready() {
            for (int i = 0; i < BURST && !fd.isClosed(); i++) {
                if (!stack.room()) {
                    watch.interest(0);
                    return;
                }
                int n =
                        Sockets.receiveFrom(
                                fd.number(),
                                ethernet.packet,
                                Ethernet.PAYLOAD + HEADER,
                                Ethernet.LONGEST - HEADER,
                                from);
                if (n < 0) {
                    return; // Nothing there, or an error of an earlier datagram, which is gone with
                    // this.
                }
                deliver(Ip.address(from[0]), Ip.port(from[0]), n);
            }
        }

        private void deliver(int peer, int port, int length) {
            if (forward) {
                Flow before = flows.put(key, this);
                if (before != null && before != this) {
                    before.leave();
                }
            }
            used(PATIENCE_NS);
            boolean answer = peer == lastPeer && port == lastPort;
            send(answer ? lastAddress : stack.appearance(peer), port, key.guest, key.port, length);
        }

        /** Ends, unless the user asked for it. */
        private void leave() {
            if (!forward) {
                close();
            }
        }

        private void close() {
            watch.close();
            fd.close();
        }
    }
}
