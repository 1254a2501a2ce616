package lockstep.colo.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.COLOMode;
import lockstep.api.ColoStats;
import lockstep.api.MigrationCapability;
import lockstep.api.MigrationStatus;
import lockstep.api.RunState;
import lockstep.qmp.QmpException;
import lockstep.runtime.memory.RamBlock;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;

/** Two processes in memory, paired over a socket: checkpoints, failover both ways, deaths at any byte. */
@Timeout(300)
class ColoPairTest {
    @TempDir Path directory;
    private ColoGuest primary;
    private ColoGuest secondary;
    private long firstEnd;
    private int deviceBytes;

    @BeforeEach
    void make() throws QmpException {
        primary = new ColoGuest("primary", RunState.PRELAUNCH);
        secondary = new ColoGuest("secondary", RunState.INMIGRATE);
        primary.with(MigrationCapability.X_COLO, MigrationCapability.EVENTS)
                .checkpointDelay(1_000_000);
        secondary.with(MigrationCapability.X_COLO, MigrationCapability.EVENTS);
    }

    @AfterEach
    void drop() {
        primary.close();
        secondary.close();
    }

    private void pair() throws Exception {
        secondary.migration.listen("unix:" + socket());
        primary.epoch(1);
        primary.migrate("unix:" + socket());
        primary.journal().await("RESUME", 1);
    }

    private void checkpoint(int number) throws Exception {
        primary.colo.requestCheckpoint();
        primary.journal().await("checkpoint", number);
        primary.journal().await("RESUME", 1 + number);
    }

    private static void assertSameRam(ColoGuest a, ColoGuest b) {
        for (int i = 0; i < a.ram.size(); i++) {
            long at =
                    MemorySegment.mismatch(
                            a.ram.get(i).memory(),
                            0,
                            a.ram.get(i).usedLength(),
                            b.ram.get(i).memory(),
                            0,
                            b.ram.get(i).usedLength());
            assertEquals(-1, at, a.ram.get(i).name() + " differs");
        }
    }

    @Test
    void entersColoAsTheProtocolSays() throws Exception {
        pair();
        assertEquals(
                List.of("MIGRATION setup", "MIGRATION_PASS", "MIGRATION active"),
                primary.journal().lines().subList(0, 3));
        assertTrue(primary.journal().lines().contains("MIGRATION device"));
        assertTrue(
                primary.journal().lines().indexOf("MIGRATION colo")
                        < primary.journal().lines().indexOf("RESUME"));
        assertEquals(1, secondary.consistentEpoch());
        assertSameRam(primary, secondary);
        assertEquals(COLOMode.PRIMARY, primary.colo.queryColoStatus().mode());
        assertEquals(COLOMode.SECONDARY, secondary.colo.queryColoStatus().mode());
        assertEquals(MigrationStatus.COLO, primary.migration.queryMigrate().status());
        assertThrows(QmpException.class, () -> primary.migrate("tcp:127.0.0.1:1"));
    }

    @Test
    void checkpointMakesTheSecondaryEqual() throws Exception {
        pair();
        Random random = new Random(11);
        for (int round = 1; round <= 5; round++) {
            for (int i = 0; i < 100; i++) {
                RamBlock ours = primary.ram.get(random.nextInt(2));
                RamBlock theirs = secondary.ram.get(random.nextInt(2));
                long a = random.nextLong(ours.usedLength() / 8) * 8;
                long b = random.nextLong(theirs.usedLength() / 8) * 8;
                primary.lock().run(() -> ColoGuest.store(ours, a, random.nextLong()));
                // What the secondary's guest did on its own is undone.
                secondary.lock().run(() -> ColoGuest.store(theirs, b, random.nextLong()));
            }
            int epoch = round;
            primary.lock().run(() -> primary.register = epoch);
            checkpoint(round);
            assertSameRam(primary, secondary);
            assertEquals(round, secondary.register);
        }
        assertEquals(5, primary.told.get("releasePackets"));
        assertEquals(5, secondary.told.get("filtersCheckpoint"));
        assertEquals(5, secondary.told.get("checkpointReplication"));
    }

    /** 140 pages go ahead; what the guest changes behind that goes in the pause. */
    @Test
    void sendsPagesAheadWhileTheGuestRuns() throws Exception {
        pair();
        for (int round = 1; round <= 3; round++) {
            primary.epoch(round + 1);
            checkpoint(round);
            assertSameRam(primary, secondary);
            assertEquals(round + 1, secondary.consistentEpoch());
        }
        ColoStats stats = primary.colo.queryColoStats();
        assertEquals(3 * 140, stats.pagesAhead());
        assertEquals(3, stats.rounds());
        assertEquals(0, stats.pagesInPause());
    }

