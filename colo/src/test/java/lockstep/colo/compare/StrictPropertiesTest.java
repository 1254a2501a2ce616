package lockstep.colo.compare;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.ColoComparePolicy;
import lockstep.api.ColoCompareStats;
import lockstep.colo.packet.Frames;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * Two guests' histories made from a seed, and beside the engine a model of what the secondary has sent by then: every
 * release is held against it.
 */
class StrictPropertiesTest {
    private static final int TRIES = 300;
    private static final int A = Frames.ACK;
    private static final long SECOND = 1_000_000_000;

    /** Bytes of an Ethernet, IPv4 and TCP header without options. */
    private static final int HEADERS = 54;

    /** One connection, in the model: places count from the first byte of its stream. */
    private static final class Model {
        final int initial;
        int secondaryInitial;
        boolean rewritten;
        final int clientAt;
        final byte[] stream;
        final byte[] secondaryStream;

        /** The secondary sent these bytes of the primary's stream. */
        final boolean[] equal;

        boolean secondarySyn;
        boolean secondaryReset;
        int secondaryFinAt = -1;
        int secondaryAcknowledged = -1;

        // What the primary has sent, for the next checkpoint.
        int sent;
        boolean syn;
        int finAt = -1;
        int acknowledged = -1;

        Model(Random r, int initial, boolean same) {
            this.initial = initial;
            secondaryInitial = same ? initial : initial + 0x1000_0000 + r.nextInt(1000);
            rewritten = r.nextBoolean();
            clientAt = r.nextBoolean() ? -r.nextInt(200) : r.nextInt();
            stream = new byte[300];
            for (int i = 0; i < stream.length; i++) {
                stream[i] = (byte) ('a' + r.nextInt(3));
            }
            secondaryStream = stream.clone();
            equal = new boolean[stream.length];
        }

        void primarySent(Segment g) {
            if ((g.flags & Frames.RST) != 0) {
                return;
            }
            sent = Math.max(sent, g.place + g.length);
            syn |= (g.flags & Frames.SYN) != 0;
            acknowledged = (g.flags & A) == 0 ? acknowledged : Math.max(acknowledged, g.ack);
            finAt = (g.flags & Frames.FIN) == 0 ? finAt : g.place + g.length;
        }

        void secondarySent(Segment g) {
            secondarySyn |= (g.flags & Frames.SYN) != 0;
            secondaryReset |= (g.flags & Frames.RST) != 0;
            if ((g.flags & A) != 0) {
                secondaryAcknowledged = Math.max(secondaryAcknowledged, g.ack);
            }
            if ((g.flags & Frames.FIN) != 0) {
                secondaryFinAt = g.place + g.length;
            }
            for (int i = g.place; i < g.place + g.length; i++) {
                equal[i] |= stream[i] == secondaryStream[i];
            }
        }

        /** The secondary becomes the primary. */
        void checkpoint() {
            secondaryInitial = initial;
            secondarySyn |= syn;
            secondaryAcknowledged = acknowledged;
            secondaryFinAt = finAt;
            System.arraycopy(stream, 0, secondaryStream, 0, stream.length);
            Arrays.fill(equal, sent, equal.length, false);
            Arrays.fill(equal, 0, sent, true);
        }
    }

    private record Segment(Model of, int place, int length, int flags, int ack) {}

    private static final class Run implements Engine.Output {
        final Random r;
        final StrictEngine engine;
        final List<Model> models = new ArrayList<>();
        final Map<Integer, byte[]> sent = new HashMap<>();
        long now = 1;
        int requests;
        int released;
        int farthest;
        private int id;
        private boolean flushing;
        byte[] synOptions = {2, 4, 5, (byte) 180, 1, 3, 3, 7};

        Run(long seed) {
            r = new Random(seed);
            engine = new StrictEngine(this, () -> now, () -> 1 << 20, () -> SECOND, 64);
        }

        @Override
        public void release(byte[] frame, int length, int vnetHeader) {
            ByteBuffer b = ByteBuffer.wrap(frame, 0, length);
            byte[] original = sent.remove(b.getShort(18) & 0xffff);
            assertNotNull(original, "left twice, or was never sent");
            assertArrayEquals(original, Arrays.copyOf(frame, length));
            released++;
            if (!flushing) {
                check(b, length);
            }
        }

