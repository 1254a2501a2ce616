package lockstep.block.replication;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import static java.util.Objects.requireNonNull;

import lockstep.block.Backends;
import lockstep.block.BlockBackend;
import lockstep.block.BlockHost;
import lockstep.block.FaultyNode;
import lockstep.block.Images;
import lockstep.block.ReplicationControl;
import lockstep.block.ReplicationControl.Mode;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Permission;
import lockstep.block.node.Pieces;
import lockstep.block.nullco.NullNode;
import lockstep.block.qcow2.OverlapChecks;
import lockstep.block.qcow2.Qcow2Creator;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.block.quorum.QuorumEvents;
import lockstep.block.quorum.QuorumNode;
import lockstep.runtime.linux.Errno;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** The secondary's tree of the user's recipe, without a machine around it. */
class ReplicationTest {
    private static final int SIZE = 4 << 20;

    @TempDir Path dir;
    private final ConcurrentLinkedQueue<Runnable> posted = new ConcurrentLinkedQueue<>();
    private final CountDownLatch committed = new CountDownLatch(1);
    private final Backends backends =
            new Backends(
                    new BlockHost() {
                        @Override
                        public void post(Runnable task) {
                            posted.add(task);
                            committed.countDown();
                        }
                    });
    private final BlockGraph graph = backends.graph();
    private final ReplicationManager manager = new ReplicationManager();

    @SuppressWarnings("NullAway.Init") // made by each test
    private BlockBackend parent;

    @SuppressWarnings("NullAway.Init") // made by each test
    private ReplicationNode replication;

    @SuppressWarnings("NullAway.Init") // made by each test
    private QuorumNode quorum;

    @SuppressWarnings("NullAway.Init") // made by each test
    private BlockBackend disk;

    @SuppressWarnings("NullAway.Init") // made by each test
    private BlockBackend export;

    /** Below the active and the hidden disk. */
    private final List<FaultyNode> overlays = new ArrayList<>();

    @AfterEach
    void close() {
        backends.close();
    }

    private void build() throws Exception {
        Qcow2Node secondary = Images.qcow2(graph, dir.resolve("parent.qcow2"), SIZE, false);
        parent = Images.backend(backends, "parent0", secondary);
        Qcow2Node hidden = overlay("hidden.qcow2");
        hidden.attachBacking(secondary);
        Qcow2Node active = overlay("active.qcow2");
        active.attachBacking(hidden);
        graph.release(hidden);
        replication =
                ReplicationNode.open(
                        graph,
                        graph.autoName(),
                        false,
                        Mode.SECONDARY,
                        "colo-disk0",
                        active,
                        true,
                        manager);
        graph.release(active);
        Images.backend(backends, "childs0", replication);
        quorum =
                QuorumNode.open(
                        graph,
                        graph.autoName(),
                        false,
                        new QuorumNode.Options(1, true, false, false),
                        List.of(replication),
                        true,
                        QuorumEvents.NONE);
        disk = Images.backend(backends, "colo-disk0", quorum);
        disk.attachDevice("ide", false, false);
        export = backends.add("");
        export.setPermissions(
                Permission.CONSISTENT_READ | Permission.WRITE, Permission.ALL & ~Permission.RESIZE);
        export.insert(secondary);
    }

    private Qcow2Node overlay(String name) throws Exception {
        Path path = dir.resolve(name);
        Qcow2Creator.create(path.toString(), Qcow2Creator.Options.of(SIZE));
        FaultyNode file = FaultyNode.over(Images.file(graph, path, false), Integer.MAX_VALUE);
        overlays.add(file);
        Qcow2Node node =
                Qcow2Node.open(graph, graph.autoName(), false, file, true, OverlapChecks.DEFAULT);
        graph.release(file);
        return node;
    }

    private void patience(long millis) {
        manager.supervise(
                new ReplicationControl.Supervisor() {
                    @Override
                    public long patienceMillis() {
                        return millis;
                    }

                    @Override
                    public void failed(String reason, boolean silent) {}
                });
    }

    /** The machine lock, under which checkpoints are taken, is not held for as long as a disk hangs. */
    @ParameterizedTest
    @ValueSource(ints = {0, 1})
    void aDiskThatHangsHoldsUpNoCheckpointForEver(int which) throws Exception {
        build();
        manager.startAll(Mode.SECONDARY);
        disk.writeBlocking(0, Images.pattern(1, 512));
        export.writeBlocking(100_000, Images.pattern(2, 512));
        patience(50);
        overlays.get(which).hang();
        BlockException hangs = assertThrows(BlockException.class, manager::checkpointAll);
        assertEquals("the disks under 'colo-disk0' do not answer within 50 ms", hangs.getMessage());
        assertThrows(BlockException.class, manager::getErrorAll);
        overlays.get(which).goOn();
    }

