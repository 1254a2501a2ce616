package lockstep.net.user;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import static java.nio.charset.StandardCharsets.US_ASCII;

import lockstep.api.NetdevUserOptions;
import lockstep.net.NetException;
import lockstep.net.wire.Checksum;
import lockstep.runtime.memory.BigEndian;
import lockstep.runtime.vmstate.Description;
import lockstep.runtime.vmstate.LoadingCodec;
import lockstep.runtime.vmstate.SavingCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateInput;
import lockstep.runtime.vmstate.StateOutput;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.ByteArrayInputStream;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;

/** What a guest sees of a user network, and what the host's world sees of the guest. */
@Timeout(60)
class UserStackTest {
    private static final long SECOND = 1_000_000_000L;

    private static byte[] dhcp(int type, int mac, int wanted) {
        byte[] d = new byte[260];
        d[0] = 1;
        d[1] = 1;
        d[2] = 6;
        BigEndian.put32(d, 4, 0x1234_5678);
        System.arraycopy(GuestEnd.MAC, 0, d, 28, 6);
        d[33] = (byte) mac;
        BigEndian.put32(d, 236, 0x6382_5363);
        BigEndian.put32(d, 240, 0x3501_0000 | type << 8 | (wanted == 0 ? 0 : 50));
        if (wanted != 0) {
            d[244] = 4;
            BigEndian.put32(d, 245, wanted);
            d[249] = (byte) 255;
        } else {
            d[244] = (byte) 255;
        }
        return GuestEnd.ip(Ip.UDP, 0, -1, GuestEnd.udp(0, 68, -1, 67, d));
    }

    /** The kind of the answer, and the address in it. */
    private static String answer(GuestEnd guest, byte[] request) {
        guest.input(request);
        if (guest.frames.isEmpty()) {
            return "none";
        }
        byte[] p = guest.next(Ip.UDP);
        assertEquals(0x1234_5678, BigEndian.get32(p, 12));
        return p[8 + 242] + " " + Ip.text(BigEndian.get32(p, 8 + 16));
    }

    @Test
    void givesEachStationAnAddressOfItsOwn() throws Exception {
        GuestEnd guest = new GuestEnd();
        assertEquals("2 10.0.2.15", answer(guest, dhcp(1, 1, 0)));
        assertEquals("5 10.0.2.15", answer(guest, dhcp(3, 1, GuestEnd.ADDRESS)));
        assertEquals("2 10.0.2.20", answer(guest, dhcp(1, 2, 0x0a00_0214)));
        assertEquals("6 0.0.0.0", answer(guest, dhcp(3, 3, GuestEnd.ADDRESS)), "another's");
        assertEquals("6 0.0.0.0", answer(guest, dhcp(3, 3, 0x0a00_0301)), "not of this network");
        Set<String> all = new HashSet<>();
        for (int mac = 1; mac <= Dhcp.CLIENTS; mac++) {
            assertTrue(all.add(answer(guest, dhcp(1, mac, 0))));
        }
        assertEquals("none", answer(guest, dhcp(1, 99, 0)), "all are given away");
        assertEquals("2 10.0.2.15", answer(guest, dhcp(1, 1, 0)), "it stays whose it was");
    }

    @Test
    void leasesTravelAsQemuWritesThem() throws Exception {
        GuestEnd from = new GuestEnd();
        assertEquals("2 10.0.2.17", answer(from, dhcp(1, 7, 0x0a00_0211)));
        StateOutput out = new StateOutput(200);
        new SavingCodec(out, Description.none()).inPlace(new SlirpSection(() -> from.stack));
        byte[] expected = new byte[131];
        expected[2] = 1; // The number of the next packet.
        expected[3 + 2 * 8 + 1] = 1;
        System.arraycopy(GuestEnd.MAC, 0, expected, 3 + 2 * 8 + 2, 5);
        expected[3 + 2 * 8 + 7] = 7;
        assertArrayEquals(expected, out.toByteArray());

        GuestEnd to = new GuestEnd();
        new LoadingCodec(new StateInput(new ByteArrayInputStream(expected)))
                .content(new SlirpSection(() -> to.stack), 4);
        assertEquals("6 0.0.0.0", answer(to, dhcp(3, 1, 0x0a00_0211)));
        assertEquals("5 10.0.2.17", answer(to, dhcp(3, 7, 0x0a00_0211)));
        guestForwardIsRefused(to);
    }

    private static void guestForwardIsRefused(GuestEnd guest) {
        byte[] content = new byte[131];
        content[0] = 42;
        assertThrows(
                StateException.class,
                () ->
                        new LoadingCodec(new StateInput(new ByteArrayInputStream(content)))
                                .content(new SlirpSection(() -> guest.stack), 4));
    }