        private void check(ByteBuffer b, int length) {
            int sequence = b.getInt(38);
            Model m = models.getFirst();
            for (Model other : models) {
                if (Math.abs(sequence - other.initial) < Math.abs(sequence - m.initial)) {
                    m = other;
                }
            }
            int flags = b.get(47);
            int place = (flags & Frames.SYN) != 0 ? 0 : sequence - m.initial - 1;
            int from = 34 + (b.get(46) >> 2 & 0x3c);
            for (int i = 0; from + i < length; i++) {
                assertTrue(m.equal[place + i], "a byte that the secondary has not sent");
                assertEquals(m.stream[place + i], b.get(from + i), "a byte that was another one");
                farthest = Math.max(farthest, place + i + 1);
            }
            if ((flags & A) != 0) {
                int ack = b.getInt(42) - m.clientAt;
                assertTrue(ack <= m.secondaryAcknowledged, "acknowledges more than the secondary");
            }
            assertTrue((flags & Frames.SYN) == 0 || m.secondarySyn, "opens alone");
            int end = place + length - from;
            assertTrue((flags & Frames.FIN) == 0 || m.secondaryFinAt == end, "ends alone");
            assertTrue((flags & Frames.RST) == 0 || m.secondaryReset, "resets alone");
        }

        @Override
        public void requestCheckpoint() {
            requests++;
        }

        private void send(boolean primary, Segment g, byte[] opening) {
            Model m = g.of;
            boolean syn = (g.flags & Frames.SYN) != 0;
            int initial = primary || m.rewritten && !syn ? m.initial : m.secondaryInitial;
            int sequence = syn ? initial : initial + 1 + g.place;
            byte[] from = primary ? m.stream : m.secondaryStream;
            byte[] data = Arrays.copyOfRange(from, g.place, g.place + g.length);
            byte[] options =
                    syn ? opening : r.nextBoolean() ? new byte[0] : timestamps(r.nextInt());
            int ack = (g.flags & A) == 0 ? 0 : m.clientAt + g.ack;
            byte[] f =
                    Frames.tcp(
                            Frames.GUEST,
                            80,
                            Frames.CLIENT,
                            4000,
                            sequence,
                            ack,
                            g.flags,
                            data,
                            options);
            ByteBuffer b = ByteBuffer.wrap(f);
            b.putShort(18, (short) ++id).put(22, (byte) r.nextInt());
            b.putShort(48, (short) r.nextInt());
            if (primary) {
                m.primarySent(g);
                sent.put(id & 0xffff, f.clone());
                engine.primary(f, f.length, 0);
            } else {
                m.secondarySent(g);
                engine.secondary(f, f.length, 0);
            }
            Arrays.fill(f, (byte) 0);
        }

        /** Sends both sides' segments mixed, each side's in its order. */
        void mix(List<Segment> primary, List<Segment> secondary, byte[] otherOptions) {
            int lead = r.nextInt(5);
            int p = 0;
            int s = 0;
            while (p < primary.size() || s < secondary.size()) {
                boolean first = s == secondary.size() || p < primary.size() && r.nextInt(5) <= lead;
                if (first) {
                    send(true, primary.get(p++), synOptions);
                } else {
                    send(false, secondary.get(s++), otherOptions);
                }
            }
        }

        void flush() {
            flushing = true;
            engine.flush();
            flushing = false;
            assertTrue(sent.isEmpty(), "a checkpoint lets everything go");
            ColoCompareStats s = engine.statistics().show("c", ColoComparePolicy.STRICT);
            assertEquals(0, s.heldPrimary() + s.heldSecondary() + s.heldBytes());
            models.forEach(Model::checkpoint);
        }

        String differences() {
            return engine.statistics().show("c", ColoComparePolicy.STRICT).differences().toString();
        }

        void settle() {
            now += 2 * SECOND;
            engine.settle();
        }

        Model open(boolean same) {
            Model m = new Model(r, r.nextInt(100) - 50 + models.size() * 0x2000_0000, same);
            models.add(m);
            return m;
        }
    }

    private static byte[] timestamps(int value) {
        return ByteBuffer.allocate(12).putInt(0x0101080a).putInt(value).putInt(1).array();
    }