    /** Which then goes on by itself: what the guest wrote, and writes, is on the disk that stays. */
    @ParameterizedTest
    @ValueSource(ints = {0, 1})
    void aDiskThatHangsHoldsUpNoFailoverForEver(int which) throws Exception {
        build();
        manager.startAll(Mode.SECONDARY);
        disk.writeBlocking(0, Images.pattern(1, 512));
        export.writeBlocking(100_000, Images.pattern(2, 512));
        patience(50);
        overlays.get(which).hang();
        FutureTask<Void> write =
                new FutureTask<>(
                        () -> {
                            disk.writeBlocking(1 << 20, Images.pattern(3, 512));
                            return null;
                        });
        if (which == 1) {
            Thread.ofPlatform().start(write);
            assertThrows(TimeoutException.class, () -> write.get(20, TimeUnit.MILLISECONDS));
        }
        assertThrows(BlockException.class, () -> manager.stopAll(true));
        manager.supervise(null);
        assertEquals(ReplicationNode.Stage.RUNNING, replication.stage());
        overlays.get(which).goOn();
        while (replication.stage() != ReplicationNode.Stage.DONE) {
            Runnable task = posted.poll();
            if (task != null) {
                task.run();
            } else {
                Thread.sleep(1);
            }
        }
        assertEquals(1, Images.byteAt(quorum, 0));
        assertEquals(0, Images.byteAt(quorum, 100_000));
        if (which == 1) {
            write.get(10, TimeUnit.SECONDS);
            assertEquals(3, Images.byteAt(quorum, 1 << 20));
        }
    }

    private int primarySees(long offset) throws BlockException {
        byte[] one = new byte[1];
        export.readBlocking(offset, java.lang.foreign.MemorySegment.ofArray(one));
        return one[0];
    }

    @Test
    void followsThePrimaryAndFailsOver() throws Exception {
        build();
        export.writeBlocking(0, Images.pattern(1, SIZE));
        assertEquals(
                Errno.EIO,
                assertThrows(BlockException.class, () -> Images.byteAt(quorum, 0)).errno());
        assertEquals(
                "Block replication is not running",
                assertThrows(BlockException.class, manager::getErrorAll).getMessage());
        assertEquals(
                "The parameter mode's value is invalid, needs 1, but got 0",
                assertThrows(BlockException.class, () -> manager.startAll(Mode.PRIMARY))
                        .getMessage());
        manager.startAll(Mode.SECONDARY);
        assertEquals("Block device is in use by internal backup job", quorum.blockedBecause());
        // What the primary writes is not seen by the secondary's guest before the checkpoint.
        export.writeBlocking(100_000, Images.pattern(2, 50_000));
        assertEquals(2, primarySees(100_000));
        assertEquals(1, Images.byteAt(quorum, 100_000));
        // What the secondary's guest writes is not seen by the primary, and is gone at the
        // checkpoint.
        disk.writeBlocking(300_000, Images.pattern(3, 70_000));
        assertEquals(3, Images.byteAt(quorum, 300_000));
        assertEquals(1, primarySees(300_000));
        manager.checkpointAll();
        manager.getErrorAll();
        assertEquals(2, Images.byteAt(quorum, 100_000));
        assertEquals(1, Images.byteAt(quorum, 300_000));
        // Then the primary dies in the middle of an epoch.
        export.writeBlocking(100_000, Images.pattern(4, 50_000));
        disk.writeBlocking(1_000_000, Images.pattern(5, 512));
        export.close();
        manager.stopAll(true);
        assertEquals(ReplicationNode.Stage.FAILOVER, replication.stage());
        assertEquals(2, Images.byteAt(quorum, 100_000));
        disk.writeBlocking(2_000_000, Images.pattern(6, 512));
        committed.await(20, TimeUnit.SECONDS);
        while (!posted.isEmpty()) {
            posted.remove().run();
        }
        assertEquals(ReplicationNode.Stage.DONE, replication.stage());
        assertEquals(parent.root(), requireNonNull(replication.child("file")).node());
        assertEquals(1, replication.children().size());
        assertEquals(2, Images.byteAt(quorum, 100_000));
        assertEquals(5, Images.byteAt(quorum, 1_000_000));
        assertEquals(6, Images.byteAt(quorum, 2_000_000));
        assertEquals(1, Images.byteAt(quorum, 300_000));
        manager.getErrorAll();
        manager.startAll(Mode.SECONDARY);
        assertEquals(null, quorum.blockedBecause());
    }

