package lockstep.block.replication;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import lockstep.block.Backends;
import lockstep.block.BlockBackend;
import lockstep.block.BlockHost;
import lockstep.block.Images;
import lockstep.block.ReplicationControl.Mode;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.MemoryNode;
import lockstep.block.node.Permission;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * Both sides use the disks at once, in ranges that overlap. Until the next checkpoint the secondary's guest must see the
 * last one and its own writes, whatever the primary overwrites meanwhile. The disks order nothing by themselves, so that
 * only the request path stands between the two.
 */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class ReplicationModelTest {
    private static final int SIZE = 1 << 20;
    private static final int SECTOR = 512;
    private static final int SECONDARIES = 3;
    private static final int PRIMARIES = 3;
    private static final int EPOCHS = 6;
    private static final int STEPS = Integer.getInteger("lockstep.test.steps", 3000) / 20;

    private final BlockingQueue<Runnable> loop = new LinkedBlockingQueue<>();
    private final Backends backends =
            new Backends(
                    new BlockHost() {
                        @Override
                        public void post(Runnable task) {
                            loop.add(task);
                        }
                    });
    private final BlockGraph graph = backends.graph();
    private final ReplicationManager manager = new ReplicationManager();
    private final Queue<String> faults = new ConcurrentLinkedQueue<>();
    private final byte[] expected = new byte[SIZE];
    private BlockBackend primary;
    private BlockBackend guest;
    private ReplicationNode replication;

    @BeforeEach
    void build() throws BlockException {
        MemoryNode secondary = MemoryNode.open(graph, SIZE, null);
        primary = Images.backend(backends, "parent0", secondary);
        primary.setPermissions(
                Permission.CONSISTENT_READ | Permission.WRITE, Permission.ALL & ~Permission.RESIZE);
        MemoryNode hidden = MemoryNode.open(graph, SIZE, secondary);
        MemoryNode active = MemoryNode.open(graph, SIZE, hidden);
        graph.release(hidden);
        replication =
                ReplicationNode.open(
                        graph, "r", false, Mode.SECONDARY, "colo-disk0", active, true, manager);
        graph.release(active);
        guest = Images.backend(backends, "colo-disk0", replication);
        guest.attachDevice("ide", false, false);
        manager.startAll(Mode.SECONDARY);
    }

    @AfterEach
    void close() {
        backends.close();
    }

    private interface Work {
        void run(int thread, Random random) throws BlockException;
    }

    private List<Thread> start(int threads, long seed, Work work) {
        List<Thread> started = new ArrayList<>();
        for (int i = 0; i < threads; i++) {
            int number = i;
            Random random = new Random(seed * 31 + i);
            started.add(
                    Thread.ofPlatform()
                            .start(
                                    () -> {
                                        try {
                                            work.run(number, random);
                                        } catch (BlockException e) {
                                            faults.add(e.toString());
                                        }
                                    }));
        }
        return started;
    }

    private static void join(List<Thread> threads) throws InterruptedException {
        for (Thread thread : threads) {
            thread.join();
        }
    }

    /** Overwrites any range with something new. */
    private void disturb(int thread, Random random) throws BlockException {
        for (int step = 0; step < STEPS; step++) {
            int length = 1 + random.nextInt(100_000);
            int offset = random.nextInt(SIZE - length);
            if (random.nextInt(8) == 0) {
                primary.writeZeroesBlocking(offset, length, true);
            } else {
                primary.writeBlocking(offset, Images.pattern(1 + random.nextInt(255), length));
            }
        }
    }

    /** Writes sectors of its own, and reads wide ranges, of which it looks at its own sectors. */
    private void use(int thread, Random random) throws BlockException {
        for (int step = 0; step < STEPS; step++) {
            if (random.nextInt(4) == 0) {
                int sector = random.nextInt(SIZE / SECTOR / SECONDARIES) * SECONDARIES + thread;
                byte[] data = new byte[SECTOR];
                random.nextBytes(data);
                guest.writeBlocking((long) sector * SECTOR, MemorySegment.ofArray(data));
                System.arraycopy(data, 0, expected, sector * SECTOR, SECTOR);
            } else {
                int sectors = 1 + random.nextInt(64);
                int first = random.nextInt(SIZE / SECTOR - sectors);
                byte[] data = new byte[sectors * SECTOR];
                guest.readBlocking((long) first * SECTOR, MemorySegment.ofArray(data));
                for (int i = 0; i < data.length; i++) {
                    int at = first * SECTOR + i;
                    if (at / SECTOR % SECONDARIES == thread && data[i] != expected[at]) {
                        faults.add("offset " + at + ": " + data[i] + " for " + expected[at]);
                        break;
                    }
                }
            }
        }
    }

    private byte[] content(BlockBackend backend) throws BlockException {
        byte[] all = new byte[SIZE];
        backend.readBlocking(0, MemorySegment.ofArray(all));
        return all;
    }

    @Test
    void theSecondarySeesTheLastCheckpointAndItsOwnWrites() throws Exception {
        for (int epoch = 0; epoch < EPOCHS; epoch++) {
            List<Thread> writers = start(PRIMARIES, epoch, this::disturb);
            List<Thread> users = start(SECONDARIES, ~epoch, this::use);
            join(writers);
            join(users);
            assertEquals(List.of(), List.copyOf(faults));
            assertArrayEquals(expected, content(guest));
            if (epoch < EPOCHS - 1) {
                manager.checkpointAll();
                System.arraycopy(content(primary), 0, expected, 0, SIZE);
            }
        }
        // The primary is lost, and the guest goes on while its view is written back.
        manager.stopAll(true);
        List<Thread> users = start(SECONDARIES, 99, this::use);
        while (replication.stage() == ReplicationNode.Stage.FAILOVER) {
            loop.take().run();
        }
        join(users);
        assertEquals(ReplicationNode.Stage.DONE, replication.stage());
        assertEquals(List.of(), List.copyOf(faults));
        assertArrayEquals(expected, content(guest));
        assertArrayEquals(expected, content(primary));
    }
}
