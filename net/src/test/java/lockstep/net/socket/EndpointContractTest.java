package lockstep.net.socket;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import static java.nio.charset.StandardCharsets.UTF_8;

import lockstep.net.hub.Hubs;
import lockstep.net.tap.TapEndpoint;
import lockstep.net.wire.Endpoint;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.SocketName;
import lockstep.runtime.linux.Sockets;
import lockstep.runtime.linux.TunTap;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntSupplier;

/** The contract, run on every backend. */
class EndpointContractTest {
    private static final String CONNECTED = "connected";

    private static final StreamEndpoint.Style PLAIN =
            new StreamEndpoint.Style() {
                @Override
                public String listening(SocketName address) {
                    return "";
                }

                @Override
                public String connected(SocketName peer, boolean server) {
                    return CONNECTED;
                }

                @Override
                public String disconnected() {
                    return "";
                }
            };

    /** Repeats a call as long as it would have blocked. */
    private static int until(IntSupplier call) throws InterruptedException {
        long end = System.nanoTime() + EndpointContract.PATIENCE_NS;
        int n = call.getAsInt();
        while (n == -Errno.EAGAIN || n == -Errno.EINTR) {
            assertTrue(System.nanoTime() < end, "the call never succeeded");
            Thread.sleep(1);
            n = call.getAsInt();
        }
        return n;
    }

    /** One datagram a frame. */
    private record Datagrams(Fd socket) implements EndpointContract.Far {
        @Override
        public void send(byte[] frame) throws InterruptedException {
            int n = until(() -> Sockets.send(socket.number(), frame, 0, frame.length));
            assertEquals(frame.length, n);
        }

        @Override
        public byte[] next() throws InterruptedException {
            byte[] data = new byte[65536];
            int n = until(() -> FileIo.read(socket.number(), data, 0, data.length));
            return Arrays.copyOf(data, n);
        }

        @Override
        public void close() {
            socket.close();
        }
    }

    /** Each frame with its length in front. */
    private record Stream(Fd socket) implements EndpointContract.Far {
        @Override
        public void send(byte[] frame) throws InterruptedException {
            byte[] all =
                    ByteBuffer.allocate(4 + frame.length).putInt(frame.length).put(frame).array();
            for (int at = 0; at < all.length; ) {
                int from = at;
                at += until(() -> Sockets.send(socket.number(), all, from, all.length - from));
            }
        }

        @Override
        public byte[] next() throws InterruptedException {
            return read(ByteBuffer.wrap(read(4)).getInt());
        }

        private byte[] read(int length) throws InterruptedException {
            byte[] data = new byte[length];
            for (int at = 0; at < length; ) {
                int from = at;
                int n = until(() -> FileIo.read(socket.number(), data, from, length - from));
                assertTrue(n > 0, "the stream ended");
                at += n;
            }
            return data;
        }

        @Override
        public void close() {
            socket.close();
        }
    }

    @Nested
    class StreamOverGivenSocket extends EndpointContract {
        @Override
        Made make() throws Exception {
            Fd[] pair = Sockets.pair();
            return new Made(
                    StreamEndpoint.connected(network, loop, "n0", "stream", PLAIN, pair[0]),
                    () -> new Stream(pair[1]));
        }
    }

    private static Fd listener() throws Exception {
        Fd listener = Sockets.stream(loopback().family());
        assertEquals(0, Sockets.bind(listener, loopback()));
        assertEquals(0, Sockets.listen(listener, 1));
        return listener;
    }

    @Nested
    class StreamServer extends EndpointContract {
        @Override
        Made make() throws Exception {
            Fd listener = listener();
            SocketName name = Sockets.localName(listener.number());
            return new Made(
                    StreamEndpoint.server(network, loop, "n0", "stream", PLAIN, listener),
                    () -> {
                        Fd socket = Sockets.stream(name.family());
                        int result = Sockets.connect(socket, name);
                        assertTrue(result == 0 || result == -Errno.EINPROGRESS);
                        untilInfo(CONNECTED);
                        return new Stream(socket);
                    });
        }
    }

    @Nested
    class StreamClient extends EndpointContract {
        @Override
        Made make() throws Exception {
            Fd listener = listener();
            SocketName name = Sockets.localName(listener.number());
            return new Made(
                    StreamEndpoint.client(network, loop, "n0", "stream", PLAIN, name, 0),
                    () -> {
                        Fd socket = new Fd(until(() -> Sockets.accept(listener)));
                        listener.close();
                        untilInfo(CONNECTED);
                        return new Stream(socket);
                    });
        }
    }

