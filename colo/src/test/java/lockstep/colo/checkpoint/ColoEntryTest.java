package lockstep.colo.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import lockstep.api.MigrationCapability;
import lockstep.api.MigrationStatus;
import lockstep.api.RunState;
import lockstep.qmp.QmpException;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;

/**
 * The two ways in which a migration becomes COLO: announced in the stream, as by QEMU up to 10.2, and with a return path
 * that is closed before, as by QEMU 11. The bytes are those that pairs of QEMU 7.2 and 11.1 send, but for what only two
 * Lockstep say to each other.
 */
@Timeout(120)
class ColoEntryTest {
    private static final String HEADER =
            "5145564d 00000003 07 0000000e"
                    + HexFormat.of()
                            .formatHex("pc-i440fx-10.2".getBytes(StandardCharsets.US_ASCII));
    private static final String ENABLE_COLO = "08 0008 0000";
    private static final String OPEN_AND_PING = "08 0001 0000" + "08 0002 0004 00000001";
    private static final String RAM = "01 00000002 03 72616d";
    private static final String PONG = "0002 0004 00000001";
    private static final String CLOSED = "0001 0004 00000000";
    private static final String BROKEN = "0001 0004 00000001";
    private static final String READY = "00000000";
    private static final String READY_FOR_CHANGES = "40000000";
    private static final String REQUEST = "00000001";
    private static final String FIRST_CHECKPOINT = "00000002 00000005 00000006";

    @TempDir Path directory;
    private final ColoGuest primary = new ColoGuest("primary", RunState.PRELAUNCH);
    private final ColoGuest secondary = new ColoGuest("secondary", RunState.INMIGRATE);

    private boolean asQemu;

    @AfterEach
    void drop() {
        primary.close();
        secondary.close();
    }

    @Test
    void withoutAReturnPathTheStreamAnnouncesColo() throws Exception {
        asQemu = true;
        takesACheckpoint(
                List.of(MigrationCapability.X_COLO),
                HEADER + ENABLE_COLO + RAM,
                READY + FIRST_CHECKPOINT);
    }

    @Test
    void withAReturnPathItIsClosedBeforeColoBegins() throws Exception {
        asQemu = true;
        takesACheckpoint(
                List.of(MigrationCapability.X_COLO, MigrationCapability.RETURN_PATH),
                HEADER + OPEN_AND_PING + RAM,
                PONG + CLOSED + READY + FIRST_CHECKPOINT);
    }

    /** A secondary that could take it either way goes by the stream. */
    @Test
    void aSecondaryWithBothTakesAnAnnouncement() throws Exception {
        secondary.with(MigrationCapability.RETURN_PATH);
        takesACheckpoint(
                List.of(MigrationCapability.X_COLO),
                HEADER + ENABLE_COLO + RAM,
                READY_FOR_CHANGES + FIRST_CHECKPOINT);
    }

    private void takesACheckpoint(
            List<MigrationCapability> capabilities, String forward, String backward)
            throws Exception {
        primary.checkpointDelay(1_000_000);
        try (Wire wire = wire(capabilities, Long.MAX_VALUE, -1)) {
            primary.journal().await("RESUME", 1);
            primary.epoch(2);
            primary.colo.requestCheckpoint();
            primary.journal().await("checkpoint", 1);
            assertBegins(forward, wire.head(true));
            assertBegins(backward, wire.head(false));
            assertEquals(2, secondary.consistentEpoch());
            primary.lostHeartbeat();
            primary.journal().await("run again", e -> primary.running());
        }
        secondary.journal().await("COLO_EXIT secondary error", 1);
        secondary.lostHeartbeat();
        secondary.journal().await("announce", 1);
        secondary.journal().await("run again", e -> secondary.running());
        assertEquals(2, secondary.consistentEpoch());
    }

