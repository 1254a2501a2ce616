package lockstep.colo.compare;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.ColoComparePolicy;
import lockstep.api.ColoCompareStats;
import lockstep.colo.packet.Frames;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

class StrictEngineTest extends EngineHarness {
    private static final long MILLISECOND = 1_000_000;
    private static final long SETTLE = 10 * MILLISECOND;

    @Override
    Engine engine() {
        return engine(StrictEngine.MOST_FLOWS);
    }

    private Engine engine(int mostFlows) {
        return new StrictEngine(output, () -> now, () -> limit, () -> SETTLE, mostFlows);
    }

    private void pass(long millis) {
        now += millis * MILLISECOND;
        if (engine.settlesAt() <= now) {
            engine.settle();
        }
    }

    private ColoCompareStats stats() {
        return engine.statistics().show("c", ColoComparePolicy.STRICT);
    }

    /** The client's first byte is 50, the guest's 101. */
    private void establish() {
        p(Frames.up(100, 50, Frames.SYN | A, ""));
        s(Frames.up(100, 50, Frames.SYN | A, ""));
        assertEquals(1, left());
    }

    @Test
    void anOpeningIsHeldUntilTheSecondaryOpens() {
        byte[] syn = Frames.up(100, 50, Frames.SYN | A, "", (byte) 2, (byte) 4, (byte) 5, (byte) 0);
        p(syn);
        assertEquals(0, left());
        s(Frames.up(900, 50, Frames.SYN | A, "", (byte) 2, (byte) 4, (byte) 5, (byte) 0));
        assertArrayEquals(syn, out.getFirst());
        assertEquals(0, requested());
    }

    @Test
    void openingsThatNegotiateSomethingElseDiffer() {
        p(Frames.up(100, 50, Frames.SYN | A, "", (byte) 2, (byte) 4, (byte) 5, (byte) 0));
        s(Frames.up(900, 50, Frames.SYN | A, "", (byte) 2, (byte) 4, (byte) 6, (byte) 0));
        assertEquals(0, left());
        assertEquals(1, requested());
        assertEquals("options", stats().differences().getFirst().kind().wireName());
        engine.flush();
        assertEquals(1, left());
    }

    @Test
    void secondaryMayCountFromAnotherNumber() {
        p(Frames.up(100, 50, Frames.SYN | A, ""));
        s(Frames.up(900, 50, Frames.SYN | A, ""));
        left();
        p(101, 60, "hello");
        s(901, 60, "hello");
        assertEquals("hello", released());
        s(906, 60, "wo");
        s(908, 60, "rld");
        p(106, 60, "world");
        assertEquals("world", released());
        assertEquals(0, requested());
    }

    @Test
    void theRewriterMayHaveShiftedTheSecondarysNumbers() {
        p(Frames.up(100, 50, Frames.SYN | A, ""));
        s(Frames.up(900, 50, Frames.SYN | A, ""));
        left();
        p(101, 60, "hello");
        s(101, 60, "hello");
        assertEquals("hello", released());
        assertEquals(0, requested());
    }

    @Test
    void aPureAcknowledgementWaitsForTheSecondarys() {
        establish();
        p(101, 60, "");
        assertEquals(0, left());
        s(101, 55, "");
        assertEquals(0, left());
        s(101, 60, "");
        assertEquals(1, left());
        p(101, 58, "");
        assertEquals(1, left());
        assertEquals(0, requested());
    }

    @Test
    void identicalDataThatAcknowledgeMoreWait() {
        establish();
        p(101, 60, "same");
        s(101, 50, "same");
        assertEquals(0, left());
        s(105, 60, "");
        assertEquals("same", released());
        assertEquals(0, requested(), "a secondary that is late with it is no difference");
    }

    @Test
    void acknowledgementsWrapAround() {
        p(Frames.up(100, -3, Frames.SYN | A, ""));
        s(Frames.up(100, -3, Frames.SYN | A, ""));
        left();
        s(101, -1, "");
        p(101, 4, "");
        assertEquals(0, left());
        s(101, 4, "");
        assertEquals(1, left());
        p(101, -2, "");
        assertEquals(1, left());
    }

    @Test
    void segmentsMayBeCutDifferentlyAndReordered() {
        establish();
        p(105, 50, "efgh");
        s(101, 50, "abcdef");
        assertEquals(0, left());
        s(107, 50, "gh");
        p(101, 50, "abcd");
        assertEquals("abcd efgh", String.join(" ", sorted()));
        assertEquals(0, requested());
    }

