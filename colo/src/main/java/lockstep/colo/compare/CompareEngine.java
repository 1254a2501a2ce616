package lockstep.colo.compare;

import lockstep.colo.packet.ConnectionTable;
import lockstep.colo.packet.Ipv4Packet;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.function.IntSupplier;
import java.util.function.LongSupplier;

/**
 * Compares what two guests send. A packet of the primary is released when the secondary has sent
 * the same; at the first difference a checkpoint is requested, after which both guests are equal
 * again and everything that waits is released. Packets that cannot be compared pass from the
 * primary and are dropped from the secondary. One thread.
 *
 * <p>TCP is compared as a stream: segments may be cut differently. UDP and ICMP are compared behind
 * the IP header, other protocols whole.
 */
final class CompareEngine {
    /** Takes what leaves. */
    interface Output {
        /** Sends a frame to the network; the bytes are only valid during the call. */
        void release(byte[] frame, int length, int vnetHeader);

        /** The guests differ, or one is too slow. */
        void requestCheckpoint();
    }

    private final Output output;
    private final LongSupplier millis;
    private final IntSupplier maxQueue;
    private final ConnectionTable<Connection> connections = new ConnectionTable<>(Connection::new);

    /**
     * An engine without connections.
     *
     * @param millis a monotonic clock in milliseconds
     * @param maxQueue how many packets wait per queue; one more is accepted, as in QEMU
     */
    CompareEngine(Output output, LongSupplier millis, IntSupplier maxQueue) {
        this.output = output;
        this.millis = millis;
        this.maxQueue = maxQueue;
    }

    /** Takes a frame of the primary guest. */
    void primary(byte[] data, int length, int vnetHeader) {
        Ipv4Packet p = Ipv4Packet.parse(data, length, vnetHeader);
        if (p == null) {
            CompareTrace.MAIN.log(": primary: unsupported packet in");
            output.release(data, length, vnetHeader);
            return;
        }
        Connection c = connections.get(p.key());
        if (c.primary.size() > unsignedLimit()) {
            CompareTrace.DROP.log(": primary: queue size too big, drop packet");
        } else {
            enqueue(c.primary, p);
            if (p.protocol() == Ipv4Packet.TCP) {
                c.primaryAck = p.acknowledgement();
            }
        }
        compare(c, p.protocol());
    }

    /** Takes a frame of the secondary guest. */
    void secondary(byte[] data, int length, int vnetHeader) {
        Ipv4Packet p = Ipv4Packet.parse(data, length, vnetHeader);
        if (p == null) {
            CompareTrace.MAIN.log(": secondary: unsupported packet in");
            return;
        }
        Connection c = connections.get(p.key());
        if (c.secondary.size() > unsignedLimit()) {
            CompareTrace.DROP.log(": secondary: queue size too big, drop packet");
        } else {
            enqueue(c.secondary, p);
            if (p.protocol() == Ipv4Packet.TCP) {
                c.secondaryAck = p.acknowledgement();
            }
        }
        compare(c, p.protocol());
    }

    private int unsignedLimit() {
        int max = maxQueue.getAsInt();
        return max < 0 ? Integer.MAX_VALUE : max;
    }

    private void enqueue(List<Queued> queue, Ipv4Packet p) {
        Queued q = new Queued(p.copy(), millis.getAsLong());
        if (p.protocol() == Ipv4Packet.TCP) {
            Connection.insert(queue, q);
        } else {
            queue.add(q);
        }
    }

    private void compare(Connection c, int protocol) {
        if (c.primary.isEmpty() || c.secondary.isEmpty()) {
            return;
        }
        switch (protocol) {
            case Ipv4Packet.TCP -> compareTcp(c);
            case Ipv4Packet.UDP -> compareDatagrams(c, protocol, "udp", "UDP");
            case Ipv4Packet.ICMP -> compareDatagrams(c, protocol, "icmp", "ICMP");
            default -> compareDatagrams(c, protocol, "other", "Other");
        }
    }

    private void compareTcp(Connection c) {
        // Data that the primary acknowledges must have reached the secondary too before it goes
        // out.
        int acked = unsignedMin(c.primaryAck, c.secondaryAck);
        while (!c.primary.isEmpty() && !c.secondary.isEmpty()) {
            Queued p = c.primary.getFirst();
            Queued s = c.secondary.getFirst();
            boolean primaryDone = p.empty() || c.old(p);
            if (primaryDone) {
                if (!p.empty()) {
                    CompareTrace.MAIN.log(": pri: this packet has compared");
                }
                c.primary.removeFirst();
                release(p);
            }
            boolean secondaryDone = s.empty() || c.old(s);
            if (secondaryDone) {
                if (!s.empty()) {
                    CompareTrace.MAIN.log(": sec: this packet has compared");
                }
                c.secondary.removeFirst();
            }
            if (!primaryDone && !secondaryDone && !compareSegments(c, p, s, acked)) {
                return;
            }
        }
    }

