package lockstep.block.job;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.BlockStreamArguments;
import lockstep.api.JobStatusChangeEvent;
import lockstep.block.Backends;
import lockstep.block.BlockBackend;
import lockstep.block.BlockHost;
import lockstep.block.Images;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Permission;
import lockstep.block.qcow2.Qcow2Creator;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.qmp.QmpEvent;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** The test's thread is the main loop; another one is the guest. */
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class StreamJobTest {
    private static final int SIZE = 8 << 20;

    @TempDir Path dir;
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
    private final List<QmpEvent> events = new ArrayList<>();
    private final Jobs jobs = new Jobs(graph, events::add);
    private final byte[] model = new byte[SIZE];
    private final Random random = new Random(5);

    @AfterEach
    void close() {
        jobs.close();
        backends.close();
    }

    /** An image with some data, over another one. */
    private Qcow2Node image(String name, @Nullable BlockNode below) throws Exception {
        Path path = dir.resolve(name);
        Qcow2Creator.create(
                path.toString(),
                below == null
                        ? Qcow2Creator.Options.of(SIZE)
                        : new Qcow2Creator.Options(SIZE, 16, below.plainFilename(), "qcow2"));
        Qcow2Node node = Images.qcow2(graph, path, SIZE, false);
        if (below != null) {
            node.attachBacking(below);
        }
        ChildEdge edge =
                graph.attach(
                        () -> "a test",
                        "root",
                        lockstep.block.node.Role.ROOT,
                        node,
                        Permission.CONSISTENT_READ | Permission.WRITE,
                        Permission.ALL);
        for (int i = 0; i < 30; i++) {
            int at = random.nextInt(SIZE / 512 - 256) * 512;
            byte[] data = new byte[(1 + random.nextInt(200)) * 512];
            random.nextBytes(data);
            System.arraycopy(data, 0, model, at, data.length);
            edge.write(at, MemorySegment.ofArray(data));
        }
        graph.detach(edge);
        graph.reopen(node, below != null && name.equals("middle"));
        return node;
    }

    private void awaitEnd() throws InterruptedException {
        while (events.stream()
                .noneMatch(
                        e ->
                                e instanceof JobStatusChangeEvent change
                                        && change.status().wireName().equals("null"))) {
            loop.take().run();
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void theGuestReadsTheSameAllTheTime(boolean toTheBase) throws Exception {
        Qcow2Node base = image("base", null);
        Qcow2Node middle = image("middle", base);
        Qcow2Node top = image("top", middle);
        BlockBackend drive = backends.add("drive0");
        drive.insert(top);
        drive.setPermissions(
                Permission.CONSISTENT_READ | Permission.WRITE,
                Permission.CONSISTENT_READ | Permission.WRITE_UNCHANGED);
        List<Throwable> failures = new ArrayList<>();
        Thread guest =
                Thread.ofPlatform()
                        .start(
                                () -> {
                                    try {
                                        for (int i = 0; i < 400; i++) {
                                            readAndWrite(drive);
                                        }
                                    } catch (Throwable t) {
                                        failures.add(t);
                                    }
                                });
        jobs.stream(
                BlockStreamArguments.builder()
                        .jobId("j")
                        .device("drive0")
                        .baseNode(toTheBase ? base.name() : null)
                        .build());
        assertThrows(
                BlockException.class,
                () ->
                        jobs.stream(
                                BlockStreamArguments.builder()
                                        .jobId("k")
                                        .device("drive0")
                                        .build()));
        awaitEnd();
        guest.join();
        assertEquals(List.of(), failures);
        if (toTheBase) {
            assertSame(base, top.backing());
            assertEquals(base.plainFilename(), top.header().backingFile());
        } else {
            assertNull(top.backing());
            assertNull(top.header().backingFile());
        }
        byte[] all = new byte[SIZE];
        drive.readBlocking(0, MemorySegment.ofArray(all));
        assertArrayEquals(model, all);
        drive.flushBlocking();
        if (Files.isExecutable(Path.of("/usr/bin/qemu-img"))) {
            Images.run("qemu-img", "check", "-U", dir.resolve("top").toString());
        }
    }

    private void readAndWrite(BlockBackend drive) throws BlockException {
        Random r = random;
        int at = r.nextInt(SIZE / 512 - 64) * 512;
        byte[] data = new byte[(1 + r.nextInt(64)) * 512];
        if (r.nextBoolean()) {
            drive.readBlocking(at, MemorySegment.ofArray(data));
            assertArrayEquals(java.util.Arrays.copyOfRange(model, at, at + data.length), data);
        } else {
            r.nextBytes(data);
            System.arraycopy(data, 0, model, at, data.length);
            drive.writeBlocking(at, MemorySegment.ofArray(data));
        }
    }

    @Test
    void oneThatIsCancelledLeavesTheChain() throws Exception {
        Qcow2Node base = image("base", null);
        Qcow2Node top = image("top", base);
        BlockBackend drive = backends.add("drive0");
        drive.insert(top);
        jobs.stream(
                BlockStreamArguments.builder().jobId("j").device("drive0").speed(1L << 16).build());
        java.util.Objects.requireNonNull(jobs.find("j")).cancel(false);
        awaitEnd();
        assertSame(base, top.backing());
        assertTrue(java.util.Objects.requireNonNull(top.header().backingFile()).endsWith("base"));
        byte[] all = new byte[SIZE];
        drive.readBlocking(0, MemorySegment.ofArray(all));
        assertArrayEquals(model, all);
    }
}