    private List<String> sorted() {
        return Arrays.stream(released().split(" ")).sorted().toList();
    }

    @Test
    void oneByteThatDiffersStopsTheStreamThere() {
        establish();
        p(101, 50, "abcd");
        s(101, 50, "abXd");
        assertEquals(1, requested());
        p(105, 50, "more");
        s(105, 50, "more");
        assertEquals(0, left());
        engine.scan(3000);
        assertEquals(1, requested(), "until there is a checkpoint");
        engine.flush();
        assertEquals("abcd more", released());
        s(109, 50, "next");
        p(109, 50, "next");
        assertEquals("next", released());
        assertEquals(0, requested());
    }

    @Test
    void retransmissionsOfEqualDataLeave() {
        establish();
        p(101, 50, "abcd");
        s(101, 50, "abcd");
        left();
        p(101, 50, "abcd");
        assertEquals("abcd", released());
        s(101, 50, "abcd");
        p(104, 50, "d");
        assertEquals("d", released());
        assertEquals(0, requested());
    }

    @Test
    void aByteThatChangesWhenSentAgainIsADifference() {
        establish();
        p(101, 50, "abcd");
        s(101, 50, "abcd");
        p(105, 50, "efgh");
        s(105, 50, "efgh");
        left();
        p(101, 50, "abcX");
        assertEquals(0, left());
        pass(9);
        assertEquals(0, requested());
        pass(2);
        assertEquals(1, requested());
        engine.flush();
        assertEquals("abcX", released());
        p(103, 50, "cdXf");
        assertEquals(0, left(), "also after the checkpoint");
        pass(11);
        assertEquals(1, requested());
        engine.flush();
        left();
        p(107, 50, "gXnew");
        s(109, 50, "new");
        assertEquals(0, left(), "also with new data behind it");
        assertEquals(1, requested());
    }

    @Test
    void aByteThatChangesWhileItWaitsIsADifference() {
        establish();
        p(101, 50, "abcd");
        p(101, 50, "aXcd");
        s(101, 50, "abcd");
        assertEquals("abcd", released());
        pass(11);
        assertEquals(1, requested());
    }

    @Test
    void aByteThatChangesWhenTheSecondarySendsItAgainIsADifference() {
        establish();
        p(101, 50, "abcd");
        s(101, 50, "abcd");
        s(101, 50, "abXd");
        pass(11);
        assertEquals(1, requested());
    }

    @Test
    void aProbeMayCarryAnyByteIfBothGuestsSendIt() {
        establish();
        p(101, 50, "abcd");
        s(101, 50, "abcd");
        left();
        p(104, 50, "?");
        s(104, 50, "?");
        assertEquals("?", released());
        s(104, 50, "!");
        p(104, 50, "!");
        assertEquals("!", released());
        pass(11);
        assertEquals(0, requested());
    }

    @Test
    void whatWasSentTooLongAgoIsHeldUntilTheSecondarySendsItAgainToo() {
        establish();
        String kilobyte = "0123456789abcdef".repeat(64);
        for (int i = 0; i < 300; i++) {
            p(101 + (i << 10), 50, kilobyte);
            s(101 + (i << 10), 50, kilobyte);
        }
        assertEquals(300, left());
        p(101 + (250 << 10), 50, kilobyte);
        assertEquals(1, left());
        s(101 + 16, 50, "0123");
        pass(11);
        p(101, 50, "0123");
        assertEquals(0, left());
        s(101, 50, "0123");
        assertEquals(1, left());
        assertEquals(0, requested());
        p(101, 50, "0123");
        pass(11);
        assertEquals(1, requested());
    }

    @Test
    void dataSentAgainAfterACheckpointLeave() {
        p(Frames.up(100, 50, Frames.SYN | A, ""));
        p(101, 50, "abcd");
        engine.flush();
        p(101, 50, "abcd");
        p(Frames.up(105, 50, Frames.FIN | A, ""));
        p(Frames.up(700, 50, Frames.SYN | A, ""));
        p(701, 50, "efgh");
        engine.flush();
        left();
        p(702, 50, "fgh");
        assertEquals("fgh", released());
        p(702, 50, "fXh");
        assertEquals(0, left());
        s(705, 50, "i");
        p(705, 50, "i");
        assertEquals("i", released());
        assertEquals(0, requested());
    }

    @Test
    void ofAStreamFromItsMiddleOnTheDataBeforeItAreUnknown() {
        p(150, 50, "xy");
        s(150, 50, "xy");
        assertEquals("xy", released());
        p(145, 50, "early");
        assertEquals(0, left());
        s(145, 50, "early");
        assertEquals("early", released());
        p(145, 50, "early");
        s(145, 50, "other");
        pass(11);
        assertEquals(1, requested());
    }

