package lockstep.net.wire;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.net.NicClient;
import lockstep.net.NicPort;
import lockstep.net.filter.ChardevLookup;
import lockstep.net.filter.MirrorFilter;
import lockstep.net.hub.Hubs;
import lockstep.net.nic.NetServices;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevConfig;
import lockstep.runtime.chardev.ChardevHost;
import lockstep.runtime.chardev.ChardevTable;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.testmachine.Allocated;
import lockstep.runtime.testmachine.Fake;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A packet's way from a NIC over filters and a hub to another end, and back, takes nothing from the heap. */
class PacketAllocationTest {
    /** What is measured is 0; this allows for a stray object in a thousand packets. */
    private static final double NOTHING = 0.1;

    private final Network network = new Network(() -> true, m -> {});
    private final EventLoop loop = Fake.of(EventLoop.class, (method, arguments) -> null);
    private final byte[] frame = new byte[1514];
    private int received;
    private final End end = new End();
    private NicPort nic;

    /** A NIC on one port of a hub, and an end on the other. */
    @BeforeEach
    void wire() throws Exception {
        Hubs hubs = new Hubs(network);
        Endpoint one = hubs.port("n0", 0);
        Endpoint two = hubs.port("n1", 0);
        network.add(one);
        network.add(two);
        end.connect(two);
        nic = new NetServices(network, loop).attach("e1000", "e0", "n0", null, new Nic());
    }

    private void sendFromNic() {
        nic.send(frame, 0, frame.length);
    }

    private void measure(Runnable body) throws Exception {
        double bytes = Allocated.perCall(body);
        assertTrue(bytes < NOTHING, () -> bytes + " bytes a packet");
        assertTrue(received > 0);
        assertEquals(0, received % 1000, "packets were lost");
    }

    @Test
    void overAHub() throws Exception {
        measure(this::sendFromNic);
    }

    @Test
    void fromAHubToTheNic() throws Exception {
        measure(() -> end.send(frame, 0, frame.length, null));
    }

    @Test
    void overAMirror() throws Exception {
        ChardevTable table =
                new ChardevTable(
                        Fake.of(
                                ChardevHost.class,
                                (method, arguments) -> method.equals("mainLoop") ? loop : null));
        Chardev device = table.create("m", new ChardevConfig.Null(), false, notice -> {});
        ChardevLookup chardevs =
                new ChardevLookup() {
                    @Override
                    public @Nullable Chardev find(String id) {
                        return device;
                    }

                    @Override
                    public EventLoop loop() {
                        return loop;
                    }
                };
        NetFilter.Placement placement =
                new NetFilter.Placement("f", "n0", Direction.ALL, true, "tail", false);
        new MirrorFilter(network, placement, chardevs, "m", true).insert();
        measure(this::sendFromNic);
    }

    private final class End extends Endpoint {
        End() {
            super(PacketAllocationTest.this.network, "n2", "end");
        }

        @Override
        protected int receive(byte[] data, int offset, int length) {
            received++;
            return length;
        }
    }

    private final class Nic implements NicClient {
        @Override
        public boolean canReceive() {
            return true;
        }

        @Override
        public void receive(byte[] data, int offset, int length) {
            received++;
        }

        @Override
        public void linkChanged(boolean up) {}
    }
}
