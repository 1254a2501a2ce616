package lockstep.colo.compare;

import lockstep.colo.packet.Ipv4Packet;

import java.util.Arrays;

/** A packet of one side that waits for its like from the other side. */
final class Queued {
    private final Ipv4Packet packet;
    private final long arrival;
    private final int payload;
    private int compared;

    /** Takes over {@code packet}, whose array belongs to it alone. */
    Queued(Ipv4Packet packet, long arrivalMillis) {
        this.packet = packet;
        this.arrival = arrivalMillis;
        this.payload =
                packet.protocol() == Ipv4Packet.TCP
                        ? packet.tcpPayloadOffset()
                        : packet.transportOffset();
    }

    Ipv4Packet packet() {
        return packet;
    }

    long arrival() {
        return arrival;
    }

    int sequence() {
        return packet.sequence();
    }

    int payloadOffset() {
        return payload;
    }

    int payloadLength() {
        return packet.length() - payload;
    }

    /** The sequence number behind the payload; SYN and FIN do not count. */
    int end() {
        return packet.sequence() + payloadLength();
    }

    boolean empty() {
        return payloadLength() == 0;
    }

    /** Bytes of payload that were found equal already. */
    int compared() {
        return compared;
    }

    int uncompared() {
        return payloadLength() - compared;
    }

    void advance(int bytes) {
        compared += bytes;
    }

    /** Skips what lies before {@code sequence}: a retransmission that begins with compared data. */
    void skipTo(int sequence) {
        int skip = sequence - (packet.sequence() + compared);
        if (skip > 0 && skip < uncompared()) {
            compared += skip;
        }
    }

    boolean samePayload(Queued other) {
        return Arrays.equals(
                packet.data(),
                payload,
                packet.length(),
                other.packet.data(),
                other.payload,
                other.packet.length());
    }

    /** Whether the next {@code count} uncompared bytes of both are there and equal. */
    boolean sameNext(Queued other, int count) {
        if (count > uncompared() || count > other.uncompared()) {
            return false;
        }
        int a = payload + compared;
        int b = other.payload + other.compared;
        return Arrays.equals(packet.data(), a, a + count, other.packet.data(), b, b + count);
    }

    /** Whether the frames are equal from the given offsets on, and of the same length. */
    boolean sameFrom(int offset, Queued other, int otherOffset) {
        return packet.length() == other.packet.length()
                && Arrays.equals(
                        packet.data(),
                        offset,
                        packet.length(),
                        other.packet.data(),
                        otherOffset,
                        other.packet.length());
    }
}