    @Test
    void whatDoesNotFitIntoAnAnswerIsLeftOut() throws Exception {
        GuestEnd guest =
                new GuestEnd(
                        NetdevUserOptions.builder()
                                .hostname("h".repeat(255))
                                .domainname("d".repeat(255))
                                .tftpServerName("t".repeat(30))
                                .build());
        guest.input(dhcp(1, 1, 0));
        String options = new String(guest.next(Ip.UDP), US_ASCII);
        assertTrue(options.contains("h".repeat(255)));
        assertFalse(options.contains("dd"));
    }

    @Test
    void answersForItsOwnAddressesOnly() throws Exception {
        GuestEnd guest = new GuestEnd();
        for (int address : List.of(GuestEnd.HOST, GuestEnd.DNS)) {
            guest.input(GuestEnd.arp(1, GuestEnd.ADDRESS, address));
            byte[] reply = guest.frames.remove();
            assertArrayEquals(GuestEnd.MAC, Arrays.copyOf(reply, 6));
            assertEquals(2, BigEndian.get16(reply, 20));
            assertEquals(0x5255, BigEndian.get16(reply, 22));
            assertEquals(address, BigEndian.get32(reply, 24));
        }
        guest.input(GuestEnd.arp(1, GuestEnd.ADDRESS, 0x0a00_0263));
        assertTrue(guest.frames.isEmpty());
    }

    private static byte[] echo(int destination, byte[] data) {
        byte[] e = new byte[8 + data.length];
        e[0] = 8;
        BigEndian.put16(e, 4, 77);
        System.arraycopy(data, 0, e, 8, data.length);
        BigEndian.put16(e, 2, Checksum.fold(Checksum.sum(e, 0, e.length)));
        return GuestEnd.ip(Ip.ICMP, GuestEnd.ADDRESS, destination, e);
    }

    @Test
    void theGatewayAnswersAnEcho() throws Exception {
        GuestEnd guest = new GuestEnd().introduced();
        guest.input(echo(GuestEnd.HOST, "hello".getBytes(US_ASCII)));
        byte[] reply = guest.next(Ip.ICMP);
        assertEquals(0, reply[0]);
        assertEquals(77, BigEndian.get16(reply, 4));
        assertEquals("hello", new String(reply, 8, 5, US_ASCII));
    }

    @Test
    void asksWhoHasAnAddressAndSendsThen() throws Exception {
        GuestEnd guest = new GuestEnd();
        guest.input(echo(GuestEnd.HOST, new byte[3]));
        byte[] question = guest.frames.remove();
        assertEquals(0x0806, BigEndian.get16(question, 12));
        assertEquals(GuestEnd.ADDRESS, BigEndian.get32(question, 38));
        assertTrue(guest.frames.isEmpty());
        guest.input(GuestEnd.arp(2, GuestEnd.ADDRESS, GuestEnd.HOST));
        assertEquals(0, guest.next(Ip.ICMP)[0]);
    }

    private static void send(GuestEnd guest, int port, byte[] data) {
        byte[] p = GuestEnd.udp(GuestEnd.ADDRESS, 5000, GuestEnd.HOST, port, data);
        int step = 1480;
        for (int at = 0; at < p.length; at += step) {
            byte[] part = Arrays.copyOfRange(p, at, Math.min(p.length, at + step));
            int more = at + step < p.length ? 0x2000 : 0;
            guest.input(
                    GuestEnd.fragment(
                            Ip.UDP, GuestEnd.ADDRESS, GuestEnd.HOST, more | at / 8, part));
        }
    }

    @Test
    void carriesDatagramsOfAnySize() throws Exception {
        GuestEnd guest = new GuestEnd().introduced();
        try (DatagramSocket host = new DatagramSocket(0, InetAddress.getLoopbackAddress())) {
            for (int size : List.of(0, 1, 1472, 1473, 5000, 65000)) {
                byte[] data = new byte[size];
                new Random(size).nextBytes(data);
                send(guest, host.getLocalPort(), data);
                DatagramPacket got = new DatagramPacket(new byte[65535], 65535);
                host.receive(got);
                assertArrayEquals(data, Arrays.copyOf(got.getData(), got.getLength()));
                host.send(got);
                while (guest.frames.isEmpty()) {
                    guest.loop.turn(0);
                }
                byte[] back = guest.next(Ip.UDP);
                assertEquals(host.getLocalPort(), BigEndian.get16(back, 0));
                assertArrayEquals(data, Arrays.copyOfRange(back, 8, back.length));
            }
        }
        assertTrue(guest.connections().contains("UDP[240 sec]"), guest.connections());
        guest.loop.turn(250 * SECOND);
        assertEquals("", guest.connections(), "what nobody uses is closed");
        assertEquals(0, guest.loop.watches());
    }

