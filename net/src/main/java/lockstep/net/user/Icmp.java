package lockstep.net.user;

import lockstep.net.wire.Checksum;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.Sockets;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.memory.BigEndian;

import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * ICMP (RFC 792): the gateway and the name server answer an echo request; one to somebody else goes out through a
 * socket that the kernel lets us have for it, and comes back as unreachable where it does not.
 */
final class Icmp implements Ethernet.Protocol {
    static final int NET = 0;
    static final int HOST = 1;
    static final int PORT = 3;

    private static final int HEADER = 8;
    private static final int ECHO_REPLY = 0;
    private static final int UNREACHABLE = 3;
    private static final int ECHO = 8;
    private static final int MOST = 32;
    private static final long PATIENCE_NS = 10_000_000_000L;

    private record Key(int guest, int identifier, int destination) {}

    private final UserStack stack;
    private final Ethernet ethernet;
    private final Map<Key, Probe> probes = new LinkedHashMap<>(16, 0.75f, true);

    Icmp(UserStack stack, Ethernet ethernet) {
        this.stack = stack;
        this.ethernet = ethernet;
    }

    @Override
    public void packet(int source, int destination, byte[] f, int at, int length) {
        UserConfig config = stack.config();
        if (length < HEADER
                || f[at] != ECHO
                || Checksum.fold(Checksum.sum(f, at, length)) != 0
                || !config.inside(source)
                || config.broadcast(destination)) {
            return;
        }
        if (destination == config.host() || destination == config.dns()) {
            reply(destination, source, BigEndian.get16(f, at + 4), f, at, length);
        } else if (!config.restricted()) {
            probe(source, destination, f, at, length);
        }
    }

    private void reply(int from, int to, int identifier, byte[] f, int at, int length) {
        byte[] p = ethernet.packet;
        System.arraycopy(f, at, p, Ethernet.PAYLOAD, length);
        p[Ethernet.PAYLOAD] = ECHO_REPLY;
        BigEndian.put16(p, Ethernet.PAYLOAD + 4, identifier);
        finish(from, to, length);
    }

    private void finish(int from, int to, int length) {
        byte[] p = ethernet.packet;
        BigEndian.put16(p, Ethernet.PAYLOAD + 2, 0);
        BigEndian.put16(
                p, Ethernet.PAYLOAD + 2, Checksum.fold(Checksum.sum(p, Ethernet.PAYLOAD, length)));
        ethernet.send(Ip.ICMP, from, to, length, false);
    }

    /**
     * Tells the guest that a packet of its cannot be delivered.
     *
     * @param f where the first eight bytes of the packet's payload are
     */
    void unreachable(int code, int protocol, int source, int destination, byte[] f, int at) {
        byte[] start = new byte[Ip.HEADER + 8];
        start[0] = 0x45;
        BigEndian.put16(start, 2, start.length);
        start[8] = 64;
        start[9] = (byte) protocol;
        BigEndian.put32(start, 12, source);
        BigEndian.put32(start, 16, destination);
        BigEndian.put16(start, 10, Checksum.fold(Checksum.sum(start, 0, Ip.HEADER)));
        System.arraycopy(f, at, start, Ip.HEADER, 8);
        byte[] p = ethernet.packet;
        p[Ethernet.PAYLOAD] = UNREACHABLE;
        p[Ethernet.PAYLOAD + 1] = (byte) code;
        BigEndian.put32(p, Ethernet.PAYLOAD + 4, 0);
        System.arraycopy(start, 0, p, Ethernet.PAYLOAD + HEADER, start.length);
        finish(stack.config().host(), source, HEADER + start.length);
    }

    private void probe(int source, int destination, byte[] f, int at, int length) {
        Key key = new Key(source, BigEndian.get16(f, at + 4), destination);
        Probe probe = probes.get(key);
        int result;
        try {
            if (probe == null) {
                probe = new Probe(key);
                probes.put(key, probe);
                if (probes.size() > MOST) {
                    Iterator<Probe> oldest = probes.values().iterator();
                    oldest.next().close();
                    oldest.remove();
                }
            }
            probe.expires = stack.now() + PATIENCE_NS;
            stack.wake(probe.expires);
            result =
                    Sockets.sendTo(
                            probe.fd.number(),
                            f,
                            at,
                            length,
                            Ip.name(stack.translate(destination), 0));
        } catch (LinuxException e) {
            result = -Errno.EACCES;
        }
        if (result < 0 && result != -Errno.EAGAIN) {
            unreachable(NET, Ip.ICMP, source, destination, f, at);
        }
    }

    /** Reads again what had to wait. */
    void resume() {
        probes.values().forEach(p -> p.watch.interest(EventLoop.READ));
    }

    /** Drops what nobody answered; gives the time of the next such look. */
    long expire(long now) {
        long next = Long.MAX_VALUE;
        for (Iterator<Probe> i = probes.values().iterator(); i.hasNext(); ) {
            Probe p = i.next();
            if (p.expires <= now) {
                p.close();
                i.remove();
            } else {
                next = Math.min(next, p.expires);
            }
        }
        return next;
    }

    void describe(ConnectionTable out) {
        for (Probe p : probes.values()) {
            long seconds = (p.expires - stack.now()) / 1_000_000_000L;
            out.line(
                    "ICMP[%d sec]".formatted(seconds),
                    p.fd.number(),
                    p.key.guest,
                    p.key.destination);
        }
    }

    void close() {
        probes.values().forEach(Probe::close);
        probes.clear();
    }

    /** The echo requests of one program in the guest to one destination. */
    private final class Probe {
        private final Key key;
        private final Fd fd;
        private final EventLoop.Watch watch;
        private long expires;

        Probe(Key key) throws LinuxException {
            this.key = key;
            this.fd = Sockets.ping();
            this.watch = stack.loop().watch(fd.number(), EventLoop.READ, events -> ready());
        }

        private void ready() {
            if (!stack.room()) {
                watch.interest(0);
                return;
            }
            byte[] reply = new byte[Ethernet.LONGEST];
            int n = FileIo.read(fd.number(), reply, 0, reply.length);
            if (n >= HEADER && reply[0] == ECHO_REPLY) {
                reply(key.destination, key.guest, key.identifier, reply, 0, n);
            }
        }

        private void close() {
            watch.close();
            fd.close();
        }
    }
}