    @Test
    void nothingLeavesBehindAnOpeningThatNegotiatesSomethingElse() {
        p(Frames.up(100, 50, Frames.SYN | A, "", (byte) 2, (byte) 4, (byte) 5, (byte) 0));
        p(101, 50, "");
        s(Frames.up(900, 50, Frames.SYN | A, "", (byte) 2, (byte) 4, (byte) 6, (byte) 0));
        p(101, 50, "");
        assertEquals(0, left());
        assertEquals(1, requested());
    }

    @Test
    void oneSideMayBeSeveralConnectionsAhead() {
        List<byte[]> all = new ArrayList<>();
        for (int i = 1; i <= 4; i++) {
            all.add(Frames.up(i * 1000, 50, Frames.SYN | A, ""));
            all.add(Frames.up(i * 1000 + 1, 50, A, "data " + i));
            all.add(Frames.up(i * 1000 + 7, 50, Frames.FIN | A, ""));
        }
        all.forEach(this::p);
        assertEquals(0, left());
        all.forEach(this::s);
        assertEquals(12, left());
        all.forEach(this::s);
        all.forEach(this::p);
        assertEquals(12, left());
        assertEquals(0, requested());
    }

    @Test
    void afterACheckpointTheLastOfTheWaitingConnectionsGoesOn() {
        establish();
        p(Frames.up(101, 50, Frames.FIN | A, ""));
        p(Frames.up(5000, 50, Frames.SYN | A, ""));
        p(5001, 50, "second");
        p(Frames.up(9000, 50, Frames.SYN | A, ""));
        p(9001, 50, "third");
        engine.flush();
        left();
        s(9006, 50, "more");
        p(9006, 50, "more");
        assertEquals("more", released());
        assertEquals(0, requested());
    }

    @Test
    void anEndAgainstAResetIsADifferenceAtOnce() {
        int[] kinds = {Frames.FIN | A, Frames.RST | A};
        for (int i = 0; i < 4; i++) {
            engine = engine();
            establish();
            byte[] ends = Frames.up(101, 50, kinds[i & 1], "");
            byte[] other = Frames.up(101, 50, kinds[1 - (i & 1)], "");
            if (i < 2) {
                p(ends);
                s(other);
            } else {
                s(other);
                p(ends);
            }
            assertEquals(1, requested(), "way " + i);
            assertEquals(0, left());
        }
    }

    @Test
    void aResetMayFollowAnEnd() {
        establish();
        for (int flags : new int[] {Frames.FIN | A, Frames.RST | A}) {
            p(Frames.up(101, 50, flags, ""));
        }
        for (int flags : new int[] {Frames.FIN | A, Frames.RST | A}) {
            s(Frames.up(101, 50, flags, ""));
        }
        assertEquals(2, left());
        assertEquals(0, requested());
    }

    @Test
    void anEndWaitsForTheSecondarys() {
        establish();
        p(Frames.up(101, 50, Frames.FIN | A, ""));
        assertEquals(0, left());
        s(Frames.up(101, 50, Frames.FIN | A, ""));
        assertEquals(1, left());
        assertEquals(0, requested());
    }

    @Test
    void dataBehindTheOthersEndDiffer() {
        establish();
        p(Frames.up(101, 50, Frames.FIN | A, ""));
        s(101, 50, "more");
        assertEquals(1, requested());
        assertEquals(0, left());
    }

    @Test
    void aResetWaitsForTheSecondarys() {
        establish();
        p(Frames.up(101, 50, Frames.RST | A, ""));
        assertEquals(0, left());
        s(Frames.up(101, 50, Frames.RST | A, ""));
        assertEquals(1, left());
        assertEquals(0, requested());
    }

    @Test
    void aResetOfOneSideOnlyIsADifference() {
        establish();
        s(Frames.up(101, 50, Frames.RST | A, ""));
        p(101, 50, "goes on");
        assertEquals(0, left());
        pass(11);
        assertEquals(1, requested());
        engine.flush();
        assertEquals("goes on", released());
    }

    @Test
    void theSameEndsMayConnectAgain() {
        establish();
        p(Frames.up(101, 50, Frames.FIN | A, ""));
        s(Frames.up(101, 50, Frames.FIN | A, ""));
        left();
        s(Frames.up(7000, 70, Frames.SYN | A, ""));
        p(Frames.up(5000, 70, Frames.SYN | A, ""));
        assertEquals(1, left());
        s(7001, 80, "again");
        p(5001, 80, "again");
        assertEquals("again", released());
        assertEquals(0, requested());
    }

