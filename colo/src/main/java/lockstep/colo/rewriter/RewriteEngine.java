package lockstep.colo.rewriter;

import lockstep.colo.packet.ConnectionKey;
import lockstep.colo.packet.ConnectionTable;
import lockstep.colo.packet.Ipv4Packet;
import lockstep.runtime.trace.Trace;
import lockstep.runtime.trace.TraceEvent;

import org.jspecify.annotations.Nullable;

/**
 * Follows TCP connections of the secondary guest and shifts sequence and acknowledgement numbers by
 * the difference between its initial sequence number and the primary's. Under the machine lock.
 */
final class RewriteEngine {
    /** What the engine does with a packet. */
    enum Verdict {
        /** It is none of the engine's business. */
        PASS,
        /** It was handled, perhaps changed. */
        HANDLED
    }

    private enum State {
        CLOSED,
        SYN_SENT,
        SYN_RECEIVED,
        ESTABLISHED,
        CLOSE_WAIT,
        LAST_ACK,
        FIN_WAIT_1
    }

    private static final class Connection {
        State state = State.CLOSED;

        /** Secondary's minus primary's sequence number. */
        int offset;

        int finSequence;
    }

    private static final TraceEvent INFO = Trace.event("colo_filter_rewriter_pkt_info");
    private static final TraceEvent OFFSET = Trace.event("colo_filter_rewriter_conn_offset");

    private final ConnectionTable<Connection> connections = new ConnectionTable<>(Connection::new);
    private boolean failover;

    /** The packet if it is TCP that the engine can follow, or null. */
    static @Nullable Ipv4Packet parse(byte[] frame, int length, int vnetHeader) {
        Ipv4Packet p = Ipv4Packet.parse(frame, length, vnetHeader);
        return p != null && p.protocol() == Ipv4Packet.TCP && !p.laterFragment() ? p : null;
    }

    /**
     * Handles a packet, in place.
     *
     * @param down from the client to the guest; otherwise from the guest
     */
    Verdict handle(Ipv4Packet p, boolean down) {
        ConnectionKey key = down ? p.key().reversed() : p.key();
        if (failover && connections.find(key) == null) {
            return Verdict.PASS;
        }
        Connection c = connections.get(key);
        if (INFO.on()) {
            // The source address stands where the destination should, as in QEMU's log.
            String source = Ipv4Packet.dotted(p.source());
            INFO.log(
                    "%s: src/dst: %s/%s p: seq/ack=%s/%s  flags=0x%x",
                    down ? "handle_primary_tcp_pkt" : "handle_secondary_tcp_pkt",
                    source,
                    source,
                    Integer.toUnsignedString(p.sequence()),
                    Integer.toUnsignedString(p.acknowledgement()),
                    p.flags());
        }
        if (OFFSET.on()) {
            OFFSET.log(": offset=" + Integer.toUnsignedString(c.offset));
        }
        if (down) {
            toGuest(c, key, p);
        } else {
            fromGuest(c, p);
        }
        return Verdict.HANDLED;
    }

    private void toGuest(Connection c, ConnectionKey key, Ipv4Packet p) {
        int flags = p.flags();
        switch (flags & (Ipv4Packet.SYN | Ipv4Packet.ACK)) {
            case Ipv4Packet.SYN | Ipv4Packet.ACK -> {
                if (c.state == State.SYN_SENT) {
                    c.state = State.ESTABLISHED;
                }
            }
            case Ipv4Packet.SYN -> c.state = State.SYN_RECEIVED;
            case Ipv4Packet.ACK -> {
                if (c.state == State.SYN_RECEIVED) {
                    // The client acknowledges the primary's initial sequence number plus one.
                    c.offset -= p.acknowledgement() - 1;
                    c.state = State.ESTABLISHED;
                }
                if (c.offset != 0) {
                    p.setAcknowledgement(p.acknowledgement() + c.offset);
                }
                if (c.state == State.LAST_ACK && p.acknowledgement() == c.finSequence + 1) {
                    connections.remove(key);
                }
            }
            default -> {}
        }
        if ((flags & Ipv4Packet.FIN) != 0) {
            if (c.state == State.ESTABLISHED) {
                c.state = State.CLOSE_WAIT;
            } else if (c.state == State.FIN_WAIT_1) {
                connections.remove(key);
            }
        }
    }

    private static void fromGuest(Connection c, Ipv4Packet p) {
        int flags = p.flags();
        switch (flags & (Ipv4Packet.SYN | Ipv4Packet.ACK)) {
            case Ipv4Packet.SYN | Ipv4Packet.ACK -> {
                if (c.state == State.SYN_RECEIVED) {
                    c.offset = p.sequence();
                }
            }
            case Ipv4Packet.SYN -> {
                if (c.state == State.CLOSED) {
                    c.state = State.SYN_SENT;
                }
            }
            case Ipv4Packet.ACK -> {
                if (c.offset != 0) {
                    p.setSequence(p.sequence() - c.offset);
                }
            }
            default -> {}
        }
        switch (flags & (Ipv4Packet.FIN | Ipv4Packet.ACK)) {
            case Ipv4Packet.FIN | Ipv4Packet.ACK -> {
                if (c.state == State.CLOSE_WAIT) {
                    c.finSequence = p.sequence();
                    c.state = State.LAST_ACK;
                }
            }
            case Ipv4Packet.FIN -> {
                if (c.state == State.ESTABLISHED) {
                    c.state = State.FIN_WAIT_1;
                }
            }
            default -> {}
        }
    }

    /** Both guests are equal now, so their sequence numbers are. */
    void checkpoint() {
        for (Connection c : connections.all()) {
            c.offset = 0;
        }
    }

    /**
     * This guest goes on alone. If no connection needs rewriting, those that are not yet followed
     * will not be; otherwise nothing changes, because the clients keep counting as before.
     */
    void failover() {
        for (Connection c : connections.all()) {
            if (c.offset != 0) {
                return;
            }
        }
        failover = true;
    }

    /** How many connections are followed. */
    int size() {
        return connections.all().size();
    }
}
