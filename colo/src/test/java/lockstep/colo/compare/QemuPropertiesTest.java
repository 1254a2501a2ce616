package lockstep.colo.compare;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.colo.packet.Frames;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/**
 * Two guests that send anything: what both sent goes out however it is cut into segments, and what
 * only one sent does not.
 */
class QemuPropertiesTest {
    private static final class Run implements Engine.Output {
        private final QemuEngine engine = new QemuEngine(this, () -> 0, () -> 1 << 20);
        private final StringBuilder out = new StringBuilder();
        private final List<String> released = new ArrayList<>();
        private int requests;

        @Override
        public void release(byte[] frame, int length, int vnetHeader) {
            String payload = Frames.payload(frame, length);
            out.append(payload);
            released.add(payload);
        }

        @Override
        public void requestCheckpoint() {
            requests++;
        }

        private void send(boolean primary, byte[] frame) {
            if (primary) {
                engine.primary(frame, frame.length, 0);
            } else {
                engine.secondary(frame, frame.length, 0);
            }
        }
    }

    private static String text(long seed, int length) {
        Random random = new Random(seed);
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < length; i++) {
            text.append((char) ('a' + random.nextInt(26)));
        }
        return text.toString();
    }

    /** A stream cut into segments, each with the sequence number where it begins. */
    private static List<byte[]> segments(String text, int start, List<Integer> sizes) {
        List<byte[]> frames = new ArrayList<>();
        int at = 0;
        for (int i = 0; at < text.length(); i++) {
            int size = sizes.isEmpty() ? 7 : sizes.get(i % sizes.size());
            int end = Math.min(text.length(), at + size);
            frames.add(Frames.up(start + at, 50, Frames.ACK, text.substring(at, end)));
            at = end;
        }
        return frames;
    }

    /** Sends both sides' frames, each in its order, mixed as a seed says. */
    private static void mix(Run run, List<byte[]> primary, List<byte[]> secondary, Random random) {
        int p = 0;
        int s = 0;
        while (p < primary.size() || s < secondary.size()) {
            boolean first = s == secondary.size() || p < primary.size() && random.nextBoolean();
            run.send(first, first ? primary.get(p++) : secondary.get(s++));
        }
    }

    @Property(tries = 500)
    void equalStreamsGoOutHoweverTheyAreCut(
            @ForAll @IntRange(min = 1, max = 200) int length,
            @ForAll int start,
            @ForAll @Size(max = 6) List<@IntRange(min = 1, max = 40) Integer> primary,
            @ForAll @Size(max = 6) List<@IntRange(min = 1, max = 40) Integer> secondary,
            @ForAll long seed) {
        String text = text(seed, length);
        Run run = new Run();
        mix(
                run,
                segments(text, start, primary),
                segments(text, start, secondary),
                new Random(seed));
        assertEquals(0, run.requests);
        assertEquals(text, run.out.toString());
    }

    @Property(tries = 500)
    void nothingGoesOutBehindADifference(
            @ForAll @IntRange(min = 1, max = 200) int length,
            @ForAll int start,
            @ForAll @Size(max = 6) List<@IntRange(min = 1, max = 40) Integer> primary,
            @ForAll @Size(max = 6) List<@IntRange(min = 1, max = 40) Integer> secondary,
            @ForAll @IntRange(max = 199) int where,
            @ForAll long seed) {
        String text = text(seed, length);
        int at = where % length;
        String other = text.substring(0, at) + '#' + text.substring(at + 1);
        Run run = new Run();
        mix(
                run,
                segments(text, start, primary),
                segments(other, start, secondary),
                new Random(seed));
        assertTrue(run.requests > 0, "the difference was not seen");
        assertTrue(run.out.length() <= at, () -> "released past the difference: " + run.out);
        assertEquals(text.substring(0, run.out.length()), run.out.toString());
        run.engine.flush();
        assertEquals(text, run.out.toString(), "a checkpoint lets the primary's data go");
    }

    @Property(tries = 500)
    void datagramsGoOutWhenBothSentThem(
            @ForAll @Size(max = 12) List<@IntRange(max = 5) Integer> primary,
            @ForAll @Size(max = 12) List<@IntRange(max = 5) Integer> secondary,
            @ForAll long seed) {
        Run run = new Run();
        mix(run, datagrams(primary), datagrams(secondary), new Random(seed));
        for (int value = 0; value <= 5; value++) {
            String text = "datagram " + value;
            int which = value;
            long p = primary.stream().filter(v -> v == which).count();
            long s = secondary.stream().filter(v -> v == which).count();
            long out = run.released.stream().filter(text::equals).count();
            assertTrue(out <= Math.min(p, s), () -> text + " went out " + out + " times");
        }
        run.engine.flush();
        assertEquals(primary.size(), run.released.size());
    }

    private static List<byte[]> datagrams(List<Integer> values) {
        return values.stream().map(v -> Frames.udp(v, "datagram " + v)).toList();
    }

    @Property(tries = 500)
    void brokenFramesDoNoHarm(
            @ForAll @Size(max = 90) byte[] noise,
            @ForAll @IntRange(max = 53) int at,
            @ForAll boolean primary) {
        Run run = new Run();
        run.send(primary, noise);
        byte[] frame = Frames.up(1, 2, Frames.ACK, "payload");
        System.arraycopy(noise, 0, frame, at, Math.min(noise.length, frame.length - at));
        run.send(primary, frame);
        run.send(!primary, Arrays.copyOf(frame, Math.max(1, frame.length - at)));
        run.engine.flush();
        run.engine.scan(1);
    }
}