    @Test
    void afterACheckpointAcknowledgementsOfBeforeCountForBoth() {
        establish();
        p(101, 90, "x");
        engine.flush();
        assertEquals("x", released());
        p(102, 90, "");
        assertEquals(1, left());
        p(102, 95, "");
        assertEquals(0, left());
        s(102, 95, "");
        assertEquals(1, left());
    }

    // ---- other protocols

    private static byte[] frame(int type, int fill) {
        byte[] f = new byte[64];
        f[12] = (byte) (type >> 8);
        f[13] = (byte) type;
        Arrays.fill(f, 14, 64, (byte) fill);
        return f;
    }

    @Test
    void whatIsNotIpIsHeldAsWell() {
        for (int type : new int[] {0x0806, 0x88cc, 0x9999, 0x86dd, 0x0800, 38}) {
            p(frame(type, 1));
            assertEquals(0, left(), () -> Integer.toHexString(type));
            s(frame(type, 1));
            assertEquals(1, left(), () -> Integer.toHexString(type));
        }
        assertEquals(0, requested());
    }

    @Test
    void datagramsMayComeInAnyOrderButNotDifferForLong() {
        p(Frames.udp(1, "a"));
        s(Frames.udp(2, "b"));
        assertEquals(0, left());
        p(Frames.udp(3, "b"));
        s(Frames.udp(4, "a"));
        assertEquals(2, left());
        pass(50);
        assertEquals(0, requested());
        p(Frames.udp(1, "c"));
        s(Frames.udp(1, "d"));
        pass(9);
        assertEquals(0, requested());
        pass(2);
        assertEquals(1, requested());
        engine.flush();
        assertEquals("c", released());
    }

    private static byte[] tagged(byte[] frame, int... tags) {
        ByteBuffer b = ByteBuffer.allocate(frame.length + 4 * tags.length);
        b.put(frame, 0, 12);
        for (int tag : tags) {
            b.putInt(0x81000000 | tag);
        }
        b.put(frame, 12, frame.length - 12);
        return b.array();
    }

    @Test
    void tagsTellFlowsApart() {
        p(tagged(Frames.up(101, 50, A, "abc"), 5, 6));
        s(tagged(Frames.up(101, 50, A, "abc"), 5, 7));
        assertEquals(0, left());
        s(tagged(Frames.up(101, 50, A, "ab"), 5, 6));
        s(tagged(Frames.up(103, 50, A, "c"), 5, 6));
        assertEquals(1, left());
    }

    @Test
    void identificationTimeToLiveAndChecksumsMayDiffer() {
        for (int protocol : new int[] {1, 2, 17, 33, 47, 50, 89, 103, 112, 132, 136, 200}) {
            byte[] body = Frames.ascii("0000 the same bytes");
            byte[] a = Frames.ip(Frames.GUEST, Frames.CLIENT, protocol, 1, body);
            byte[] b = Frames.ip(Frames.GUEST, Frames.CLIENT, protocol, 2, body);
            b[22] = 5;
            p(a);
            s(b);
            assertEquals(1, left(), () -> "protocol " + protocol);
        }
    }

    private static byte[] fragment(int id, int offset, boolean more, byte[] part) {
        byte[] f = Frames.ip(Frames.GUEST, Frames.CLIENT, 17, id, part);
        f[20] = (byte) (more ? 0x20 : 0);
        f[21] = (byte) (offset / 8);
        return f;
    }

    @Test
    void fragmentsAreComparedAsWhatTheyAreOf() {
        byte[] datagram = Frames.ascii("\0\1\0\2\0\40ab0123456789abcdef01234567");
        byte[] other = datagram.clone();
        other[30] ^= 1;
        byte[][] cut = {Arrays.copyOf(datagram, 16), Arrays.copyOfRange(datagram, 16, 32)};
        p(fragment(1, 16, false, cut[1]));
        p(fragment(1, 0, true, cut[0]));
        assertEquals(0, left());
        s(fragment(2, 0, true, Arrays.copyOf(datagram, 8)));
        s(fragment(2, 8, true, Arrays.copyOfRange(datagram, 8, 24)));
        assertEquals(0, left());
        s(fragment(2, 24, false, Arrays.copyOfRange(datagram, 24, 32)));
        assertEquals(2, left());
        p(fragment(3, 0, true, cut[0]));
        p(fragment(3, 16, false, cut[1]));
        s(fragment(3, 0, true, cut[0]));
        s(fragment(3, 16, false, Arrays.copyOfRange(other, 16, 32)));
        assertEquals(0, left());
        pass(11);
        assertEquals(1, requested());
        engine.flush();
        assertEquals(2, left());
        assertEquals(0, stats().heldPrimary() + stats().heldSecondary() + stats().heldBytes());
    }

