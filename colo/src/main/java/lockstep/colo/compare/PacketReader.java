package lockstep.colo.compare;

import lockstep.runtime.memory.BigEndian;

import java.util.Arrays;

/**
 * Reads of a frame which flow it belongs to and what of it is compared. What two equal guests may choose differently is
 * left out: identification, time to live, checksums, flow label. Every length is checked against the frame; one that
 * is not as it says is compared as it stands.
 *
 * <p>Formats: IEEE 802.3 and 802.1Q; RFC 826 (ARP), 791 (IPv4), 8200 (IPv6), 9293 (TCP), 768 (UDP), 792 (ICMP), 4443
 * (ICMPv6), 9260 (SCTP), 4340 (DCCP), 3828 (UDP-Lite), 2784 and 2890 (GRE), 2003 and 2473 (tunnels), 3376 (IGMP), 2328
 * (OSPF), 7761 (PIM), 9568 (VRRP).
 */
final class PacketReader {
    /** The protocol of what is not IP. */
    static final int NOT_IP = 256;

    /** The protocol of ARP, next to {@link #NOT_IP}. */
    static final int ARP = 257;

    static final int ICMP = 1;
    static final int TCP = 6;
    static final int UDP = 17;
    static final int ICMPV6 = 58;
    static final int SCTP = 132;

    private static final int IGMP = 2;
    private static final int IPV4_INSIDE = 4;
    private static final int DCCP = 33;
    private static final int IPV6_INSIDE = 41;
    private static final int FRAGMENT = 44;
    private static final int GRE = 47;
    private static final int AH = 51;
    private static final int OSPF = 89;
    private static final int PIM = 103;
    private static final int VRRP = 112;
    private static final int UDP_LITE = 136;

    private static final int LONGEST_VNET_HEADER = 20;
    private static final int ETHERNET = 14;
    private static final int ARP_OF_IPV4 = 28;
    private static final int TYPE_IPV4 = 0x0800;
    private static final int TYPE_ARP = 0x0806;
    private static final int TYPE_IPV6 = 0x86dd;
    private static final int MOST_TAGS = 4;
    private static final int DEEPEST = 4;

    /** Keeps segments apart from what only says that it is one. */
    private static final long TCP_FLOW = 1L << 63;

    /** Where in its word of the key the protocol stands, above the type of the frame. */
    private static final long PROTOCOL = 0xffL << 16;

    private PacketReader() {}

    /** Fills in everything but the frame itself, which is there. */
    static void read(Packet p) {
        byte[] b = p.frame;
        p.content = b;
        p.clearMasks();
        p.tcp = false;
        p.fragment = false;
        p.protocol = NOT_IP;
        Arrays.fill(p.key, 0);
        int mac = p.vnetHeader;
        if (Integer.compareUnsigned(mac, LONGEST_VNET_HEADER) > 0 || mac + ETHERNET > p.length) {
            p.from = 0;
            p.to = p.length;
            p.key[4] = -1;
            return;
        }
        p.from = mac;
        p.to = p.length;
        int type = BigEndian.get16(b, mac + 12);
        int at = mac + ETHERNET;
        long tags = 0;
        for (int i = 0; i < MOST_TAGS && tag(type) && at + 4 <= p.length; i++) {
            tags = tags << 13 | 1 << 12 | BigEndian.get16(b, at) & 0xfff;
            type = BigEndian.get16(b, at + 2);
            at += 4;
        }
        p.key[5] = tags;
        p.key[4] = type;
        if (type == TYPE_IPV4 && ipv4(p, at) || type == TYPE_IPV6 && ipv6(p, at)) {
            return;
        }
        p.key[0] =
                (long) BigEndian.get16(b, mac) << 32 | BigEndian.get32(b, mac + 2) & 0xffff_ffffL;
        p.key[2] =
                (long) BigEndian.get16(b, mac + 6) << 32
                        | BigEndian.get32(b, mac + 8) & 0xffff_ffffL;
        if (type == TYPE_ARP) {
            p.protocol = ARP;
            // What fills a short frame up is not part of it.
            p.to = Math.min(p.length, at + ARP_OF_IPV4);
        }
        p.from = at;
    }

    private static boolean tag(int type) {
        return type == 0x8100 || type == 0x88a8 || type == 0x9100;
    }