    @Test
    void aForwardedPortWorksEvenWhereTheGuestIsKeptAway() throws Exception {
        GuestEnd guest =
                new GuestEnd(NetdevUserOptions.builder().restrict(true).build()).introduced();
        guest.stack.forward(new HostForward(true, Ip.LOOPBACK, 0, GuestEnd.ADDRESS, 5000));
        int port = Integer.parseInt(guest.connections().strip().split(" +")[3]);
        try (DatagramSocket client = new DatagramSocket(0, InetAddress.getLoopbackAddress())) {
            send(guest, client.getLocalPort(), new byte[1]); // Nobody has called yet.
            client.send(
                    new DatagramPacket(
                            new byte[] {1, 2, 3}, 3, new InetSocketAddress("127.0.0.1", port)));
            while (guest.frames.isEmpty()) {
                guest.loop.turn(0);
            }
            byte[] call = guest.next(Ip.UDP);
            assertEquals(client.getLocalPort(), BigEndian.get16(call, 0));
            send(guest, client.getLocalPort(), new byte[7]);
            DatagramPacket answer = new DatagramPacket(new byte[100], 100);
            client.receive(answer);
            assertEquals(7, answer.getLength());
            assertEquals(port, answer.getPort());
        }
        assertTrue(guest.stack.unforward(true, Ip.LOOPBACK, port));
        assertFalse(guest.stack.unforward(true, Ip.LOOPBACK, port));
        assertEquals(0, guest.loop.watches());
    }

    @Test
    void refusesConnectionsOfAGuestThatIsKeptAway() throws Exception {
        GuestEnd guest =
                new GuestEnd(NetdevUserOptions.builder().restrict(true).build()).introduced();
        guest.input(GuestEnd.tcp(4000, GuestEnd.HOST, 80, 99, 0, TcpFlow.SYN, 1000, new byte[0]));
        byte[] reset = guest.next(Ip.TCP);
        assertEquals(TcpFlow.RST | TcpFlow.ACK, reset[13]);
        assertEquals(100, BigEndian.get32(reset, 8));
        guest.input(echo(0x0101_0101, new byte[3]));
        assertTrue(guest.frames.isEmpty());
    }

    @Test
    void thereIsAMostOfConnections() throws Exception {
        GuestEnd guest = new GuestEnd().introduced();
        int more = TcpRelay.MOST + 20;
        try (ServerSocket server = new ServerSocket(0, more, InetAddress.getLoopbackAddress())) {
            for (int i = 0; i < more; i++) {
                guest.input(
                        GuestEnd.tcp(
                                10_000 + i,
                                GuestEnd.HOST,
                                server.getLocalPort(),
                                1,
                                0,
                                TcpFlow.SYN,
                                9,
                                new byte[0]));
            }
            guest.loop.turn(0);
            assertEquals(TcpRelay.MOST, guest.connections().lines().count());
        }
        guest.stack.close();
        assertEquals(0, guest.loop.watches());
        assertEquals("", guest.connections());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "foo|No : separators",
                "tcp:foo|Missing : separator",
                "xyz::1-:2|Bad protocol name",
                "tcp:a:1-:2|Bad host address",
                "tcp::99999-:2|Bad host port",
                "tcp::1x-:99|Bad host port",
                "tcp::1-:0|Bad guest port",
                "tcp::1-b:99|Bad guest address",
                "tcp::22|Bad host port separator",
                "tcp::1-2|Missing guest address"
            })
    void saysWhatIsWrongWithAForwarding(String rule, String reason) {
        NetException e =
                assertThrows(NetException.class, () -> HostForward.parse(rule, GuestEnd.ADDRESS));
        assertEquals(
                "Invalid host forwarding rule '" + rule + "' (" + reason + ")", e.getMessage());
    }

    @ParameterizedTest
    @CsvSource({
        "10.0.2.15, 0x0a00020f",
        "10.2.15, 0x0a02000f",
        "0x7f.1, 0x7f000001",
        "010.0.0.1, 0x08000001",
        "4294967295, 0xffffffff",
        "10.0.2, 0x0a000002",
        "10.0.2.256,",
        "10..2.1,",
        "1.2.3.4.5,",
        "-1,",
        "'',",
        "a,",
        "4294967296,"
    })
    void readsAddressesAsTheCLibraryDoes(String text, String value) {
        Integer expected = value == null ? null : (int) Long.decode(value).longValue();
        assertEquals(expected, Ip.parse(text));
    }

    @Test
    void asksTheFirstNameServerOfTheHost() {
        assertEquals(
                0x0102_0304,
                Resolver.first(
                        List.of("# nameserver 9.9.9.9", "nameserver ::1", "nameserver 1.2.3.4")));
        assertEquals(Ip.LOOPBACK, Resolver.first(List.of("search example")));
    }
}
