package lockstep.colo.rewriter;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import static java.util.Objects.requireNonNull;

import lockstep.colo.packet.Frames;
import lockstep.colo.packet.Ipv4Packet;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Random;

class RewriteEngineTest {
    private final RewriteEngine engine = new RewriteEngine();

    /** Sends a frame through the engine; "seq/ack" as they come out. */
    private String pass(byte[] frame, boolean down) {
        return pass(engine, frame, down);
    }

    private static String pass(RewriteEngine engine, byte[] frame, boolean down) {
        Ipv4Packet p = RewriteEngine.parse(frame, frame.length, 0);
        if (p == null || engine.handle(p, down) == RewriteEngine.Verdict.PASS) {
            return "passed";
        }
        assertTrue(Frames.checksumValid(frame));
        ByteBuffer b = ByteBuffer.wrap(frame);
        return Integer.toUnsignedString(b.getInt(38))
                + "/"
                + Integer.toUnsignedString(b.getInt(42));
    }

    private String down(int seq, int ack, int flags, String text) {
        return pass(Frames.down(seq, ack, flags, text), true);
    }

    private String up(int seq, int ack, int flags, String text) {
        return pass(Frames.up(seq, ack, flags, text), false);
    }

    private void open() {
        assertEquals("1000/0", down(1000, 0, Frames.SYN, ""));
        assertEquals("5000/1001", up(5000, 1001, Frames.SYN | Frames.ACK, ""));
        assertEquals("1001/5001", down(1001, 2001, Frames.ACK, ""));
    }

    @Test
    void translatesBetweenTheSecondarysAndThePrimarysNumbers() {
        open();
        assertEquals("2001/1001", up(5001, 1001, Frames.PSH | Frames.ACK, "data"));
        assertEquals("1001/5005", down(1001, 2005, Frames.PSH | Frames.ACK, "odd"));
        assertEquals("2005/1004", up(5005, 1004, Frames.FIN | Frames.ACK, ""));
        assertEquals("5005/1004", up(5005, 1004, Frames.FIN, ""));
        engine.checkpoint();
        assertEquals("5005/1004", up(5005, 1004, Frames.ACK, ""));
        assertEquals("1004/2010", down(1004, 2010, Frames.ACK, ""));
    }

    @Test
    void aSecondTakeoverTranslatesWhatTheFirstDid() {
        open();
        engine.failover();
        List<byte[]> told = engine.translations(10);
        assertEquals(1, told.size());
        byte[] frame = told.getFirst();
        RewriteEngine next = new RewriteEngine();
        assertTrue(next.learn(frame, 0, frame.length, 10));
        next.checkpoint(); // of two guests that count alike, and not as the client does
        byte[] up = Frames.up(5001, 1001, Frames.PSH | Frames.ACK, "data");
        assertEquals("2001/1001", pass(next, up, false));
        byte[] down = Frames.down(1001, 2005, Frames.ACK, "");
        assertEquals("1001/5005", pass(next, down, true));
        // A new connection between the same ends is one like any other.
        pass(next, Frames.down(3000, 0, Frames.SYN, ""), true);
        pass(next, Frames.up(7000, 3001, Frames.SYN | Frames.ACK, ""), false);
        pass(next, Frames.down(3001, 7001, Frames.ACK, ""), true);
        assertEquals(List.of(), next.translations(10));
        assertFalse(next.learn(up, 0, up.length, 0));
        // Who goes on alone is told nothing any more.
        next.failover();
        assertTrue(next.learn(frame, 0, frame.length, 10));
        assertEquals(List.of(), next.translations(10));
    }

    /** Timestamps, and one range of selective acknowledgements, which begins at {@code selective}. */
    private static byte[] options(int time, int echo, int selective) {
        ByteBuffer b = ByteBuffer.allocate(24);
        b.put((byte) 8).put((byte) 10).putInt(time).putInt(echo); // not aligned, as it may be
        b.put((byte) 1).put((byte) 5).put((byte) 10).putInt(selective).putInt(selective + 100);
        return b.array();
    }

    /** What became of the options. */
    private String options(byte[] frame, boolean down) {
        String numbers = pass(frame, down);
        ByteBuffer b = ByteBuffer.wrap(frame);
        return numbers
                + " time "
                + Integer.toUnsignedString(b.getInt(56))
                + "/"
                + Integer.toUnsignedString(b.getInt(60))
                + " selective "
                + Integer.toUnsignedString(b.getInt(67))
                + "-"
                + Integer.toUnsignedString(b.getInt(71));
    }

