package lockstep.block.drive;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import static java.util.Objects.requireNonNull;

import lockstep.api.BlockdevMirrorArguments;
import lockstep.api.JobStatus;
import lockstep.api.MirrorSyncMode;
import lockstep.api.NbdServerOptionsBase;
import lockstep.block.BlockBackend;
import lockstep.block.BlockHost;
import lockstep.block.DriveInfo;
import lockstep.block.Images;
import lockstep.block.ReplicationControl.Mode;
import lockstep.block.export.NbdServer;
import lockstep.block.job.Job;
import lockstep.block.job.Jobs;
import lockstep.block.nbd.NbdAddress;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.DirtyBitmap;
import lockstep.block.qcow2.Qcow2Creator;
import lockstep.block.quorum.QuorumEvents;
import lockstep.block.replication.ReplicationNode;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/**
 * Both sides of the user's set-up with the drive texts of the given scripts, joined by NBD, without
 * machines.
 */
class ColoDisksTest {
    private static final long SIZE = 16 << 20;

    /** One process's block room; posted tasks run when the test says so. */
    private static final class Side {
        final LinkedBlockingQueue<Runnable> posted = new LinkedBlockingQueue<>();
        final List<String> deletedExports = new ArrayList<>();
        boolean incoming;
        final BlockManager manager =
                new BlockManager(
                        new BlockHost() {
                            @Override
                            public void post(Runnable task) {
                                posted.add(task);
                            }
                        },
                        QuorumEvents.NONE,
                        () -> incoming,
                        warning -> {},
                        deletedExports::add);

        BlockBackend drive(String text) throws BlockException {
            return manager.addDrive(text, Map.of(), "ide").backend();
        }

        void runUntil(BooleanSupplier done) throws InterruptedException {
            long deadline = System.nanoTime() + 20_000_000_000L;
            while (!done.getAsBoolean()) {
                assertTrue(System.nanoTime() < deadline);
                Runnable task = posted.poll(1, TimeUnit.SECONDS);
                if (task != null) {
                    task.run();
                }
            }
        }
    }

    @TempDir Path dir;
    private final Side primary = new Side();
    private final Side secondary = new Side();
    private BlockBackend primaryDisk;
    private BlockBackend secondaryDisk;

    @BeforeEach
    void create() throws Exception {
        for (String name : List.of("p", "s", "active", "hidden")) {
            Qcow2Creator.create(
                    dir.resolve(name + ".qcow2").toString(), Qcow2Creator.Options.of(SIZE));
        }
        primaryDisk =
                primary.drive(
                        "if=ide,id=colo-disk0,driver=quorum,read-pattern=fifo,vote-threshold=1,"
                                + "children.0.file.filename="
                                + dir.resolve("p.qcow2")
                                + ",children.0.driver=qcow2");
        primaryDisk.attachDevice("/machine/unattached/device[18]", false, false);
        secondary.incoming = true;
        secondary.drive(
                "if=none,id=parent0,file.filename=" + dir.resolve("s.qcow2") + ",driver=qcow2");
        secondary.drive(
                "if=none,id=childs0,driver=replication,mode=secondary,file.driver=qcow2,"
                        + "top-id=colo-disk0,file.file.filename="
                        + dir.resolve("active.qcow2")
                        + ",file.backing.driver=qcow2,file.backing.file.filename="
                        + dir.resolve("hidden.qcow2")
                        + ",file.backing.backing=parent0");
        secondaryDisk =
                secondary.drive(
                        "if=ide,id=colo-disk0,driver=quorum,read-pattern=fifo,vote-threshold=1,"
                                + "children.0=childs0");
        secondaryDisk.attachDevice("/machine/unattached/device[18]", false, false);
    }

    @AfterEach
    void close() {
        primary.manager.close();
        secondary.manager.close();
    }

    private void intoColo() throws Exception {
        joined();
        start();
    }

    private void start() throws BlockException {
        secondary.incoming = false;
        secondary.manager.graph().activateAll();
        secondary.manager.replication().startAll(Mode.SECONDARY);
        primary.manager.replication().startAll(Mode.PRIMARY);
    }