    /** What one side sends of a connection between two moments. */
    private static final class Part {
        final Model m;
        boolean opens;
        int from;
        int to;
        int ackFrom;
        int ackTo;
        int end;
        boolean ordered;

        Part(Model m) {
            this.m = m;
        }

        List<Segment> segments(Random r) {
            List<Segment> all = new ArrayList<>();
            int ack = ackFrom;
            int at = from;
            boolean ends = end == Frames.FIN;
            boolean with = ends && r.nextBoolean();
            while (at < to) {
                int n = Math.min(to - at, 1 + r.nextInt(40));
                ack = r.nextBoolean() ? ack : Math.min(ackTo, ack + r.nextInt(40));
                int flags = at + n == to && with ? Frames.FIN | A : A;
                all.add(new Segment(m, at, n, flags | r.nextInt(2) * Frames.PSH, ack));
                at += n;
                switch (r.nextInt(7)) {
                    case 0 -> all.add(new Segment(m, at, 0, A, Math.min(ackTo, ack + 10)));
                    case 1 -> {
                        int start = r.nextInt(at);
                        int size = 1 + r.nextInt(at - start);
                        boolean last = start + size == to && with && r.nextBoolean();
                        all.add(new Segment(m, start, size, last ? Frames.FIN | A : A, ack));
                    }
                    case 2 -> all.add(new Segment(m, at - 1, r.nextInt(2), A, ack));
                    default -> {}
                }
            }
            if (ends && (from == to || !with || r.nextInt(4) == 0)) {
                all.add(new Segment(m, to, 0, Frames.FIN | A, ackTo));
            }
            all.add(new Segment(m, to, 0, A, ackTo));
            for (int i = ordered ? 0 : r.nextInt(8); i > 0; i--) {
                int a = r.nextInt(all.size());
                Collections.swap(all, a, Math.max(0, a - 1 - r.nextInt(3)));
            }
            if (opens) {
                for (int i = r.nextInt(5) == 0 ? 2 : 1; i > 0; i--) {
                    all.addFirst(new Segment(m, 0, 0, Frames.SYN | A, 0));
                }
            }
            if (end == Frames.RST) {
                int flags = r.nextBoolean() ? Frames.RST : Frames.RST | A;
                all.add(new Segment(m, to, 0, flags, ackTo));
            }
            return all;
        }
    }

    private static int end(Random r) {
        return new int[] {0, Frames.FIN, Frames.FIN, Frames.RST}[r.nextInt(4)];
    }

    @Property(tries = TRIES)
    void equalHistoriesGoOutWithCheckpointsInBetween(@ForAll long seed) {
        Run run = new Run(seed);
        Random r = run.r;
        List<Segment> primary = new ArrayList<>();
        List<Segment> secondary = new ArrayList<>();
        boolean clean = true;
        for (int connection = 1 + r.nextInt(3); connection > 0; connection--) {
            Model m = run.open(r.nextInt(3) == 0);
            Part part = new Part(m);
            part.opens = true;
            for (int phases = 1 + r.nextInt(3); phases > 0; phases--) {
                part.to = part.from + r.nextInt(90);
                part.ackTo = part.ackFrom + r.nextInt(120);
                boolean last = phases == 1;
                part.end = last ? connection == 1 ? end(r) : Frames.FIN : 0;
                primary.addAll(part.segments(r));
                boolean checkpoint = r.nextInt(3) == 0;
                if (checkpoint && r.nextBoolean()) {
                    clean = false;
                    m.secondaryStream[r.nextInt(300)] ^= 32;
                    part.to = part.from + r.nextInt(90);
                    part.ackTo = part.ackFrom + r.nextInt(120);
                    secondary.addAll(part.segments(r));
                    part.to = Math.max(m.sent, primaryEnd(primary, m));
                    part.ackTo = primaryAck(primary, m);
                } else {
                    secondary.addAll(part.segments(r));
                }
                if (checkpoint) {
                    run.mix(
                            primary,
                            secondary.subList(0, r.nextInt(secondary.size() + 1)),
                            run.synOptions);
                    assertTrue(!clean || run.requests == 0, "called a difference");
                    run.flush();
                    run.requests = 0;
                    clean = true;
                    primary.clear();
                    secondary.clear();
                }
                part.opens = false;
                part.from = part.to;
                part.ackFrom = part.ackTo;
            }
        }
        run.mix(primary, secondary, run.synOptions);
        run.settle();
        assertEquals(0, run.requests, run::differences);
        assertTrue(run.sent.isEmpty(), () -> run.sent.size() + " are held");
        run.flush();
    }

