package lockstep.colo.rewriter;

import lockstep.colo.packet.ConnectionKey;
import lockstep.colo.packet.ConnectionTable;
import lockstep.colo.packet.Ipv4Packet;
import lockstep.net.filter.PairFrame;
import lockstep.runtime.trace.Trace;
import lockstep.runtime.trace.TraceEvent;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Follows TCP connections of the secondary guest and shifts what its kernel counts from a number of its own choice: the
 * sequence numbers, by the difference between its initial one and the primary's, and the timestamps. The primary's are in
 * the first segment with which the client acknowledges the opening. A primary that once took over still translates
 * connections of that time, and says so to the rewriter of its secondary. Under the machine lock.
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

        /** The guest's minus the client's view of it: sequence number. */
        int offset;

        /** Likewise the timestamp. */
        int timeOffset;

        // What both are while the guest counts as the primary's: not 0 where the primary translates
        // itself, because it
        // once took over.
        int primaryOffset;
        int primaryTimeOffset;

        /** The secondary's opening segment, of which the client has yet to acknowledge the primary's. */
        @Nullable Opening opening;

        /** The sequence number of the guest's FIN, as the guest counts. */
        int finSequence;

        void opens(State next, Opening with) {
            state = next;
            primaryTranslates(0, 0);
            opening = with;
        }

        void primaryTranslates(int sequence, int time) {
            primaryOffset = sequence;
            primaryTimeOffset = time;
            equal();
        }

        /** The guests count alike. */
        void equal() {
            offset = primaryOffset;
            timeOffset = primaryTimeOffset;
            opening = null;
        }

        boolean translated() {
            return opening == null && (offset != 0 || timeOffset != 0);
        }
    }

    private record Opening(int sequence, boolean hasTimestamps, int timestamp) {
        static Opening of(Ipv4Packet p) {
            boolean stamped = p.hasTimestamps();
            return new Opening(p.sequence(), stamped, stamped ? p.timestamp() : 0);
        }
    }

    private static final String TRANSLATIONS = "rewriter";

    /** Addresses, ports and both offsets. */
    private static final int ENTRY = 20;

    private static final int MOST_IN_FRAME = 1024;
    private static final TraceEvent INFO = Trace.event("colo_filter_rewriter_pkt_info");
    private static final TraceEvent OFFSET = Trace.event("colo_filter_rewriter_conn_offset");

    private final ConnectionTable<Connection> connections = new ConnectionTable<>(Connection::new);
    private boolean failover;
    private boolean alone;

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
        if ((flags & Ipv4Packet.ACK) != 0) {
            acknowledges(c, p);
            if (c.state == State.LAST_ACK && p.acknowledgement() == c.finSequence + 1) {
                connections.remove(key);
            }
        } else if ((flags & Ipv4Packet.SYN) != 0) {
            // What is known stays until the guest answers: it may be a stray copy.
            c.state = State.SYN_RECEIVED;
            c.opening = null;
        }
        if ((flags & Ipv4Packet.FIN) != 0) {
            if (c.state == State.ESTABLISHED) {
                c.state = State.CLOSE_WAIT;
            } else if (c.state == State.FIN_WAIT_1) {
                connections.remove(key);
            }
        }
    }

    private static void acknowledges(Connection c, Ipv4Packet p) {
        Opening own = c.opening;
        if (own != null) {
            // The client acknowledges the primary's initial sequence number plus one.
            c.offset = own.sequence - (p.acknowledgement() - 1);
            c.timeOffset =
                    own.hasTimestamps && p.hasTimestamps() ? own.timestamp - p.timestampEcho() : 0;
            c.opening = null;
        }
        if (c.state == State.SYN_RECEIVED || c.state == State.SYN_SENT) {
            c.state = State.ESTABLISHED;
        }
        if (c.offset != 0) {
            p.setAcknowledgement(p.acknowledgement() + c.offset);
            p.shiftSelective(c.offset);
        }
        p.shiftTimestampEcho(c.timeOffset);
    }

    private static void fromGuest(Connection c, Ipv4Packet p) {
        int flags = p.flags();
        boolean finishes = (flags & Ipv4Packet.FIN) != 0;
        switch (flags & (Ipv4Packet.SYN | Ipv4Packet.ACK)) {
            case Ipv4Packet.SYN | Ipv4Packet.ACK -> {
                if (c.state == State.SYN_RECEIVED) {
                    c.opens(State.SYN_RECEIVED, Opening.of(p));
                }
            }
            case Ipv4Packet.SYN -> c.opens(State.SYN_SENT, Opening.of(p));
            case Ipv4Packet.ACK -> {
                if (finishes && c.state == State.CLOSE_WAIT) {
                    c.finSequence = p.sequence();
                    c.state = State.LAST_ACK;
                }
                if (c.offset != 0) {
                    p.setSequence(p.sequence() - c.offset);
                }
                p.shiftTimestamp(-c.timeOffset);
            }
            default -> {
                if (finishes && c.state == State.ESTABLISHED) {
                    c.state = State.FIN_WAIT_1;
                }
            }
        }
    }

    /** Frames that say what is translated, for {@link #learn} of a new secondary's. None if nothing is. */
    List<byte[]> translations(int vnetHeader) {
        List<Map.Entry<ConnectionKey, Connection>> all =
                connections.entries().stream().filter(e -> e.getValue().translated()).toList();
        List<byte[]> frames = new ArrayList<>();
        for (int i = 0; i < all.size(); i += MOST_IN_FRAME) {
            var some = all.subList(i, Math.min(all.size(), i + MOST_IN_FRAME));
            int bytes = Integer.BYTES + some.size() * ENTRY;
            ByteBuffer b = PairFrame.begin(vnetHeader, TRANSLATIONS, bytes).putInt(some.size());
            some.forEach(
                    e -> {
                        ConnectionKey k = e.getKey();
                        b.putInt(k.source()).putInt(k.destination());
                        b.putShort((short) k.sourcePort()).putShort((short) k.destinationPort());
                        b.putInt(e.getValue().offset).putInt(e.getValue().timeOffset);
                    });
            frames.add(b.array());
        }
        return frames;
    }

    /** Takes over what the primary translates, if that frame says so; once alone, nothing. False for another frame. */
    boolean learn(byte[] frame, int offset, int length, int vnetHeader) {
        ByteBuffer b = PairFrame.content(frame, offset, length, vnetHeader, TRANSLATIONS);
        if (b == null) {
            return false;
        }
        if (alone) {
            return true;
        }
        for (int i = b.getInt(); i > 0 && b.remaining() >= ENTRY; i--) {
            int source = b.getInt();
            int destination = b.getInt();
            int sourcePort = Short.toUnsignedInt(b.getShort());
            int destinationPort = Short.toUnsignedInt(b.getShort());
            Connection c =
                    connections.get(
                            new ConnectionKey(
                                    source,
                                    destination,
                                    Ipv4Packet.TCP,
                                    sourcePort,
                                    destinationPort));
            if (c.state == State.CLOSED) {
                c.state = State.ESTABLISHED;
            }
            c.primaryTranslates(b.getInt(), b.getInt());
        }
        return true;
    }

    /** Both guests are equal now, so their numbers are; of connections that are being opened, too. */
    void checkpoint() {
        connections.all().forEach(Connection::equal);
    }

    /**
     * This guest goes on alone. If no connection needs rewriting, those that are not yet followed
     * will not be; otherwise nothing changes, because the clients keep counting as before.
     */
    void failover() {
        alone = true;
        for (Connection c : connections.all()) {
            if (c.offset != 0 || c.timeOffset != 0 || c.opening != null) {
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
