package lockstep.colo.rewriter;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.ColoComparePolicy;
import lockstep.api.ColoCompareStats;
import lockstep.colo.compare.ColoCompare;
import lockstep.colo.compare.CompareConfig;
import lockstep.colo.compare.Comparisons;
import lockstep.colo.packet.Frames;
import lockstep.net.NetFilters;
import lockstep.net.filter.ChardevLookup;
import lockstep.net.filter.CheckpointMark;
import lockstep.net.filter.MirrorFilter;
import lockstep.net.filter.RedirectorFilter;
import lockstep.net.wire.Direction;
import lockstep.net.wire.Endpoint;
import lockstep.net.wire.NetFilter;
import lockstep.net.wire.NetFilter.Placement;
import lockstep.net.wire.Network;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevConfig;
import lockstep.runtime.chardev.ChardevHost;
import lockstep.runtime.chardev.ChardevTable;
import lockstep.runtime.loop.EpollLoop;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.loop.VmClocks;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.ToLongFunction;

/**
 * The network of a COLO pair in one process: both sides' filters, the comparison, real sockets between
 * them; the test is the client and both guests.
 */
@Timeout(60)
class ColoWireTest {
    private static final int ACK = Frames.ACK;
    private static final int SYN = Frames.SYN;

    /** One side: its backend's end towards the network, and its guest's NIC. */
    private final class Side implements ChardevHost, ChardevLookup {
        final EpollLoop loop;
        final ChardevTable chardevs;
        final Network network = new Network(() -> true, System.err::println);
        final End client = new End(network, "hn0", "tap");
        final End guest = new End(network, "e0", "nic");
        final List<NetFilter> filters = new ArrayList<>();

        Side(String name) throws Exception {
            loop = new EpollLoop(name, clocks, new MachineLock(), (n, e) -> e.printStackTrace());
            loop.start();
            chardevs = new ChardevTable(this);
            network.add(client);
            network.add(guest);
            client.connect(guest);
        }

        Placement at(String id, Direction queue) {
            return new Placement(id, "hn0", queue, true, "tail", false);
        }

        void add(NetFilter filter) throws Exception {
            filter.insert();
            filters.add(filter);
        }

        /** A chardev; a server listens on a port of the kernel's choice, whose number is returned. */
        String socket(String id, @Nullable String port) throws Exception {
            ChardevConfig.Address a =
                    new ChardevConfig.Address.Inet(
                            "127.0.0.1", port == null ? "0" : port, null, null);
            boolean server = port == null;
            Chardev c =
                    chardevs.create(
                            id,
                            new ChardevConfig.Socket(
                                    a, server, null, false, false, null, null, null),
                            false,
                            m -> {});
            return c.filename().replaceAll("disconnected:tcp:127.0.0.1:(\\d+),.*", "$1");
        }

        void sends(End from, byte[] frame) {
            call(this, () -> from.send(frame, 0, frame.length, null));
        }

        @Override
        public @Nullable Chardev find(String id) {
            return chardevs.find(id);
        }

        @Override
        public EventLoop loop() {
            return loop;
        }

        @Override
        public EventLoop mainLoop() {
            return loop;
        }

        @Override
        public void report(String message) {
            System.err.println(message);
        }

        @Override
        public @Nullable Integer takeDescriptor(String name) {
            return null;
        }

        @Override
        public void terminate() {}

        @Override
        public boolean daemon() {
            return false;
        }
    }

    private static final class End extends Endpoint {
        final BlockingQueue<byte[]> got = new LinkedBlockingQueue<>();

        End(Network network, String name, String type) {
            super(network, name, type);
        }

        @Override
        public boolean nic() {
            return type().equals("nic");
        }

        @Override
        protected int receive(byte[] frame, int offset, int length) {
            got.add(Arrays.copyOfRange(frame, offset, offset + length));
            return length;
        }

