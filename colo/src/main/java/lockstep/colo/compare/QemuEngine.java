package lockstep.colo.compare;

import lockstep.api.ColoDifferenceKind;
import lockstep.colo.packet.ConnectionTable;
import lockstep.colo.packet.Ipv4Packet;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.IntSupplier;
import java.util.function.LongSupplier;

/**
 * Compares as QEMU's colo-compare does, gaps included, for pairs that are to behave like its own: what is not IPv4
 * passes from the primary and is dropped from the secondary, an acknowledgement may leave before the secondary has
 * sent it, and a full queue loses packets. {@link StrictEngine} is the better one. One thread.
 *
 * <p>TCP is compared as a stream: segments may be cut differently. UDP and ICMP are compared behind
 * the IP header, other protocols whole.
 */
final class QemuEngine implements Engine {
    private final Output output;
    private final LongSupplier millis;
    private final IntSupplier maxQueue;
    private final CompareStatistics statistics = new CompareStatistics();
    private final ConnectionTable<Connection> connections = new ConnectionTable<>(Connection::new);

    /**
     * An engine without connections.
     *
     * @param millis a monotonic clock in milliseconds
     * @param maxQueue how many packets wait per queue; one more is accepted, as in QEMU
     */
    QemuEngine(Output output, LongSupplier millis, IntSupplier maxQueue) {
        this.output = output;
        this.millis = millis;
        this.maxQueue = maxQueue;
    }

    @Override
    public void primary(byte[] data, int length, int vnetHeader) {
        statistics.arrived(true, length);
        Ipv4Packet p = Ipv4Packet.parse(data, length, vnetHeader);
        if (p == null) {
            CompareTrace.MAIN.log(": primary: unsupported packet in");
            statistics.released(length, 0);
            output.release(data, length, vnetHeader);
            return;
        }
        Connection c = connection(p);
        if (c.primary.size() > maxQueue.getAsInt()) {
            CompareTrace.DROP.log(": primary: queue size too big, drop packet");
            statistics.dropped++;
        } else {
            enqueue(c.primary, p);
            statistics.primaryHeld++;
            if (p.protocol() == Ipv4Packet.TCP) {
                c.primaryAck = p.acknowledgement();
            }
        }
        counted(c, p);
    }

    @Override
    public void secondary(byte[] data, int length, int vnetHeader) {
        statistics.arrived(false, length);
        Ipv4Packet p = Ipv4Packet.parse(data, length, vnetHeader);
        if (p == null) {
            CompareTrace.MAIN.log(": secondary: unsupported packet in");
            return;
        }
        Connection c = connection(p);
        if (c.secondary.size() > maxQueue.getAsInt()) {
            CompareTrace.DROP.log(": secondary: queue size too big, drop packet");
            statistics.dropped++;
        } else {
            enqueue(c.secondary, p);
            statistics.secondaryHeld++;
            if (p.protocol() == Ipv4Packet.TCP) {
                c.secondaryAck = p.acknowledgement();
            }
        }
        counted(c, p);
    }

    /** QEMU's table forgets everything, also what waits, when it is full. */
    private Connection connection(Ipv4Packet p) {
        int known = connections.all().size();
        Connection c = connections.get(p.key());
        if (connections.all().size() < known) {
            statistics.dropped += statistics.primaryHeld;
            statistics.evicted += known;
            statistics.primaryHeld = 0;
            statistics.secondaryHeld = 0;
        }
        return c;
    }

    /** Compares, with one packet more, and counts what waits before and after. */
    private void counted(Connection c, Ipv4Packet p) {
        int primary = c.primary.size();
        int secondary = c.secondary.size();
        statistics.held();
        compare(c, p.protocol());
        statistics.primaryHeld += c.primary.size() - primary;
        statistics.secondaryHeld += c.secondary.size() - secondary;
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

    private boolean differ(int protocol, ColoDifferenceKind kind) {
        statistics.count(protocol, kind);
        statistics.asked++;
        CompareTrace.CHECKPOINT.log(CompareStatistics.name(protocol, kind));
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
            return differ(Ipv4Packet.TCP, ColoDifferenceKind.PAYLOAD);
        }
        if (!primaryFirst) {
            p.advance(count);
            CompareTrace.tcp(p, s);
            c.secondary.removeFirst();
            c.compared(s.end());
            return true;
        }
        if (p.packet().acknowledgement() - acked > 0) {
            return differ(Ipv4Packet.TCP, ColoDifferenceKind.ACKNOWLEDGEMENT);
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
                differ(protocol, ColoDifferenceKind.PAYLOAD);
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
        statistics.released(
                p.packet().length(),
                TimeUnit.MILLISECONDS.toNanos(millis.getAsLong() - p.arrival()));
        output.release(p.packet().data(), p.packet().length(), p.packet().vnetHeader());
    }

    @Override
    public void scan(long timeout) {
        long now = millis.getAsLong();
        for (Connection c : connections.all()) {
            Queued late = waiting(c.primary, now, timeout);
            late = late == null ? waiting(c.secondary, now, timeout) : late;
            if (late != null) {
                differ(late.packet().protocol(), ColoDifferenceKind.LATE);
                return;
            }
        }
    }

    private static @Nullable Queued waiting(List<Queued> queue, long now, long timeout) {
        for (Queued q : queue) {
            if (now - q.arrival() > timeout) {
                CompareTrace.OLD.log(Long.toString(q.arrival()));
                return q;
            }
        }
        return null;
    }

    @Override
    public boolean takes(boolean primary) {
        return true;
    }

    @Override
    public long settlesAt() {
        return Long.MAX_VALUE;
    }

    @Override
    public void settle() {}

    @Override
    public CompareStatistics statistics() {
        CompareStatistics s = statistics;
        s.heldBytes = 0;
        long oldest = Long.MAX_VALUE;
        for (Connection c : connections.all()) {
            for (List<Queued> queue : List.of(c.primary, c.secondary)) {
                for (Queued q : queue) {
                    s.heldBytes += q.packet().length();
                    oldest = Math.min(oldest, q.arrival());
                }
            }
        }
        s.flows = connections.all().size();
        long waits = millis.getAsLong() - oldest;
        s.oldest = oldest == Long.MAX_VALUE ? 0 : TimeUnit.MILLISECONDS.toNanos(waits);
        return s;
    }

    @Override
    public void flush() {
        statistics.checkpoints++;
        statistics.primaryHeld = 0;
        statistics.secondaryHeld = 0;
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
