package lockstep.net.filter;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.net.NetException;
import lockstep.net.NetFilters;
import lockstep.net.wire.Direction;
import lockstep.net.wire.NetFilter;
import lockstep.net.wire.NetFilter.Placement;
import lockstep.runtime.chardev.ChardevFrontend;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Random;

class FilterChainTest {
    private final Wire wire = new Wire();

    private static Placement at(String id, Direction queue, String position, boolean before) {
        return new Placement(id, "n0", queue, true, position, before);
    }

    private static Placement tail(String id, Direction queue) {
        return at(id, queue, "tail", false);
    }

    private MirrorFilter mirror(Direction queue, boolean vnet) throws NetException {
        wire.pipe("m");
        MirrorFilter f = new MirrorFilter(wire.network, tail("f", queue), wire.chardevs, "m", vnet);
        f.insert();
        return f;
    }

    private RedirectorFilter redirector(Direction queue, @Nullable String in, @Nullable String out)
            throws NetException {
        RedirectorFilter f =
                new RedirectorFilter(wire.network, tail("r", queue), wire.chardevs, in, out, false);
        f.insert();
        return f;
    }

    @Test
    void mirrorCopiesOneDirection() throws NetException {
        mirror(Direction.TX, false);
        wire.host.send("packet");
        assertEquals("\0\0\0\6packet", wire.pipe("m").written);
        assertEquals(List.of("packet"), wire.nic.take());
        wire.nic.send("other");
        assertEquals("\0\0\0\6packet", wire.pipe("m").written);
        assertEquals(List.of("other"), wire.host.take());
    }

    @Test
    void mirrorWritesTheVnetWord() throws NetException {
        mirror(Direction.RX, true);
        wire.nic.send("p");
        assertEquals("\0\0\0\1\0\0\0\0p", wire.pipe("m").written);
    }

    @Test
    void mirrorWithoutClientLetsPacketsPass() throws NetException {
        mirror(Direction.ALL, false);
        wire.pipe("m").connected = false;
        wire.host.send("packet");
        assertEquals(List.of("packet"), wire.nic.take());
        assertEquals(List.of("filter mirror send failed(Operation not permitted)"), wire.messages);
    }

    @Test
    void redirectorStealsEvenWithoutClient() throws NetException {
        wire.pipe("out");
        redirector(Direction.TX, null, "out");
        wire.host.send("a");
        wire.nic.send("b");
        wire.pipe("out").connected = false;
        wire.host.send("c");
        wire.pipe("out").connected = true;
        wire.host.send("d");
        assertEquals("\0\0\0\1a\0\0\0\1d", wire.pipe("out").written);
        assertEquals(List.of(), wire.nic.take());
        assertEquals(List.of("b"), wire.host.take());
        assertEquals(
                List.of("filter redirector send failed(Operation not permitted)"), wire.messages);
    }

    @Test
    void redirectorInjectsByItsQueue() throws NetException {
        for (Direction d : Direction.values()) {
            wire.pipe("in");
            RedirectorFilter f = redirector(d, "in", null);
            f.setOn(false);
            wire.pipe("in").feed(0, 0, 0, 0, 0, 0, 0, 1);
            wire.pipe("in").feed('x', 0, 0);
            assertEquals(d == Direction.RX ? List.of() : List.of("x"), wire.nic.take());
            assertEquals(d == Direction.TX ? List.of() : List.of("x"), wire.host.take());
            f.close();
            assertFalse(wire.pipe("in").frontendOpen());
        }
    }

    @Test
    void theNextPeersFramesAreReadFromTheirBeginning() throws NetException {
        wire.pipe("in");
        redirector(Direction.TX, "in", null);
        wire.pipe("in").feed(0, 0, 0, 9, 'o');
        ChardevFrontend reader = Objects.requireNonNull(wire.pipe("in").frontend);
        reader.closed();
        wire.pipe("in").feed(0, 0, 0, 1, 'x');
        assertEquals(List.of(), wire.nic.take());
        reader.opened();
        wire.pipe("in").feed(0, 0, 0, 1, 'n');
        assertEquals(List.of("n"), wire.nic.take());
    }

    @Test
    void anOversizedFrameEndsTheInput() throws NetException {
        wire.pipe("in");
        redirector(Direction.TX, "in", null);
        wire.pipe("in").feed(0, 1, 16, 1);
        wire.pipe("in").feed(0, 0, 0, 1, 'x');
        assertEquals(List.of(), wire.nic.take());
        assertEquals(List.of(FrameDecoder.OVERSIZED), wire.messages);
    }

