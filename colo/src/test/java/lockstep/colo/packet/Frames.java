package lockstep.colo.packet;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** Makes Ethernet frames for tests. */
public final class Frames {
    /** 10.0.0.2, the guest. */
    public static final int GUEST = 0x0a000002;

    /** 10.0.0.9, a client. */
    public static final int CLIENT = 0x0a000009;

    public static final int FIN = 1;
    public static final int SYN = 2;
    public static final int RST = 4;
    public static final int PSH = 8;
    public static final int ACK = 16;

    private Frames() {}

    public static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    /** An IPv4 frame with the given identification and transport bytes. */
    public static byte[] ip(int source, int destination, int protocol, int id, byte[] transport) {
        ByteBuffer b = ByteBuffer.allocate(34 + transport.length);
        b.put(new byte[] {0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x52, 0x54, 0, 0x12, 0x34, 0x57, 8, 0});
        b.put((byte) 0x45).put((byte) 0).putShort((short) (20 + transport.length));
        b.putShort((short) id).putShort((short) 0x4000);
        b.put((byte) 64).put((byte) protocol).putShort((short) 0);
        b.putInt(source).putInt(destination);
        b.putShort(24, (short) checksum(b.array(), 14, 20, 0));
        b.put(transport);
        return b.array();
    }

    /** A TCP frame with a valid checksum; the length of its options is a multiple of four. */
    public static byte[] tcp(
            int source,
            int sourcePort,
            int destination,
            int destinationPort,
            int seq,
            int ack,
            int flags,
            byte[] payload,
            byte... options) {
        ByteBuffer t = ByteBuffer.allocate(20 + options.length + payload.length);
        t.putShort((short) sourcePort).putShort((short) destinationPort).putInt(seq).putInt(ack);
        t.put((byte) (20 + options.length << 2)).put((byte) flags).putShort((short) 8192);
        t.putInt(0).put(options).put(payload);
        t.putShort(16, (short) tcpChecksum(source, destination, t.array()));
        return ip(source, destination, 6, 7, t.array());
    }

    /** Guest to client, the ports of the recorded transcripts. */
    public static byte[] up(int seq, int ack, int flags, String payload, byte... options) {
        return tcp(GUEST, 80, CLIENT, 4000, seq, ack, flags, ascii(payload), options);
    }

    /** Client to guest. */
    public static byte[] down(int seq, int ack, int flags, String payload, byte... options) {
        return tcp(CLIENT, 4000, GUEST, 80, seq, ack, flags, ascii(payload), options);
    }

    public static byte[] udp(int id, String payload) {
        byte[] data = ascii(payload);
        ByteBuffer u = ByteBuffer.allocate(8 + data.length);
        u.putShort((short) 53).putShort((short) 5353).putShort((short) (8 + data.length));
        u.putShort((short) 0).put(data);
        return ip(GUEST, CLIENT, 17, id, u.array());
    }

    public static byte[] arp() {
        byte[] f = new byte[60];
        f[12] = 8;
        f[13] = 6;
        return f;
    }

    /** The payload of a frame made here; empty for one that ends before its payload. */
    public static String payload(byte[] frame, int length) {
        Ipv4Packet p = Ipv4Packet.parse(frame, length, 0);
        int header = p == null ? length : p.protocol() == 6 ? 20 : p.protocol() == 17 ? 8 : 0;
        int at = p == null ? length : Math.min(length, p.transportOffset() + header);
        return new String(frame, at, length - at, StandardCharsets.US_ASCII);
    }

    /** Whether the TCP checksum of a whole segment is right. */
    public static boolean checksumValid(byte[] frame) {
        Ipv4Packet p = Ipv4Packet.parse(frame, frame.length, 0);
        if (p == null) {
            return false;
        }
        long pseudo = 6 + frame.length - p.transportOffset();
        pseudo += (p.source() >>> 16) + (p.source() & 0xffff);
        pseudo += (p.destination() >>> 16) + (p.destination() & 0xffff);
        return checksum(frame, p.transportOffset(), frame.length - p.transportOffset(), pseudo)
                == 0;
    }

    private static int tcpChecksum(int source, int destination, byte[] segment) {
        long pseudo = 6 + segment.length + (source >>> 16) + (source & 0xffff);
        pseudo += (destination >>> 16) + (destination & 0xffff);
        return checksum(segment, 0, segment.length, pseudo);
    }

    private static int checksum(byte[] b, int offset, int length, long start) {
        long sum = start;
        for (int i = 0; i < length; i++) {
            sum += (i & 1) == 0 ? (b[offset + i] & 0xff) << 8 : b[offset + i] & 0xff;
        }
        while (sum >>> 16 != 0) {
            sum = (sum & 0xffff) + (sum >>> 16);
        }
        return (int) (~sum & 0xffff);
    }
}
