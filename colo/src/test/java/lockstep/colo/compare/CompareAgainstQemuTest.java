package lockstep.colo.compare;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.ColoComparePolicy;
import lockstep.colo.packet.Frames;
import lockstep.runtime.chardev.ChardevConfig;
import lockstep.runtime.chardev.ChardevHost;
import lockstep.runtime.chardev.ChardevTable;
import lockstep.runtime.loop.EpollLoop;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.loop.VmClocks;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.InputStream;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** The same packets into QEMU's colo-compare and ours, over sockets, must have the same effect. */
@Timeout(60)
class CompareAgainstQemuTest {
    private static final String QEMU = "/usr/bin/qemu-system-x86_64";
    private static final List<String> DEVICES = List.of("p", "s", "o", "n");

    /** One thing that happens: a frame from either side, or (null) a checkpoint. */
    private record Step(boolean primary, byte @Nullable [] frame) {}

    @TempDir Path directory;

    @Test
    void sequencesOfOursAreRepeatable() throws Exception {
        try (Ours a = new Ours(Files.createDirectory(directory.resolve("a")))) {
            List<String> effects = a.peer.play(script(1, 40));
            assertEquals(40, effects.size());
        }
    }

    @Test
    @Tag("qemu")
    void sameEffectsAsQemu() throws Exception {
        Assumptions.assumeTrue(Files.isExecutable(Path.of(QEMU)), "no QEMU installed");
        for (int seed = 1; seed <= 12; seed++) {
            List<Step> script = script(seed, 120);
            Path there = Files.createDirectory(directory.resolve("q" + seed));
            Path here = Files.createDirectory(directory.resolve("o" + seed));
            List<String> expected;
            try (Qemu q = new Qemu(there)) {
                expected = q.peer.play(script);
            }
            try (Ours o = new Ours(here)) {
                List<String> actual = o.peer.play(script);
                for (int i = 0; i < expected.size(); i++) {
                    assertEquals(expected.get(i), actual.get(i), "seed " + seed + " step " + i);
                }
            }
        }
    }

    private static List<Step> script(int seed, int length) {
        Random r = new Random(seed);
        byte[] stream = new byte[8000];
        for (int i = 0; i < stream.length; i++) {
            stream[i] = (byte) ('a' + r.nextInt(26));
        }
        int[] at = {0, 0};
        int[] last = {0, 0};
        int[] count = {0, 0, 0, 0};
        List<Step> steps = new ArrayList<>();
        for (int i = 0; i < length; i++) {
            boolean primary = r.nextBoolean();
            int side = primary ? 0 : 1;
            int ack = 50 + r.nextInt(2) * (i / 40);
            byte[] frame;
            switch (r.nextInt(14)) {
                case 0 -> frame = Frames.up(101 + at[side], ack, Frames.ACK, "");
                case 1 -> frame = data(stream, last[side], at[side], ack);
                case 2 -> frame = Frames.udp(i, "u" + count[side]++);
                case 3 -> frame = Frames.ip(Frames.GUEST, Frames.CLIENT, 1, i, icmp(r));
                case 4 ->
                        frame =
                                Frames.ip(
                                        Frames.GUEST,
                                        Frames.CLIENT,
                                        47,
                                        7,
                                        Frames.ascii("gre." + count[2 + side]++));
                case 5 -> {
                    if (r.nextInt(3) == 0) {
                        steps.add(new Step(true, null));
                        int most = Math.max(at[0], at[1]);
                        Arrays.fill(at, most);
                        Arrays.fill(last, most);
                    }
                    frame = primary ? Frames.arp() : Frames.up(101 + at[1], ack, Frames.FIN, "");
                }
                default -> {
                    int n = 1 + r.nextInt(12);
                    last[side] = at[side];
                    at[side] += n;
                    frame = data(stream, last[side], at[side], ack);
                    if (r.nextInt(60) == 0) {
                        frame[frame.length - 1] ^= 1;
                    }
                }
            }
            steps.add(new Step(primary, frame));
        }
        return steps.subList(0, length);
    }

