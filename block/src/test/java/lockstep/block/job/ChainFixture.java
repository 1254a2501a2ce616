package lockstep.block.job;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

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
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** Images over images with random data, and a guest that reads and writes. The test's thread is the main loop. */
@Timeout(value = 60, unit = TimeUnit.SECONDS)
abstract class ChainFixture {
    static final int SIZE = 8 << 20;

    @TempDir Path dir;
    final BlockingQueue<Runnable> loop = new LinkedBlockingQueue<>();
    final Backends backends =
            new Backends(
                    new BlockHost() {
                        @Override
                        public void post(Runnable task) {
                            loop.add(task);
                        }
                    });
    final BlockGraph graph = backends.graph();
    final List<QmpEvent> events = new ArrayList<>();
    final Jobs jobs = new Jobs(graph, events::add);
    final byte[] model = new byte[SIZE];
    private final Random random = new Random(5);
    final List<Throwable> failures = new ArrayList<>();

    @AfterEach
    void close() {
        jobs.close();
        backends.close();
    }

    /** An image with some data, over another one. */
    final Qcow2Node image(String name, @Nullable BlockNode below) throws Exception {
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

    final void await(Class<? extends QmpEvent> event) throws InterruptedException {
        while (events.stream().noneMatch(event::isInstance)) {
            loop.take().run();
        }
    }

    final void awaitEnd() throws InterruptedException {
        while (events.stream()
                .noneMatch(
                        e ->
                                e instanceof JobStatusChangeEvent change
                                        && change.status().wireName().equals("null"))) {
            loop.take().run();
        }
    }

    final BlockBackend drive(BlockNode top) throws BlockException {
        BlockBackend drive = backends.add("drive0");
        drive.insert(top);
        drive.setPermissions(
                Permission.CONSISTENT_READ | Permission.WRITE,
                Permission.CONSISTENT_READ | Permission.WRITE_UNCHANGED);
        return drive;
    }

    /** A guest at work until it has made its requests. */
    final Thread guest(BlockBackend drive) {
        return Thread.ofPlatform()
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
    }

    /** The drive has what was written, and the image is in order. */
    final void checkContent(BlockBackend drive, String image) throws Exception {
        byte[] all = new byte[SIZE];
        drive.readBlocking(0, MemorySegment.ofArray(all));
        assertArrayEquals(model, all);
        drive.flushBlocking();
        if (Files.isExecutable(Path.of("/usr/bin/qemu-img"))) {
            Images.run("qemu-img", "check", "-U", dir.resolve(image).toString());
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
}