    /** It could not answer what the guest's disk still waits for. */
    @Test
    void aQemuIsSentNothingOfACheckpointBeforeTheGuestStands() throws Exception {
        asQemu = true;
        primary.coloTimeout(300);
        primary.checkpointDelay(1_000_000);
        try (Wire wire = wire(List.of(MigrationCapability.X_COLO), Long.MAX_VALUE, -1)) {
            primary.journal().await("RESUME", 1);
            long before = wire.carried(true);
            primary.hangDisk();
            primary.epoch(2);
            primary.colo.requestCheckpoint();
            primary.journal().await("COLO_EXIT primary error", 1);
            assertEquals(before + bytes(REQUEST).length, wire.carried(true));
        }
    }

    /** The secondary has not become one yet, as far as the primary knows: its guest goes on where it was. */
    @Test
    void aReturnPathThatStaysOpenEndsTheMigration() throws Exception {
        primary.coloTimeout(300);
        try (Wire wire =
                wire(
                        List.of(MigrationCapability.X_COLO, MigrationCapability.RETURN_PATH),
                        bytes(PONG).length,
                        -1)) {
            primary.journal().await("MIGRATION failed", 1);
            assertEquals(bytes(PONG).length, wire.carried(false));
        }
        assertEquals(
                "The destination did not close the return path within 300 ms",
                primary.migration.queryMigrate().errorDesc());
        assertFalse(primary.journal().lines().contains("MIGRATION colo"));
        assertFalse(primary.running());
        assertEquals(1, primary.consistentEpoch());
    }

    /** It would run its guest beside the primary's otherwise. */
    @Test
    void aSecondaryThatIsNotToldOfColoTakesNothing() throws Exception {
        primary.with(MigrationCapability.RETURN_PATH);
        try (Wire wire = wire(List.of(MigrationCapability.X_COLO), Long.MAX_VALUE, -1)) {
            secondary.journal().await("MIGRATION failed", 1);
            primary.journal().await("MIGRATION failed", 1);
            assertBegins(PONG + BROKEN, wire.head(false));
        }
        assertFalse(secondary.running());
        assertEquals(1, primary.consistentEpoch());
    }

    /** What cannot be loaded is told on the return path; the source's guest goes on. */
    @Test
    void aSecondaryThatCannotLoadSaysSoOnTheReturnPath() throws Exception {
        try (Wire wire =
                wire(
                        List.of(MigrationCapability.X_COLO, MigrationCapability.RETURN_PATH),
                        Long.MAX_VALUE,
                        bytes(HEADER + OPEN_AND_PING + RAM).length - 1)) {
            primary.journal().await("MIGRATION failed", 1);
            assertBegins(PONG + BROKEN, wire.head(false));
        }
        assertEquals(MigrationStatus.FAILED, secondary.migration.queryMigrate().status());
    }

    /** The pair's connection, over which the migration begins. */
    private Wire wire(List<MigrationCapability> capabilities, long backward, long mangled)
            throws IOException, QmpException {
        for (ColoGuest side : List.of(primary, secondary)) {
            side.with(MigrationCapability.EVENTS);
            side.with(capabilities.toArray(MigrationCapability[]::new));
        }
        secondary.migration.listen("unix:" + directory.resolve("mig"));
        primary.epoch(1);
        Path relay = directory.resolve("relay");
        Wire wire =
                new Wire(
                        relay,
                        directory.resolve("mig"),
                        Long.MAX_VALUE,
                        backward,
                        backward < Long.MAX_VALUE);
        wire.mangled = mangled;
        wire.asQemu = asQemu;
        primary.migrate("unix:" + relay);
        return wire;
    }

    private static byte[] bytes(String hex) {
        return HexFormat.of().parseHex(hex.replace(" ", ""));
    }

    private static void assertBegins(String hex, byte[] sent) {
        byte[] wanted = bytes(hex);
        assertEquals(
                HexFormat.of().formatHex(wanted),
                HexFormat.of().formatHex(Arrays.copyOf(sent, wanted.length)));
    }
}
