package lockstep.block.export;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.BlockdevDetectZeroesOptions;
import lockstep.block.Backends;
import lockstep.block.BlockBackend;
import lockstep.block.BlockHost;
import lockstep.block.Images;
import lockstep.block.nbd.NbdAddress;
import lockstep.block.nbd.NbdNode;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.StuckNode;
import lockstep.runtime.linux.Errno;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * Our server with our client and with other people's, and our client with other people's servers.
 */
class NbdTest {
    private static final int SIZE = 8 << 20;

    @TempDir Path dir;
    private final Backends backends = new Backends(BlockHost.direct());
    private final BlockGraph graph = backends.graph();
    private final List<AutoCloseable> opened = new ArrayList<>();

    @AfterEach
    void close() throws Exception {
        backends.close();
        for (AutoCloseable one : opened) {
            one.close();
        }
    }

    private NbdServer listen(NbdAddress address) throws BlockException {
        NbdServer server = NbdServer.start(backends, address, NbdServer.Terms.plain(100, 10));
        opened.add(server);
        return server;
    }

    private NbdServer server(NbdAddress address) throws Exception {
        NbdServer server = listen(address);
        BlockNode disk = Images.qcow2(graph, dir.resolve("disk.qcow2"), SIZE, false);
        server.add(new NbdServer.Request("disk", "disk", "", true, false, false), disk, null);
        graph.release(disk);
        return server;
    }

    private NbdNode client(NbdAddress address, String export) throws BlockException {
        return graph.add(
                NbdNode.open(
                        graph,
                        graph.autoName(),
                        false,
                        false,
                        new NbdNode.Options(address, export, 0, 0, null),
                        null));
    }

    @Test
    void theServerTakesTheFirstFreePortOfARange() throws Exception {
        NbdServer first = listen(new NbdAddress.Inet("127.0.0.1", 0));
        int port = first.port();
        BlockException taken =
                assertThrows(
                        BlockException.class, () -> listen(new NbdAddress.Inet("127.0.0.1", port)));
        assertEquals(
                "Failed to find an available port: Address already in use", taken.getMessage());
        NbdServer next = listen(new NbdAddress.Inet("127.0.0.1", port, 65535, 4));
        assertTrue(next.port() > port, "port " + next.port());
        BlockException none =
                assertThrows(
                        BlockException.class,
                        () -> listen(new NbdAddress.Inet("127.0.0.1", port, port - 1, 0)));
        assertEquals("Failed to create a socket", none.getMessage());
    }

    @Test
    void anAttemptThatHangsCanBeCutWithoutTheGraph() throws Exception {
        try (ServerSocket silent = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            BlockingQueue<Runnable> cuts = new ArrayBlockingQueue<>(1);
            graph.setObserver(
                    new BlockGraph.Observer() {
                        @Override
                        public void connecting(String node, Runnable cut) {
                            cuts.add(cut);
                        }

                        @Override
                        public void connected(String node) {}

                        @Override
                        public void added(BlockNode node) {}

                        @Override
                        public void removed(BlockNode node) {}
                    });
            Thread yank =
                    Thread.ofPlatform()
                            .name("yank")
                            .start(
                                    () -> {
                                        try {
                                            Socket peer = silent.accept();
                                            cuts.take().run();
                                            peer.close();
                                        } catch (IOException | InterruptedException e) {
                                            throw new AssertionError(e);
                                        }
                                    });
            BlockException failure =
                    assertThrows(
                            BlockException.class,
                            () ->
                                    client(
                                            new NbdAddress.Inet("127.0.0.1", silent.getLocalPort()),
                                            "disk"));
            yank.join();
            assertEquals(
                    "Failed to read initial magic: Unexpected end-of-file before all data were"
                            + " read",
                    failure.getMessage());
        }
    }

    private static void exercise(BlockGraph graph, BlockNode node) throws Exception {
        ChildEdge edge = Images.use(node);
        exercise(graph, edge);
        graph.detach(edge);
    }