    /** Between two of ours; ColoEntryTest has the wire of a QEMU. */
    @Test
    void devicesThatDidNotChangeAreNotSent() throws Exception {
        pair();
        checkpoint(1);
        long first = primary.colo.queryColoStats().deviceBytes();
        secondary.lock().run(() -> secondary.register = 77);
        checkpoint(2);
        assertEquals(primary.register, secondary.register);
        long second = primary.colo.queryColoStats().deviceBytes() - first;
        assertTrue(first > 100, "%d bytes in the first".formatted(first));
        assertEquals(5, second);
        primary.lock().run(() -> primary.register = 0x1234_5678_9abcL);
        checkpoint(3);
        assertEquals(0x1234_5678_9abcL, secondary.register);
    }

    @Test
    void mismatchAndTimeSetOffCheckpoints() throws Exception {
        primary.checkpointDelay(30);
        pair();
        primary.journal().await("checkpoint", 3);
        Runnable mismatch = primary.mismatch();
        assertTrue(mismatch != null);
        primary.checkpointDelay(1_000_000);
        primary.journal().await("checkpoint", 4);
        long before = primary.journal().count("checkpoint");
        mismatch.run();
        primary.journal().await("checkpoint", before + 1);
    }

    @Test
    void primaryGoesOnAlone() throws Exception {
        pair();
        checkpoint(1);
        int before = primary.journal().lines().size();
        primary.lostHeartbeat();
        primary.journal().await("RESUME", 3);
        assertEquals(
                List.of("STOP", "MIGRATION completed", "COLO_EXIT primary request", "RESUME"),
                primary.journal().lines().subList(before, primary.journal().lines().size()).stream()
                        .filter(e -> !e.startsWith("report"))
                        .toList());
        assertEquals(COLOMode.NONE, primary.colo.queryColoStatus().mode());
        assertEquals(COLOMode.PRIMARY, primary.colo.queryColoStatus().lastMode());
        secondary.journal().await("COLO_EXIT secondary error", 1);
        assertThrows(QmpException.class, primary::lostHeartbeat);
    }

    @Test
    void secondaryGoesOnAlone() throws Exception {
        pair();
        checkpoint(1);
        int before = secondary.journal().lines().size();
        secondary.lostHeartbeat();
        secondary.journal().await("RESUME", 3);
        assertEquals(
                List.of(
                        "STOP",
                        "MIGRATION completed",
                        "COLO_EXIT secondary request",
                        "announce",
                        "RESUME"),
                secondary
                        .journal()
                        .lines()
                        .subList(before, secondary.journal().lines().size())
                        .stream()
                        .filter(e -> !e.startsWith("report"))
                        .toList());
        assertEquals(1, secondary.told.get("filtersFailover"));
        assertEquals(COLOMode.SECONDARY, secondary.colo.queryColoStatus().lastMode());
        assertEquals(MigrationStatus.COMPLETED, secondary.migration.queryMigrate().status());
    }

    /**
     * Cuts the wire after any number of bytes, mostly among pages that are sent ahead; each side must then be able to go
     * on, whole: the secondary with all pages and the register of the last complete checkpoint.
     */
    @Test
    void survivesTheOthersDeathAtAnyByte() throws Exception {
        long[] entered = new long[2];
        long[] total = new long[2];
        session(Long.MAX_VALUE, Long.MAX_VALUE, entered, total);
        Random random = new Random(20261123);
        for (int i = 0; i < 60; i++) {
            boolean forward = i % 3 != 0;
            int way = forward ? 0 : 1;
            long span = total[way] - entered[way];
            long cut = entered[way] + (span <= 0 ? 0 : random.nextLong(span));
            session(
                    forward ? cut : Long.MAX_VALUE,
                    forward ? Long.MAX_VALUE : cut,
                    new long[2],
                    new long[2]);
        }
    }

