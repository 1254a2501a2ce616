package lockstep.colo.rewriter;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.colo.packet.Frames;
import lockstep.colo.packet.Ipv4Packet;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;

import java.nio.ByteBuffer;
import java.util.List;

/**
 * Connections of any numbers: the client sees the primary's, the secondary guest sees its own, and
 * nothing else of a packet changes.
 */
class RewriterPropertiesTest {
    private static final int SEQUENCE = 38;
    private static final int ACKNOWLEDGEMENT = 42;
    private static final int CHECKSUM = 50;

    private RewriteEngine engine = new RewriteEngine();

    private ByteBuffer through(byte[] frame, boolean down) {
        byte[] after = frame.clone();
        Ipv4Packet p = RewriteEngine.parse(after, after.length, 0);
        assertTrue(p != null);
        engine.handle(p, down);
        assertTrue(Frames.checksumValid(after));
        byte[] kept = after.clone();
        byte[] before = frame.clone();
        for (byte[] bytes : List.of(before, kept)) {
            ByteBuffer.wrap(bytes).putLong(SEQUENCE, 0).putShort(CHECKSUM, (short) 0);
        }
        assertArrayEquals(before, kept, "only numbers and checksum change");
        return ByteBuffer.wrap(after);
    }

    @Property(tries = 500)
    void eachSideSeesItsOwnNumbers(
            @ForAll int client,
            @ForAll int primary,
            @ForAll int secondary,
            @ForAll @Size(max = 12) List<@IntRange(min = -30, max = 30) Integer> sizes,
            @ForAll boolean checkpoint) {
        engine = new RewriteEngine();
        through(Frames.down(client, 0, Frames.SYN, ""), true);
        through(Frames.up(secondary, client + 1, Frames.SYN | Frames.ACK, ""), false);
        through(Frames.down(client + 1, primary + 1, Frames.ACK, ""), true);
        int fromClient = 1;
        int fromGuest = 1;
        for (int size : sizes) {
            String text = "x".repeat(Math.abs(size));
            if (size < 0) {
                ByteBuffer seen =
                        through(
                                Frames.down(
                                        client + fromClient, primary + fromGuest, Frames.ACK, text),
                                true);
                assertEquals(client + fromClient, seen.getInt(SEQUENCE));
                assertEquals(secondary + fromGuest, seen.getInt(ACKNOWLEDGEMENT));
                fromClient += text.length();
            } else {
                ByteBuffer seen =
                        through(
                                Frames.up(
                                        secondary + fromGuest,
                                        client + fromClient,
                                        Frames.ACK,
                                        text),
                                false);
                assertEquals(primary + fromGuest, seen.getInt(SEQUENCE));
                assertEquals(client + fromClient, seen.getInt(ACKNOWLEDGEMENT));
                fromGuest += text.length();
            }
        }
        if (checkpoint) {
            engine.checkpoint();
            ByteBuffer seen =
                    through(
                            Frames.up(primary + fromGuest, client + fromClient, Frames.ACK, "x"),
                            false);
            assertEquals(primary + fromGuest, seen.getInt(SEQUENCE), "now they are the same");
        }
    }

    @Property(tries = 500)
    void brokenFramesDoNoHarm(
            @ForAll @Size(max = 90) byte[] noise, @ForAll @IntRange(max = 53) int at) {
        for (boolean down : new boolean[] {true, false}) {
            byte[] frame = Frames.down(1, 2, Frames.ACK, "payload");
            System.arraycopy(noise, 0, frame, at, Math.min(noise.length, frame.length - at));
            for (byte[] one : List.of(noise.clone(), frame)) {
                Ipv4Packet p = RewriteEngine.parse(one, one.length, 0);
                if (p != null) {
                    engine.handle(p, down);
                }
            }
        }
    }
}