    private static boolean ipv4(Packet p, int at) {
        byte[] b = p.frame;
        int room = p.length - at;
        if (room < 20 || b[at] >> 4 != 4) {
            return false;
        }
        int header = (b[at] & 0xf) * 4;
        // A segment to be cut by the network card may be longer than the field can say.
        int total = BigEndian.get16(b, at + 2);
        total = total == 0 ? room : total;
        if (header < 20 || header > total || total > room) {
            return false;
        }
        p.key[1] = BigEndian.get32(b, at + 12);
        p.key[3] = BigEndian.get32(b, at + 16);
        int protocol = b[at + 9] & 0xff;
        int fragment = BigEndian.get16(b, at + 6);
        int offset = (fragment & 0x1fff) * 8;
        boolean more = (fragment & 0x2000) != 0;
        int identification = BigEndian.get16(b, at + 4);
        reach(p, protocol, at + header, at + total, offset, more, identification);
        return true;
    }

    private static boolean ipv6(Packet p, int at) {
        byte[] b = p.frame;
        int room = p.length - at - 40;
        if (room < 0 || b[at] >> 4 != 6) {
            return false;
        }
        int payload = BigEndian.get16(b, at + 4);
        int end = at + 40 + (payload == 0 ? room : payload);
        if (payload > room) {
            return false;
        }
        for (int i = 0; i < 4; i++) {
            int word = at + 8 + 8 * i;
            p.key[i] =
                    (long) BigEndian.get32(b, word) << 32
                            | BigEndian.get32(b, word + 4) & 0xffff_ffffL;
        }
        p.from = at + 40;
        p.to = end;
        extensions(p, b[at + 6] & 0xff, at + 40, end, 0);
        return true;
    }

    /** Goes past IPv6's extension headers to a fragment's part, or to what they are in front of. */
    private static void extensions(Packet p, int first, int from, int end, int depth) {
        byte[] b = p.content;
        int next = first;
        int at = from;
        // RFC 8200, 4.5: what each fragment has in front of its own header is in no datagram that
        // was put
        // together, so datagrams in which it differs are of different flows.
        long digest = 0;
        while (extension(next) && at + 8 <= end) {
            int size =
                    next == AH
                            ? ((b[at + 1] & 0xff) + 2) * 4
                            : next == FRAGMENT ? 8 : ((b[at + 1] & 0xff) + 1) * 8;
            if (size > end - at) {
                break;
            }
            if (next == FRAGMENT) {
                int offset = BigEndian.get16(b, at + 2) & 0xfff8;
                boolean more = (b[at + 3] & 1) != 0;
                if ((more || offset != 0) && depth == 0 && b == p.frame) {
                    int identification = BigEndian.get32(b, at + 4);
                    p.key[5] ^= digest & ~TCP_FLOW;
                    reach(p, b[at] & 0xff, at + 8, end, offset, more, identification);
                    return;
                }
                p.mask(at + 4, 4);
                if (offset != 0) {
                    return; // a later fragment in a tunnel
                }
            }
            digest = digest(digest, b, at, next == FRAGMENT ? 4 : size);
            next = b[at] & 0xff;
            at += size;
        }
        if (depth == 0) {
            p.protocol = next;
            p.key[4] = p.key[4] & ~PROTOCOL | (long) next << 16;
        }
        transport(p, next, at, end, depth);
    }

    /** A digest of what {@code before} is of and those bytes; 0 is of none. */
    private static long digest(long before, byte[] b, int from, int length) {
        long digest = before;
        for (int i = from; i < from + length; i++) {
            digest = digest * 0x100000001b3L + (b[i] & 0xff) + 1;
        }
        return digest;
    }

    private static boolean extension(int next) {
        return switch (next) {
            case 0, 43, FRAGMENT, AH, 60, 135, 139, 140 -> true;
            default -> false;
        };
    }

    private static void reach(
            Packet p,
            int protocol,
            int from,
            int to,
            int offset,
            boolean more,
            int identification) {
        p.protocol = protocol;
        p.key[4] |= (long) protocol << 16;
        p.from = from;
        p.to = to;
        if (more || offset != 0) {
            p.fragment = true;
            p.fragmentOffset = offset;
            p.moreFragments = more;
            p.identification = identification;
        } else {
            transport(p, protocol, from, to, 0);
        }
    }

