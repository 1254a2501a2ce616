package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

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
        ColoPair.assumePossible();
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
            pair.goesOn(pair.primary);
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
            pair.goesOn(pair.secondary);
            assertTrue(pair.secondary.lastTick() > 0 && reached > 0);
            // It listens for all hosts, and its peer connects to its own.
            assertEquals(2, Host.text(pair.secondary.errors).split("without TLS", -1).length);
            assertEquals(1, Host.text(pair.primary.errors).split("without TLS", -1).length);
            follows(ColoPair.replies("secondary-trace-failover"), pair.secondary.traces());
            pair.secondary.kill();
            pair.checkImages();
        }
    }

    @RepeatedTest(1)
    void checkpointsFollowAGuestThatWritesAllTheTime() throws IOException {
        try (ColoPair pair = new ColoPair(directory.resolve("busy"), Guests.dirty(1024))) {
            pair.start();
            pair.protect();
            String port = Integer.toString(ColoPair.PRIMARY_QMP);
            try (Monitor monitor = new Monitor(pair.inNamespace("nc", "localhost", port))) {
                Host.await(
                        "the guest works",
                        ColoPair.PATIENCE,
                        () -> Guests.WORKS.matcher(Host.text(pair.primary.output)).find());
                monitor.execute(
                        "{\"execute\": \"migrate-set-parameters\", \"arguments\":"
                                + " {\"x-checkpoint-delay\": 200}}");
                for (int i = 0; i < 6; i++) {
                    monitor.event("STOP");
                    monitor.event("RESUME");
                }
            }
            pair.primary.kill();
            pair.ncUntil(ColoPair.SECONDARY_QMP, "secondary-failover", "\"RESUME\"");
            int before = Host.text(pair.secondary.output).length();
            Host.await(
                    "the guest goes on; " + pair.secondary,
                    ColoPair.PATIENCE,
                    () -> Host.text(pair.secondary.output).length() > before + 20);
        }
    }

    /** One side hangs, with the connections open; the guest on the other one writes to its disk and goes on, before and behind the failover. */
    @ParameterizedTest
    @ValueSource(strings = {"primary", "secondary"})
    void outlivesASideThatHangs(String hangs) throws IOException {
        try (ColoPair pair = new ColoPair(directory.resolve(hangs), Guests.counter())) {
            pair.start();
            pair.protect();
            pair.countsOnBoth();
            boolean primaryHangs = hangs.equals("primary");
            ColoPair.Side lost = primaryHangs ? pair.primary : pair.secondary;
            ColoPair.Side survivor = primaryHangs ? pair.secondary : pair.primary;
            int port = primaryHangs ? ColoPair.SECONDARY_QMP : ColoPair.PRIMARY_QMP;
            try (Monitor monitor =
                    new Monitor(pair.inNamespace("nc", "localhost", Integer.toString(port)))) {
                monitor.execute(
                        "{\"execute\": \"migrate-set-parameters\", \"arguments\":"
                                + " {\"x-colo-timeout\": 2000}}");
                Host.run("kill", "-STOP", Long.toString(lost.process.pid()));
                if (!primaryHangs) {
                    pair.goesOn(survivor);
                    monitor.event("COLO_EXIT");
                }
                monitor.execute("{\"execute\": \"x-colo-lost-heartbeat\"}");
                monitor.event("RESUME");
            }
            pair.goesOn(survivor);
            survivor.kill();
            lost.kill();
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
        pair.countsOnBoth();
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