        byte[] next() throws InterruptedException {
            byte[] f = got.poll(20, TimeUnit.SECONDS);
            assertNotNull(f, name() + " got nothing");
            return f;
        }

        /** Sequence and acknowledgement number of the next TCP segment. */
        String numbers() throws InterruptedException {
            byte[] f = next();
            assertTrue(Frames.checksumValid(f));
            return ByteBuffer.wrap(f).getInt(38) + "/" + ByteBuffer.wrap(f).getInt(42);
        }
    }

    private interface Task {
        void run() throws Exception;
    }

    private static void call(Side side, Task task) {
        CompletableFuture.runAsync(
                        () -> {
                            try {
                                task.run();
                            } catch (Exception e) {
                                throw new IllegalStateException(e);
                            }
                        },
                        side.loop::execute)
                .orTimeout(20, TimeUnit.SECONDS)
                .join();
    }

    private final VmClocks clocks = new VmClocks();
    private final Comparisons comparisons = new Comparisons();
    private final Semaphore requests = new Semaphore(0);
    private Side primary;
    private Side secondary;
    private EpollLoop iothread;

    @SuppressWarnings("NullAway.Init") // made on the main loop by connect()
    private ColoCompare compare;

    @BeforeEach
    void connect() throws Exception {
        primary = new Side("primary");
        secondary = new Side("secondary");
        iothread = new EpollLoop("iothread1", clocks, null, (n, e) -> e.printStackTrace());
        iothread.start();
        comparisons.onCheckpointRequest(requests::release);
        String[] ports = new String[2];
        call(
                primary,
                () -> {
                    ports[0] = primary.socket("mirror0", null);
                    ports[1] = primary.socket("compare1", null);
                    primary.socket("compare0-0", primary.socket("compare0", null));
                    primary.socket("compare_out0", primary.socket("compare_out", null));
                    Network n = primary.network;
                    Placement m0 = primary.at("m0", Direction.TX);
                    primary.add(new MirrorFilter(n, m0, primary, "mirror0", false));
                    Placement r0 = primary.at("redire0", Direction.RX);
                    primary.add(new RedirectorFilter(n, r0, primary, "compare_out", null, false));
                    Placement r1 = primary.at("redire1", Direction.RX);
                    primary.add(new RedirectorFilter(n, r1, primary, null, "compare0", false));
                    compare = compare();
                });
        call(
                secondary,
                () -> {
                    secondary.socket("red0", ports[0]);
                    secondary.socket("red1", ports[1]);
                    Network n = secondary.network;
                    Placement f1 = secondary.at("f1", Direction.TX);
                    secondary.add(new RedirectorFilter(n, f1, secondary, "red0", null, false));
                    Placement f2 = secondary.at("f2", Direction.RX);
                    secondary.add(new RedirectorFilter(n, f2, secondary, null, "red1", false));
                    Placement rew = secondary.at("rew0", Direction.ALL);
                    secondary.add(new RewriterFilter(n, rew, false));
                });
        // A mirror does not wait for its peer: send until the secondary's guest sees something.
        do {
            primary.sends(primary.client, Frames.arp());
        } while (secondary.guest.got.poll(50, TimeUnit.MILLISECONDS) == null);
        // What both send passes once the comparison's output is connected.
        do {
            primary.sends(primary.guest, Frames.arp());
            secondary.sends(secondary.guest, Frames.arp());
        } while (primary.client.got.poll(50, TimeUnit.MILLISECONDS) == null);
        byte[] marker = new byte[64];
        primary.sends(primary.client, marker);
        primary.sends(primary.guest, marker);
        secondary.sends(secondary.guest, marker);
        for (End e : List.of(secondary.guest, primary.client, primary.guest)) {
            while (e.next().length != marker.length) {}
        }
    }