    private void joined() throws Exception {
        NbdAddress address = new NbdAddress.Unix(dir.resolve("nbd.sock").toString());
        secondary
                .manager
                .exports()
                .startServer(address, new NbdServerOptionsBase(null, null, null, null));
        BlockNode parent = secondary.manager.graph().names().lookup("parent0");
        secondary
                .manager
                .exports()
                .add(
                        new NbdServer.Request("parent0", "parent0", "", true, false, false),
                        parent,
                        secondary.manager.backends().find("parent0"));
        primary.manager
                .nodes()
                .addFromText(
                        "driver=replication,mode=primary,file.driver=nbd,file.path="
                                + dir.resolve("nbd.sock")
                                + ",file.export=parent0,node-name=replication0");
        primary.manager.nodes().change("colo-disk0", null, "replication0");
    }

    private static int at(BlockBackend disk, long offset) throws BlockException {
        byte[] one = new byte[1];
        disk.readBlocking(offset, java.lang.foreign.MemorySegment.ofArray(one));
        return one[0];
    }

    @Test
    void secondaryFailsOver() throws Exception {
        intoColo();
        primaryDisk.writeBlocking(0, Images.pattern(1, 1 << 20));
        secondaryDisk.writeBlocking(0, Images.pattern(1, 1 << 20));
        primary.manager.replication().checkpointAll();
        secondary.manager.replication().getErrorAll();
        secondary.manager.replication().checkpointAll();
        assertEquals(1, at(secondaryDisk, 1000));
        primaryDisk.writeBlocking(65536, Images.pattern(2, 65536));
        secondaryDisk.writeBlocking(5 << 20, Images.pattern(3, 4096));
        assertEquals(
                "Node 'colo-disk0' is busy: Block device is in use by internal backup job",
                assertThrows(
                                BlockException.class,
                                () -> secondary.manager.deleteDrive("colo-disk0"))
                        .getMessage());
        // The primary is gone.
        secondary.manager.exports().stopServer();
        assertEquals(List.of("parent0"), secondary.deletedExports);
        secondary.manager.replication().stopAll(true);
        ReplicationNode node =
                (ReplicationNode)
                        requireNonNull(
                                requireNonNull(secondary.manager.backends().find("childs0"))
                                        .root());
        secondaryDisk.writeBlocking(6 << 20, Images.pattern(4, 4096));
        secondary.runUntil(() -> node.stage() == ReplicationNode.Stage.DONE);
        assertEquals(1, at(secondaryDisk, 70_000));
        assertEquals(3, at(secondaryDisk, 5 << 20));
        assertEquals(4, at(secondaryDisk, 6 << 20));
        assertEquals(4, secondary.manager.graph().names().nodes().size());
        // The primary without its secondary still writes, with an event for the lost child.
        primaryDisk.writeBlocking(7 << 20, Images.pattern(5, 4096));
        primary.manager.replication().stopAll(true);
    }

    @Test
    void primaryFailsOver() throws Exception {
        intoColo();
        primaryDisk.writeBlocking(0, Images.pattern(1, 1 << 20));
        secondary.manager.close();
        primaryDisk.writeBlocking(1 << 20, Images.pattern(2, 1 << 20));
        primary.manager.nodes().change("colo-disk0", "children.1", null);
        primary.manager.deleteDrive("replication0");
        assertEquals(
                "Device 'replication0' not found",
                assertThrows(
                                BlockException.class,
                                () -> primary.manager.deleteDrive("replication0"))
                        .getMessage());
        primary.manager.replication().stopAll(true);
        primaryDisk.writeBlocking(2 << 20, Images.pattern(3, 1 << 20));
        assertEquals(1, at(primaryDisk, 0));
        assertEquals(2, at(primaryDisk, 1 << 20));
        assertEquals(3, at(primaryDisk, 2 << 20));
        assertEquals(3, primary.manager.graph().names().nodes().size());
    }

    private DirtyBitmap marks(Side side, String name) throws BlockException {
        return requireNonNull(side.manager.graph().names().lookup("colo-disk0").bitmap(name));
    }

    private String lostSecondary() {
        return "colo-secondary@" + dir.resolve("nbd.sock") + "/parent0";
    }

