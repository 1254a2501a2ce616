package lockstep.net.tap;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.net.MacAddress;
import lockstep.net.NetException;
import lockstep.net.NicClient;
import lockstep.net.NicPort;
import lockstep.net.nic.NetServices;
import lockstep.net.wire.Network;
import lockstep.runtime.loop.EpollLoop;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.loop.VmClocks;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/** A real tap interface: the host talks to a NIC that answers ARP and UDP by hand. */
@Tag("tun")
@Tag("root")
@Timeout(60)
class TapTest {
    private static final byte[] MAC = {0x52, 0x54, 0, 0x12, 0x34, 0x56};

    @TempDir Path directory;
    private final BlockingQueue<byte[]> received = new LinkedBlockingQueue<>();
    private final MachineLock lock = new MachineLock();
    private EpollLoop loop;
    private boolean running = true;
    private final Network network = new Network(() -> running, m -> {});

    @BeforeEach
    void start() throws Exception {
        Assumptions.assumeTrue(
                "root".equals(System.getProperty("user.name")), "making interfaces needs root");
        Assumptions.assumeTrue(Files.exists(Path.of("/dev/net/tun")), "no /dev/net/tun");
        loop = new EpollLoop("main", new VmClocks(), lock, (name, e) -> e.printStackTrace());
        loop.start();
    }

    @AfterEach
    void stop() {
        if (loop != null) {
            onLoop(
                    () -> {
                        network.closeAll();
                        return true;
                    });
            loop.stop();
        }
    }

    private <T> T onLoop(Supplier<T> task) {
        return CompletableFuture.supplyAsync(task, loop::execute)
                .orTimeout(20, TimeUnit.SECONDS)
                .join();
    }

    private String script(String name, String text) throws Exception {
        Path p = directory.resolve(name);
        Files.writeString(p, "#!/bin/sh\n" + text);
        Files.setPosixFilePermissions(p, PosixFilePermissions.fromString("rwxr-xr-x"));
        return p.toString();
    }

    private TapEndpoint open(String up, String down) throws NetException {
        lock.acquire();
        try {
            TapEndpoint tap = TapEndpoint.open(network, loop, "hn0", null, up, down, null);
            network.add(tap);
            return tap;
        } finally {
            lock.release();
        }
    }

    @Test
    void framesReachTheHostAndBack() throws Exception {
        Path log = directory.resolve("log");
        String up =
                script(
                        "up",
                        "ip addr add 198.18.77.1/30 dev $1 && ip link set $1 up && echo up $1 >> "
                                + log);
        String down = script("down", "echo down $1 >> " + log);
        TapEndpoint tap = open(up, down);
        assertTrue(tap.info().matches("ifname=tap\\d+,script=.*/up,downscript=.*/down"));
        NicPort nic =
                onLoop(
                        () -> {
                            try {
                                return new NetServices(network, loop)
                                        .attach("e1000", "e0", "hn0", null, new Nic());
                            } catch (NetException e) {
                                throw new IllegalStateException(e);
                            }
                        });
        assertEquals(MacAddress.of(MAC, 0), nic.mac());
        try (DatagramSocket host = new DatagramSocket(new InetSocketAddress("198.18.77.1", 0))) {
            host.setSoTimeout(20_000);
            byte[] hello = "hello".getBytes(StandardCharsets.US_ASCII);
            host.send(new DatagramPacket(hello, 5, new InetSocketAddress("198.18.77.2", 4000)));
            byte[] arp = frame(0x0806);
            assertEquals(60, arp.length);
            byte[] answer = arp.clone();
            System.arraycopy(arp, 6, answer, 0, 6);
            System.arraycopy(MAC, 0, answer, 6, 6);
            answer[21] = 2;
            System.arraycopy(arp, 22, answer, 32, 10);
            System.arraycopy(MAC, 0, answer, 22, 6);
            System.arraycopy(arp, 38, answer, 28, 4);
            send(nic, answer);
            byte[] udp = frame(0x0800);
            assertEquals("hello", new String(udp, 42, 5, StandardCharsets.US_ASCII));
            byte[] back = udp.clone();
            System.arraycopy(udp, 6, back, 0, 6);
            System.arraycopy(MAC, 0, back, 6, 6);
            System.arraycopy(udp, 26, back, 30, 4);
            System.arraycopy(udp, 30, back, 26, 4);
            System.arraycopy(udp, 34, back, 36, 2);
            System.arraycopy(udp, 36, back, 34, 2);
            back[40] = 0; // no checksum
            back[41] = 0;
            send(nic, back);
            DatagramPacket got = new DatagramPacket(new byte[100], 100);
            host.receive(got);
            assertArrayEquals(hello, Arrays.copyOf(got.getData(), got.getLength()));

            // While the machine is stopped the host's frames wait, in order.
            onLoop(() -> running = false);
            for (int i = 0; i < 3; i++) {
                byte[] one = {(byte) ('0' + i)};
                host.send(new DatagramPacket(one, 1, new InetSocketAddress("198.18.77.2", 4000)));
            }
            onLoop(
                    () -> {
                        assertTrue(received.isEmpty());
                        running = true;
                        network.runningChanged(true);
                        return true;
                    });
            for (int i = 0; i < 3; i++) {
                assertEquals('0' + i, frame(0x0800)[42]);
            }
        }
        onLoop(
                () -> {
                    tap.close();
                    return true;
                });
        String name = tap.info().substring(7, tap.info().indexOf(','));
        assertEquals("up " + name + "\ndown " + name + "\n", Files.readString(log));
    }

    /** The next frame of that type to the NIC; others, such as IPv6 chatter, are skipped. */
    private byte[] frame(int type) throws InterruptedException {
        while (true) {
            byte[] f = received.poll(20, TimeUnit.SECONDS);
            assertTrue(f != null, "no frame came");
            if (((f[12] & 0xff) << 8 | f[13] & 0xff) == type) {
                return f;
            }
        }
    }

    private void send(NicPort nic, byte[] frame) {
        onLoop(
                () -> {
                    nic.send(frame, 0, frame.length);
                    return true;
                });
    }

    @Test
    void errors() throws Exception {
        String bad = script("bad", "exit 3\n");
        NetException e = assertThrows(NetException.class, () -> open(bad, "no"));
        assertEquals("network script " + bad + " failed with status 768", e.getMessage());
        e = assertThrows(NetException.class, () -> open("/nonexistent", "no"));
        assertEquals("network script /nonexistent failed with status 256", e.getMessage());
        e =
                assertThrows(
                        NetException.class,
                        () -> TapEndpoint.open(network, loop, "x", "lo", "no", "no", null));
        assertEquals("could not configure /dev/net/tun (lo): Invalid argument", e.getMessage());
        e = assertThrows(NetException.class, () -> TapEndpoint.inherit(network, loop, "t", 99));
        assertEquals("t: Can't use file descriptor 99: Bad file descriptor", e.getMessage());
    }

    private final class Nic implements NicClient {
        @Override
        public boolean canReceive() {
            return true;
        }

        @Override
        public void receive(byte[] frame, int offset, int length) {
            received.add(Arrays.copyOfRange(frame, offset, offset + length));
        }

        @Override
        public void linkChanged(boolean up) {}
    }
}