    private ColoCompare compare() throws Exception {
        CompareConfig config =
                new CompareConfig(
                        "comp0",
                        "compare0-0",
                        "compare1",
                        "compare_out0",
                        "iothread1",
                        null,
                        60_000,
                        1000,
                        null,
                        ColoComparePolicy.STRICT,
                        10,
                        false);
        return ColoCompare.open(
                new ColoCompare.Setup(
                        config,
                        comparisons,
                        primary.chardevs::find,
                        iothread,
                        System.err::println,
                        () -> {},
                        name -> name));
    }

    @AfterEach
    void disconnect() {
        call(primary, () -> compare.close());
        for (Side s : List.of(primary, secondary)) {
            call(
                    s,
                    () -> {
                        s.network.closeAll();
                        s.chardevs.closeAll();
                    });
            s.loop.stop();
        }
        iothread.stop();
    }

    private void handshake() throws Exception {
        primary.sends(primary.client, Frames.down(1000, 0, SYN, ""));
        assertEquals("1000/0", primary.guest.numbers());
        assertEquals("1000/0", secondary.guest.numbers());
        byte[] reply = Frames.up(2000, 1001, SYN | ACK, "");
        primary.sends(primary.guest, reply);
        secondary.sends(secondary.guest, Frames.up(5000, 1001, SYN | ACK, ""));
        assertArrayEquals(reply, primary.client.next());
        primary.sends(primary.client, Frames.down(1001, 2001, ACK, ""));
        assertEquals("1001/2001", primary.guest.numbers());
        assertEquals("1001/5001", secondary.guest.numbers());
    }

    @Test
    void twoGuestsLookLikeOneToTheClient() throws Exception {
        handshake();
        byte[] data = Frames.up(2001, 1001, ACK, "hello");
        primary.sends(primary.guest, data);
        secondary.sends(secondary.guest, Frames.up(5001, 1001, ACK, "hello"));
        assertArrayEquals(data, primary.client.next());
        assertEquals(0, requests.availablePermits());

        byte[] good = Frames.up(2006, 1001, ACK, "good");
        primary.sends(primary.guest, good);
        secondary.sends(secondary.guest, Frames.up(5006, 1001, ACK, "evil"));
        assertTrue(requests.tryAcquire(20, TimeUnit.SECONDS));
        assertTrue(primary.client.got.isEmpty());
        comparisons.checkpoint();
        assertArrayEquals(good, primary.client.next());
        assertTrue(secondary.client.got.isEmpty());
    }

    @Test
    void theSecondaryGoesOnAloneWithTheClientsNumbers() throws Exception {
        handshake();
        call(secondary, () -> secondary.network.colo(NetFilters.Event.FAILOVER));
        secondary.sends(secondary.guest, Frames.up(5001, 1001, ACK, "alone"));
        assertEquals("2001/1001", secondary.client.numbers());
        secondary.sends(secondary.client, Frames.down(1001, 2006, ACK, "x"));
        assertEquals("1001/5006", secondary.guest.numbers());
    }

    private void tellPrimary(NetFilters.Event event) {
        call(primary, () -> primary.network.colo(event));
    }

    private void tellSecondary(NetFilters.Event event) {
        call(secondary, () -> secondary.network.colo(event));
    }

    private void awaitStatistics(ToLongFunction<ColoCompareStats> value, long wanted) {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        while (value.applyAsLong(comparisons.statistics().getFirst()) != wanted) {
            assertTrue(System.nanoTime() < end, () -> comparisons.statistics().toString());
        }
    }

    @Test
    void anAcknowledgementFromBeforeACheckpointSaysNothingBehindIt() throws Exception {
        tellSecondary(NetFilters.Event.START);
        handshake();
        comparisons.checkpoint();
        // Still on its way when the primary's packets were let out: of a guest that had read more.
        secondary.sends(secondary.guest, Frames.up(5001, 1006, ACK, ""));
        awaitStatistics(ColoCompareStats::stalePackets, 1);
        tellSecondary(NetFilters.Event.CHECKPOINT);
        byte[] acknowledges = Frames.up(2001, 1006, ACK, "");
        primary.sends(primary.guest, acknowledges);
        awaitStatistics(ColoCompareStats::heldPrimary, 1);
        assertTrue(primary.client.got.isEmpty());
        secondary.sends(secondary.guest, Frames.up(2001, 1006, ACK, ""));
        assertArrayEquals(acknowledges, primary.client.next());
    }

