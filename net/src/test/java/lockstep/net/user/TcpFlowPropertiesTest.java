package lockstep.net.user;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.runtime.memory.BigEndian;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/** Whatever a wire loses, doubles and mixes up, both ends of a connection get every byte once, and then its end. */
class TcpFlowPropertiesTest {
    private static final long TURN_NS = 50_000_000;
    private static final int TURNS = 20_000;

    @Property(tries = 100)
    void connectionsOfTheGuestAreWhole(@ForAll long seed) throws Exception {
        new Run(seed).outgoing();
    }

    @Property(tries = 100)
    void connectionsToTheGuestAreWhole(@ForAll long seed) throws Exception {
        new Run(seed).incoming();
    }

    /** One connection from its first to its last segment. */
    private static final class Run {
        private final SplittableRandom random;
        private final GuestEnd guest = new GuestEnd().introduced();
        private final byte[] up;
        private final byte[] down;
        private final int loss;
        private final Model model;
        private final ByteArrayOutputStream atHost = new ByteArrayOutputStream();
        private int downSent;
        private boolean hostSawEnd;
        private int lostInARow;

        Run(long seed) throws Exception {
            random = new SplittableRandom(seed);
            up = bytes();
            down = bytes();
            loss = random.nextInt(3) == 0 ? 0 : random.nextInt(30);
            model = new Model(guest, random, up);
        }

        private byte[] bytes() {
            byte[] b = new byte[random.nextInt(4) == 0 ? 0 : random.nextInt(200_000)];
            random.nextBytes(b);
            return b;
        }

        void outgoing() throws Exception {
            try (ServerSocketChannel server = ServerSocketChannel.open()) {
                server.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
                server.configureBlocking(false);
                int port = ((InetSocketAddress) server.getLocalAddress()).getPort();
                model.connect(GuestEnd.HOST, port);
                SocketChannel host = null;
                for (int i = 0; host == null && i < TURNS; i++) {
                    turn();
                    host = server.accept();
                }
                assertNotNull(host, "the connection never came");
                carry(host);
            }
        }

        void incoming() throws Exception {
            guest.stack.forward(new HostForward(false, Ip.LOOPBACK, 0, GuestEnd.ADDRESS, 9000));
            String line = guest.connections();
            int port = Integer.parseInt(line.strip().split(" +")[3]);
            carry(
                    SocketChannel.open(
                            new InetSocketAddress(InetAddress.getLoopbackAddress(), port)));
            assertTrue(guest.stack.unforward(false, Ip.LOOPBACK, port));
            assertEquals(0, guest.loop.watches());
        }

        private void carry(SocketChannel host) throws IOException {
            try (host) {
                host.configureBlocking(false);
                for (int i = 0; i < TURNS && !(hostSawEnd && model.done() && quiet()); i++) {
                    exchange(host);
                    turn();
                }
            }
            assertArrayEquals(up, atHost.toByteArray());
            assertArrayEquals(down, model.got());
            assertTrue(hostSawEnd && model.done(), "both saw the end");
            assertTrue(quiet(), guest.connections());
        }

        private boolean quiet() {
            return !guest.connections().replaceAll("TCP\\[HOST_FORWARD]", "").contains("TCP[");
        }

        private void exchange(SocketChannel host) throws IOException {
            if (random.nextInt(3) > 0) {
                ByteBuffer in = ByteBuffer.allocate(1 + random.nextInt(60_000));
                int n = host.read(in);
                hostSawEnd |= n < 0;
                atHost.write(in.array(), 0, Math.max(n, 0));
            }
            if (downSent < down.length && random.nextInt(3) > 0) {
                int length = Math.min(down.length - downSent, 1 + random.nextInt(60_000));
                downSent += host.write(ByteBuffer.wrap(down, downSent, length));
            }
            if (downSent == down.length && host.socket().isConnected() && random.nextInt(4) == 0) {
                host.shutdownOutput();
            }
        }

        /** A wire that loses all is given up, and rightly so: after a few frames one arrives. */
        private boolean arrives() {
            lostInARow = random.nextInt(100) < loss && lostInARow < 3 ? lostInARow + 1 : 0;
            return lostInARow == 0;
        }