    private boolean differ(String cause) {
        CompareTrace.CHECKPOINT.log(cause);
        output.requestCheckpoint();
        return false;
    }

    /** Releases what is equal; otherwise asks for a checkpoint and gives false. */
    private boolean compareSegments(Connection c, Queued p, Queued s, int acked) {
        CompareTrace.ip(p, s);
        if (p.sequence() == s.sequence() && p.end() == s.end() && p.samePayload(s)) {
            CompareTrace.tcp(p, s);
            c.primary.removeFirst();
            c.secondary.removeFirst();
            c.compared(p.end());
            release(p);
            return true;
        }
        if (c.started) {
            p.skipTo(c.done);
            s.skipTo(c.done);
        }
        boolean primaryFirst = p.end() - s.end() <= 0;
        int count = primaryFirst ? p.uncompared() : s.uncompared();
        if (!p.sameNext(s, count)) {
            return differ("tcp: different payload");
        }
        if (!primaryFirst) {
            p.advance(count);
            CompareTrace.tcp(p, s);
            c.secondary.removeFirst();
            c.compared(s.end());
            return true;
        }
        if (p.packet().acknowledgement() - acked > 0) {
            return differ("tcp: not acknowledged by both");
        }
        s.advance(count);
        CompareTrace.tcp(p, s);
        c.primary.removeFirst();
        c.compared(p.end());
        release(p);
        return true;
    }

    private static int unsignedMin(int a, int b) {
        return Integer.compareUnsigned(a, b) < 0 ? a : b;
    }

    private void compareDatagrams(Connection c, int protocol, String name, String title) {
        while (!c.primary.isEmpty() && !c.secondary.isEmpty()) {
            Queued p = c.primary.getLast();
            Queued match = find(c.secondary, p, protocol, name, title);
            if (match == null) {
                CompareTrace.MAIN.log(": packet different");
                differ(name + ": different payload");
                return;
            }
            CompareTrace.MAIN.log(": packet same and release packet");
            c.primary.removeLast();
            c.secondary.remove(match);
            release(p);
        }
    }

    private static @Nullable Queued find(
            List<Queued> queue, Queued p, int protocol, String name, String title) {
        boolean whole = protocol != Ipv4Packet.UDP && protocol != Ipv4Packet.ICMP;
        for (Queued s : queue) {
            CompareTrace.MAIN.log(": compare " + name);
            CompareTrace.ip(p, s);
            if (p.packet().length() != s.packet().length()) {
                CompareTrace.MAIN.log(": " + title + ": payload size of packets are different");
            } else if (p.sameFrom(
                    whole ? p.packet().vnetHeader() : p.payloadOffset(),
                    s,
                    whole ? s.packet().vnetHeader() : s.payloadOffset())) {
                return s;
            } else {
                CompareTrace.miscompare(protocol, p, s);
            }
        }
        return null;
    }

    private void release(Queued p) {
        output.release(p.packet().data(), p.packet().length(), p.packet().vnetHeader());
    }

    /**
     * Requests a checkpoint if a packet of either side has waited for longer.
     *
     * @param timeout milliseconds
     */
    void scan(long timeout) {
        long now = millis.getAsLong();
        for (Connection c : connections.all()) {
            if (waited(c.primary, now, timeout) || waited(c.secondary, now, timeout)) {
                differ("one side is late");
                return;
            }
        }
    }

    private static boolean waited(List<Queued> queue, long now, long timeout) {
        for (Queued q : queue) {
            if (now - q.arrival() > timeout) {
                CompareTrace.OLD.log(Long.toString(q.arrival()));
                return true;
            }
        }
        return false;
    }

    /** Both guests are equal: releases what the primary sent, forgets what the secondary sent. */
    void flush() {
        for (Connection c : connections.all()) {
            boolean tcp =
                    !c.primary.isEmpty()
                            && c.primary.getFirst().packet().protocol() == Ipv4Packet.TCP;
            for (Queued p : tcp ? c.primary : c.primary.reversed()) {
                release(p);
            }
            c.primary.clear();
            c.secondary.clear();
        }
    }
}