    @Test
    void whatTheSecondarySendsAtOnceBehindACheckpointIsKept() throws Exception {
        tellSecondary(NetFilters.Event.START);
        handshake();
        tellSecondary(NetFilters.Event.CHECKPOINT);
        secondary.sends(secondary.guest, Frames.up(2001, 1001, ACK, "early"));
        Thread.sleep(100); // It is there, and the loop has read it.
        comparisons.checkpoint();
        byte[] same = Frames.up(2001, 1001, ACK, "early");
        primary.sends(primary.guest, same);
        assertArrayEquals(same, primary.client.next());
    }

    /** The primary's guest goes on while the secondary loads: what it sends then is nothing that the old one vouches for. */
    @Test
    void whatThePrimarySendsBehindItsStandWaitsForTheCheckpoint() throws Exception {
        tellPrimary(NetFilters.Event.LEAD);
        tellSecondary(NetFilters.Event.START);
        handshake();
        byte[] before = Frames.up(2001, 1001, ACK, "before");
        byte[] behind = Frames.up(2007, 1006, ACK, "behind");
        primary.sends(primary.guest, before);
        tellPrimary(NetFilters.Event.STAND);
        assertTrue(comparisons.apart());
        primary.sends(primary.guest, behind);
        secondary.sends(secondary.guest, Frames.up(5001, 1006, ACK, "beforebehind"));
        assertArrayEquals(before, primary.client.next());
        Thread.sleep(100); // What is wrong would be out by now.
        assertTrue(primary.client.got.isEmpty());
        tellSecondary(NetFilters.Event.CHECKPOINT);
        assertEquals(0, comparisons.checkpoint());
        awaitStatistics(ColoCompareStats::heldPrimary, 1);
        assertTrue(primary.client.got.isEmpty());
        secondary.sends(secondary.guest, Frames.up(2007, 1006, ACK, "behind"));
        assertArrayEquals(behind, primary.client.next());
    }

    @Test
    void whatWaitsFromBeforeTheStandLeavesWithTheCheckpoint() throws Exception {
        tellPrimary(NetFilters.Event.LEAD);
        handshake();
        byte[] before = Frames.up(2001, 1001, ACK, "before");
        byte[] behind = Frames.up(2007, 1001, ACK, "behind");
        primary.sends(primary.guest, before);
        tellPrimary(NetFilters.Event.STAND);
        primary.sends(primary.guest, behind);
        assertTrue(comparisons.apart());
        assertEquals(1, comparisons.checkpoint());
        assertArrayEquals(before, primary.client.next());
        awaitStatistics(ColoCompareStats::heldPrimary, 1);
        assertTrue(primary.client.got.isEmpty());
        // The session ends in the next checkpoint, and this side goes on alone.
        tellPrimary(NetFilters.Event.STAND);
        byte[] last = Frames.up(2013, 1001, ACK, "last");
        primary.sends(primary.guest, last);
        assertTrue(comparisons.apart());
        assertTrue(primary.client.got.isEmpty());
        comparisons.onCheckpointRequest(null);
        assertArrayEquals(behind, primary.client.next());
        assertArrayEquals(last, primary.client.next());
    }

