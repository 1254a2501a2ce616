package lockstep.block.job;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import lockstep.api.BitmapSyncMode;
import lockstep.api.BlockJobCompletedEvent;
import lockstep.api.BlockdevBackup;
import lockstep.api.MirrorSyncMode;
import lockstep.block.BlockBackend;
import lockstep.block.FaultyNode;
import lockstep.block.Images;
import lockstep.block.backup.CopyBeforeWrite;
import lockstep.block.backup.SnapshotAccess;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.DirtyBitmap;
import lockstep.block.node.Permission;
import lockstep.block.node.Role;
import lockstep.block.qcow2.Qcow2Creator;
import lockstep.block.qcow2.Qcow2Node;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Objects;

/** What a copy has is what the disk had when the job was made, whatever the guest does meanwhile. */
class BackupJobTest extends ChainFixture {
    private Qcow2Node top;
    private Qcow2Node target;
    private BlockBackend drive;

    @BeforeEach
    void disk() throws Exception {
        top = image("top", image("base", null));
        drive = drive(top);
        target = empty("target", 16);
    }

    private Qcow2Node empty(String name, int clusterBits) throws Exception {
        Qcow2Creator.create(
                dir.resolve(name).toString(),
                new Qcow2Creator.Options(SIZE, clusterBits, null, null));
        return Images.qcow2(graph, dir.resolve(name), SIZE, false);
    }

    private BlockdevBackup.Builder backup(BlockNode to) {
        return BlockdevBackup.builder()
                .jobId("j")
                .device("drive0")
                .target(to.name())
                .sync(MirrorSyncMode.FULL);
    }

    private void start(BlockdevBackup.Builder arguments) throws BlockException {
        jobs.backup(arguments.build(), new JobGroup()).begin();
    }

    private static byte[] content(BlockNode node) throws BlockException {
        byte[] all = new byte[SIZE];
        ChildEdge.look(node).read(0, MemorySegment.ofArray(all));
        return all;
    }

    @ParameterizedTest
    @CsvSource({"false,16", "true,16", "false,18", "true,12"})
    void theCopyIsOfTheMomentOfItsBeginning(boolean compress, int clusterBits) throws Exception {
        Qcow2Node to = empty("to", clusterBits);
        byte[] before = model.clone();
        start(backup(to).compress(compress).speed(16L << 20));
        Thread guest = guest(drive);
        awaitEnd();
        guest.join();
        assertEquals(List.of(), failures);
        assertArrayEquals(before, content(to));
        assertFalse(java.util.Arrays.equals(before, model), "the guest wrote");
        assertSame(top, drive.root());
        assertNull(to.blockedBecause());
        checkContent(drive, "top");
        Images.run("qemu-img", "check", "-U", dir.resolve("to").toString());
    }

    @Test
    void aJobThatCopiesNothingItselfKeepsWhatIsOverwritten() throws Exception {
        Qcow2Node over = empty("over", 16);
        over.attachBacking(top);
        byte[] before = model.clone();
        start(backup(over).sync(MirrorSyncMode.NONE));
        Thread guest = guest(drive);
        while (guest.isAlive()) {
            assertArrayEquals(before, content(over));
        }
        assertEquals(List.of(), failures);
        assertArrayEquals(before, content(over));
        Objects.requireNonNull(jobs.find("j")).cancel(false);
        awaitEnd();
        checkContent(drive, "top");
    }

