package lockstep.net.socket;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.net.NetException;
import lockstep.net.NicClient;
import lockstep.net.NicPort;
import lockstep.net.nic.NetServices;
import lockstep.net.wire.Direction;
import lockstep.net.wire.Endpoint;
import lockstep.net.wire.NetFilter;
import lockstep.net.wire.Network;
import lockstep.runtime.loop.EpollLoop;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.loop.VmClocks;
import lockstep.runtime.object.QomProperty;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** What a backend and a NIC's port promise each other, whatever the backend is made of. */
@Timeout(120)
abstract class EndpointContract {
    /** What is behind the backend, as the test plays it. Calls wait until they are done. */
    interface Far {
        /** Sends a frame to the backend. */
        void send(byte[] frame) throws Exception;

        /** Takes the next frame that came out of the backend; one that is not asked reads nothing. */
        byte[] next() throws Exception;

        /** Ends it. */
        void close();
    }

    /** Who all frames are from. */
    static final byte[] SENDER = {2, 0, 0, 0, 0, 1};

    private static final int MANY = 200;
    private static final int ENOUGH_WAITING = 20;

    /** More than any kernel keeps for a reader that does not read. */
    private static final int ENDLESS = 1_000_000;

    static final long PATIENCE_NS = 30_000_000_000L;

    /** Fewer than the datagrams that the kernel keeps for a unix socket. */
    private static final int FEW = 8;

    final Network network = new Network(() -> true, m -> {});
    private final Nic nic = new Nic();
    private final List<String> failures = new CopyOnWriteArrayList<>();
    EpollLoop loop;
    private Far far;
    private Endpoint backend;
    private NicPort port;
    private long before;

    /** A backend, and how to come by what is behind it, off the loop. */
    record Made(Endpoint backend, Callable<Far> far) {}

    /** Makes the backend {@code n0}, to be listed by the caller. On the loop. */
    abstract Made make() throws Exception;

    @BeforeEach
    void start() throws Exception {
        loop =
                new EpollLoop(
                        "main",
                        new VmClocks(),
                        new MachineLock(),
                        (n, e) -> failures.add(e.toString()));
        loop.start();
        before = descriptors();
        Made made = onLoop(this::make);
        backend = made.backend();
        far = made.far().call();
        port =
                onLoop(
                        () -> {
                            network.add(backend);
                            NetServices services = new NetServices(network, loop);
                            return services.attach("e1000", "e0", "n0", null, nic);
                        });
    }

    @AfterEach
    void stop() {
        onLoop(
                () -> {
                    network.closeAll();
                    return true;
                });
        loop.close();
        far.close();
        assertEquals(List.of(), failures);
    }

    final <T> T onLoop(Callable<T> task) {
        return CompletableFuture.supplyAsync(
                        () -> {
                            try {
                                return task.call();
                            } catch (Exception e) {
                                throw new CompletionException(e);
                            }
                        },
                        loop::execute)
                .join();
    }

    /** Lets the loop do what is ready, and what comes of that. */
    final void settle() {
        for (int i = 0; i < 3; i++) {
            onLoop(() -> true);
        }
    }

    /** Waits until the backend says this of itself: turns of the loop alone don't bring a peer. */
    final void untilInfo(String text) throws InterruptedException {
        long end = System.nanoTime() + PATIENCE_NS;
        while (!text.equals(onLoop(backend::info))) {
            assertTrue(System.nanoTime() < end, "the backend never was: " + text);
            Thread.sleep(1);
        }
    }

    /** A frame to everybody that shows its number, of a length that depends on it. */
    private static byte[] frame(int number) {
        byte[] f = new byte[60 + number * 37 % 1400];
        Arrays.fill(f, (byte) number);
        Arrays.fill(f, 0, 6, (byte) 0xff);
        System.arraycopy(SENDER, 0, f, 6, SENDER.length);
        f[12] = (byte) (number >> 8);
        return f;
    }

    private void fromNic(byte[] frame) {
        onLoop(
                () -> {
                    port.send(frame, 0, frame.length);
                    return true;
                });
    }

    /** How many frames at most can wait for the far side without getting lost; no bound where they wait here. */
    int patience() {
        return Integer.MAX_VALUE;
    }

    /** Sends from the NIC until frames wait in front of the backend; returns how many were sent. */
    private int fill() {
        return onLoop(
                () -> {
                    int n = 0;
                    while (backend.waiting() < ENOUGH_WAITING && n < patience()) {
                        assertTrue(n < ENDLESS, "no frame ever waits");
                        byte[] f = frame(n++);
                        port.send(f, 0, f.length);
                    }
                    return n;
                });
    }

    private Endpoint nicEnd() {
        Endpoint e = network.find("e0");
        assertTrue(e != null);
        return e;
    }

    @Test
    void framesArriveInOrderInBothDirections() throws Exception {
        for (int i = 0; i < MANY; i++) {
            far.send(frame(i));
            fromNic(frame(i + MANY));
            assertArrayEquals(frame(i + MANY), far.next());
        }
        for (int i = 0; i < MANY; i++) {
            assertArrayEquals(frame(i), nic.next());
        }
        assertTrue(nic.got.isEmpty());
    }

