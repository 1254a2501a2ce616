package lockstep.net.user;

import lockstep.net.wire.Checksum;
import lockstep.runtime.memory.BigEndian;

import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/**
 * The wire of a user network: frames of the guest's in, ARP (RFC 826) and IPv4 (RFC 791) with fragments both ways. What
 * is above fills {@link #packet} from {@link #PAYLOAD} on and has it sent.
 */
final class Ethernet {
    /** Where the payload of IP stands in {@link #packet}. */
    static final int PAYLOAD = 14 + Ip.HEADER;

    /** The most bytes that IP carries. */
    static final int LONGEST = 65535 - Ip.HEADER;

    private static final int HEADER = 14;
    private static final int MTU = 1500;
    private static final int ETHERTYPE_IP = 0x0800;
    private static final int ETHERTYPE_ARP = 0x0806;
    private static final int ARP_LENGTH = HEADER + 28;
    private static final int MORE_FRAGMENTS = 0x2000;
    private static final int OFFSET = 0x1fff;
    private static final int TIME_TO_LIVE = 64;

    /** How many stations, and packets to such as are not known yet, are remembered. */
    private static final int STATIONS = 64;

    private static final int WAITING = 32;

    /** Takes frames to the guest. */
    interface Output {
        /**
         * Takes a frame, whose bytes are only valid during the call.
         *
         * @param paced whether the sender stops when the wire is full; other frames may then be lost
         */
        void frame(byte[] frame, int length, boolean paced);
    }

    /** Takes the packets of one protocol. */
    interface Protocol {
        /** Takes a payload that came whole and for a station outside of the guest. */
        void packet(int source, int destination, byte[] data, int offset, int length);
    }

    private record Waiting(int destination, byte[] frame, boolean paced) {}

    private final UserConfig config;
    private final Output output;
    private final Map<Integer, byte[]> stations =
            new LinkedHashMap<>() {
                private static final long serialVersionUID = 1L;

                @Override
                protected boolean removeEldestEntry(Map.Entry<Integer, byte[]> eldest) {
                    return size() > STATIONS;
                }
            };
    private final ArrayDeque<Waiting> waiting = new ArrayDeque<>();
    private final Map<Integer, Protocol> protocols = new HashMap<>();
    private final Set<Integer> servers = new HashSet<>();
    private final Reassembly reassembly = new Reassembly();
    private final byte[] fragment = new byte[HEADER + MTU];

    /** The packet in the making. */
    final byte[] packet = new byte[HEADER + 65535];

    private int identification;

    Ethernet(UserConfig config, Output output) {
        this.config = config;
        this.output = output;
        serve(config.host());
        serve(config.dns());
    }

    /** Answers ARP for an address of the network's. */
    void serve(int address) {
        servers.add(address);
    }

    /** Gives the packets of a protocol to whoever deals with it. */
    void protocol(int number, Protocol protocol) {
        protocols.put(number, protocol);
    }

    /** The number of the next packet, which travels in migration. */
    int identification() {
        return identification & 0xffff;
    }

    void identification(int next) {
        identification = next;
    }

    /** Takes a frame of the guest's. Anything may stand in it. */
    void input(byte[] frame, int offset, int length) {
        if (length < HEADER) {
            return;
        }
        switch (BigEndian.get16(frame, offset + 12)) {
            case ETHERTYPE_ARP -> arp(frame, offset, length);
            case ETHERTYPE_IP -> ip(frame, offset + HEADER, length - HEADER);
            default -> {}
        }
    }

    private void arp(byte[] f, int at, int length) {
        int arp = at + HEADER;
        if (length < ARP_LENGTH
                || BigEndian.get32(f, arp) != 0x0001_0800
                || BigEndian.get16(f, arp + 4) != 0x0604) {
            return;
        }
        int operation = BigEndian.get16(f, arp + 6);
        int sender = BigEndian.get32(f, arp + 14);
        int target = BigEndian.get32(f, arp + 24);
        boolean served = operation == 1 && sender != target && servers.contains(target);
        if (operation == 2 || served || operation == 1 && sender == target) {
            learn(sender, f, arp + 8);
        }
        if (served) {
            // As long as QEMU's answer: a whole frame, and four bytes that nobody needs.
            byte[] reply = new byte[64];
            System.arraycopy(f, at + 6, reply, 0, 6);
            arp(reply, 2, target, sender);
            System.arraycopy(f, arp + 8, reply, HEADER + 18, 6);
            output.frame(reply, reply.length, false);
        }
    }

    private static void arp(byte[] f, int operation, int sender, int target) {
        address(f, 6, sender);
        BigEndian.put16(f, 12, ETHERTYPE_ARP);
        BigEndian.put32(f, HEADER, 0x0001_0800);
        BigEndian.put16(f, HEADER + 4, 0x0604);
        BigEndian.put16(f, HEADER + 6, operation);
        address(f, HEADER + 8, sender);
        BigEndian.put32(f, HEADER + 14, sender);
        BigEndian.put32(f, HEADER + 24, target);
    }

