package lockstep.runtime.chardev;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.Sockets;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.testmachine.Allocated;
import lockstep.runtime.testmachine.Fake;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;

/** What comes from a unix socket, where packets of filters do, reaches its front end without taking from the heap. */
class ChardevAllocationTest {
    private static final int BYTES = 1000;

    /** What is measured is 0; this allows for a stray object in a thousand reads. */
    private static final double NOTHING = 0.1;

    private EventLoop.Ready ready = events -> {};
    private int received;

    /** The test is the loop: what is posted runs at once, and events come when the test says so. */
    private final EventLoop loop =
            Fake.of(
                    EventLoop.class,
                    (method, arguments) -> {
                        switch (method) {
                            case "inLoop" -> {
                                return true;
                            }
                            case "execute" -> ((Runnable) arguments[0]).run();
                            case "watch" -> {
                                ready = (EventLoop.Ready) arguments[2];
                                return new Quiet();
                            }
                            default -> throw new UnsupportedOperationException(method);
                        }
                        return null;
                    });

    private static final class Quiet implements EventLoop.Watch {
        @Override
        public void interest(int events) {}

        @Override
        public void close() {}
    }

    private final class Front implements ChardevFrontend {
        @Override
        public int canReceive() {
            return 4096;
        }

        @Override
        public void receive(ByteBuffer data) {
            received += data.remaining();
            data.position(data.limit());
        }
    }

    @Test
    void readsOfAUnixSocket() throws Exception {
        Fd[] pair = Sockets.pair();
        int peer = pair[0].number();
        ChardevHost host =
                Fake.of(
                        ChardevHost.class,
                        (method, arguments) ->
                                switch (method) {
                                    case "mainLoop" -> loop;
                                    case "takeDescriptor" -> pair[1].number();
                                    case "starting", "ending", "daemon" -> false;
                                    default -> null;
                                });
        ChardevConfig.Address given = new ChardevConfig.Address.Descriptor("pair");
        ChardevConfig config =
                new ChardevConfig.Socket(given, false, null, false, false, null, null, null);
        byte[] data = new byte[BYTES];
        try (Fd kept = pair[0];
                Chardev device = new ChardevTable(host).create("c", config, false, notice -> {});
                Chardev.Attachment hold = device.attach(new Front(), loop)) {
            assertTrue(hold.connected());
            double bytes =
                    Allocated.perCall(
                            () -> {
                                Sockets.send(peer, data, 0, BYTES);
                                ready.ready(EventLoop.READ);
                            });
            assertTrue(received > 0);
            assertEquals(0, received % (1000 * BYTES), "something was lost");
            assertTrue(bytes < NOTHING, () -> bytes + " bytes a read");
            assertEquals(kept.number(), peer);
        }
    }
}