    @Test
    void framesWaitForANicWithoutRoom() throws Exception {
        nic.room = false;
        for (int i = 0; i < FEW; i++) {
            far.send(frame(i));
        }
        settle();
        assertTrue(nic.got.isEmpty());
        onLoop(
                () -> {
                    nic.room = true;
                    port.flush();
                    return true;
                });
        for (int i = 0; i < FEW; i++) {
            assertArrayEquals(frame(i), nic.next());
        }
    }

    @Test
    void framesWaitForAFarSideThatDoesNotRead() throws Exception {
        int sent = fill();
        for (int i = 0; i < sent; i++) {
            assertArrayEquals(frame(i), far.next());
        }
        settle();
        assertEquals(0, onLoop(backend::waiting));
        fromNic(frame(1));
        assertArrayEquals(frame(1), far.next());
    }

    @Test
    void aPulledCableDropsBothDirections() throws Exception {
        assertTrue(onLoop(() -> network.setLink("n0", false)));
        assertFalse(nic.up);
        assertFalse(port.linkUp());
        fromNic(frame(1));
        far.send(frame(2));
        settle();
        assertEquals(0, onLoop(backend::waiting));
        assertEquals(0, onLoop(() -> nicEnd().waiting()));
        assertTrue(onLoop(() -> network.setLink("n0", true)));
        assertTrue(nic.up);
        fromNic(frame(3));
        far.send(frame(4));
        assertArrayEquals(frame(3), far.next());
        assertArrayEquals(frame(4), nic.next());
    }

    @Test
    void removalForgetsWhatWaitsAndPullsTheCable() throws Exception {
        fill();
        nic.room = false;
        far.send(frame(1));
        settle();
        onLoop(
                () -> {
                    backend.close();
                    backend.close();
                    return true;
                });
        assertEquals(0, onLoop(backend::waiting));
        assertEquals(0, onLoop(() -> nicEnd().waiting()));
        assertFalse(nic.up);
        onLoop(
                () -> {
                    nic.room = true;
                    port.flush();
                    return true;
                });
        fromNic(frame(2));
        settle();
        assertTrue(nic.got.isEmpty());
        assertEquals(null, onLoop(() -> network.findBackend("n0")));
    }

    @Test
    void noDescriptorStays() throws Exception {
        fromNic(frame(1));
        far.next();
        onLoop(
                () -> {
                    network.closeAll();
                    return true;
                });
        far.close();
        assertEquals(before, descriptors());
    }

    @Test
    void filtersSeeEveryFrameOnce() throws Exception {
        Witness filter = onLoop(Witness::new);
        nic.room = false;
        List<String> expected = new ArrayList<>();
        int sent = fill();
        for (int i = 0; i < sent; i++) {
            expected.add("RX " + frame(i).length);
        }
        for (int i = 0; i < sent; i++) {
            assertArrayEquals(frame(i), far.next());
        }
        far.send(frame(7));
        settle();
        onLoop(
                () -> {
                    nic.room = true;
                    port.flush();
                    return true;
                });
        assertArrayEquals(frame(7), nic.next());
        expected.add("TX " + frame(7).length);
        assertEquals(expected, onLoop(() -> List.copyOf(filter.seen)));
    }

    private static long descriptors() throws IOException {
        long n = 0;
        try (DirectoryStream<Path> all = Files.newDirectoryStream(Path.of("/proc/self/fd"))) {
            for (Path link : all) {
                try {
                    String target = Files.readSymbolicLink(link).toString();
                    n += target.startsWith("socket:") || target.equals("/dev/net/tun") ? 1 : 0;
                } catch (NoSuchFileException e) {
                    // The descriptor of this very listing.
                }
            }
        }
        return n;
    }

    private final class Witness extends NetFilter {
        final List<String> seen = new ArrayList<>();

        Witness() throws NetException {
            super(
                    network,
                    "filter-witness",
                    new Placement("f", "n0", Direction.ALL, true, "tail", false));
            insert();
        }

        @Override
        protected int process(
                Direction direction,
                Endpoint sender,
                byte[] frame,
                int offset,
                int length,
                @Nullable Runnable sent) {
            seen.add(direction + " " + length);
            return 0;
        }

        @Override
        public List<QomProperty> properties() {
            return List.of();
        }
    }

    private static final class Nic implements NicClient {
        final BlockingQueue<byte[]> got = new LinkedBlockingQueue<>();
        volatile boolean room = true;
        volatile boolean up = true;

        @Override
        public boolean canReceive() {
            return room;
        }

        @Override
        public void receive(byte[] frame, int offset, int length) {
            got.add(Arrays.copyOfRange(frame, offset, offset + length));
        }

        @Override
        public void linkChanged(boolean now) {
            up = now;
        }

        byte[] next() throws InterruptedException {
            byte[] f = got.poll(30, TimeUnit.SECONDS);
            assertTrue(f != null, "no frame came");
            return f;
        }
    }
}