    /**
     * The wire falls silent in each phase of the first checkpoint, in one direction: the side that waits gives up and
     * says for what, the other one learns it, and both guests run, whole.
     */
    @Test
    void nobodyWaitsForEver() throws Exception {
        long[] entered = new long[2];
        session(Long.MAX_VALUE, Long.MAX_VALUE, entered, new long[2]);
        long start = entered[0];
        long end = firstEnd;
        long devices = end - deviceBytes;
        gives("checkpoint-ready' from the secondary within", Long.MAX_VALUE, 0);
        gives("checkpoint-reply' from the secondary within", Long.MAX_VALUE, 4);
        gives("vmstate-received' from the secondary within", Long.MAX_VALUE, 8);
        gives("vmstate-loaded' from the secondary within", Long.MAX_VALUE, 12);
        gives("vmstate-send' from the primary within", start + 4, Long.MAX_VALUE);
        gives("progress of the pages from the primary within", start + 9, Long.MAX_VALUE);
        gives("progress of the pages from the primary within", start + 9999, Long.MAX_VALUE);
        gives("end of the last pages .* stop", devices - 20, Long.MAX_VALUE);
        gives("vmstate-size' from the primary within .* stop", devices - 12, Long.MAX_VALUE);
        gives("device state from the primary within .* stop", end - 1, Long.MAX_VALUE);
    }

    /** Whoever was to say that COLO may begin, while the guest stands, has died. */
    @Test
    void theGuestStandsForNobodyWhoIsGone() throws Exception {
        primary.with(
                MigrationCapability.X_COLO,
                MigrationCapability.EVENTS,
                MigrationCapability.PAUSE_BEFORE_SWITCHOVER);
        primary.coloTimeout(100);
        secondary.migration.listen("unix:" + socket());
        primary.migrate("unix:" + socket());
        primary.journal()
                .await(
                        "report: COLO start: no 'migrate-continue' within 100 ms of the guest's"
                                + " stop",
                        1);
        primary.journal().await("MIGRATION failed", 1);
    }

    /** The checkpoint is not taken, both guests run, and either can go on alone with the one before. */
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void aDiskThatHangsEndsInAnError(boolean ofThePrimary) throws Exception {
        pair();
        primary.epoch(2);
        ColoGuest hangs = ofThePrimary ? primary : secondary;
        hangs.hangDisk();
        primary.colo.requestCheckpoint();
        primary.journal().await("COLO_EXIT primary error", 1);
        secondary.journal().await("COLO_EXIT secondary error", 1);
        String said = "report: COLO checkpoint: no end of the guest's disk writes: .*";
        assertTrue(
                hangs.journal().lines().stream().anyMatch(l -> l.matches(said)),
                said + ": " + hangs.journal().lines());
        primary.journal().await("run again", e -> primary.running());
        secondary.journal().await("run again", e -> secondary.running());
        hangs.lostHeartbeat();
        hangs.journal().await("COLO failover", e -> e.toString().contains("COLO failover: no end"));
        hangs.journal().await("run again", e -> hangs.running());
        assertEquals(1, secondary.consistentEpoch());
    }

    /**
     * A byte anywhere in a checkpoint is another than was sent, or the disks cannot take it: the secondary has the
     * checkpoint before or this one, whole, and takes over.
     */
    @Test
    void aLoadThatFailsLeavesTheCheckpointBefore() throws Exception {
        long[] entered = new long[2];
        session(Long.MAX_VALUE, Long.MAX_VALUE, entered, new long[2]);
        long start = entered[0];
        long devices = firstEnd - deviceBytes;
        Random random = new Random(20261130);
        int refused = 0;
        for (int i = 0; i < 60; i++) {
            // Not among the pages: where one goes and what is in it, nobody can check.
            long at =
                    i % 4 == 0
                            ? start + random.nextLong(13)
                            : devices - 20 + random.nextLong(deviceBytes + 20);
            refused += loads(at, "") == 1 ? 1 : 0;
        }
        assertTrue(refused > 30, refused + " of 60 were refused");
        assertEquals(1, loads(-1, "checkReplication"));
        assertEquals(1, loads(-1, "checkpointReplication"));
        assertEquals(2, loads(-1, ""));
    }

    /** Two new sides in the first epoch, of which the secondary waits. */
    private void fresh() throws Exception {
        drop();
        make();
        secondary.migration.listen("unix:" + socket());
        primary.epoch(1);
    }

    private Path socket() {
        return directory.resolve("mig");
    }

    private Path relay() {
        return directory.resolve("relay");
    }

    /** What the primary goes through to the secondary. */
    private Wire wire(long forward, long backward, boolean silent) throws IOException {
        Files.deleteIfExists(relay());
        return new Wire(relay(), socket(), forward, backward, silent);
    }

