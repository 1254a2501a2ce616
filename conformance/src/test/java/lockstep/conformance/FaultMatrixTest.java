package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * Every fault in every phase of COLO: the guest runs on where it may, and a client's connection and all that was
 * acknowledged to it are there. Prints a line of phase, fault and outcome for each. Some of them usually; {@code -Dfaults=all} for all, {@code -Dfaults=PHASE/FAULT} for
 * those that match, {@code -Dseed=} for other random choices.
 */
@Tag("tun")
@Tag("root")
@Timeout(value = 180, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class FaultMatrixTest {
    private static final String WHICH = System.getProperty("faults", "");
    private static final long SEED = Long.getLong("seed", 20261130);

    /** Those of every run: a side dies, the cable hangs, the disk is full. */
    private static final List<String> USUAL =
            List.of("device-state/kill-primary", "vmstate-received/hang", "nbd-write/full-disk");

    @TempDir Path directory;

    /** One fault in one phase. */
    record Case(Phase phase, Fault fault) {
        @Override
        public String toString() {
            return phase.title() + "/" + fault.title();
        }

        /** Whether it makes a difference when it comes. */
        boolean makesSense() {
            return switch (fault) {
                case FULL_DISK -> phase == Phase.NBD_WRITE || phase == Phase.IDLE;
                case SLOW -> phase != Phase.FAILOVER;
                // A disk is only waited for when the guests stand, and in a failover.
                case PRIMARY_DISK -> phase == Phase.IDLE || phase == Phase.VMSTATE_SEND;
                case SECONDARY_DISK ->
                        phase == Phase.IDLE
                                || phase == Phase.VMSTATE_RECEIVED
                                || phase == Phase.FAILOVER;
                default -> true;
            };
        }

        /** Whether the primary goes on. */
        boolean primaryGoesOn(Random random) {
            return switch (fault) {
                case KILL_PRIMARY, STOP_PRIMARY, PRIMARY_DISK -> false;
                case SECONDARY_DISK -> phase != Phase.FAILOVER;
                case KILL_SECONDARY, STOP_SECONDARY, FULL_DISK, SLOW -> true;
                case CUT, HANG -> phase.beforeThePair() || random.nextBoolean();
            };
        }

        /** Whether the primary learns of it by itself, and from what: a regular expression. */
        String primarySays() {
            if (phase == Phase.FAILOVER || phase == Phase.START || phase == Phase.RAM) {
                return "";
            }
            return switch (fault) {
                case KILL_SECONDARY, CUT ->
                        "COLO checkpoint: (no .+: .+|a write to the disk behind .+ failed.*)";
                case HANG -> "COLO checkpoint: no " + missing(phase) + ".* within \\d+ ms.*";
                case STOP_SECONDARY ->
                        "COLO checkpoint: no " + missing(next()) + ".* within \\d+ ms.*";
                case FULL_DISK -> "COLO checkpoint: .+";
                case PRIMARY_DISK ->
                        "COLO checkpoint: no end of the guest's disk writes within \\d+ ms.*";
                case SECONDARY_DISK ->
                        "COLO checkpoint: no (end of the guest's disk writes|answer from the disk"
                                + "|checkpoint of the disks).* within \\d+ ms.*";
                case KILL_PRIMARY, STOP_PRIMARY, SLOW -> "";
            };
        }

        /** What a message of the secondary that still arrives is followed by. */
        private Phase next() {
            return switch (phase) {
                case CHECKPOINT_READY, VMSTATE_LOADED -> Phase.CHECKPOINT_REPLY;
                case CHECKPOINT_REPLY -> Phase.VMSTATE_RECEIVED;
                case VMSTATE_RECEIVED -> Phase.VMSTATE_LOADED;
                default -> phase;
            };
        }

        private static String missing(Phase phase) {
            String disk = "answer from the disk|end of the guest's disk writes";
            return switch (phase) {
                case CHECKPOINT_READY -> "'checkpoint-ready'";
                case IDLE, CHECKPOINT_REQUEST, CHECKPOINT_REPLY ->
                        "('checkpoint-reply'|" + disk + ")";
                case VMSTATE_SEND, PAGES, VMSTATE_SIZE, DEVICE_STATE, VMSTATE_RECEIVED ->
                        "('vmstate-|progress of the pages|end of the|device state|" + disk + ")";
                case VMSTATE_LOADED -> "('vmstate-loaded'|" + disk + ")";
                default -> ".+";
            };
        }

        /** Whether the secondary learns of it by itself. */
        boolean secondaryLearns() {
            return switch (fault) {
                case KILL_PRIMARY, CUT -> phase.compareTo(Phase.CHECKPOINT_READY) > 0;
                case STOP_PRIMARY ->
                        phase == Phase.CHECKPOINT_REQUEST || phase == Phase.CHECKPOINT_REPLY;
                case HANG -> phase == Phase.VMSTATE_SEND || phase == Phase.PAGES;
                case PRIMARY_DISK -> true;
                default -> false;
            };
        }
    }

    static Stream<Case> cases() {
        List<Case> all = new ArrayList<>();
        for (Phase phase : Phase.values()) {
            for (Fault fault : Fault.values()) {
                all.add(new Case(phase, fault));
            }
        }
        return all.stream()
                .filter(Case::makesSense)
                .filter(
                        c ->
                                WHICH.isEmpty()
                                        ? USUAL.contains(c.toString())
                                        : WHICH.equals("all") || c.toString().matches(WHICH));
    }

    @BeforeEach
    void machine() {
        ColoPair.assumePossible();
    }

    @ParameterizedTest
    @MethodSource("cases")
    void survives(Case c) throws Exception {
        Random random = new Random(SEED + c.toString().hashCode());
        try (FaultyPair pair = new FaultyPair(directory)) {
            pair.start(c.fault);
            if (c.phase.beforeThePair()) {
                if (c.fault != Fault.SLOW) {
                    pair.limit();
                }
                pair.arm(c, random);
                pair.migrate();
                pair.awaitFault();
                tell(c, beforeThePair(pair, c));
                return;
            }
            pair.migrate();
            pair.protectedNow();
            pair.limit();
            try (Talk talk = pair.talk()) {
                talk.more(10);
                boolean primary = c.primaryGoesOn(random);
                if (c.phase != Phase.FAILOVER) {
                    pair.arm(c, random);
                    pair.awaitFault();
                }
                String outcome =
                        c.fault == Fault.SLOW
                                ? goesOn(pair, talk)
                                : failsOver(pair, talk, c, primary);
                tell(c, outcome);
            }
        }
    }

    /** A line of the table. */
    private static void tell(Case c, String outcome) {
        System.out.printf("%-18s %-14s %s%n", c.phase.title(), c.fault.title(), outcome);
    }

    /** The guest of the primary, which nobody has copied yet, runs or can be started; never one on the secondary. */
    private static String beforeThePair(FaultyPair pair, Case c) throws Exception {
        if (c.fault == Fault.SLOW) {
            pair.protectedNow();
            return "a pair, later";
        }
        if (c.fault == Fault.KILL_PRIMARY || c.fault == Fault.STOP_PRIMARY) {
            boolean whole = c.phase == Phase.CHECKPOINT_READY;
            pair.pair.primary.kill();
            if (whole) {
                try (FaultyPair.Alone alone = pair.takeOver(pair.pair.secondary)) {
                    alone.runs();
                }
                return "the secondary goes on";
            }
            pair.endsOrWaits(pair.pair.secondary);
            return "no copy yet: nobody runs";
        }
        String said = c.primarySays().isEmpty() ? "" : pair.primaryGivesUp(c.primarySays());
        pair.pair.secondary.kill();
        pair.runsAlone(pair.pair.primary);
        return "the primary goes on; " + said;
    }

    private static String goesOn(FaultyPair pair, Talk talk) throws Exception {
        talk.more(5);
        pair.cable.slow(false);
        pair.moreCheckpoints(3);
        talk.more(20);
        assertEquals("", pair.exits());
        return "the pair goes on";
    }

    private static String failsOver(FaultyPair pair, Talk talk, Case c, boolean primary)
            throws Exception {
        ColoPair.Side left = primary ? pair.pair.primary : pair.pair.secondary;
        ColoPair.Side lost = primary ? pair.pair.secondary : pair.pair.primary;
        String said = "";
        boolean hangs = c.phase == Phase.FAILOVER && c.fault.hangsDisk();
        if (hangs) {
            pair.strike(c.fault);
            lost.kill();
        } else if (c.phase != Phase.FAILOVER) {
            if (!c.primarySays().isEmpty()) {
                said = pair.primaryGivesUp(c.primarySays());
                pair.primaryRuns();
            }
            if (c.secondaryLearns()) {
                pair.secondaryGivesUp();
            }
            // The fence: whoever goes on alone must know that the other one does not.
            pair.kill(lost);
        }
        try (FaultyPair.Alone alone = pair.takeOver(left)) {
            if (c.phase == Phase.FAILOVER && !hangs) {
                pair.strike(c.fault);
                if (lost.process.isAlive()) {
                    lost.kill();
                }
            }
            alone.runs();
            if (hangs) {
                said = pair.says(left, "COLO failover: no end of .+");
                pair.diskGoesOn();
            }
            talk.more(20);
            List<String> acknowledged = talk.end();
            assertTrue(acknowledged.size() >= 30);
            alone.holds(acknowledged);
        }
        return "the " + left.name + " goes on; " + said;
    }
}