    /** Only a flush that has worked says what the secondary has; nothing is known before the first. */
    @Test
    void whatALostSecondaryMayLackIsMarked() throws Exception {
        intoColo();
        DirtyBitmap marks = marks(primary, lostSecondary());
        assertEquals(SIZE, marks.bytes());
        assertTrue(marks.busy());
        primaryDisk.writeBlocking(0, Images.pattern(1, 1 << 20));
        primary.manager.replication().confirmAll();
        // Whether the flush has taken this with it is not known.
        primaryDisk.writeBlocking(3 << 20, Images.pattern(2, 4096));
        primary.runUntil(() -> marks.bytes() < SIZE);
        assertEquals(65536, marks.bytes());
        secondary.manager.close();
        primaryDisk.writeBlocking(5 << 20, Images.pattern(3, 4096));
        primary.manager.replication().confirmAll();
        assertEquals(null, primary.posted.poll(100, TimeUnit.MILLISECONDS));
        primary.manager.nodes().change("colo-disk0", "children.1", null);
        primary.manager.replication().confirmAll();
        primary.manager.deleteDrive("replication0");
        primary.manager.replication().stopAll(true);
        primaryDisk.writeBlocking(7 << 20, Images.pattern(4, 4096));
        assertEquals(3 * 65536, marks.bytes());
    }

    /** Who begins with disks that differ is not believed. */
    @Test
    void whatWasWrittenTooEarlyStaysMarked() throws Exception {
        joined();
        primaryDisk.writeBlocking(0, Images.pattern(1, 4096));
        start();
        primary.manager.replication().confirmAll();
        assertEquals(null, primary.posted.poll(100, TimeUnit.MILLISECONDS));
        assertEquals(SIZE, marks(primary, lostSecondary()).bytes());
    }

    /**
     * Random writes and checkpoints, then one side ends; the other writes on. What its bitmap marks is all that must be
     * copied for equal disks.
     */
    @RepeatedTest(8)
    void aReturningPeerGetsWhatDiffers(RepetitionInfo repetition) throws Exception {
        Random random = new Random(repetition.getCurrentRepetition());
        intoColo();
        int steps = 20 + random.nextInt(30);
        for (int i = 0; i < steps; i++) {
            if (random.nextInt(6) == 0) {
                secondary.manager.replication().checkpointAll();
                primary.manager.replication().confirmAll();
            }
            // The flush is over, or not known to be yet.
            Runnable done = primary.posted.poll(random.nextInt(3), TimeUnit.MILLISECONDS);
            if (done != null) {
                done.run();
            }
            write(primaryDisk, random);
            if (random.nextBoolean()) {
                write(secondaryDisk, random);
            }
        }
        boolean primaryLives = repetition.getCurrentRepetition() % 2 == 0;
        Side left = primaryLives ? primary : secondary;
        BlockBackend disk = primaryLives ? primaryDisk : secondaryDisk;
        (primaryLives ? secondary : primary).manager.close();
        if (primaryLives) {
            write(disk, random);
            primary.manager.nodes().change("colo-disk0", "children.1", null);
            primary.manager.deleteDrive("replication0");
        }
        left.manager.replication().stopAll(true);
        DirtyBitmap marks = marks(left, primaryLives ? lostSecondary() : "colo-primary");
        if (!primaryLives) {
            assertEquals(SIZE, marks.bytes(), "nothing is known yet");
            left.runUntil(() -> marks.bytes() < SIZE);
        }
        for (int i = 0; i < 5; i++) {
            write(disk, random);
        }
        long differs = marks.bytes();
        left.manager
                .nodes()
                .addFromText(
                        "driver=qcow2,file.driver=file,node-name=returned,file.filename="
                                + dir.resolve(primaryLives ? "s.qcow2" : "p.qcow2"));
        Jobs jobs = new Jobs(left.manager.graph(), event -> {});
        jobs.mirror(
                BlockdevMirrorArguments.builder()
                        .jobId("j")
                        .device("colo-disk0")
                        .target("returned")
                        .sync(MirrorSyncMode.FULL)
                        .xBitmap(marks.name())
                        .build());
        write(disk, random);
        Job job = requireNonNull(jobs.find("j"));
        left.runUntil(() -> job.info().status() == JobStatus.READY);
        assertTrue(job.info().currentProgress() <= differs + (1 << 20));
        job.cancel(false);
        left.runUntil(() -> jobs.all().isEmpty());
        byte[] expected = new byte[(int) SIZE];
        byte[] found = new byte[(int) SIZE];
        disk.readBlocking(0, MemorySegment.ofArray(expected));
        ChildEdge.look(left.manager.graph().names().lookup("returned"))
                .read(0, MemorySegment.ofArray(found));
        assertEquals(-1, Arrays.mismatch(expected, found), "the first byte that differs");
    }

