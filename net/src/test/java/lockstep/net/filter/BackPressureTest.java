package lockstep.net.filter;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.net.NetException;
import lockstep.net.NicClient;
import lockstep.net.NicPort;
import lockstep.net.hub.Hubs;
import lockstep.net.nic.NetServices;
import lockstep.net.wire.Direction;
import lockstep.net.wire.Endpoint;
import lockstep.net.wire.NetFilter;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.util.List;

/** A filter whose peer is slow holds back the NIC and the backends behind a hub, and a dead peer does not for ever. */
class BackPressureTest {
    private static final long MUCH = FrameWriter.HIGH_WATER + 1;

    private final Wire wire = new Wire();
    private final Hubs hubs = new Hubs(wire.network);
    private final Wire.End host = wire.new End("host", false);
    private final Wire.Pipe pipe = wire.pipe("m");
    private final Nic client = new Nic();
    private Endpoint nicSide;
    private Endpoint hostSide;
    private NicPort nic;

    /** A NIC and a backend on a hub. */
    @BeforeEach
    void hub() throws NetException {
        nicSide = hubs.port("p0", 0);
        hostSide = hubs.port("p1", 0);
        wire.network.add(nicSide);
        wire.network.add(hostSide);
        wire.network.add(host);
        host.connect(hostSide);
        nic = new NetServices(wire.network, wire.loop).attach("e1000", null, "p0", null, client);
    }

    private MirrorFilter mirror(String netdev, Direction queue) throws NetException {
        NetFilter.Placement at = new NetFilter.Placement("f", netdev, queue, true, "tail", false);
        MirrorFilter f = new MirrorFilter(wire.network, at, wire.chardevs, "m", false);
        f.insert();
        return f;
    }

    private void holdsTheNic() {
        pipe.pending = MUCH;
        assertTrue(nic.heldBack());
        assertEquals(0, client.again);
        pipe.drain();
        assertTrue(client.again > 0);
        assertFalse(nic.heldBack());
    }

    @Test
    void ofTheNicsOwnPort() throws NetException {
        mirror("p0", Direction.RX);
        holdsTheNic();
    }

    @Test
    void ofTheOtherPort() throws NetException {
        mirror("p1", Direction.TX);
        holdsTheNic();
    }

    @Test
    void ofTheBackendOfTheOtherPort() throws NetException {
        mirror("host", Direction.RX);
        holdsTheNic();
    }

    @Test
    void ofTheOtherDirectionHoldsOnlyTheBackend() throws NetException {
        mirror("p0", Direction.TX);
        pipe.pending = MUCH;
        assertFalse(nic.heldBack());
        assertTrue(host.paused());
        assertEquals(0, host.woken);
        pipe.drain();
        assertTrue(host.woken > 0);
        assertFalse(host.paused());
    }

    @Test
    void aFilterThatIsSwitchedOffHoldsNobody() throws NetException {
        MirrorFilter f = mirror("host", Direction.RX);
        pipe.pending = MUCH;
        assertTrue(nic.heldBack());
        f.setOn(false);
        assertTrue(client.again > 0);
        assertFalse(nic.heldBack());
    }

    @Test
    void aPulledCableHoldsNobody() throws NetException {
        mirror("host", Direction.RX);
        pipe.pending = MUCH;
        assertTrue(nic.heldBack());
        wire.network.setLink("p1", false);
        assertTrue(client.again > 0);
        assertFalse(nic.heldBack());
    }

    @Test
    void hubsInARing() throws NetException {
        for (int i = 0; i < 2; i++) {
            Endpoint a = hubs.port("a" + i, 0);
            Endpoint b = hubs.port("b" + i, 1);
            wire.network.add(a);
            wire.network.add(b);
            a.connect(b);
        }
        mirror("b1", Direction.RX);
        holdsTheNic();
    }

    @Test
    void aDeadPeerIsWaitedForSoLongAndNoLonger() throws NetException {
        mirror("host", Direction.RX);
        pipe.pending = 2 * MUCH;
        assertTrue(nic.heldBack());
        advance();
        assertTrue(nic.heldBack(), "it was given up too soon");
        pipe.pending = MUCH; // it took some
        advance();
        advance();
        assertTrue(nic.heldBack(), "it was given up though it took some");
        advance();
        assertFalse(nic.heldBack());
        assertTrue(client.again > 0);
        assertEquals(
                List.of(
                        "the peer of chardev 'm' has taken no packet for 10 seconds: no longer"
                                + " waiting for it"),
                wire.messages);
        pipe.drain();
        holdsTheNicOnceMore();
    }

    @Test
    void whatIsHeldOnPurposeIsWaitedForAsLongAsItTakes() throws NetException {
        mirror("host", Direction.RX);
        wire.held = true;
        pipe.pending = MUCH;
        assertTrue(nic.heldBack());
        for (int i = 0; i < 20; i++) {
            advance();
        }
        assertTrue(nic.heldBack(), "it was given up");
        wire.held = false;
        for (int i = 0; i < 4; i++) {
            advance();
        }
        assertFalse(nic.heldBack());
    }

    private void holdsTheNicOnceMore() {
        pipe.pending = MUCH;
        assertTrue(nic.heldBack());
    }

    /** A bit more than half of the time that a peer is given. */
    private void advance() {
        long half = ChardevPort.PATIENCE_MS * 1_000_000 / 2 + 1;
        wire.loop.advance(half);
    }

    private static final class Nic implements NicClient {
        int again;

        @Override
        public boolean canReceive() {
            return true;
        }

        @Override
        public void receive(byte[] frame, int offset, int length) {}

        @Override
        public void sendAgain() {
            again++;
        }

        @Override
        public void linkChanged(boolean up) {}
    }
}
