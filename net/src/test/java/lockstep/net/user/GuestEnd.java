package lockstep.net.user;

import lockstep.api.NetdevUserOptions;
import lockstep.net.NetException;
import lockstep.net.wire.Checksum;
import lockstep.runtime.memory.BigEndian;

import java.io.ByteArrayOutputStream;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.HexFormat;

/** A guest's end of a user network: frames by hand, and what came. */
final class GuestEnd {
    static final int ADDRESS = 0x0a00_020f;
    static final int HOST = 0x0a00_0202;
    static final int DNS = 0x0a00_0203;
    static final byte[] MAC = {0x52, 0x54, 0, 0x12, 0x34, 0x56};

    final PolledLoop loop = new PolledLoop();
    final Deque<byte[]> frames = new ArrayDeque<>();
    final UserStack stack;
    boolean room = true;

    GuestEnd() throws NetException {
        this(NetdevUserOptions.builder().build());
    }

    GuestEnd(NetdevUserOptions options) throws NetException {
        stack =
                new UserStack(
                        UserConfig.of(options),
                        loop,
                        (frame, length, paced) -> frames.add(Arrays.copyOf(frame, length)),
                        () -> room,
                        m -> {});
    }

    /** Tells the network who has the guest's address, as every guest does that asks for the gateway. */
    GuestEnd introduced() {
        input(arp(1, ADDRESS, HOST));
        frames.clear();
        return this;
    }

    void input(byte[] frame) {
        stack.input(frame, 0, frame.length);
    }

    static byte[] arp(int operation, int sender, int target) {
        byte[] f = new byte[42];
        Arrays.fill(f, 0, 6, (byte) 0xff);
        System.arraycopy(MAC, 0, f, 6, 6);
        BigEndian.put16(f, 12, 0x0806);
        BigEndian.put32(f, 14, 0x0001_0800);
        BigEndian.put32(f, 18, 0x0604_0000 | operation);
        System.arraycopy(MAC, 0, f, 22, 6);
        BigEndian.put32(f, 28, sender);
        BigEndian.put32(f, 38, target);
        return f;
    }

    static byte[] ip(int protocol, int source, int destination, byte[] payload) {
        return fragment(protocol, source, destination, 0, payload);
    }

    /** One packet with these bits in the place of the fragment. */
    static byte[] fragment(int protocol, int source, int destination, int place, byte[] payload) {
        byte[] f = new byte[34 + payload.length];
        BigEndian.put16(f, 0, 0x5255);
        BigEndian.put32(f, 2, HOST);
        System.arraycopy(MAC, 0, f, 6, 6);
        BigEndian.put16(f, 12, 0x0800);
        f[14] = 0x45;
        BigEndian.put16(f, 16, 20 + payload.length);
        BigEndian.put16(f, 20, place);
        f[22] = 64;
        f[23] = (byte) protocol;
        BigEndian.put32(f, 26, source);
        BigEndian.put32(f, 30, destination);
        BigEndian.put16(f, 24, Checksum.fold(Checksum.sum(f, 14, 20)));
        System.arraycopy(payload, 0, f, 34, payload.length);
        return f;
    }

    static byte[] udp(int source, int port, int destination, int destinationPort, byte[] data) {
        byte[] p = new byte[8 + data.length];
        BigEndian.put16(p, 0, port);
        BigEndian.put16(p, 2, destinationPort);
        BigEndian.put16(p, 4, p.length);
        System.arraycopy(data, 0, p, 8, data.length);
        long sum =
                Checksum.sum(p, 0, p.length)
                        + Checksum.pseudoHeader(source, destination, Ip.UDP, p.length);
        BigEndian.put16(p, 6, Checksum.fold(sum));
        return p;
    }

    static byte[] tcp(
            int port,
            int destination,
            int destinationPort,
            int sequence,
            int acknowledgement,
            int flags,
            int window,
            byte[] data) {
        byte[] p = new byte[20 + data.length];
        BigEndian.put16(p, 0, port);
        BigEndian.put16(p, 2, destinationPort);
        BigEndian.put32(p, 4, sequence);
        BigEndian.put32(p, 8, acknowledgement);
        p[12] = 0x50;
        p[13] = (byte) flags;
        BigEndian.put16(p, 14, window);
        System.arraycopy(data, 0, p, 20, data.length);
        long sum =
                Checksum.sum(p, 0, p.length)
                        + Checksum.pseudoHeader(ADDRESS, destination, Ip.TCP, p.length);
        BigEndian.put16(p, 16, Checksum.fold(sum));
        return ip(Ip.TCP, ADDRESS, destination, p);
    }

    /** The payload of the next packet that has come, put together if it came in pieces; its checksums must be right. */
    byte[] next(int protocol) {
        ByteArrayOutputStream whole = new ByteArrayOutputStream();
        while (true) {
            byte[] f = frames.remove();
            int length = BigEndian.get16(f, 16) - 20;
            if (BigEndian.get16(f, 12) != 0x0800
                    || Ip.get8(f, 23) != protocol
                    || Checksum.fold(Checksum.sum(f, 14, 20)) != 0
                    || (BigEndian.get16(f, 20) & 0x1fff) * 8 != whole.size()) {
                throw new AssertionError("another packet: " + HexFormat.of().formatHex(f));
            }
            whole.write(f, 34, length);
            if ((BigEndian.get16(f, 20) & 0x2000) == 0) {
                byte[] all = whole.toByteArray();
                long sum = Checksum.sum(all, 0, all.length);
                if (protocol != Ip.ICMP) {
                    sum +=
                            Checksum.pseudoHeader(
                                    BigEndian.get32(f, 26),
                                    BigEndian.get32(f, 30),
                                    protocol,
                                    all.length);
                }
                if (Checksum.fold(sum) != 0) {
                    throw new AssertionError("a wrong checksum");
                }
                return all;
            }
        }
    }

    /** The lines of {@code info usernet} behind the first. */
    String connections() {
        StringBuilder b = new StringBuilder();
        stack.describe(new ConnectionTable(b));
        return b.substring(b.indexOf("\n") + 1);
    }
}