    /** The epoch of the secondary behind a checkpoint that was mangled there, and the failover. */
    private long loads(long mangled, String fails) throws Exception {
        fresh();
        primary.coloTimeout(1000);
        secondary.coloTimeout(1000);
        try (Wire wire = wire(Long.MAX_VALUE, Long.MAX_VALUE, false)) {
            wire.mangled = mangled;
            primary.migrate("unix:" + relay());
            primary.journal().await("RESUME", 1);
            secondary.fails = fails;
            primary.epoch(2);
            primary.colo.requestCheckpoint();
            primary.journal()
                    .await(
                            "checkpoint or end",
                            e -> e.contains("checkpoint") || e.contains("COLO_EXIT primary error"));
            secondary.lostHeartbeat();
            secondary.journal().await("announce", 1);
            secondary.journal().await("run again", e -> secondary.running());
        }
        return secondary.consistentEpoch();
    }

    private void gives(String missing, long forward, long backward) throws Exception {
        fresh();
        boolean primaryWaits = forward == Long.MAX_VALUE;
        (primaryWaits ? primary : secondary).coloTimeout(700);
        (primaryWaits ? secondary : primary).coloTimeout(0);
        try (Wire wire = wire(forward, backward, true)) {
            primary.migrate("unix:" + relay());
            if (backward > 0) {
                primary.journal().await("RESUME", 1);
                primary.epoch(2);
                primary.colo.requestCheckpoint();
            }
            primary.journal().await("COLO_EXIT primary error", 1);
            secondary.journal().await("COLO_EXIT secondary error", 1);
            String said = "report: COLO checkpoint: no .*" + missing + ".*";
            ColoGuest waits = primaryWaits ? primary : secondary;
            assertTrue(
                    waits.journal().lines().stream().anyMatch(l -> l.matches(said)),
                    said + ": " + waits.journal().lines());
            assertTrue(secondary.running());
            assertEquals(primaryWaits ? backward : forward, wire.carried(!primaryWaits));
            // The one that never heard of the secondary was not started yet when it began.
            assertEquals(backward > 0, primary.running());
        }
        assertEquals(backward > 0 ? 2 : 1, primary.consistentEpoch());
        assertEquals(backward == 8 || backward == 12 ? 2 : 1, secondary.consistentEpoch());
        primary.lostHeartbeat();
        primary.journal().await("run again", e -> e.getLast().equals("RESUME"));
        secondary.lostHeartbeat();
        secondary.journal().await("announce", 1);
        secondary.journal().await("run again", e -> secondary.running());
        assertEquals(backward == 8 || backward == 12 ? 2 : 1, secondary.consistentEpoch());
    }

    private void session(long forward, long backward, long[] entered, long[] total)
            throws Exception {
        fresh();
        try (Wire wire = wire(forward, backward, false)) {
            primary.migrate("unix:" + relay());
            primary.journal()
                    .await(
                            "COLO or its end",
                            e -> e.contains("RESUME") || e.contains("COLO_EXIT primary error"));
            entered[0] = wire.forwarded;
            entered[1] = 4;
            for (int round = 1; round <= 3; round++) {
                int wanted = round + 1;
                primary.epoch(wanted);
                primary.colo.requestCheckpoint();
                primary.journal()
                        .await(
                                "checkpoint or end",
                                e ->
                                        e.stream().filter("checkpoint"::equals).count()
                                                        >= wanted - 1
                                                || e.contains("COLO_EXIT primary error"));
                if (forward == Long.MAX_VALUE && backward == Long.MAX_VALUE && round == 1) {
                    firstEnd = wire.forwarded;
                    deviceBytes = wire.devices();
                }
            }
            total[0] = wire.forwarded;
            total[1] = wire.backwarded;
        }
        // The wire is gone for good; the primary notices at the next checkpoint at the latest.
        primary.colo.requestCheckpoint();
        primary.journal().await("COLO_EXIT primary error", 1);
        long reached = primary.register;
        primary.lostHeartbeat();
        primary.journal().await("completed", e -> e.contains("MIGRATION completed"));
        primary.journal()
                .await("run again", e -> e.getLast().equals("RESUME") || primary.running());
        assertEquals(reached, primary.consistentEpoch());

        secondary.journal().await("COLO_EXIT secondary error", 1);
        secondary.lostHeartbeat();
        secondary.journal().await("announce", 1);
        secondary.journal().await("run again", e -> secondary.running());
        long epoch = secondary.consistentEpoch();
        assertTrue(epoch <= reached, "epoch " + epoch + " is ahead of " + reached);
    }
}
