package lockstep.colo.compare;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import lockstep.colo.packet.Frames;

import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

class QemuEngineTest extends EngineHarness {
    @Override
    Engine engine() {
        return new QemuEngine(output, () -> now, () -> limit);
    }

    private void establish() {
        p(Frames.up(100, 0, Frames.SYN, ""));
        s(Frames.up(900, 0, Frames.SYN, ""));
        p(101, 50, "hello");
        s(101, 50, "hello");
        out.clear();
    }

    /** It looks behind a provider's tag, and one of a customer behind that, but not behind the latter alone. */
    @Test
    void providersTagsAreLookedBehind() {
        for (byte[] tags : List.of(new byte[] {(byte) 0x88, (byte) 0xa8, 0, 7}, TWO_TAGS)) {
            p(tagged(tags));
            assertEquals(0, left());
            s(tagged(tags));
            assertEquals(1, left());
        }
        p(tagged(new byte[] {(byte) 0x81, 0, 0, 7}));
        assertEquals(1, left());
    }

    private static final byte[] TWO_TAGS = {(byte) 0x88, (byte) 0xa8, 0, 7, (byte) 0x81, 0, 0, 5};

    private static byte[] tagged(byte[] tags) {
        byte[] plain = Frames.udp(0, "x");
        byte[] frame = new byte[plain.length + tags.length];
        System.arraycopy(plain, 0, frame, 0, 12);
        System.arraycopy(tags, 0, frame, 12, tags.length);
        System.arraycopy(plain, 12, frame, 12 + tags.length, plain.length - 12);
        return frame;
    }

    @Test
    void unsupportedPacketsPassOnlyFromThePrimary() {
        p(Frames.arp());
        assertEquals(1, out.size());
        s(Frames.arp());
        assertEquals(1, out.size());
    }

    @Test
    void releasesThePrimarysExactBytes() {
        byte[] syn = Frames.up(100, 0, Frames.SYN, "");
        p(syn);
        assertEquals(0, out.size());
        s(Frames.up(900, 0, Frames.SYN, ""));
        assertArrayEquals(syn, out.getFirst());
    }

    @Test
    void comparesTcpAsAStream() {
        establish();
        s(106, 50, "world");
        assertEquals("", released());
        p(106, 50, "world");
        assertEquals("world", released());
        p(111, 50, "abcdefgh");
        s(111, 50, "abcd");
        assertEquals("", released());
        s(115, 50, "efgh");
        assertEquals("abcdefgh", released());
        s(119, 50, "ABCDEFGH");
        assertEquals("", released());
        p(119, 50, "ABCD");
        assertEquals("ABCD", released());
        p(123, 50, "EFGH");
        assertEquals("EFGH", released());
        assertEquals(0, requested());
    }

    @Test
    void dataTheSecondaryHasNotAcknowledgedIsHeld() {
        establish();
        p(106, 60, "xx");
        s(106, 50, "xxyy");
        assertEquals("", released());
        assertEquals(1, requested());
        p(108, 60, "yy");
        assertEquals("", released());
        assertEquals(1, requested());
        s(110, 60, "");
        assertEquals("xx yy", released());
        assertEquals(0, requested());
    }

    @Test
    void aDifferenceAsksForCheckpointsUntilTheFlush() {
        establish();
        p(106, 50, "good");
        s(106, 50, "evil");
        assertEquals("", released());
        assertEquals(1, requested());
        p(110, 50, "more");
        assertEquals(1, requested());
        engine.flush();
        assertEquals("good more", released());
        p(114, 50, "next");
        s(114, 50, "next");
        assertEquals("next", released());
    }

    @Test
    void retransmissionWaitsForAnySecondaryPacket() {
        establish();
        p(101, 50, "hello");
        assertEquals("", released());
        s(106, 50, "x");
        assertEquals("hello", released());
    }

    @Test
    void retransmissionThatRunsIntoNewDataIsComparedFromThere() {
        establish();
        p(101, 50, "helloWORLD");
        s(106, 50, "WORLD");
        assertEquals("helloWORLD", released());
        assertEquals(0, requested());
    }

    @Test
    void sequenceNumbersWrapAround() {
        int seq = -4;
        p(seq, 9, "abcd");
        s(seq, 9, "abcdefgh");
        p(seq + 4, 9, "efgh");
        assertEquals("abcd efgh", released());
        assertEquals(0, requested());
    }

    @Test
    void datagramsAreComparedBehindTheIpHeader() {
        p(Frames.udp(1, "same"));
        s(Frames.udp(2, "same"));
        assertEquals("same", released());
        byte[] a = Frames.ip(Frames.GUEST, Frames.CLIENT, 47, 1, new byte[12]);
        byte[] b = Frames.ip(Frames.GUEST, Frames.CLIENT, 47, 2, new byte[12]);
        p(a);
        s(b);
        assertEquals(1, requested());
        assertEquals(0, out.size());
    }