    @Test
    void aPrimaryWhoseFiltersMarkNothingIsNotApart() throws Exception {
        handshake();
        primary.sends(primary.guest, CheckpointMark.frame(0, 0));
        assertFalse(comparisons.apart());
        tellPrimary(NetFilters.Event.LEAD);
        // A guest cannot make its checkpoints.
        primary.sends(primary.guest, CheckpointMark.frame(0, 7));
        byte[] same = Frames.up(2001, 1001, ACK, "same");
        primary.sends(primary.guest, same);
        secondary.sends(secondary.guest, Frames.up(5001, 1001, ACK, "same"));
        assertArrayEquals(same, primary.client.next());
    }

    @Test
    void aSecondaryThatMarksNothingIsBelievedAsItIs() throws Exception {
        handshake();
        comparisons.checkpoint();
        byte[] same = Frames.up(2001, 1001, ACK, "early");
        secondary.sends(secondary.guest, Frames.up(5001, 1001, ACK, "early"));
        primary.sends(primary.guest, same);
        assertArrayEquals(same, primary.client.next());
    }

    /** What is not read because there is no room is read again when the checkpoint has made some. */
    @Test
    void aSecondaryThatWasFarAheadIsReadBehindTheCheckpoint() throws Exception {
        for (int i = 0; i < 1500; i++) {
            secondary.sends(secondary.guest, Frames.arp());
        }
        assertTrue(requests.tryAcquire(20, TimeUnit.SECONDS));
        awaitStatistics(s -> s.heldSecondary() < 1024 ? 0 : 1, 1);
        comparisons.checkpoint();
        byte[] same = new byte[64];
        primary.sends(primary.guest, same);
        secondary.sends(secondary.guest, same);
        assertArrayEquals(same, primary.client.next());
    }

    @Test
    void nothingLeavesThroughAClosedGate() throws Exception {
        handshake();
        AtomicBoolean open = new AtomicBoolean();
        comparisons.gate(open::get);
        long before = comparisons.statistics().getFirst().releasedPackets();
        byte[] same = Frames.up(2001, 1001, ACK, "same");
        primary.sends(primary.guest, same);
        secondary.sends(secondary.guest, Frames.up(5001, 1001, ACK, "same"));
        awaitStatistics(ColoCompareStats::releasedPackets, before + 1);
        byte[] more = Frames.up(2005, 1001, ACK, "more");
        primary.sends(primary.guest, more);
        comparisons.checkpoint();
        assertTrue(primary.client.got.isEmpty());
        open.set(true);
        comparisons.gateMoved();
        assertArrayEquals(same, primary.client.next());
        assertArrayEquals(more, primary.client.next());
    }

    @Test
    void thePrimaryThatIsLeftAloneIsHeard() throws Exception {
        handshake();
        byte[] waiting = Frames.up(2001, 1001, ACK, "waiting");
        primary.sends(primary.guest, waiting);
        awaitStatistics(ColoCompareStats::heldPrimary, 1);
        comparisons.onCheckpointRequest(null);
        assertArrayEquals(waiting, primary.client.next());
        byte[] more = Frames.up(2008, 1001, ACK, "more");
        primary.sends(primary.guest, more);
        assertArrayEquals(more, primary.client.next());
        comparisons.onCheckpointRequest(requests::release);
        primary.sends(primary.guest, Frames.up(2012, 1001, ACK, "compared"));
        awaitStatistics(ColoCompareStats::heldPrimary, 1);
        assertTrue(primary.client.got.isEmpty());
    }

    @Test
    void thePrimaryGoesOnAloneWithoutItsFilters() throws Exception {
        handshake();
        byte[] waiting = Frames.up(2001, 1001, ACK, "waiting");
        primary.sends(primary.guest, waiting);
        awaitStatistics(ColoCompareStats::heldPrimary, 1);
        call(primary, () -> compare.close());
        assertArrayEquals(waiting, primary.client.next());
        call(primary, () -> primary.filters.forEach(NetFilter::close));
        primary.sends(primary.guest, Frames.up(2008, 1001, ACK, "direct"));
        assertEquals("2008/1001", primary.client.numbers());
        assertEquals(List.of(), primary.client.filters().list());
    }
}
