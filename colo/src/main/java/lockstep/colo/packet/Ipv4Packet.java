package lockstep.colo.packet;

import lockstep.net.wire.Checksum;
import lockstep.runtime.memory.BigEndian;

import org.jspecify.annotations.Nullable;

import java.util.Arrays;

/**
 * A view of an Ethernet frame that carries IPv4, with or without a virtio header in front. Every
 * length in the packet is checked against the frame when the view is made; later reads stay inside
 * it.
 *
 * <p>Formats: RFC 791 (IPv4), RFC 9293 (TCP), RFC 768 (UDP), RFC 792 (ICMP), RFC 4302 (AH).
 */
public final class Ipv4Packet {
    /** IP protocol number of ICMP. */
    public static final int ICMP = 1;

    /** IP protocol number of TCP. */
    public static final int TCP = 6;

    /** IP protocol number of UDP. */
    public static final int UDP = 17;

    /** TCP flag: no more data from the sender. */
    public static final int FIN = 0x01;

    /** TCP flag: synchronise sequence numbers. */
    public static final int SYN = 0x02;

    /** TCP flag: the acknowledgement field counts. */
    public static final int ACK = 0x10;

    private static final int AH = 51;
    private static final int ETHERNET = 14;
    private static final int VLAN_TAG = 4;

    // IEEE 802.1Q, 9.5: the types of tags.
    private static final int CUSTOMER_TAG = 0x8100;
    private static final int PROVIDER_TAG = 0x88a8;

    private static final int LONGEST_VNET_HEADER = 20;
    private static final int TCP_HEADER = 20;
    private static final int NO_OPERATION = 1;
    private static final int SELECTIVE = 5;
    private static final int TIMESTAMPS = 8;

    private final byte[] data;
    private final int length;
    private final int vnet;
    private final int ip;
    private final int transport;

    private Ipv4Packet(byte[] data, int length, int vnet, int ip, int transport) {
        this.data = data;
        this.length = length;
        this.vnet = vnet;
        this.ip = ip;
        this.transport = transport;
    }

    /**
     * Looks at a frame without copying it.
     *
     * @param data holds the frame from index 0 on
     * @param length bytes of the frame, virtio header included
     * @param vnetHeader bytes of virtio header as the sender declared it, unsigned
     * @return null for what is not compared: not IPv4, with a VLAN tag as the outermost (one of a provider is looked
     *     behind, as QEMU does), too short for its headers
     */
    public static @Nullable Ipv4Packet parse(byte[] data, int length, int vnetHeader) {
        if (Integer.compareUnsigned(vnetHeader, LONGEST_VNET_HEADER) > 0
                || length > data.length
                || length < ETHERNET + VLAN_TAG + vnetHeader) {
            return null;
        }
        int ip = vnetHeader + ETHERNET;
        // The first byte behind the type is there: the length check leaves room for a VLAN tag.
        if (type(data, ip) == PROVIDER_TAG) {
            ip += type(data, ip + VLAN_TAG) == CUSTOMER_TAG ? 2 * VLAN_TAG : VLAN_TAG;
            if (ip >= length) {
                return null;
            }
        }
        if (data[ip - 2] != 0x08 || data[ip - 1] != 0 || (data[ip] & 0xf0) != 0x40) {
            return null;
        }
        int headerLength = (data[ip] & 0x0f) * 4;
        if (headerLength < 20 || headerLength > length - ip) {
            return null;
        }
        Ipv4Packet p = new Ipv4Packet(data, length, vnetHeader, ip, ip + headerLength);
        return p.transportFits() ? p : null;
    }

    /** The type of what begins there. */
    private static int type(byte[] data, int at) {
        return BigEndian.get16(data, at - 2);
    }

    private boolean transportFits() {
        int rest = length - transport;
        return switch (protocol()) {
            case TCP -> rest >= TCP_HEADER && tcpHeaderLength() <= rest;
            case AH -> rest >= 8;
            default -> portsAt() < 0 || rest >= 4;
        };
    }

    private int portsAt() {
        return switch (protocol()) {
            case TCP, UDP, 33, 50, 132, 136 -> transport; // DCCP, ESP, SCTP, UDP-Lite
            case AH -> transport + 4;
            default -> -1;
        };
    }

    /** The same packet in an array of its own. */
    public Ipv4Packet copy() {
        return new Ipv4Packet(Arrays.copyOf(data, length), length, vnet, ip, transport);
    }

    /** The array that holds the frame from index 0 on. */
    public byte[] data() {
        return data;
    }

    /** Bytes of the frame, virtio header included. */
    public int length() {
        return length;
    }

    /** Bytes of virtio header. */
    public int vnetHeader() {
        return vnet;
    }

    /** Where the header of TCP, UDP, ... begins in the frame. */
    public int transportOffset() {
        return transport;
    }

    /** IP protocol number. */
    public int protocol() {
        return data[ip + 9] & 0xff;
    }

    /** Source address. */
    public int source() {
        return int32(ip + 12);
    }

    /** Destination address. */
    public int destination() {
        return int32(ip + 16);
    }