        private void turn() {
            guest.room = random.nextInt(5) > 0;
            if (guest.room) {
                guest.stack.resume();
            }
            guest.loop.turn(random.nextInt(4) == 0 ? TURN_NS * 10 : TURN_NS);
            byte[][] frames = guest.frames.toArray(byte[][]::new);
            guest.frames.clear();
            if (loss > 0 && frames.length > 1 && random.nextInt(10) == 0) {
                byte[] first = frames[0];
                frames[0] = frames[frames.length - 1];
                frames[frames.length - 1] = first;
            }
            for (byte[] f : frames) {
                if (arrives()) {
                    model.frame(f);
                    if (loss > 0 && random.nextInt(20) == 0) {
                        model.frame(f);
                    }
                }
            }
            for (byte[] f : model.output()) {
                if (arrives()) {
                    guest.input(f);
                    if (loss > 0 && random.nextInt(20) == 0) {
                        guest.input(f);
                    }
                }
            }
        }
    }

    /** The simplest TCP that there can be: one flight at a time, sent again until it is acknowledged. */
    private static final class Model {
        private final GuestEnd guest;
        private final SplittableRandom random;
        private final byte[] data;
        private final ByteArrayOutputStream got = new ByteArrayOutputStream();
        private int port = 40_000;
        private int peer;
        private int peerPort;
        private int iss = 0x7fff_fff0;
        private int acknowledged; // of the data, -1 before SYN is
        private int peerWindow;
        private int expected;
        private boolean synchronised;
        private boolean opened;
        private boolean ended;
        private boolean finAcknowledged;
        private boolean answer;

        Model(GuestEnd guest, SplittableRandom random, byte[] data) {
            this.guest = guest;
            this.random = random;
            this.data = data;
            this.acknowledged = -1;
        }

        void connect(int to, int toPort) {
            peer = to;
            peerPort = toPort;
            opened = true;
        }

        byte[] got() {
            return got.toByteArray();
        }

        boolean done() {
            return ended && finAcknowledged;
        }

        void frame(byte[] f) {
            if (BigEndian.get16(f, 12) != 0x0800) {
                return;
            }
            TcpSegment s =
                    TcpSegment.parse(
                            BigEndian.get32(f, 26),
                            BigEndian.get32(f, 30),
                            f,
                            34,
                            BigEndian.get16(f, 16) - 20);
            assertTrue(s != null, "a whole segment");
            if (s.has(TcpFlow.RST)) {
                assertTrue(done(), "a reset");
                return;
            }
            if (s.has(TcpFlow.SYN)) {
                if (!synchronised) {
                    synchronised = true;
                    opened = true;
                    peer = BigEndian.get32(f, 26);
                    peerPort = s.sourcePort();
                    port = s.destinationPort();
                    expected = s.sequence() + 1;
                }
                answer = true;
            }
            if (!synchronised) {
                return;
            }
            if (s.has(TcpFlow.ACK)) {
                int count = s.acknowledgement() - (iss + 1);
                assertTrue(count <= data.length + 1, "it acknowledges what was not sent");
                if (count > data.length) {
                    finAcknowledged = true;
                }
                acknowledged = Math.max(acknowledged, Math.min(count, data.length));
                peerWindow = s.window();
            }
            int known = expected - (s.sequence() + (s.has(TcpFlow.SYN) ? 1 : 0));
            if (s.dataLength() > 0 || s.has(TcpFlow.FIN)) {
                answer = true;
                if (known >= 0 && known <= s.dataLength() && !ended) {
                    int fresh = s.dataLength() - known;
                    got.write(s.data(), s.dataOffset() + known, fresh);
                    expected += fresh;
                    if (s.has(TcpFlow.FIN)) {
                        expected++;
                        ended = true;
                    }
                }
            }
        }

        Iterable<byte[]> output() {
            List<byte[]> out = new ArrayList<>();
            int window = random.nextInt(6) == 0 ? 0 : random.nextInt(65536);
            if (!opened || !answer && random.nextInt(3) == 0) {
                return out;
            }
            answer = false;
            if (acknowledged < 0) {
                int flags = synchronised ? TcpFlow.SYN | TcpFlow.ACK : TcpFlow.SYN;
                out.add(segment(iss, synchronised ? flags : TcpFlow.SYN, window, new byte[0]));
                return out;
            }
            int at = acknowledged;
            int end = Math.min(data.length, acknowledged + peerWindow);
            do {
                int length = Math.min(end - at, 1 + random.nextInt(1460));
                byte[] part = Arrays.copyOfRange(data, at, at + Math.max(length, 0));
                at += part.length;
                int fin = at == data.length ? TcpFlow.FIN : 0;
                out.add(segment(iss + 1 + at - part.length, TcpFlow.ACK | fin, window, part));
            } while (at < end);
            return out;
        }

        private byte[] segment(int sequence, int flags, int window, byte[] part) {
            boolean ack = (flags & TcpFlow.ACK) != 0;
            return GuestEnd.tcp(
                    port, peer, peerPort, sequence, ack ? expected : 0, flags, window, part);
        }
    }
}