    @Test
    void insertionOrderAndText() throws NetException {
        wire.pipe("c0");
        NetFilter a =
                new MirrorFilter(
                        wire.network, tail("a", Direction.ALL), wire.chardevs, "c0", false);
        a.insert();
        new ReplayFilter(wire.network, at("b", Direction.ALL, "head", false)).insert();
        new ReplayFilter(wire.network, at("c", Direction.TX, "id=a", true)).insert();
        new ReplayFilter(wire.network, at("d", Direction.RX, "id=b", false)).insert();
        assertEquals(
                """
                e0: index=0,type=nic,test
                 \\ n0: index=0,type=tap,test
                filters:
                  - b: type=filter-replay,position=head,status=on,insert=behind,netdev=n0,queue=all
                  - d: type=filter-replay,position=id=b,status=on,insert=behind,netdev=n0,queue=rx
                  - c: type=filter-replay,position=id=a,status=on,insert=before,netdev=n0,queue=tx
                  - a: type=filter-mirror,vnet_hdr_support=false,outdev=c0,position=tail,status=on,\
                insert=behind,netdev=n0,queue=all
                """,
                wire.network.describe());
        List<String> gone = new ArrayList<>();
        wire.network.onFilterGone(f -> gone.add(f.id()));
        wire.host.close();
        assertFalse(wire.pipe("c0").frontendOpen());
        assertEquals(List.of("b", "d", "c", "a"), gone);
    }

    @Test
    void errors() {
        wire.pipe("c0");
        fails(
                "Parameter 'position' expects 'head', 'tail' or 'id=<id>'",
                at("x", Direction.ALL, "middle", false));
        fails("filter 'y' not found", at("x", Direction.ALL, "id=y", false));
        fails(
                "Parameter 'netdev' expects a network backend id",
                new Placement("x", "e0", Direction.ALL, true, "tail", false));
        NetException e =
                assertThrows(NetException.class, () -> redirector(Direction.ALL, null, null));
        assertEquals(
                "filter redirector needs 'indev' or 'outdev' at least one property set",
                e.getMessage());
        e = assertThrows(NetException.class, () -> redirector(Direction.ALL, "c0", "no"));
        assertEquals("OUT Device 'no' not found", e.getMessage());
        assertFalse(wire.pipe("c0").frontendOpen());
    }

    private void fails(String message, Placement placement) {
        NetException e =
                assertThrows(
                        NetException.class,
                        () -> new ReplayFilter(wire.network, placement).insert());
        assertEquals(message, e.getMessage());
    }

    @Test
    void failoverSwitchesFiltersOff() throws NetException {
        MirrorFilter f = mirror(Direction.ALL, false);
        wire.network.colo(NetFilters.Event.CHECKPOINT);
        assertTrue(f.on());
        wire.network.colo(NetFilters.Event.FAILOVER);
        assertFalse(f.on());
        wire.host.send("x");
        assertEquals("", wire.pipe("m").written);
    }

    @Test
    void packetsWaitWhileTheMachineIsStopped() throws NetException {
        MirrorFilter f = mirror(Direction.TX, false);
        wire.running = false;
        assertEquals(0, wire.host.send("x"));
        assertEquals("\0\0\0\1x", wire.pipe("m").written);
        assertEquals(List.of(), wire.nic.take());
        wire.running = true;
        wire.network.runningChanged(true);
        assertEquals(List.of("x"), wire.nic.take());
        f.close();
    }

    @Test
    void aFullReceiverHoldsTenThousand() {
        wire.nic.room = false;
        for (int i = 0; i < 10_005; i++) {
            assertEquals(0, wire.host.send("x"));
        }
        wire.nic.room = true;
        wire.nic.flushIncoming();
        assertEquals(10_000, wire.nic.take().size());
        assertNotEquals(0, wire.host.send("y"));
    }

    @Test
    void pullingTheBackendsCablePullsTheNics() {
        assertTrue(wire.network.setLink("n0", false));
        assertTrue(wire.nic.linkDown());
        assertEquals(1, wire.nic.send("x"));
        assertEquals(List.of(), wire.host.take());
        assertFalse(wire.network.setLink("nope", false));
    }

    @Test
    void anyChunkingDecodesTheSame() {
        Random r = new Random(3);
        for (int round = 0; round < 200; round++) {
            boolean vnet = r.nextBoolean();
            ByteBuffer stream = ByteBuffer.allocate(1 << 20);
            StringBuilder sent = new StringBuilder();
            for (int i = 0; i < 20; i++) {
                byte[] packet = new byte[r.nextInt(5) == 0 ? 0 : r.nextInt(6000)];
                r.nextBytes(packet);
                stream.putInt(packet.length);
                if (vnet) {
                    stream.putInt(i);
                }
                stream.put(packet);
                if (packet.length > 0) {
                    sent.append(java.util.Arrays.hashCode(packet)).append(' ');
                }
            }
            stream.flip();
            StringBuilder got = new StringBuilder();
            FrameDecoder decoder =
                    new FrameDecoder(
                            vnet,
                            (d, n, v) ->
                                    got.append(
                                                    java.util.Arrays.hashCode(
                                                            java.util.Arrays.copyOf(d, n)))
                                            .append(' '));
            while (stream.hasRemaining()) {
                int n = Math.min(stream.remaining(), 1 + r.nextInt(4096));
                assertTrue(decoder.feed(stream.slice(stream.position(), n)));
                stream.position(stream.position() + n);
            }
            assertEquals(sent.toString(), got.toString());
        }
    }
}
