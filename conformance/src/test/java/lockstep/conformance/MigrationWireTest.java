package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.COLOMode;
import lockstep.api.MigrateArguments;
import lockstep.api.MigrateSetParameters;
import lockstep.api.MigrationCapability;
import lockstep.api.MigrationStatus;
import lockstep.api.RunState;
import lockstep.qmp.QmpException;
import lockstep.runtime.memory.RamBlock;

import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** The migration stream and the COLO protocol against a real QEMU, without devices of ours in between. */
@Tag("qemu")
@Timeout(600)
class MigrationWireTest {
    private static final String ON =
            "{\"execute\": \"migrate-set-capabilities\", \"arguments\": {\"capabilities\":"
                    + " [{\"capability\": \"x-colo\", \"state\": true}, {\"capability\":"
                    + " \"events\", \"state\": true}]}}";

    @TempDir Path directory;

    @BeforeAll
    static void needs() {
        Host.assumeProgram(Host.qemu());
    }

    private static Monitor qemu(String... more) {
        List<String> command =
                new ArrayList<>(
                        List.of(
                                Host.qemu(),
                                "-accel",
                                Host.accelerator(),
                                "-machine",
                                "pc-i440fx-7.2",
                                "-m",
                                "64",
                                "-nodefaults",
                                "-display",
                                "none",
                                "-qmp",
                                "stdio"));
        command.addAll(List.of(more));
        return new Monitor(command);
    }

    /** What COLO needs of ours, with that QEMU. */
    private static MigrationCapability[] colo() {
        return Host.coloByReturnPath()
                ? new MigrationCapability[] {
                    MigrationCapability.RETURN_PATH, MigrationCapability.X_COLO
                }
                : new MigrationCapability[] {MigrationCapability.X_COLO};
    }

    private static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0)) {
            return socket.getLocalPort();
        }
    }

    private StreamReader record() throws IOException {
        Path file = directory.resolve("stream");
        try (Monitor qemu = qemu("-S")) {
            qemu.execute(ON.replace("x-colo", "late-block-activate"));
            qemu.execute(
                    "{\"execute\": \"migrate\", \"arguments\": {\"uri\": \"exec:cat>"
                            + file
                            + "\"}}");
            qemu.await(line -> line.contains("\"completed\""));
            qemu.execute("{\"execute\": \"quit\"}");
        }
        return StreamReader.read(Files.readAllBytes(file));
    }

    @Test
    void readsWhatQemuWrites() throws IOException {
        StreamReader stream = record();
        assertEquals("pc-i440fx-7.2", stream.machine());
        assertEquals("pc.ram", stream.blocks().getFirst().name());
        assertTrue(stream.devices().stream().anyMatch(d -> d.name().equals("i8254")));
    }

    @Test
    void qemuTakesWhatWeWrite() throws Exception {
        StreamReader recording = record();
        int port = freePort();
        try (Monitor qemu = qemu("-incoming", "tcp:127.0.0.1:" + port);
                RecordedGuest ours = new RecordedGuest(recording, RunState.RUNNING)) {
            ours.with(MigrationCapability.EVENTS);
            ours.lock().run(() -> start(ours, "tcp:127.0.0.1:" + port));
            qemu.event("RESUME");
            assertEquals(RunState.POSTMIGRATE, awaitCompleted(ours));
        }
    }

    private static RunState awaitCompleted(RecordedGuest ours) throws InterruptedException {
        ours.journal().await("MIGRATION completed", 1);
        assertEquals(MigrationStatus.COMPLETED, ours.migration.sourceStatus());
        return ours.runState();
    }

    private static void start(RecordedGuest machine, String uri) {
        try {
            machine.migration.migrate(MigrateArguments.builder().uri(uri).build());
        } catch (QmpException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void ourPrimaryWithQemusSecondary() throws Exception {
        StreamReader recording = record();
        int port = freePort();
        try (Monitor qemu = qemu("-incoming", "tcp:127.0.0.1:" + port);
                RecordedGuest ours = new RecordedGuest(recording, RunState.PRELAUNCH)) {
            qemu.execute(Host.coloOfQemu(ON));
            ours.with(colo());
            ours.migration.migrateSetParameters(
                    MigrateSetParameters.builder().xCheckpointDelay(1_000_000L).build());
            ours.lock().run(() -> start(ours, "tcp:127.0.0.1:" + port));
            qemu.event("RESUME");
            ours.journal().await("RESUME", 1);
            Random random = new Random(5);
            for (int round = 1; round <= 10; round++) {
                RamBlock ram = ours.ram();
                ours.lock()
                        .run(
                                () -> {
                                    for (int i = 0; i < 500; i++) {
                                        long page = 4096 + random.nextInt(8192);
                                        ram.memory()
                                                .set(
                                                        ValueLayout.JAVA_LONG,
                                                        page * 4096,
                                                        random.nextLong());
                                        ram.markDirty(page * 4096, 8);
                                    }
                                });
                ours.colo.requestCheckpoint();
                ours.journal().await("checkpoint", round);
                qemu.event("STOP");
                qemu.event("RESUME");
            }
            ours.lock().run(() -> failOver(ours));
            ours.journal().await("COLO_EXIT primary request", 1);
            qemu.event("COLO_EXIT");
            qemu.execute("{\"execute\": \"x-colo-lost-heartbeat\"}");
            qemu.await(line -> line.contains("RESUME"));
            qemu.execute("{\"execute\": \"query-status\"}");
        }
    }

    private static void failOver(RecordedGuest machine) {
        try {
            machine.colo.xColoLostHeartbeat();
        } catch (QmpException e) {
            throw new AssertionError(e);
        }
    }

    /** The recorded sections are of no use for later ones of QEMU's processor in software, which differ in length. */
    @Test
    @Tag("kvm")
    void qemusPrimaryWithOurSecondary() throws Exception {
        Host.assumeKvm();
        StreamReader recording = record();
        int port = freePort();
        Monitor qemu = qemu("-S");
        try (RecordedGuest ours = new RecordedGuest(recording, RunState.INMIGRATE)) {
            ours.with(colo());
            ours.lock().run(() -> listen(ours, port));
            qemu.execute(Host.coloOfQemu(ON));
            qemu.execute(
                    "{\"execute\": \"migrate-set-parameters\", \"arguments\":"
                            + " {\"x-checkpoint-delay\": 100}}");
            qemu.execute(
                    "{\"execute\": \"migrate\", \"arguments\": {\"uri\": \"tcp:127.0.0.1:"
                            + port
                            + "\"}}");
            qemu.event("RESUME");
            for (int round = 1; round <= 10; round++) {
                qemu.event("STOP");
                qemu.event("RESUME");
            }
            ours.journal().await("RESUME", 11);
            qemu.close();
            ours.journal().await("COLO_EXIT secondary error", 1);
            ours.lock().run(() -> failOver(ours));
            // Of the last checkpoint or of the failover: the guest goes on.
            ours.journal().await("announce", 1);
            ours.lock().run(() -> assertEquals(RunState.RUNNING, ours.runState()));
            assertEquals(COLOMode.NONE, ours.colo.queryColoStatus().mode());
        } finally {
            qemu.close();
        }
    }

    private static void listen(RecordedGuest machine, int port) {
        try {
            machine.migration.listen("tcp:127.0.0.1:" + port);
        } catch (QmpException e) {
            throw new AssertionError(e);
        }
    }
}