    @Test
    void primaryMasksErrors() throws Exception {
        NullNode dead =
                graph.add(
                        new NullNode(graph, "null-co", "dead", false, 1 << 20, 0, false) {
                            @Override
                            protected void write(long offset, Pieces source) throws BlockException {
                                throw new BlockException(Errno.EIO);
                            }
                        });
        ReplicationNode node =
                ReplicationNode.open(
                        graph, "replication0", false, Mode.PRIMARY, null, dead, true, manager);
        ChildEdge edge = Images.use(node);
        assertThrows(BlockException.class, () -> edge.write(0, Images.pattern(1, 512)));
        manager.startAll(Mode.PRIMARY);
        edge.write(0, Images.pattern(1, 512));
        assertEquals(
                "I/O error occurred",
                assertThrows(BlockException.class, manager::getErrorAll).getMessage());
        assertThrows(BlockException.class, () -> edge.read(0, Images.pattern(1, 512)));
        manager.stopAll(true);
        assertThrows(BlockException.class, () -> edge.write(0, Images.pattern(1, 512)));
        graph.detach(edge);
        graph.release(node);
        graph.release(dead);
    }

    /** A request without an answer ends with its connection when its time is over, and the guest hears of no error. */
    @Test
    void primaryWaitsForAsLongAsItIsTold() throws Exception {
        CountDownLatch cut = new CountDownLatch(1);
        NullNode silent =
                graph.add(
                        new NullNode(graph, "null-co", "silent", false, 1 << 20, 0, false) {
                            @Override
                            protected void write(long offset, Pieces source) throws BlockException {
                                try {
                                    cut.await();
                                } catch (InterruptedException e) {
                                    Thread.currentThread().interrupt();
                                }
                                throw new BlockException(Errno.EIO);
                            }

                            @Override
                            protected void cut() {
                                cut.countDown();
                            }
                        });
        ReplicationNode node =
                ReplicationNode.open(
                        graph, "replication0", false, Mode.PRIMARY, null, silent, true, manager);
        ChildEdge edge = Images.use(node);
        manager.startAll(Mode.PRIMARY);
        BlockingQueue<String> told = new LinkedBlockingQueue<>();
        manager.supervise(
                new ReplicationControl.Supervisor() {
                    @Override
                    public long patienceMillis() {
                        return 10;
                    }

                    @Override
                    public void failed(String reason, boolean silent) {
                        told.add(reason + (silent ? ", silent" : ""));
                    }
                });
        edge.write(0, Images.pattern(1, 512));
        assertEquals(
                List.of(
                        "no answer from the disk behind 'replication0' within 10 ms, silent",
                        "a write to the disk behind 'replication0' failed: Input/output error"),
                List.copyOf(told));
        graph.detach(edge);
        graph.release(node);
        graph.release(silent);
    }

    /** The guest goes on while the secondary takes the checkpoint: its writes must not be in it. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aWriteThatIsHeldArrivesWhenItMay(boolean lost) throws Exception {
        Qcow2Node remote = Images.qcow2(graph, dir.resolve("remote.qcow2"), SIZE, false);
        ReplicationNode node =
                ReplicationNode.open(
                        graph, "replication0", false, Mode.PRIMARY, null, remote, true, manager);
        ChildEdge edge = Images.use(node);
        manager.startAll(Mode.PRIMARY);
        manager.holdAll();
        FutureTask<Void> write =
                new FutureTask<>(
                        () -> {
                            edge.write(0, Images.pattern(7, 512));
                            return null;
                        });
        Thread.ofPlatform().start(write);
        assertThrows(TimeoutException.class, () -> write.get(50, TimeUnit.MILLISECONDS));
        assertEquals(0, Images.byteAt(remote, 0));
        if (lost) {
            manager.cutAll();
        } else {
            manager.releaseAll();
        }
        write.get(10, TimeUnit.SECONDS);
        assertEquals(7, Images.byteAt(remote, 0));
        graph.detach(edge);
        graph.release(node);
        graph.release(remote);
    }
}