    private static byte[] icmp(Random r) {
        return Frames.ascii("echo" + r.nextInt(3));
    }

    private static byte[] data(byte[] stream, int from, int to, int ack) {
        String text = new String(stream, from, to - from, StandardCharsets.US_ASCII);
        return Frames.up(101 + from, ack, Frames.ACK, text);
    }

    /** The test's end of the four sockets. */
    private static final class Peer implements AutoCloseable {
        private final List<SocketChannel> sockets = new ArrayList<>();
        private int markers;

        Peer(Path directory) throws Exception {
            for (String name : DEVICES) {
                sockets.add(connect(directory.resolve(name)));
            }
            awaitOutput();
            send(3, Frames.ascii("COLO_USERSPACE_PROXY_INIT"));
            receive(3);
        }

        /** The output is accepted on another thread than the inputs; what comes earlier is lost. */
        private void awaitOutput() throws IOException {
            SocketChannel out = sockets.get(2);
            out.configureBlocking(false);
            ByteBuffer header = ByteBuffer.allocate(4);
            try (Selector selector = Selector.open()) {
                out.register(selector, SelectionKey.OP_READ);
                do {
                    send(0, Frames.arp());
                } while (selector.select(50) == 0);
                out.read(header);
            }
            out.configureBlocking(true);
            while (header.hasRemaining()) {
                out.read(header);
            }
            Channels.newInputStream(out).readNBytes(header.getInt(0));
            byte[] last = new byte[64];
            send(0, last);
            while (receive(2).length != last.length) {}
        }

        private static SocketChannel connect(Path path) throws Exception {
            long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
            while (true) {
                try {
                    return SocketChannel.open(UnixDomainSocketAddress.of(path));
                } catch (IOException e) {
                    if (System.nanoTime() > end) {
                        throw e;
                    }
                    Thread.onSpinWait();
                }
            }
        }

        private void send(int socket, byte[] frame) throws IOException {
            ByteBuffer b = ByteBuffer.allocate(4 + frame.length);
            b.putInt(frame.length).put(frame).flip();
            while (b.hasRemaining()) {
                sockets.get(socket).write(b);
            }
        }

        private byte[] receive(int socket) throws IOException {
            InputStream in = Channels.newInputStream(sockets.get(socket));
            int n = ByteBuffer.wrap(in.readNBytes(4)).getInt();
            return in.readNBytes(n);
        }

        /** What each step makes come out: frames in hexadecimal, and how many requests. */
        List<String> play(List<Step> steps) throws IOException {
            List<String> effects = new ArrayList<>();
            for (Step s : steps) {
                byte[] frame = s.frame;
                if (frame == null) {
                    send(3, Frames.ascii("COLO_CHECKPOINT"));
                    send(3, Frames.ascii("COLO_USERSPACE_PROXY_INIT"));
                    effects.add(effect(true));
                } else {
                    send(s.primary ? 0 : 1, frame);
                    effects.add(effect(false));
                }
            }
            return effects;
        }

        /**
         * Waits until all sent before was handled: a datagram of its own goes through both inputs.
         */
        private String effect(boolean answered) throws IOException {
            int requests = 0;
            if (answered) {
                while (!"COLO_COMPARE_GET_XEN_INIT".equals(text(receive(3)))) {
                    requests++;
                }
            }
            byte[] marker = Frames.udp(0, "marker");
            marker[34] = (byte) (128 + (markers >> 8));
            marker[35] = (byte) markers++;
            send(1, marker);
            send(0, marker);
            StringBuilder out = new StringBuilder();
            while (true) {
                byte[] frame = receive(2);
                if (Arrays.equals(frame, marker)) {
                    break;
                }
                out.append(Frames.payload(frame, frame.length)).append('#');
                out.append(Arrays.hashCode(frame)).append(' ');
            }
            sockets.get(3).configureBlocking(false);
            ByteBuffer b = ByteBuffer.allocate(4096);
            while (sockets.get(3).read(b) > 0) {}
            sockets.get(3).configureBlocking(true);
            requests += b.position() / 17;
            return out + "requests=" + requests;
        }

