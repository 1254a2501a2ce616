package lockstep.net.user;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.NetdevUserOptions;
import lockstep.net.wire.Checksum;
import lockstep.runtime.memory.BigEndian;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;

import java.util.SplittableRandom;

/** Whatever frames a guest sends, nothing is thrown, what is kept has its limits, and in the end nothing is left open. */
class GuestFramesPropertiesTest {
    private static final int[] ADDRESSES = {
        GuestEnd.ADDRESS, GuestEnd.HOST, GuestEnd.DNS, 0x0a00_02ff, 0, -1, 0x0a00_0263, 0x7f00_0001
    };

    /** Ports where nobody listens, and those of the network's own services. */
    private static final int[] PORTS = {0, 1, 2, 67, 68, 69, 40_000};

    private static final int[] FLAGS = {
        TcpFlow.SYN,
        TcpFlow.ACK,
        TcpFlow.RST,
        TcpFlow.FIN | TcpFlow.ACK,
        0x3f,
        0,
        TcpFlow.SYN | TcpFlow.ACK
    };

    @Property(tries = 200)
    void anyFramesAreBorne(@ForAll long seed) throws Exception {
        SplittableRandom random = new SplittableRandom(seed);
        GuestEnd guest =
                new GuestEnd(NetdevUserOptions.builder().restrict(random.nextInt(3) == 0).build());
        if (random.nextBoolean()) {
            guest.introduced();
        }
        for (int i = 0; i < 100; i++) {
            byte[] f = frame(random);
            if (random.nextInt(4) == 0) {
                for (int j = random.nextInt(4); j >= 0; j--) {
                    f[random.nextInt(f.length)] = (byte) random.nextInt();
                }
            }
            int offset = random.nextInt(f.length);
            int start = random.nextInt(8) == 0 ? offset : 0;
            int end = random.nextInt(8) == 0 ? start + random.nextInt(f.length - start) : f.length;
            guest.stack.input(f, start, end - start);
            guest.room = random.nextInt(4) > 0;
            guest.loop.turn(random.nextInt(3) * 100_000_000L);
            assertTrue(guest.frames.size() <= 200, "an answer or two for a question");
            guest.frames.clear();
        }
        guest.connections();
        guest.stack.close();
        assertEquals(0, guest.loop.watches());
    }

    private static int any(SplittableRandom random, int... choice) {
        return choice[random.nextInt(choice.length)];
    }

    private static byte[] frame(SplittableRandom random) {
        byte[] data = new byte[random.nextInt(random.nextInt(4) == 0 ? 1480 : 40)];
        random.nextBytes(data);
        int source = random.nextInt(4) == 0 ? any(random, ADDRESSES) : GuestEnd.ADDRESS;
        int destination = any(random, ADDRESSES);
        int port = any(random, PORTS);
        int to = any(random, PORTS);
        return switch (random.nextInt(6)) {
            case 0 -> GuestEnd.arp(random.nextInt(4), source, destination);
            case 1 ->
                    GuestEnd.tcp(
                            port,
                            destination,
                            to,
                            random.nextInt(4) == 0 ? random.nextInt() : random.nextInt(3),
                            random.nextInt(4) == 0 ? random.nextInt() : random.nextInt(3),
                            any(random, FLAGS),
                            random.nextInt(65536),
                            data);
            case 2 ->
                    GuestEnd.ip(
                            Ip.UDP,
                            source,
                            destination,
                            GuestEnd.udp(source, port, destination, to, data));
            case 3 -> GuestEnd.ip(Ip.UDP, source, destination, dhcp(random, source, destination));
            case 4 -> GuestEnd.ip(Ip.ICMP, source, destination, echo(random, data));
            default ->
                    GuestEnd.fragment(
                            any(random, Ip.UDP, Ip.TCP, Ip.ICMP),
                            source,
                            destination,
                            random.nextInt(4) << 13 | random.nextInt(64),
                            data);
        };
    }

    private static byte[] dhcp(SplittableRandom random, int source, int destination) {
        byte[] d = new byte[240 + random.nextInt(100)];
        random.nextBytes(d);
        d[0] = 1;
        d[2] = 6;
        BigEndian.put32(d, 236, 0x6382_5363);
        if (d.length > 243) {
            BigEndian.put32(d, 240, 0x3501_0000 | random.nextInt(4) << 8 | 50);
        }
        return GuestEnd.udp(source, 68, destination, 67, d);
    }

    private static byte[] echo(SplittableRandom random, byte[] data) {
        byte[] e = new byte[8 + data.length];
        e[0] = (byte) (random.nextInt(4) == 0 ? random.nextInt() : 8);
        System.arraycopy(data, 0, e, 8, data.length);
        BigEndian.put16(e, 2, Checksum.fold(Checksum.sum(e, 0, e.length)));
        return e;
    }
}