    @ParameterizedTest
    @EnumSource(names = {"ON_SUCCESS", "NEVER", "ALWAYS"})
    void whatABitmapMarksIsCopied(BitmapSyncMode mode) throws Exception {
        start(backup(target));
        awaitEnd();
        DirtyBitmap bitmap = new DirtyBitmap("b", 65536, SIZE);
        top.follow(bitmap);
        guest(drive).join();
        long marked = bitmap.bytes();
        byte[] before = model.clone();
        events.clear();
        start(
                backup(target)
                        .sync(MirrorSyncMode.BITMAP)
                        .bitmap("b")
                        .bitmapMode(mode)
                        .autoFinalize(false));
        assertThrows(
                BlockException.class,
                () -> start(backup(empty("x", 16)).jobId("k").device(top.name()).bitmap("b")));
        while (!Objects.requireNonNull(jobs.find("j"))
                .info()
                .status()
                .wireName()
                .equals("pending")) {
            loop.take().run();
        }
        drive.writeBlocking(0, MemorySegment.ofArray(new byte[512]));
        java.util.Arrays.fill(model, 0, 512, (byte) 0);
        Objects.requireNonNull(jobs.find("j")).finish();
        awaitEnd();
        assertArrayEquals(before, content(target));
        boolean kept = mode == BitmapSyncMode.NEVER;
        assertEquals(kept, bitmap.bytes() >= marked);
        assertEquals(0, bitmap.first(0, 512), "what was written meanwhile");
        assertFalse(bitmap.busy());
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aFailureKeepsTheMarksOfWhatWasNotCopied(boolean asFarAsItGot) throws Exception {
        DirtyBitmap bitmap = new DirtyBitmap("b", 65536, SIZE);
        top.follow(bitmap);
        guest(drive).join();
        long marked = bitmap.count();
        FaultyNode faulty = FaultyNode.over(Images.raw(graph, dir.resolve("faulty"), SIZE), 3);
        start(
                backup(faulty)
                        .sync(MirrorSyncMode.BITMAP)
                        .bitmap("b")
                        .bitmapMode(
                                asFarAsItGot ? BitmapSyncMode.ALWAYS : BitmapSyncMode.ON_SUCCESS));
        awaitEnd();
        assertEquals(asFarAsItGot ? marked - 3 : marked, bitmap.count());
        assertEquals(
                "Input/output error",
                events.stream()
                        .filter(BlockJobCompletedEvent.class::isInstance)
                        .map(e -> ((BlockJobCompletedEvent) e).error())
                        .findFirst()
                        .orElseThrow());
        checkContent(drive, "top");
    }

    @Test
    void jobsOfOneGroupEndWellTogetherOrNotAtAll() throws Exception {
        JobGroup group = new JobGroup();
        FaultyNode faulty = FaultyNode.over(Images.raw(graph, dir.resolve("faulty"), SIZE), 0);
        var first = jobs.backup(backup(target).build(), group);
        var second = jobs.backup(backup(faulty).jobId("k").device(top.name()).build(), group);
        first.begin();
        second.begin();
        while (jobs.find("j") != null || jobs.find("k") != null) {
            loop.take().run();
        }
        assertEquals(
                List.of("BLOCK_JOB_CANCELLED j", "BLOCK_JOB_COMPLETED k"),
                events.stream()
                        .filter(e -> e.eventName().matches(".*(CANCELLED|COMPLETED)"))
                        .map(
                                e ->
                                        e.eventName()
                                                + (e instanceof BlockJobCompletedEvent c
                                                        ? " " + c.device()
                                                        : " j"))
                        .sorted()
                        .toList());
        assertSame(top, drive.root());
    }

    @Test
    void theDiskAsItWasCanBeRead() throws Exception {
        CopyBeforeWrite filter =
                CopyBeforeWrite.open(
                        graph, "filter", false, true, top, target, CopyBeforeWrite.Options.PLAIN);
        graph.drain()
                .drained(
                        () -> {
                            filter.insert();
                            filter.beginEpoch();
                        });
        SnapshotAccess old = SnapshotAccess.open(graph, "old", true, true, filter);
        ChildEdge edge =
                graph.attach(
                        () -> "a reader",
                        "root",
                        Role.ROOT,
                        old,
                        Permission.CONSISTENT_READ,
                        Permission.ALL);
        byte[] before = model.clone();
        Thread guest = guest(drive);
        byte[] all = new byte[SIZE];
        while (guest.isAlive()) {
            graph.drain().enter(edge);
            edge.read(0, MemorySegment.ofArray(all));
            graph.drain().leave(edge);
            assertArrayEquals(before, all);
        }
        assertEquals(List.of(), failures);
        edge.read(0, MemorySegment.ofArray(all));
        assertArrayEquals(before, all);
        graph.detach(edge);
        graph.release(old);
        filter.remove();
        checkContent(drive, "top");
    }
}