        private static String text(byte[] b) {
            return new String(b, StandardCharsets.US_ASCII);
        }

        @Override
        public void close() throws IOException {
            for (SocketChannel s : sockets) {
                s.close();
            }
        }
    }

    private static final class Qemu implements AutoCloseable {
        private final Process process;
        final Peer peer;

        Qemu(Path directory) throws Exception {
            List<String> command = new ArrayList<>(List.of(QEMU, "-machine", "none"));
            command.addAll(List.of("-nodefaults", "-display", "none"));
            for (String name : DEVICES) {
                command.add("-chardev");
                command.add(
                        "socket,id=%s,path=%s,server=on,wait=off"
                                .formatted(name, directory.resolve(name)));
            }
            command.addAll(List.of("-object", "iothread,id=t", "-object"));
            command.add(
                    "colo-compare,id=c,primary_in=p,secondary_in=s,outdev=o,notify_dev=n,"
                            + "iothread=t,compare_timeout=60000");
            command.addAll(List.of("-qmp", "stdio"));
            process =
                    new ProcessBuilder(command)
                            .redirectError(ProcessBuilder.Redirect.INHERIT)
                            .start();
            // QEMU greets when all objects are there; a client that came earlier may go unread.
            assertTrue(process.inputReader().readLine().contains("QMP"));
            peer = new Peer(directory);
        }

        @Override
        public void close() throws IOException {
            peer.close();
            process.destroyForcibly().onExit().join();
        }
    }

    private static final class Ours implements AutoCloseable {
        private final EpollLoop main;
        private final EpollLoop io;
        private final ChardevTable chardevs;
        private final ColoCompare compare;
        final Peer peer;

        Ours(Path directory) throws Exception {
            VmClocks clocks = new VmClocks();
            main = new EpollLoop("main", clocks, new MachineLock(), Ours::failed);
            io = new EpollLoop("t", clocks, null, Ours::failed);
            main.start();
            io.start();
            chardevs = new ChardevTable(new Host(main));
            compare = onMain(() -> open(directory));
            peer = new Peer(directory);
        }

        private ColoCompare open(Path directory) throws Exception {
            for (String name : DEVICES) {
                ChardevConfig.Address at =
                        new ChardevConfig.Address.Unix(
                                directory.resolve(name).toString(), false, false);
                chardevs.create(
                        name,
                        new ChardevConfig.Socket(at, true, false, false, false, null, null, null),
                        false,
                        m -> {});
            }
            CompareConfig config =
                    new CompareConfig(
                            "c",
                            "p",
                            "s",
                            "o",
                            "t",
                            "n",
                            60000,
                            1000,
                            null,
                            ColoComparePolicy.QEMU,
                            10,
                            false);
            return ColoCompare.open(
                    new ColoCompare.Setup(
                            config,
                            new Comparisons(),
                            chardevs::find,
                            io,
                            System.err::println,
                            () -> {},
                            name -> name));
        }

        private static void failed(String what, Throwable e) {
            e.printStackTrace();
        }

        private <T> T onMain(java.util.concurrent.Callable<T> task) throws Exception {
            CompletableFuture<T> f = new CompletableFuture<>();
            main.execute(
                    () -> {
                        try {
                            f.complete(task.call());
                        } catch (Exception e) {
                            f.completeExceptionally(e);
                        }
                    });
            return f.get(20, TimeUnit.SECONDS);
        }

        @Override
        public void close() throws IOException {
            CompletableFuture.runAsync(compare::close, main::execute)
                    .thenRun(chardevs::closeAll)
                    .join();
            peer.close();
            io.stop();
            main.stop();
        }
    }

    private record Host(EventLoop mainLoop) implements ChardevHost {
        @Override
        public void report(String message) {
            System.err.println(message);
        }

        @Override
        public @Nullable Integer takeDescriptor(String name) {
            return null;
        }

        @Override
        public void terminate() {}

        @Override
        public boolean daemon() {
            return false;
        }
    }
}
