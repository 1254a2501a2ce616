package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The main job: both virtual machines from the given scripts, COLO by the given JSON through nc, one side
 * killed, the guest goes on counting on the other.
 */
@Tag("tun")
@Tag("root")
class ColoScriptsTest {
    private static final String QUERIES =
            """
            {"execute":"qmp_capabilities"}
            {"execute":"query-migrate"}
            {"execute":"query-colo-status"}
            {"execute":"query-status"}
            """;

    /** How often each failover is tried: {@code -Dfailovers=10} for a long run. */
    private static final int TIMES = Integer.getInteger("failovers", 1);

    @TempDir Path directory;

    @BeforeEach
    void machine() {
        Host.assumeNetworkRoot();
        Host.assumeProgram("nc");
        Host.assumeProgram("qemu-img");
    }

    @RepeatedTest(1)
    void failoverToThePrimary() throws IOException {
        for (int i = 0; i < TIMES; i++) {
            failoverToThePrimary(directory.resolve("p" + i));
        }
    }

    @RepeatedTest(1)
    void failoverToTheSecondary() throws IOException {
        for (int i = 0; i < TIMES; i++) {
            failoverToTheSecondary(directory.resolve("s" + i));
        }
    }

    private void failoverToThePrimary(Path place) throws IOException {
        try (ColoPair pair = new ColoPair(place, Guests.counter())) {
            pair.start();
            pair.protect();
            inColo(pair);
            pair.secondary.kill();
            List<String> expected = ColoPair.replies("primary-failover");
            List<String> actual =
                    pair.nc(ColoPair.PRIMARY_QMP, "primary-failover", expected.size());
            // The loss of the peer ends COLO with an error; on request it would say "request". The
            // guest runs on until the command, so the events are STOP (by the command) and RESUME.
            Replies.compare(withoutColoExit(expected), withoutColoExit(actual));
            goesOn(pair, pair.primary);
            follows(ColoPair.replies("primary-trace"), pair.primary.traces());
            pair.primary.kill();
            pair.checkImages();
        }
    }

    private void failoverToTheSecondary(Path place) throws IOException {
        try (ColoPair pair = new ColoPair(place, Guests.counter())) {
            pair.start();
            pair.protect();
            inColo(pair);
            int reached = pair.primary.lastTick();
            pair.primary.kill();
            List<String> expected = ColoPair.replies("secondary-failover");
            List<String> actual =
                    pair.nc(ColoPair.SECONDARY_QMP, "secondary-failover", expected.size());
            Replies.compare(withoutColoExit(expected), withoutColoExit(actual));
            goesOn(pair, pair.secondary);
            assertTrue(pair.secondary.lastTick() > 0 && reached > 0);
            follows(ColoPair.replies("secondary-trace-failover"), pair.secondary.traces());
            pair.secondary.kill();
            pair.checkImages();
        }
    }

    /** Both sides say that they are in COLO, and the guest counts on both. */
    private static void inColo(ColoPair pair) {
        Replies.compare(
                ColoPair.replies("query-primary-in-colo"),
                pair.talk(ColoPair.PRIMARY_QMP, QUERIES, 5));
        Replies.compare(
                ColoPair.replies("query-secondary-in-colo"),
                pair.talk(ColoPair.SECONDARY_QMP, QUERIES, 5));
        for (ColoPair.Side side : List.of(pair.primary, pair.secondary)) {
            Host.await(
                    "the guest counts on both sides; " + side,
                    ColoPair.PATIENCE,
                    () -> {
                        pair.alive(side);
                        return side.ticks().size() >= 5;
                    });
        }
    }

    /** The guest counts on, without a gap, far enough to have written to its disk again. */
    private static void goesOn(ColoPair pair, ColoPair.Side side) {
        int before = side.ticks().size();
        Host.await(
                "the guest goes on after the failover; " + side,
                ColoPair.PATIENCE,
                () -> {
                    pair.alive(side);
                    return side.ticks().size() >= before + 20;
                });
        List<Integer> after = side.ticks().subList(before - 1, before + 20);
        for (int i = 1; i < after.size(); i++) {
            assertEquals(after.get(i - 1) + 1, after.get(i), "a gap in " + after);
        }
    }

    private static List<String> withoutColoExit(List<String> lines) {
        return lines.stream().filter(l -> !l.contains("COLO_EXIT")).toList();
    }

    /** Every expected line appears, in this order; other lines may stand between. */
    private static void follows(List<String> expected, List<String> actual) {
        List<String> left = new ArrayList<>(expected);
        for (String line : actual) {
            if (!left.isEmpty() && left.getFirst().equals(line)) {
                left.removeFirst();
            }
        }
        assertEquals(List.of(), left, "lines missing from " + String.join("\n", actual));
    }
}