    private static void exercise(BlockGraph graph, ChildEdge node) throws Exception {
        byte[] model = new byte[SIZE];
        assertEquals(SIZE, node.length());
        Random random = new Random(3);
        for (int i = 0; i < 100; i++) {
            int length = 1 + random.nextInt(200_000);
            int offset = random.nextInt(SIZE - length);
            switch (random.nextInt(4)) {
                case 0 -> {
                    node.writeZeroes(offset, length, random.nextBoolean());
                    java.util.Arrays.fill(model, offset, offset + length, (byte) 0);
                }
                case 1 -> node.flush();
                default -> {
                    byte[] data = new byte[length];
                    random.nextBytes(data);
                    node.write(offset, MemorySegment.ofArray(data));
                    System.arraycopy(data, 0, model, offset, length);
                }
            }
        }
        List<Callable<byte[]>> reads = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            int part = i;
            reads.add(
                    () -> {
                        byte[] data = new byte[SIZE / 8];
                        node.read((long) part * data.length, MemorySegment.ofArray(data));
                        return data;
                    });
        }
        List<byte[]> parts = graph.inParallel(reads);
        byte[] all = new byte[SIZE];
        for (int i = 0; i < 8; i++) {
            System.arraycopy(parts.get(i), 0, all, i * SIZE / 8, SIZE / 8);
        }
        assertArrayEquals(model, all);
        long at = 0;
        while (at < SIZE) {
            at += node.status(at, SIZE - at).length();
        }
        assertEquals(SIZE, at);
    }

    @Test
    void ourClientOnOurServer() throws Exception {
        NbdServer server = server(new NbdAddress.Inet("127.0.0.1", 0));
        NbdAddress address = new NbdAddress.Inet("127.0.0.1", server.port());
        NbdNode node = client(address, "disk");
        exercise(graph, node);
        BlockException missing = assertThrows(BlockException.class, () -> client(address, "no"));
        assertEquals("Requested export not available", missing.getMessage());
        assertEquals("server reported: export 'no' not present", missing.hint());
        NbdExport export = server.exports().getFirst();
        server.shutDown(export, () -> {});
        assertTrue(export.finish(Long.MAX_VALUE / 2));
        BlockException lost =
                assertThrows(
                        BlockException.class,
                        () -> ChildEdge.look(node).read(0, Images.pattern(0, 512)));
        assertEquals(Errno.EIO, lost.errno());
        graph.release(node);
    }

    /** An export of a disk that hangs, with all the clients it can have requests of, beside another one. */
    @Test
    void anExportThatHangsStarvesNobody() throws Exception {
        NbdAddress address = new NbdAddress.Unix(dir.resolve("nbd.sock").toString());
        NbdServer server = server(address);
        StuckNode stuck = StuckNode.open(graph, SIZE);
        server.add(new NbdServer.Request("hung", "hung", "", true, false, false), stuck, null);
        graph.release(stuck);
        // Our own client has no limit, so that each of these three fills the server's.
        List<BlockBackend> hung = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            BlockBackend drive = Images.backend(backends, "hung" + i, client(address, "hung"));
            hung.add(drive);
            for (int k = 0; k < 100; k++) {
                drive.read(0, Images.pattern(0, 512), errno -> {});
            }
        }
        while (stuck.stuck() < 3 * 16) {
            Thread.onSpinWait();
        }
        NbdNode good = client(address, "disk");
        exercise(graph, good);
        graph.release(good);
        BlockBackend other =
                Images.backend(backends, "other", Images.raw(graph, dir.resolve("o"), SIZE));
        other.attachDevice("ide0", false, false);
        CountDownLatch done = new CountDownLatch(100);
        for (int k = 0; k < 100; k++) {
            other.write(k * 512L, Images.pattern(k, 512), errno -> done.countDown());
        }
        done.await();
        assertEquals(3 * 16, stuck.stuck());
        stuck.release();
        hung.forEach(BlockBackend::close);
    }

    /** What was written is not stored because somebody else's flush, which is not over, will see to that. */
    @Test
    void aFlushIsNotOverBeforeOneIs() throws Exception {
        NbdAddress address = new NbdAddress.Unix(dir.resolve("nbd.sock").toString());
        NbdServer server = listen(address);
        StuckNode stuck = StuckNode.open(graph, SIZE);
        server.add(new NbdServer.Request("slow", "slow", "", true, false, false), stuck, null);
        graph.release(stuck);
        NbdNode node = client(address, "slow");
        node.setInfo(node.info().sparing(true, BlockdevDetectZeroesOptions.OFF));
        ChildEdge edge = Images.use(node);
        edge.discard(0, 4096);
        List<Thread> flushes = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            flushes.add(
                    Thread.ofPlatform()
                            .start(
                                    () -> {
                                        try {
                                            edge.flush();
                                        } catch (BlockException e) {
                                            throw new AssertionError(e);
                                        }
                                    }));
        }
        try {
            while (stuck.stuck() < 2) {
                assertTrue(flushes.stream().allMatch(Thread::isAlive), "one is over");
                Thread.onSpinWait();
            }
        } finally {
            stuck.release();
        }
        for (Thread flush : flushes) {
            flush.join();
        }
        edge.flush();
        graph.detach(edge);
        graph.release(node);
    }

    @Test
    void nobodyListening() {
        BlockException e =
                assertThrows(
                        BlockException.class,
                        () -> client(new NbdAddress.Inet("127.0.0.1", 1), "x"));
        assertEquals("Failed to connect to '127.0.0.1:1': Connection refused", e.getMessage());
    }

    @Test
    @Tag("qemu")
    void otherClientsOnOurServer() throws Exception {
        Images.needTool("qemu-img", "qemu-utils");
        Images.needTool("nbdinfo", "libnbd-bin");
        Path socket = dir.resolve("nbd.sock");
        server(new NbdAddress.Unix(socket.toString()));
        String uri = "nbd+unix:///disk?socket=" + socket;
        String info = Images.run("nbdinfo", "--json", uri);
        assertTrue(info.contains("\"export-size\": " + SIZE), info);
        assertTrue(info.contains("\"structured\": true"), info);
        assertTrue(
                Images.run("nbdinfo", "--list", "nbd+unix:///?socket=" + socket).contains("disk"));
        Images.run(
                "qemu-io",
                "-f",
                "raw",
                uri,
                "-c",
                "write -P 5 0 1M",
                "-c",
                "write -z 512k 64k",
                "-c",
                "discard 2M 1M",
                "-c",
                "flush",
                "-c",
                "read -P 5 0 512k",
                "-c",
                "read -P 0 512k 64k");
        String map = Images.run("nbdinfo", "--map", uri);
        assertTrue(map.contains("hole,zero"), map);
        Path copy = dir.resolve("copy.raw");
        Images.run("nbdcopy", uri, copy.toString());
        Images.run("qemu-img", "compare", "-f", "raw", "-F", "raw", uri, copy.toString());
        byte[] data = new byte[SIZE];
        new Random(4).nextBytes(data);
        Files.write(copy, data);
        Images.run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", copy.toString(), uri);
        Path back = dir.resolve("back.raw");
        Images.run("qemu-img", "convert", "-f", "raw", "-O", "raw", uri, back.toString());
        assertArrayEquals(data, Files.readAllBytes(back));
        backends.close();
        String report = Images.run("qemu-img", "check", dir.resolve("disk.qcow2").toString());
        assertTrue(report.contains("No errors"), report);
    }

    @Test
    @Tag("qemu")
    void ourClientOnQemuNbd() throws Exception {
        Images.needTool("qemu-nbd", "qemu-utils");
        Path image = dir.resolve("theirs.qcow2");
        Images.run("qemu-img", "create", "-q", "-f", "qcow2", image.toString(), "8M");
        Path socket = dir.resolve("their.sock");
        Process process =
                start(
                        "qemu-nbd",
                        "-f",
                        "qcow2",
                        "-x",
                        "one",
                        "-k",
                        socket.toString(),
                        image.toString());
        awaitSocket(process, socket);
        NbdNode node = client(new NbdAddress.Unix(socket.toString()), "one");
        exercise(graph, node);
        graph.release(node);
        assertTrue(process.waitFor(20, TimeUnit.SECONDS));
    }

    @Test
    @Tag("qemu")
    void ourClientOnNbdkit() throws Exception {
        Images.needTool("nbdkit", "nbdkit");
        Path socket = dir.resolve("kit.sock");
        Process process =
                start("nbdkit", "-f", "-U", socket.toString(), "memory", Integer.toString(SIZE));
        awaitSocket(process, socket);
        NbdNode node = client(new NbdAddress.Unix(socket.toString()), "");
        exercise(graph, node);
        graph.release(node);
        process.destroy();
        assertTrue(process.waitFor(20, TimeUnit.SECONDS));
    }

    /** Writers of parts of the same blocks, which the server takes only whole. */
    @Test
    @Tag("qemu")
    void partsOfLargerBlocksAreNotUndone() throws Exception {
        Images.needTool("nbdkit", "nbdkit");
        Path socket = dir.resolve("kit.sock");
        Process process =
                start(
                        "nbdkit",
                        "-f",
                        "-U",
                        socket.toString(),
                        "--filter=blocksize-policy",
                        "memory",
                        "1M",
                        "blocksize-minimum=4096",
                        "blocksize-error-policy=error");
        awaitSocket(process, socket);
        NbdNode node = client(new NbdAddress.Unix(socket.toString()), "");
        ChildEdge disk = Images.use(node);
        int size = 1 << 20;
        int writers = 4;
        byte[] expected = new byte[size];
        List<Callable<Boolean>> tasks = new ArrayList<>();
        for (int t = 0; t < writers; t++) {
            Random random = new Random(t);
            int own = t;
            tasks.add(
                    () -> {
                        for (int i = 0; i < 200; i++) {
                            // Few blocks, so that they meet.
                            int offset = (random.nextInt(8) * writers + own) * 512;
                            byte[] data = new byte[512];
                            random.nextBytes(data);
                            disk.write(offset, MemorySegment.ofArray(data));
                            System.arraycopy(data, 0, expected, offset, 512);
                        }
                        return true;
                    });
        }
        assertTrue(graph.inParallel(tasks).stream().allMatch(done -> done));
        byte[] all = new byte[size];
        disk.read(0, MemorySegment.ofArray(all));
        assertArrayEquals(expected, all);
        graph.detach(disk);
        graph.release(node);
        process.destroy();
        assertTrue(process.waitFor(20, TimeUnit.SECONDS));
    }

    private Process start(String... command) throws IOException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        opened.add(process::destroyForcibly);
        return process;
    }

    private static boolean listens(Path socket) throws IOException {
        try (Stream<String> sockets = Files.lines(Path.of("/proc/net/unix"))) {
            return sockets.anyMatch(s -> s.endsWith(" " + socket) && s.contains(" 00010000 "));
        }
    }

    /** The tools give no other sign of being ready than that they listen. */
    private static void awaitSocket(Process process, Path socket) throws Exception {
        long deadline = System.nanoTime() + 20_000_000_000L;
        while (!listens(socket)) {
            if (process.waitFor(20, TimeUnit.MILLISECONDS) || System.nanoTime() > deadline) {
                throw new AssertionError(
                        "no server: "
                                + new String(
                                        process.getInputStream()
                                                .readNBytes(process.getInputStream().available()),
                                        StandardCharsets.UTF_8));
            }
        }
    }
}