    private static SocketName loopback() {
        return new SocketName.Inet(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
    }

    /** Over unix sockets, where a full receiver holds the sender back. */
    @Nested
    class Datagram extends EndpointContract {
        @TempDir Path directory;

        private SocketName.Unix at(String name) {
            return new SocketName.Unix(directory.resolve(name).toString(), false, true);
        }

        @Override
        Made make() throws Exception {
            Fd own = Sockets.datagram(at("own").family());
            Fd other = Sockets.datagram(at("own").family());
            assertEquals(0, Sockets.bind(own, at("own")));
            assertEquals(0, Sockets.bind(other, at("other")));
            assertEquals(0, Sockets.connect(other, at("own")));
            return new Made(
                    new DatagramEndpoint(network, loop, "n0", "dgram", "", own, at("other")),
                    () -> new Datagrams(other));
        }
    }

    /** Bridged to a second interface, which is the far side. What that does not read waits in the kernel. */
    @Nested
    @Tag("tun")
    @Tag("root")
    class Tap extends EndpointContract {
        private static final String BRIDGE = "lockstep-br";

        @BeforeAll
        static void needs() throws Exception {
            assumeTrue("root".equals(System.getProperty("user.name")), "interfaces need root");
            assumeTrue(Files.isReadable(Path.of("/dev/net/tun")), "no /dev/net/tun");
            assumeTrue(ip("link", "add", BRIDGE, "type", "bridge"), "this host makes no bridges");
            ip("link", "del", BRIDGE);
        }

        private static boolean ip(String... arguments) throws Exception {
            return said(arguments) != null;
        }

        /** What the tool printed, or null when it failed. */
        private static @Nullable String said(String... arguments) throws Exception {
            List<String> command = new ArrayList<>(List.of("ip"));
            command.addAll(List.of(arguments));
            Process process;
            try {
                process = new ProcessBuilder(command).redirectErrorStream(true).start();
            } catch (IOException e) {
                return null;
            }
            String text = new String(process.getInputStream().readAllBytes(), UTF_8);
            return process.waitFor() == 0 ? text : null;
        }

        /** Brings an interface up, about which the kernel has nothing to say by itself. */
        private static void up(String name) throws Exception {
            Path talk = Path.of("/proc/sys/net/ipv6/conf", name, "disable_ipv6");
            if (Files.exists(talk)) {
                Files.writeString(talk, "1");
            }
            assertTrue(ip("link", "set", name, "up"));
        }

        private static void join(String name) throws Exception {
            assertTrue(ip("link", "set", name, "master", BRIDGE));
            up(name);
            long end = System.nanoTime() + EndpointContract.PATIENCE_NS;
            while (!String.valueOf(said("-d", "link", "show", name)).contains("forwarding")) {
                assertTrue(System.nanoTime() < end, "the bridge does not forward");
                Thread.sleep(1);
            }
        }

        @Override
        int patience() {
            return 100;
        }

        @Override
        Made make() throws Exception {
            // One that snoops reports its own membership of a group, as a frame among ours.
            assertTrue(ip("link", "add", BRIDGE, "type", "bridge", "mcast_snooping", "0"));
            up(BRIDGE);
            TunTap.Interface other = TunTap.open(null);
            TapEndpoint tap = TapEndpoint.open(network, loop, "n0", null, "no", "no", null);
            join(tap.info().replaceAll("ifname=(\\w+),.*", "$1"));
            join(other.name());
            return new Made(tap, () -> new Bridged(other.fd()));
        }

        private record Bridged(Fd tap) implements Far {
            @Override
            public void send(byte[] frame) throws InterruptedException {
                int n = until(() -> FileIo.write(tap.number(), frame, 0, frame.length));
                assertEquals(frame.length, n);
            }

            @Override
            public byte[] next() throws Exception {
                byte[] data = new byte[65536];
                while (true) {
                    int n = until(() -> FileIo.read(tap.number(), data, 0, data.length));
                    if (Arrays.equals(data, 6, 12, SENDER, 0, SENDER.length)) {
                        return Arrays.copyOf(data, n);
                    }
                }
            }

            @Override
            public void close() {
                tap.close();
                try {
                    ip("link", "del", BRIDGE);
                } catch (Exception e) {
                    throw new IllegalStateException(e);
                }
            }
        }
    }

    /** Behind the hub's other port there is an end that takes a frame when it is asked for one. */
    @Nested
    class HubPort extends EndpointContract {
        @Override
        Made make() {
            Hubs hubs = new Hubs(network);
            Endpoint tested = hubs.port("n0", 0);
            Endpoint other = hubs.port("n1", 0);
            network.add(other);
            End end = new End();
            network.add(end);
            end.connect(other);
            return new Made(tested, () -> end);
        }

        private final class End extends Endpoint implements Far {
            private final ArrayDeque<byte[]> got = new ArrayDeque<>();

            End() {
                super(HubPort.this.network, "n2", "end");
            }

            @Override
            protected boolean canReceive() {
                return got.isEmpty();
            }

            @Override
            protected int receive(byte[] frame, int offset, int length) {
                if (!got.isEmpty()) {
                    return 0;
                }
                got.add(Arrays.copyOfRange(frame, offset, offset + length));
                return length;
            }

            @Override
            public void send(byte[] frame) {
                onLoop(() -> send(frame, 0, frame.length, null));
            }

            @Override
            public byte[] next() {
                return onLoop(
                        () -> {
                            byte[] f = got.remove();
                            flushIncoming();
                            return f;
                        });
            }
        }
    }
}
