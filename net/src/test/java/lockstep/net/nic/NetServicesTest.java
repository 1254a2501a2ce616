package lockstep.net.nic;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.net.MacAddress;
import lockstep.net.NetException;
import lockstep.net.NicClient;
import lockstep.net.NicPort;
import lockstep.net.filter.BufferFilter;
import lockstep.net.filter.DumpFilter;
import lockstep.net.wire.Direction;
import lockstep.net.wire.Endpoint;
import lockstep.net.wire.NetFilter.Placement;
import lockstep.net.wire.Network;
import lockstep.runtime.loop.EpollLoop;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.loop.VmClocks;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

@Timeout(60)
class NetServicesTest {
    private final Network network = new Network(() -> true, m -> {});
    private final VmClocks clocks = new VmClocks();
    private final Backend backend = new Backend();
    private final Nic nic = new Nic();
    private EpollLoop loop;
    private NetServices services;

    @BeforeEach
    void start() throws Exception {
        loop = new EpollLoop("main", clocks, new MachineLock(), (n, e) -> e.printStackTrace());
        loop.start();
        services = new NetServices(network, loop);
        network.add(backend);
    }

    @AfterEach
    void stop() {
        loop.stop();
    }

    private NicPort attach(@Nullable String id, @Nullable String netdev, @Nullable String mac)
            throws NetException {
        MacAddress address = mac == null ? null : MacAddress.parse(mac);
        return services.attach("e1000", id, netdev, address, nic);
    }

    @Test
    void addressesAndNames() throws Exception {
        NicPort a = attach("e0", "n0", null);
        NicPort b = attach(null, null, null);
        assertEquals("52:54:00:12:34:56", a.mac().toString());
        assertEquals("52:54:00:12:34:57", b.mac().toString());
        assertEquals("e1000.1", b.name());
        a.close();
        assertEquals("52:54:00:12:34:56", attach(null, null, null).mac().toString());
        assertEquals("0a:00:00:00:00:ff", attach("x", null, "A:0:0-0:0:fF").mac().toString());
        b.addressChanged(new MacAddress(1));
        assertTrue(network.describe().contains("model=e1000,macaddr=00:00:00:00:00:01\n"));
        assertThrows(NetException.class, () -> MacAddress.parse("1:2:3:4:5"));
    }

    @Test
    void errorsNameThePropertyAndTheValue() throws Exception {
        NetException e = assertThrows(NetException.class, () -> attach("e0", "x", null));
        assertEquals("Property 'e1000.netdev' can't find value 'x'", e.getMessage());
        attach("e0", "n0", null);
        e = assertThrows(NetException.class, () -> attach("e1", "n0", null));
        assertEquals("Property 'e1000.netdev' can't take value 'n0', it's in use", e.getMessage());
    }

    @Test
    void deletingTheBackendPullsTheCable() throws Exception {
        NicPort port = attach("e0", "n0", null);
        backend.close();
        assertFalse(port.linkUp());
        assertFalse(nic.up);
        port.send(new byte[60], 0, 60);
        assertEquals(0, backend.got.size());
    }

    @Test
    void announcesInRounds() throws Exception {
        attach("e0", "n0", null);
        CompletableFuture.runAsync(() -> services.announce(1, 5, 3, 2), loop::execute).join();
        for (int i = 0; i < 3; i++) {
            assertEquals(
                    "ffffffffffff52540012345680350001080006040003525400123456"
                            + "00000000525400123456"
                            + "0".repeat(44),
                    HexFormat.of().formatHex(backend.next()));
        }
    }

    @Test
    void bufferHoldsForGuestTime() throws Exception {
        NicPort port = attach("e0", "n0", null);
        Placement at = new Placement("b", "n0", Direction.RX, true, "tail", false);
        BufferFilter filter =
                CompletableFuture.supplyAsync(
                                () -> {
                                    try {
                                        BufferFilter f =
                                                new BufferFilter(network, at, loop, 10_000);
                                        f.insert();
                                        port.send(new byte[] {1}, 0, 1);
                                        port.send(new byte[] {2}, 0, 1);
                                        assertEquals(0, backend.got.size());
                                        return f;
                                    } catch (NetException e) {
                                        throw new IllegalStateException(e);
                                    }
                                },
                                loop::execute)
                        .join();
        clocks.startVirtual();
        assertEquals(1, backend.next()[0]);
        assertEquals(2, backend.next()[0]);
        clocks.stopVirtual();
        CompletableFuture.runAsync(
                        () -> {
                            port.send(new byte[] {3}, 0, 1);
                            filter.setOn(false);
                            assertEquals(1, backend.got.size());
                        },
                        loop::execute)
                .join();
    }

    @Test
    void dumpWritesWhatLibpcapReads(@TempDir Path directory) throws Exception {
        NicPort port = attach("e0", "n0", null);
        Path file = directory.resolve("dump");
        Placement at = new Placement("d", "n0", Direction.ALL, true, "tail", false);
        DumpFilter f = new DumpFilter(network, at, clocks, file.toString(), 4);
        f.insert();
        port.send(new byte[] {1, 2, 3, 4, 5, 6}, 0, 6);
        f.close();
        ByteBuffer b = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.nativeOrder());
        assertEquals(44, b.capacity());
        assertEquals(0xa1b2c3d4, b.getInt(0));
        assertEquals(4, b.getInt(16));
        assertEquals(4, b.getInt(32));
        assertEquals(6, b.getInt(36));
        assertEquals(0x01020304, b.order(ByteOrder.BIG_ENDIAN).getInt(40));
    }

    private final class Backend extends Endpoint {
        final BlockingQueue<byte[]> got = new LinkedBlockingQueue<>();

        Backend() {
            super(network, "n0", "tap");
        }

        @Override
        protected int receive(byte[] frame, int offset, int length) {
            got.add(Arrays.copyOfRange(frame, offset, offset + length));
            return length;
        }

        byte[] next() throws InterruptedException {
            byte[] f = got.poll(20, TimeUnit.SECONDS);
            assertTrue(f != null, "no frame came");
            return f;
        }
    }

    private static final class Nic implements NicClient {
        boolean up = true;

        @Override
        public boolean canReceive() {
            return true;
        }

        @Override
        public void receive(byte[] frame, int offset, int length) {}

        @Override
        public void linkChanged(boolean now) {
            up = now;
        }
    }
}