    /** The hardware address of one of our own: 52:55 and its number. */
    private static void address(byte[] f, int at, int own) {
        f[at] = 0x52;
        f[at + 1] = 0x55;
        BigEndian.put32(f, at + 2, own);
    }

    /** Remembers which station has an address, and sends it what waited for that. */
    void learn(int address, byte[] hardware, int at) {
        if (!config.inside(address)
                || config.broadcast(address)
                || servers.contains(address)
                || (hardware[at] & 1) != 0) {
            return;
        }
        stations.put(address, Arrays.copyOfRange(hardware, at, at + 6));
        for (Iterator<Waiting> i = waiting.iterator(); i.hasNext(); ) {
            Waiting w = i.next();
            if (w.destination == address) {
                i.remove();
                transmit(address, w.frame, w.frame.length, w.paced);
            }
        }
    }

    private void ip(byte[] f, int at, int available) {
        if (available < Ip.HEADER) {
            return;
        }
        int header = (Ip.get8(f, at) & 0xf) * 4;
        int total = BigEndian.get16(f, at + 2);
        if (Ip.get8(f, at) >> 4 != 4
                || header < Ip.HEADER
                || total < header
                || total > available
                || Checksum.fold(Checksum.sum(f, at, header)) != 0) {
            return;
        }
        int source = BigEndian.get32(f, at + 12);
        int destination = BigEndian.get32(f, at + 16);
        if (Ip.isLoopback(source) || Ip.isLoopback(destination) || destination == 0) {
            return; // RFC 1122 3.2.1.3: never outside of a host.
        }
        Protocol protocol = protocols.get(Ip.get8(f, at + 9));
        if (protocol == null) {
            return;
        }
        int fragmentation = BigEndian.get16(f, at + 6);
        if ((fragmentation & (MORE_FRAGMENTS | OFFSET)) == 0) {
            protocol.packet(source, destination, f, at + header, total - header);
            return;
        }
        byte[] whole =
                reassembly.add(
                        new Reassembly.Key(
                                source,
                                destination,
                                Ip.get8(f, at + 9),
                                BigEndian.get16(f, at + 4)),
                        (fragmentation & OFFSET) * 8,
                        (fragmentation & MORE_FRAGMENTS) != 0,
                        f,
                        at + header,
                        total - header);
        if (whole != null) {
            protocol.packet(source, destination, whole, 0, whole.length);
        }
    }

    /** Sends what stands in {@link #packet}: {@code length} bytes of payload, at most {@link #LONGEST}. */
    void send(int protocol, int source, int destination, int length, boolean paced) {
        int id = identification++;
        int most = MTU - Ip.HEADER;
        if (length <= most) {
            frame(packet, protocol, source, destination, id, 0, length, paced);
            return;
        }
        int step = most & ~7;
        for (int sent = 0; sent < length; sent += step) {
            int part = Math.min(step, length - sent);
            System.arraycopy(packet, PAYLOAD + sent, fragment, PAYLOAD, part);
            int place = sent / 8 | (sent + part < length ? MORE_FRAGMENTS : 0);
            frame(fragment, protocol, source, destination, id, place, part, paced);
        }
    }

    private void frame(
            byte[] f,
            int protocol,
            int source,
            int destination,
            int id,
            int fragmentation,
            int length,
            boolean paced) {
        address(f, 6, config.host());
        BigEndian.put16(f, 12, ETHERTYPE_IP);
        f[HEADER] = 0x45;
        f[HEADER + 1] = 0;
        BigEndian.put16(f, HEADER + 2, Ip.HEADER + length);
        BigEndian.put16(f, HEADER + 4, id);
        BigEndian.put16(f, HEADER + 6, fragmentation);
        f[HEADER + 8] = TIME_TO_LIVE;
        f[HEADER + 9] = (byte) protocol;
        BigEndian.put16(f, HEADER + 10, 0);
        BigEndian.put32(f, HEADER + 12, source);
        BigEndian.put32(f, HEADER + 16, destination);
        BigEndian.put16(f, HEADER + 10, Checksum.fold(Checksum.sum(f, HEADER, Ip.HEADER)));
        transmit(destination, f, PAYLOAD + length, paced);
    }

    private void transmit(int destination, byte[] f, int length, boolean paced) {
        byte[] station = stations.get(destination);
        if (station == null && !config.broadcast(destination)) {
            if (waiting.size() >= WAITING) {
                waiting.removeFirst();
            }
            waiting.add(new Waiting(destination, Arrays.copyOf(f, length), paced));
            ask(destination);
            return;
        }
        if (station == null) {
            Arrays.fill(f, 0, 6, (byte) 0xff);
        } else {
            System.arraycopy(station, 0, f, 0, 6);
        }
        output.frame(f, length, paced);
    }

    private void ask(int address) {
        byte[] request = new byte[ARP_LENGTH];
        Arrays.fill(request, 0, 6, (byte) 0xff);
        arp(request, 1, config.host(), address);
        output.frame(request, request.length, false);
    }
}
