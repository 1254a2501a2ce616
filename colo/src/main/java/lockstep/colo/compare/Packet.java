package lockstep.colo.compare;

import org.jspecify.annotations.Nullable;

import java.util.Arrays;

/**
 * A frame as the comparison sees it: which flow it belongs to, and which of its bytes must be the same on both sides.
 * {@link PacketReader} fills it in. Packets that wait own their bytes and are used again by {@link PacketPool}. One
 * thread.
 */
final class Packet {
    /** RFC 9293: no more data from the sender. */
    static final int FIN = 0x01;

    /** RFC 9293: sequence numbers are being agreed on. */
    static final int SYN = 0x02;

    /** RFC 9293: the connection is reset. */
    static final int RST = 0x04;

    /** RFC 9293: the acknowledgement field counts. */
    static final int ACK = 0x10;

    private static final byte[] NONE = {};

    /** Bytes of memory beside the frame. */
    private static final int OVERHEAD = 512;

    /** How many ranges may be left out of the comparison. */
    private static final int MASKS = 16;

    // ---- the frame

    byte[] frame;
    int length;

    /** Bytes of virtio header in front, as the sender declared it. */
    int vnetHeader;

    boolean primary;

    /** When it came, in nanoseconds of the monotonic clock. */
    long arrival;

    // ---- its flow: addresses, ports, protocol, VLAN tags

    final long[] key = new long[FlowTable.KEY];

    /** IP protocol number, or {@link PacketReader#NOT_IP}. */
    int protocol;

    // ---- what is compared: this range of these bytes, without the masked ones

    byte[] content;
    int from;
    int to;
    private int masks;
    private final int[] maskAt = new int[MASKS];
    private final int[] maskLength = new int[MASKS];

    // ---- of a TCP segment

    boolean tcp;
    int sequence;
    int acknowledgement;
    int flags;
    int optionsFrom;
    int dataFrom;

    /** Bytes of data, from the first on, that were found equal to the other side's. */
    int checked;

    // ---- of a fragment of an IP datagram

    boolean fragment;
    boolean moreFragments;

    /** Bytes from the datagram's start. */
    int fragmentOffset;

    int identification;

    // ---- where it waits

    @Nullable Packet previous;
    @Nullable Packet next;
    @Nullable Packet older;
    @Nullable Packet newer;

    /** The frames of the other fragments, in order, which go where this one goes; the content is in room of its own then. */
    @Nullable Packet rest;

    /** A packet whose frame comes later. */
    Packet() {
        frame = NONE;
        content = NONE;
    }

    /** Lets go of its bytes and of other packets. */
    void forget() {
        frame = NONE;
        content = NONE;
        rest = null;
        previous = null;
        next = null;
        older = null;
        newer = null;
    }

    /** Bytes of memory that it takes while it waits. */
    int memory() {
        return OVERHEAD + frame.length + (content == frame ? 0 : content.length);
    }

    boolean is(int flag) {
        return (flags & flag) != 0;
    }

    /** The sequence number of the first byte of data. */
    int dataSequence() {
        return is(SYN) ? sequence + 1 : sequence;
    }

    /** Bytes of data; what a reset carries is for people (RFC 9293, 3.5.3). */
    int dataLength() {
        return is(RST) ? 0 : to - dataFrom;
    }

    /** The sequence number behind the data, where a FIN would be. */
    int dataEnd() {
        return dataSequence() + dataLength();
    }

    /** The sequence number of what follows, SYN and FIN counted. */
    int end() {
        return is(FIN) ? dataEnd() + 1 : dataEnd();
    }

    /** Leaves bytes out of the comparison; they must not be in front of those that were left out before. */
    void mask(int at, int bytes) {
        if (at >= from && at + bytes <= to && masks < MASKS) {
            maskAt[masks] = at;
            maskLength[masks++] = bytes;
        }
    }

    void clearMasks() {
        masks = 0;
    }

    /** Whether everything that is to be compared is equal. */
    boolean same(Packet o) {
        if (to - from != o.to - o.from || masks != o.masks) {
            return false;
        }
        int at = 0;
        for (int i = 0; i < masks; i++) {
            int end = maskAt[i] - from;
            if (end != o.maskAt[i] - o.from || maskLength[i] != o.maskLength[i]) {
                return false;
            }
            if (end > at && !sameBytes(o, at, end)) {
                return false;
            }
            at = Math.max(at, end + maskLength[i]);
        }
        return sameBytes(o, at, to - from);
    }

    private boolean sameBytes(Packet o, int at, int end) {
        return Arrays.equals(content, from + at, from + end, o.content, o.from + at, o.from + end);
    }

    /** Whether it has data that were not found equal. */
    boolean unchecked() {
        return checked < dataLength();
    }

    /** Whether a range of data, each from a place in its own, is equal. */
    boolean sameData(int at, Packet o, int otherAt, int bytes) {
        int a = dataFrom + at;
        int b = o.dataFrom + otherAt;
        return Arrays.equals(content, a, a + bytes, o.content, b, b + bytes);
    }

    /** Becomes like another packet, but for its bytes. */
    void describe(Packet o) {
        length = o.length;
        vnetHeader = o.vnetHeader;
        primary = o.primary;
        arrival = o.arrival;
        System.arraycopy(o.key, 0, key, 0, key.length);
        protocol = o.protocol;
        from = o.from;
        to = o.to;
        masks = o.masks;
        System.arraycopy(o.maskAt, 0, maskAt, 0, masks);
        System.arraycopy(o.maskLength, 0, maskLength, 0, masks);
        tcp = o.tcp;
        sequence = o.sequence;
        acknowledgement = o.acknowledgement;
        flags = o.flags;
        optionsFrom = o.optionsFrom;
        dataFrom = o.dataFrom;
        checked = o.checked;
        fragment = o.fragment;
        moreFragments = o.moreFragments;
        fragmentOffset = o.fragmentOffset;
        identification = o.identification;
    }
}