    private static void write(BlockBackend disk, Random random) throws BlockException {
        int length = 1 + random.nextInt(100_000);
        disk.writeBlocking(
                random.nextInt((int) SIZE - length), Images.pattern(random.nextInt(4), length));
    }

    @Test
    @Tag("qemu")
    void imagesStayClean() throws Exception {
        Images.needTool("qemu-img", "qemu-utils");
        secondaryFailsOver();
        close();
        for (String name : List.of("p", "s", "active", "hidden")) {
            String report =
                    Images.run("qemu-img", "check", dir.resolve(name + ".qcow2").toString());
            assertTrue(report.contains("No errors"), report);
        }
    }

    @Test
    @Tag("qemu")
    void othersSeeTheImageInUse() throws Exception {
        Images.needTool("qemu-img", "qemu-utils");
        Process process =
                new ProcessBuilder("qemu-img", "info", dir.resolve("p.qcow2").toString())
                        .redirectErrorStream(true)
                        .start();
        String text = new String(process.getInputStream().readAllBytes());
        assertEquals(1, process.waitFor());
        assertTrue(text.contains("Failed to get shared \"write\" lock"), text);
        // Waiting for its guest, the secondary leaves its images to others.
        Images.run("qemu-img", "info", dir.resolve("s.qcow2").toString());
    }

    @Test
    void snapshotKeepsTheImageAsItIs() throws Exception {
        BlockBackend disk =
                primary.drive(
                        "if=none,id=snap,snapshot=on,driver=qcow2,file=" + dir.resolve("s.qcow2"));
        disk.attachDevice("ide0", false, false);
        disk.writeBlocking(0, Images.pattern(7, 4096));
        assertEquals(7, at(disk, 100));
        disk.detachDevice();
        primary.manager.deleteDrive("snap");
        BlockBackend again =
                primary.drive("if=none,id=again,driver=qcow2,file=" + dir.resolve("s.qcow2"));
        assertEquals(0, at(again, 100));
    }

    private String refused(Side side, String text) {
        return requireNonNull(
                assertThrows(BlockException.class, () -> side.drive(text)).getMessage());
    }

    @Test
    void errorTexts() throws Exception {
        assertEquals("unsupported bus type 'foo'", refused(primary, "if=foo,file=x"));
        assertEquals(
                "Could not open '/nonexistent': No such file or directory",
                refused(primary, "file=/nonexistent,if=none,id=a"));
        assertEquals(
                "Block format 'raw' does not support the option 'bogus'",
                refused(primary, "if=none,id=a,driver=raw,bogus=1,file=" + dir.resolve("p.qcow2")));
        assertEquals("Unknown driver 'foo'", refused(primary, "if=none,id=a,driver=foo,file=x"));
        assertEquals(
                "drive with bus=0, unit=0 (index=0) exists",
                refused(primary, "if=ide,index=0,id=a"));
        assertEquals("unit 2 too big (max is 1)", refused(primary, "if=ide,bus=0,unit=2,id=a"));
        assertEquals(
                "Device with id 'colo-disk0' already exists",
                refused(primary, "if=none,id=colo-disk0"));
        assertEquals(
                "Node 'x' not found",
                assertThrows(
                                BlockException.class,
                                () -> primary.manager.nodes().change("colo-disk0", null, "x"))
                        .getMessage());
        assertEquals(
                "The number of children cannot be lower than the vote threshold 1",
                assertThrows(
                                BlockException.class,
                                () ->
                                        primary.manager
                                                .nodes()
                                                .change("colo-disk0", "children.0", null))
                        .getMessage());
        DriveInfo empty = primary.manager.addDrive("if=ide,media=cdrom", Map.of(), "ide");
        assertEquals("ide0-cd1", empty.backend().name());
        assertFalse(empty.backend().present());
        assertEquals("OK\n", primary.manager.hotAddDrive("if=none,id=dd0,driver=null-co,size=1M"));
        assertEquals(
                "Duplicate ID 'dd0' for drive\n",
                primary.manager.hotAddDrive("if=none,id=dd0,driver=null-co,size=1M"));
        assertEquals(
                "Can't hot-add drive to type 1\n",
                primary.manager.hotAddDrive("if=ide,driver=null-co,id=dd1"));
    }
}