    // ---- bounds and time

    @Test
    void aFullQueueStopsTheGuestAndLosesNothing() {
        limit = 3;
        for (int i = 0; i < 5; i++) {
            p(Frames.udp(i, "datagram " + i));
        }
        assertFalse(engine.takes(true));
        assertTrue(engine.takes(false));
        assertEquals(1, requested());
        engine.flush();
        assertTrue(engine.takes(true));
        assertEquals(5, left());
    }

    @Test
    void whatIsLateAsksAgainAndAgain() {
        p(Frames.udp(1, "a"));
        now += 3000 * MILLISECOND;
        engine.scan(3000);
        assertEquals(0, requested());
        now++;
        engine.scan(3000);
        engine.scan(3000);
        assertEquals(2, requested());
        engine.flush();
        engine.scan(3000);
        assertEquals(0, requested());
    }

    @Test
    void idleFlowsAreForgottenAndBusyOnesAreNot() {
        engine = engine(4);
        p(port(1, "held"));
        for (int i = 2; i < 20; i++) {
            p(port(i, "x"));
            s(port(i, "x"));
        }
        assertEquals(18, left());
        assertEquals(4, stats().flows());
        assertTrue(stats().evictedFlows() > 0);
        s(port(1, "held"));
        assertEquals(1, left());
        for (int i = 1; i < 6; i++) {
            p(port(i, "y"));
        }
        assertFalse(engine.takes(true));
        assertTrue(requested() > 0);
        engine.flush();
        assertEquals(5, left());
        assertTrue(engine.takes(true));
    }

    @Test
    void aTableFullOfThePrimarysFlowsIsEmptiedByTheSecondarys() {
        engine = engine(4);
        for (int i = 1; i < 5; i++) {
            p(port(i, "x"));
        }
        assertFalse(engine.takes(true));
        for (int i = 1; i < 5; i++) {
            assertTrue(engine.takes(false));
            s(port(i, "x"));
        }
        assertEquals(4, left());
        assertTrue(engine.takes(true));
        for (int i = 11; i < 19; i++) {
            assertTrue(engine.takes(false));
            s(port(i, "of the secondary alone"));
        }
        assertFalse(engine.takes(false));
    }

    private static byte[] port(int port, String text) {
        byte[] f = Frames.udp(0, text);
        f[34] = (byte) (port >> 8);
        f[35] = (byte) port;
        return f;
    }

    // ---- whatever comes

    private static byte[] damaged(Random r) {
        byte[] f =
                switch (r.nextInt(6)) {
                    case 0 -> Frames.up(r.nextInt(9), r.nextInt(9), r.nextInt(64), "text");
                    case 1 -> Frames.udp(r.nextInt(3), "datagram");
                    case 2 ->
                            fragment(r.nextInt(3), 8 * r.nextInt(4), r.nextBoolean(), new byte[16]);
                    case 3 -> frame(0x86dd, 0x60);
                    case 4 -> tagged(Frames.arp(), 1, 2);
                    default -> new byte[1 + r.nextInt(80)];
                };
        for (int i = r.nextInt(4); i > 0; i--) {
            f[r.nextInt(f.length)] = (byte) r.nextInt();
        }
        return Arrays.copyOf(f, 1 + r.nextInt(f.length + 4));
    }

    @Test
    void noFrameOfThePrimaryIsLostWhateverTheFramesAre() {
        engine = engine(16);
        Random r = new Random(1);
        int sent = 0;
        for (int i = 0; i < 100_000; i++) {
            byte[] f = damaged(r);
            boolean primary = r.nextBoolean();
            int vnetHeader = r.nextInt(4) == 0 ? r.nextInt() : 0;
            if (primary) {
                engine.primary(f, f.length, vnetHeader);
                sent++;
            } else {
                engine.secondary(f, f.length, vnetHeader);
            }
            pass(r.nextInt(3));
            if (r.nextInt(500) == 0) {
                engine.scan(3);
                engine.flush();
                assertEquals(sent, out.size());
            }
        }
        engine.flush();
        assertEquals(sent, out.size());
        assertEquals(0, stats().heldPrimary() + stats().heldSecondary() + stats().heldBytes());
    }
}