    @Test
    void eachGuestsClockBeginsWhereItLikes() {
        int both = Frames.SYN | Frames.ACK;
        pass(Frames.down(1000, 0, Frames.SYN, "", options(7, 0, 0)), true);
        assertEquals(
                "5000/1001 time 90/7 selective 0-100",
                options(Frames.up(5000, 1001, both, "", options(90, 7, 0)), false));
        // The primary's clock showed 4294967290.
        assertEquals(
                "1001/5001 time 8/90 selective 5301-5401",
                options(Frames.down(1001, 2001, Frames.ACK, "", options(8, -6, 2301)), true));
        assertEquals(
                "2001/1001 time 4/8 selective 1201-1301",
                options(Frames.up(5001, 1001, Frames.ACK, "x", options(100, 8, 1201)), false));
        engine.failover();
        assertEquals(
                "2002/1001 time 5/8 selective 1201-1301",
                options(Frames.up(5002, 1001, Frames.ACK, "x", options(101, 8, 1201)), false));
        engine.checkpoint();
        assertEquals(
                "2002/1001 time 5/8 selective 1201-1301",
                options(Frames.up(2002, 1001, Frames.ACK, "x", options(5, 8, 1201)), false));
    }

    @Test
    void aGuestThatBeginsIsFollowedAsWell() {
        assertEquals("5000/0", up(5000, 0, Frames.SYN, ""));
        assertEquals("1000/5001", down(1000, 2001, Frames.SYN | Frames.ACK, ""));
        assertEquals("2001/1001", up(5001, 1001, Frames.ACK, "hello"));
        assertEquals("1001/5006", down(1001, 2006, Frames.ACK, ""));
    }

    @Test
    void aCheckpointInTheMiddleOfAnOpeningMakesItOne() {
        down(1000, 0, Frames.SYN, "");
        up(5000, 1001, Frames.SYN | Frames.ACK, "");
        engine.checkpoint();
        assertEquals("1001/2001", down(1001, 2001, Frames.ACK, ""));
        assertEquals("2001/1001", up(2001, 1001, Frames.ACK, "x"));
    }

    @Test
    void aConnectionThatWasShiftedIsForgottenTooWhenItEnds() {
        open();
        down(1001, 2001, Frames.FIN | Frames.ACK, "");
        assertEquals("2001/1002", up(5001, 1002, Frames.FIN | Frames.ACK, ""));
        assertEquals("1002/5002", down(1002, 2002, Frames.ACK, ""));
        assertEquals(0, engine.size());
    }

    @Test
    void forgetsAConnectionThatTheClientClosed() {
        assertEquals("1000/0", down(1000, 0, Frames.SYN, ""));
        up(5000, 1001, Frames.SYN | Frames.ACK, "");
        down(1001, 5001, Frames.ACK, "");
        down(1001, 5001, Frames.FIN | Frames.ACK, "");
        up(5001, 1002, Frames.FIN | Frames.ACK, "");
        assertEquals(1, engine.size());
        down(1002, 5002, Frames.ACK, "");
        assertEquals(0, engine.size());
    }

    @Test
    void afterFailoverUntrackedConnectionsPass() {
        engine.failover();
        assertEquals("passed", down(1000, 0, Frames.SYN, ""));
        assertEquals(0, engine.size());
    }

    @Test
    void staysActiveAfterFailoverWhileAConnectionNeedsIt() {
        open();
        engine.failover();
        assertEquals("2001/1001", up(5001, 1001, Frames.ACK, "x"));
    }

    @Test
    void ignoresWhatIsNotTcp() {
        byte[] udp = Frames.udp(1, "x");
        assertNull(RewriteEngine.parse(udp, udp.length, 0));
        byte[] fragment = Frames.up(1, 2, Frames.ACK, "x");
        fragment[21] = 4;
        assertNull(RewriteEngine.parse(fragment, fragment.length, 0));
    }

    @Test
    void aPieceOfASegmentKeepsAConsistentChecksum() {
        open();
        byte[] whole = Frames.down(1001, 2005, Frames.ACK, "abcdefgh", options(1, 2, 3));
        byte[] piece = whole.clone();
        piece[20] = 0x20; // more fragments: the sum covers bytes that are not here
        assertEquals("1001/5005", pass(whole, true));
        Ipv4Packet p = requireNonNull(RewriteEngine.parse(piece, piece.length, 0));
        assertEquals(RewriteEngine.Verdict.HANDLED, engine.handle(p, true));
        assertEquals(ByteBuffer.wrap(whole).getShort(50), ByteBuffer.wrap(piece).getShort(50));
    }

    @Test
    void brokenPacketsNeverThrow() {
        Random r = new Random(2);
        open();
        for (int i = 0; i < 100_000; i++) {
            byte[] f = Frames.down(1001, 2005, Frames.ACK, "abc", options(1, 2, 3));
            for (int n = r.nextInt(4); n > 0; n--) {
                f[r.nextInt(f.length)] = (byte) r.nextInt();
            }
            Ipv4Packet p = RewriteEngine.parse(f, r.nextInt(f.length + 1), 0);
            if (p != null) {
                engine.handle(p, r.nextBoolean());
            }
        }
    }
}