    private static int primaryEnd(List<Segment> all, Model m) {
        return all.stream()
                .filter(g -> g.of == m)
                .mapToInt(g -> g.place + g.length)
                .max()
                .orElse(0);
    }

    private static int primaryAck(List<Segment> all, Model m) {
        return all.stream().filter(g -> g.of == m).mapToInt(Segment::ack).max().orElse(0);
    }

    @Property(tries = TRIES)
    void nothingGoesOutBehindADifference(@ForAll long seed, @ForAll @IntRange(max = 4) int kind) {
        Run run = new Run(seed);
        Random r = run.r;
        Model m = run.open(r.nextInt(3) == 0);
        Part part = new Part(m);
        part.opens = true;
        part.to = 2 + r.nextInt(200);
        part.ackTo = r.nextInt(120);
        part.end = kind == 0 ? end(r) : Frames.FIN;
        List<Segment> primary = part.segments(r);
        int limit = part.to;
        byte[] options = run.synOptions;
        switch (kind) {
            case 0 -> {
                limit = r.nextInt(part.to);
                m.secondaryStream[limit] ^= 32;
            }
            case 1 -> {
                limit = r.nextInt(part.to);
                part.to = limit;
            }
            case 2 -> part.to += 1 + r.nextInt(90);
            case 3 -> {
                limit = 0;
                options = options.clone();
                options[r.nextBoolean() ? 3 : 7]++;
            }
            default -> part.end = Frames.RST;
        }
        run.mix(primary, part.segments(r), options);
        run.settle();
        assertTrue(run.requests > 0, "the difference was not seen");
        assertTrue(run.farthest <= limit, "released past the difference");
        assertTrue(kind != 3 || run.released == 0, "released what was negotiated differently");
        run.flush();
    }

    @Property(tries = TRIES)
    void aByteThatChangesWhenSentAgainStays(
            @ForAll long seed, @ForAll boolean primary, @ForAll boolean checkpoint) {
        Run run = new Run(seed);
        Random r = run.r;
        Model m = run.open(r.nextInt(3) == 0);
        Part part = new Part(m);
        part.opens = true;
        part.to = 2 + r.nextInt(200);
        part.ackTo = r.nextInt(120);
        run.mix(part.segments(r), part.segments(r), run.synOptions);
        assertEquals(0, run.requests, run::differences);
        if (checkpoint) {
            run.flush();
        }
        int start = r.nextInt(part.to);
        int size = 1 + r.nextInt(part.to - start);
        int changed = start + r.nextInt(size);
        byte[] stream = primary ? m.stream : m.secondaryStream;
        stream[changed] ^= 32;
        run.send(primary, new Segment(m, start, size, A, part.ackTo), run.synOptions);
        stream[changed] ^= 32;
        run.settle();
        assertEquals(1, run.requests);
        assertEquals(primary ? 1 : 0, run.sent.size());
        run.flush();
    }

    @Property(tries = TRIES)
    void connectionsFromTheirMiddleOnAreCompared(@ForAll long seed, @ForAll boolean equal) {
        Run run = new Run(seed);
        Random r = run.r;
        Model m = run.open(true);
        Part part = new Part(m);
        part.from = 50 + r.nextInt(50);
        part.to = part.from + 2 + r.nextInt(150);
        part.ackTo = r.nextInt(120);
        part.end = end(r);
        part.ordered = equal || r.nextBoolean();
        List<Segment> primary = part.segments(r);
        primary.removeIf(g -> g.place < part.from);
        List<Segment> secondary = part.segments(r);
        secondary.removeIf(g -> g.place < part.from);
        int limit = equal ? part.to : part.from + r.nextInt(part.to - part.from);
        if (!equal) {
            m.secondaryStream[limit] ^= 32;
        }
        run.mix(primary, secondary, run.synOptions);
        run.settle();
        assertTrue(!part.ordered || run.farthest <= limit, "released past the difference");
        assertEquals(equal, run.sent.isEmpty());
        assertTrue(!equal || run.requests == 0, "called a difference");
        run.flush();
    }
}