    /** Whether this is a fragment other than the first: it has no transport header. */
    public boolean laterFragment() {
        return (int16(ip + 6) & 0x1fff) != 0;
    }

    /** Whether more fragments follow. */
    public boolean moreFragments() {
        return (int16(ip + 6) & 0x2000) != 0;
    }

    /** The key of the packet as it is sent. */
    public ConnectionKey key() {
        int ports = portsAt();
        return new ConnectionKey(
                source(),
                destination(),
                protocol(),
                ports < 0 ? 0 : int16(ports),
                ports < 0 ? 0 : int16(ports + 2));
    }

    /** TCP sequence number. */
    public int sequence() {
        return int32(transport + 4);
    }

    /** TCP acknowledgement number. */
    public int acknowledgement() {
        return int32(transport + 8);
    }

    /** TCP header length in bytes as the packet says it, options included. */
    public int tcpHeaderLength() {
        return (data[transport + 12] >> 4 & 0xf) * 4;
    }

    /** TCP flags, the low eight. */
    public int flags() {
        return data[transport + 13] & 0xff;
    }

    /** Where the TCP payload begins in the frame. It ends with the frame. */
    public int tcpPayloadOffset() {
        return transport + tcpHeaderLength();
    }

    /** Changes the TCP sequence number and the checksum. */
    public void setSequence(int value) {
        change(transport + 4, value);
    }

    /** Changes the TCP acknowledgement number and the checksum. */
    public void setAcknowledgement(int value) {
        change(transport + 8, value);
    }

    /** Whether the segment has TCP timestamps (RFC 7323). */
    public boolean hasTimestamps() {
        return option(TIMESTAMPS, 10) >= 0;
    }

    /** The sender's timestamp, where {@link #hasTimestamps}. */
    public int timestamp() {
        return int32(option(TIMESTAMPS, 10) + 2);
    }

    /** The receiver's timestamp that the sender returns, where {@link #hasTimestamps}. */
    public int timestampEcho() {
        return int32(option(TIMESTAMPS, 10) + 6);
    }

    /** Adds to the sender's timestamp, where there is one, and changes the checksum. */
    public void shiftTimestamp(int by) {
        shift(option(TIMESTAMPS, 10), 2, by);
    }

    /** Adds to the timestamp that is returned, where there is one, and changes the checksum. */
    public void shiftTimestampEcho(int by) {
        shift(option(TIMESTAMPS, 10), 6, by);
    }

    /** Adds to the sequence numbers of selective acknowledgements (RFC 2018), and changes the checksum. */
    public void shiftSelective(int by) {
        int at = option(SELECTIVE, 2);
        if (at >= 0) {
            for (int edge = 2; edge + 4 <= data[at + 1]; edge += 4) {
                shift(at, edge, by);
            }
        }
    }

    private void shift(int option, int within, int by) {
        if (option >= 0 && by != 0) {
            change(option + within, int32(option + within) + by);
        }
    }

    /** Where the first TCP option of a kind begins, if it is at least so long; -1 where there is none. */
    private int option(int kind, int least) {
        int end = tcpPayloadOffset();
        int at = transport + TCP_HEADER;
        while (at + 1 < end && data[at] != 0) {
            if (data[at] == NO_OPERATION) {
                at++;
                continue;
            }
            int size = data[at + 1];
            if (size < 2 || size > end - at) {
                return -1;
            }
            if (data[at] == kind) {
                return size >= least ? at : -1;
            }
            at += size;
        }
        return -1;
    }

    private void change(int offset, int value) {
        int old = int32(offset);
        put32(offset, value);
        int datagram = int16(ip + 2);
        int checksum = transport + 16;
        int segment = datagram - (transport - ip);
        if (moreFragments() || segment < TCP_HEADER || datagram > length - ip) {
            // Not all of the segment is here: change the sum by the difference (RFC 1624, equation
            // 3).
            long sum = (~old >>> 16) + (~old & 0xffff) + (value >>> 16) + (value & 0xffff);
            int difference = ~Checksum.fold(sum) & 0xffff;
            if ((offset - transport & 1) != 0) {
                difference = difference << 8 & 0xff00 | difference >>> 8;
            }
            put16(checksum, Checksum.fold((~int16(checksum) & 0xffff) + difference));
            return;
        }
        put16(checksum, 0);
        long sum = Checksum.pseudoHeader(source(), destination(), TCP, segment);
        put16(checksum, Checksum.fold(sum + Checksum.sum(data, transport, segment)));
    }

    private int int16(int at) {
        return BigEndian.get16(data, at);
    }

    private int int32(int at) {
        return BigEndian.get32(data, at);
    }

    private void put16(int at, int value) {
        BigEndian.put16(data, at, value);
    }

    private void put32(int at, int value) {
        BigEndian.put32(data, at, value);
    }

    /** An IPv4 address in dotted decimals. */
    public static String dotted(int address) {
        return (address >>> 24)
                + "."
                + (address >>> 16 & 0xff)
                + "."
                + (address >>> 8 & 0xff)
                + "."
                + (address & 0xff);
    }
}