    /** A datagram that was put together: its content is there, from 0 on. */
    static void reassembled(Packet p, byte[] content, int length) {
        p.content = content;
        p.from = 0;
        p.to = length;
        p.fragment = false;
        p.clearMasks();
        if (p.key[4] == (p.key[4] & PROTOCOL | TYPE_IPV6)) {
            extensions(p, p.protocol, 0, length, 0);
        } else {
            transport(p, p.protocol, 0, length, 0);
        }
    }

    /** Reads ports, and masks what may differ, of what begins at {@code at}; {@code depth} tunnels lie around it. */
    private static void transport(Packet p, int protocol, int at, int end, int depth) {
        int room = end - at;
        switch (protocol) {
            case TCP -> {
                if (depth == 0) {
                    tcp(p, at, end);
                } else if (room >= 20) {
                    p.mask(at + 16, 2);
                }
            }
            case UDP, UDP_LITE, DCCP -> {
                ports(p, at, room, depth);
                p.mask(at + 6, 2);
            }
            case SCTP -> {
                ports(p, at, room, depth);
                p.mask(at + 8, 4);
            }
            case ICMP, IGMP, ICMPV6, PIM -> p.mask(at + 2, 2);
            case OSPF -> p.mask(at + 12, 2);
            case VRRP -> p.mask(at + 6, 2);
            case GRE -> gre(p, at, end, depth);
            case IPV4_INSIDE -> inner4(p, at, end, depth);
            case IPV6_INSIDE -> inner6(p, at, end, depth);
            default -> {}
        }
    }

    private static void ports(Packet p, int at, int room, int depth) {
        if (depth == 0 && room >= 8) {
            p.key[4] |= (long) BigEndian.get32(p.content, at) << 32;
        }
    }

    private static void tcp(Packet p, int at, int end) {
        byte[] b = p.content;
        int room = end - at;
        if (room < 20) {
            return;
        }
        int header = (b[at + 12] >> 4 & 0xf) * 4;
        if (header < 20 || header > room) {
            return;
        }
        ports(p, at, room, 0);
        p.tcp = true;
        p.key[5] |= TCP_FLOW;
        p.sequence = BigEndian.get32(b, at + 4);
        p.acknowledgement = BigEndian.get32(b, at + 8);
        p.flags = b[at + 13] & 0xff;
        p.optionsFrom = at + 20;
        p.dataFrom = at + header;
    }

    private static void gre(Packet p, int at, int end, int depth) {
        if (end - at < 4) {
            return;
        }
        byte[] b = p.content;
        int flags = BigEndian.get16(b, at);
        int type = BigEndian.get16(b, at + 2);
        int to = at + 4;
        if ((flags & 0x8000) != 0) {
            p.mask(to, 2);
            to += 4;
        }
        to += (flags & 0x2000) != 0 ? 4 : 0;
        to += (flags & 0x1000) != 0 ? 4 : 0;
        if (type == TYPE_IPV4) {
            inner4(p, to, end, depth);
        } else if (type == TYPE_IPV6) {
            inner6(p, to, end, depth);
        }
    }

    private static void inner4(Packet p, int at, int end, int depth) {
        byte[] b = p.content;
        if (depth == DEEPEST || end - at < 20 || b[at] >> 4 != 4) {
            return;
        }
        int header = (b[at] & 0xf) * 4;
        int total = BigEndian.get16(b, at + 2);
        if (header < 20 || header > total || total > end - at) {
            return;
        }
        p.mask(at + 4, 2);
        p.mask(at + 8, 1);
        p.mask(at + 10, 2);
        if ((BigEndian.get16(b, at + 6) & 0x1fff) == 0) {
            transport(p, b[at + 9] & 0xff, at + header, at + total, depth + 1);
        }
    }

    private static void inner6(Packet p, int at, int end, int depth) {
        byte[] b = p.content;
        if (depth == DEEPEST || end - at < 40 || b[at] >> 4 != 6) {
            return;
        }
        p.mask(at + 1, 3);
        p.mask(at + 7, 1);
        extensions(p, b[at + 6] & 0xff, at + 40, end, depth + 1);
    }
}