    @Test
    void theNewestDatagramIsTriedFirst() {
        p(Frames.udp(1, "p1"));
        p(Frames.udp(2, "p2"));
        s(Frames.udp(3, "p1"));
        assertEquals(1, requested());
        s(Frames.udp(4, "p2"));
        assertEquals("p2 p1", released());
    }

    @Test
    void aLonePacketTimesOutStrictlyAfterTheTimeout() {
        p(Frames.udp(1, "lone"));
        now = 1500;
        engine.scan(1500);
        assertEquals(0, requested());
        now = 1501;
        engine.scan(1500);
        engine.scan(1500);
        assertEquals(2, requested());
        engine.flush();
        engine.scan(1500);
        assertEquals(0, requested());
        assertEquals("lone", released());
    }

    @Test
    void aFullQueueDropsButStillCompares() {
        limit = 2;
        for (int i = 0; i < 5; i++) {
            p(101 + i, 50, "x");
        }
        s(101, 50, "xxxxx");
        assertEquals("x x x", released());
    }

    /** However both sides cut and interleave one stream, nothing differs and all bytes come out. */
    @Test
    void anySegmentationOfOneStreamMatches() {
        for (long seed = 0; seed < 300; seed++) {
            Random r = new Random(seed);
            byte[] stream = new byte[1 + r.nextInt(4000)];
            r.nextBytes(stream);
            int start = r.nextInt();
            List<byte[]> primary = segments(r, stream, start);
            List<byte[]> secondary = segments(r, stream, start);
            out.clear();
            limit = 100_000;
            engine = engine();
            int i = 0;
            int j = 0;
            while (i < primary.size() || j < secondary.size()) {
                boolean first = j == secondary.size() || i < primary.size() && r.nextBoolean();
                byte[] f = first ? primary.get(i++) : secondary.get(j++);
                if (first) {
                    p(f);
                } else {
                    s(f);
                }
            }
            assertEquals(0, requested(), "seed " + seed);
            // The last retransmissions may wait for a packet that this stream does not have.
            byte[] ack = Frames.up(start + stream.length, 1, A, "");
            for (int n = 0; n < 10; n++) {
                s(ack);
            }
            byte[] seen = new byte[stream.length];
            for (byte[] f : out) {
                int seq = java.nio.ByteBuffer.wrap(f).getInt(38) - start;
                System.arraycopy(f, 54, seen, seq, f.length - 54);
            }
            assertArrayEquals(stream, seen, "seed " + seed);
        }
    }

    /** Cuts a stream at random places; sometimes a segment is sent again, or reaches back. */
    private static List<byte[]> segments(Random r, byte[] stream, int start) {
        List<byte[]> list = new ArrayList<>();
        int at = 0;
        int previous = 0;
        while (at < stream.length) {
            int n = Math.min(stream.length - at, 1 + r.nextInt(600));
            int from = r.nextInt(8) == 0 ? previous : at;
            list.add(segment(stream, start, from, at + n));
            if (r.nextInt(8) == 0) {
                list.add(segment(stream, start, from, at + n));
            }
            previous = from;
            at += n;
        }
        return list;
    }

    private static byte[] segment(byte[] stream, int start, int from, int to) {
        return Frames.tcp(
                Frames.GUEST,
                80,
                Frames.CLIENT,
                4000,
                start + from,
                1,
                A,
                Arrays.copyOfRange(stream, from, to));
    }

    @Test
    void brokenPacketsNeverThrow() {
        Random r = new Random(1);
        byte[][] seeds = {
            Frames.up(1, 2, A, "payload"),
            Frames.udp(1, "datagram"),
            Frames.ip(Frames.GUEST, Frames.CLIENT, 51, 1, new byte[16]),
            Frames.ip(Frames.GUEST, Frames.CLIENT, 1, 1, new byte[8]),
            Frames.arp()
        };
        for (int i = 0; i < 200_000; i++) {
            byte[] f = seeds[r.nextInt(seeds.length)].clone();
            for (int n = r.nextInt(4); n > 0; n--) {
                f[r.nextInt(f.length)] = (byte) r.nextInt();
            }
            int length = r.nextInt(4) == 0 ? r.nextInt(f.length + 1) : f.length;
            int vnet = r.nextInt(8) == 0 ? r.nextInt() : r.nextInt(8) == 0 ? r.nextInt(24) : 0;
            if (r.nextBoolean()) {
                engine.primary(f, length, vnet);
            } else {
                engine.secondary(f, length, vnet);
            }
            if (i % 1000 == 0) {
                engine.flush();
                out.clear();
            }
        }
    }
}
