package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Semaphore;

/**
 * colo-compare of Lockstep and of QEMU side by side, without a machine: the same segments of TCP from two guests go in,
 * the primary's come out. It prints packets a second, by the clock and by the processor's time that the process used, and
 * what a packet's way through takes. It asserts nothing about times.
 */
@Tag("qemu")
@Timeout(600)
class CompareBenchmarkTest {
    private static final Path QEMU = Path.of(Host.qemu());

    /** Packets of each side in one measurement. */
    private static final int PACKETS = Integer.getInteger("bench.packets", 40_000);

    private static final int ROUNDS = Integer.getInteger("bench.rounds", 3);
    private static final int ROUND_TRIPS = Integer.getInteger("bench.roundtrips", 3000);

    /** Ticks of {@code /proc/PID/stat} in a second. */
    private static final double TICKS = 100;

    private static final int PAYLOAD = 200;
    private static final int HEADERS = 54;

    /** A frame with the length in front of it. */
    private static final int FRAME = 4 + HEADERS + PAYLOAD;

    /** What is written to one side before the other one gets as much. */
    private static final int CHUNK = 60 * FRAME;

    /** Chunks that may be on their way: a network that gets more than it takes loses packets. */
    private static final int WINDOW = 16;

    @TempDir Path directory;

    @BeforeEach
    void machine() {
        Host.assumeProgram(QEMU.toString());
    }

    /** Two guests' side of a number of connections. */
    private static final class Flows {
        private final int flows;
        private int sent;

        Flows(int flows) {
            this.flows = flows;
        }

        /** The next segments, one after the other from each of the connections. */
        byte[] next(int packets) {
            ByteBuffer b = ByteBuffer.allocate(packets * FRAME);
            for (int i = 0; i < packets; i++) {
                int flow = sent % flows;
                int sequence = 1000 + sent / flows * PAYLOAD;
                sent++;
                b.putInt(FRAME - 4);
                b.putLong(0x525400123456_5254L).putInt(0x00123457).putShort((short) 0x0800);
                b.putInt(0x4500_0000 | FRAME - 18).putInt(sent << 16 | 0x4000);
                b.putInt(0x4006_0000).putInt(0x0a000002).putInt(0x0a010000 | flow >> 12);
                b.putShort((short) 80).putShort((short) (4096 + (flow & 0xfff)));
                b.putInt(sequence).putInt(5000).putInt(0x5018_2000).putInt(0);
                for (int k = 0; k < PAYLOAD; k += 8) {
                    b.putLong(sequence + 0x0101010101010101L * k);
                }
            }
            return b.array();
        }
    }

    /** A process that compares, and the test's ends of its three sockets. */
    private static final class Comparison implements AutoCloseable {
        private final Process process;
        private final SocketChannel primary;
        private final SocketChannel secondary;
        private final SocketChannel out;
        private final Flows flows;

        Comparison(Path binary, Path place, List<String> options, int flows) throws IOException {
            Files.createDirectories(place);
            List<String> command = new ArrayList<>(List.of(binary.toString(), "-machine", "none"));
            command.addAll(List.of("-nodefaults", "-display", "none", "-qmp", "stdio"));
            for (String option : options) {
                command.add(option.replace("@", place + "/"));
            }
            process =
                    new ProcessBuilder(command)
                            .redirectError(ProcessBuilder.Redirect.INHERIT)
                            .start();
            // The greeting comes when all objects are there.
            assertTrue(process.inputReader().readLine().contains("QMP"));
            primary = connect(place.resolve("primary"));
            secondary = connect(place.resolve("secondary"));
            out = connect(place.resolve("out"));
            this.flows = new Flows(flows);
            settle();
        }

        private static SocketChannel connect(Path path) throws IOException {
            // Who greets early may still be about to listen.
            Host.await(path + " is there", Duration.ofSeconds(30), () -> Files.exists(path));
            SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
            channel.connect(UnixDomainSocketAddress.of(path));
            return channel;
        }

        /** The output may be accepted later than the inputs, and what comes meanwhile is lost: waits until frames arrive. */
        private void settle() throws IOException {
            out.configureBlocking(false);
            ByteBuffer in = ByteBuffer.allocate(1 << 16);
            Host.await(
                    "something comes through",
                    Duration.ofSeconds(30),
                    () -> {
                        try {
                            byte[] one = flows.next(1);
                            write(one, 0, FRAME);
                            return out.read(in) > 0;
                        } catch (IOException e) {
                            throw new UncheckedIOException(e);
                        }
                    });
            long quiet = System.nanoTime() + 200_000_000;
            while (System.nanoTime() < quiet) {
                if (out.read(in.clear()) > 0) {
                    quiet = System.nanoTime() + 200_000_000;
                }
                Thread.onSpinWait();
            }
            out.configureBlocking(true);
        }

        /** Sends bytes of both guests. */
        private void write(byte[] frames, int from, int to) throws IOException {
            for (SocketChannel side : List.of(primary, secondary)) {
                ByteBuffer b = ByteBuffer.wrap(frames, from, to - from);
                while (b.hasRemaining()) {
                    side.write(b);
                }
            }
        }

        /** Reads all that is to come; each chunk of it makes room for another one. */
        private void read(ByteBuffer in, int bytes, Semaphore window) throws IOException {
            for (int had = 0; had < bytes; ) {
                in.clear().limit(Math.min(bytes - had, in.capacity()));
                int n = out.read(in);
                assertTrue(n > 0, "the comparison is gone");
                window.release((had + n) / CHUNK - had / CHUNK);
                had += n;
            }
        }

        /** What a number of packets takes. */
        Spent pass(int packets) throws IOException {
            byte[] frames = flows.next(packets);
            Semaphore window = new Semaphore(WINDOW);
            long cpu = ticks();
            long start = System.nanoTime();
            CompletableFuture<Void> writer =
                    CompletableFuture.runAsync(
                            () -> {
                                try {
                                    for (int at = 0; at < frames.length; at += CHUNK) {
                                        window.acquireUninterruptibly();
                                        write(frames, at, Math.min(frames.length, at + CHUNK));
                                    }
                                } catch (IOException e) {
                                    throw new UncheckedIOException(e);
                                }
                            });
            read(ByteBuffer.allocateDirect(1 << 18), frames.length, window);
            double seconds = (System.nanoTime() - start) / 1e9;
            writer.join();
            return new Spent(seconds, (ticks() - cpu) / TICKS);
        }

        /** Processor time of the process. */
        private long ticks() throws IOException {
            String[] words =
                    Files.readString(Path.of("/proc/" + process.pid() + "/stat"))
                            .replaceFirst(".*\\) ", "")
                            .split(" ");
            return Long.parseLong(words[11]) + Long.parseLong(words[12]);
        }

        /** Microseconds from a packet of both guests to its coming out. */
        List<Double> roundTrips(int count) throws IOException {
            List<Double> times = new ArrayList<>();
            ByteBuffer in = ByteBuffer.allocateDirect(FRAME);
            byte[] frames = flows.next(count);
            Semaphore unused = new Semaphore(0);
            for (int i = 0; i < count; i++) {
                long start = System.nanoTime();
                write(frames, i * FRAME, (i + 1) * FRAME);
                read(in, FRAME, unused);
                times.add((System.nanoTime() - start) / 1e3);
            }
            return times;
        }

        @Override
        public void close() throws IOException {
            primary.close();
            secondary.close();
            out.close();
            process.destroyForcibly().onExit().join();
        }
    }

    private record Spent(double seconds, double processor) {}

    // ---- how the packets go

    private static List<String> alone() {
        return List.of(
                "-chardev", "socket,id=p,path=@primary,server=on,wait=off",
                "-chardev", "socket,id=s,path=@secondary,server=on,wait=off",
                "-chardev", "socket,id=o,path=@out,server=on,wait=off",
                "-object", "iothread,id=t",
                "-object", compare("p", "s", "o"));
    }

    private static String compare(String primary, String secondary, String out) {
        return "colo-compare,id=c,primary_in=%s,secondary_in=%s,outdev=%s,iothread=t,max_queue_size=100000,compare_timeout=60000"
                .formatted(primary, secondary, out);
    }

    /** As a primary of COLO has it: a guest's card, its network, and redirectors to the comparison and back. */
    private static List<String> redirected(boolean pair) {
        List<String> options =
                new ArrayList<>(
                        List.of(
                                "-netdev",
                                "stream,id=guest,server=on,addr.type=unix,addr.path=@primary",
                                "-netdev",
                                "stream,id=hn0,server=on,addr.type=unix,addr.path=@out",
                                "-netdev",
                                "hubport,id=a,hubid=0,netdev=guest",
                                "-netdev",
                                "hubport,id=b,hubid=0,netdev=hn0",
                                "-chardev",
                                "socket,id=s,path=@secondary,server=on,wait=off"));
        for (String name : List.of("compare0", "compare_out")) {
            String peer = name.equals("compare0") ? "compare0-0" : "compare_out0";
            options.add("-chardev");
            options.add(
                    pair
                            ? "pair,id=" + name
                            : "socket,id=" + name + ",path=@" + name + ",server=on,wait=off");
            options.add("-chardev");
            options.add(
                    pair
                            ? "pair,id=" + peer + ",peer=" + name
                            : "socket,id=" + peer + ",path=@" + name);
        }
        options.addAll(
                List.of(
                        "-object", "iothread,id=t",
                        "-object", "filter-redirector,id=in,netdev=hn0,queue=rx,indev=compare_out",
                        "-object", "filter-redirector,id=from,netdev=hn0,queue=rx,outdev=compare0",
                        "-object", compare("compare0-0", "s", "compare_out0")));
        return options;
    }

    // ---- what is measured

    private static void print(String what, String unit, double ours, double theirs, boolean speed) {
        System.out.printf(
                "BENCH %-40s lockstep %9.1f %-4s qemu %9.1f %-4s ratio %.2f%s%n",
                what, ours, unit, theirs, unit, ours / theirs, speed ? " (more is better)" : "");
    }

    private static double median(List<Double> values) {
        return quantile(values, 0.5);
    }

    private static double quantile(List<Double> values, double part) {
        List<Double> sorted = new ArrayList<>(values);
        Collections.sort(sorted);
        return sorted.get((int) (part * (sorted.size() - 1)));
    }

    /** Measures in turn, so that what else the machine does hits both. */
    private static void rate(String what, Comparison ours, Comparison theirs) throws IOException {
        List<List<Double>> rates = List.of(new ArrayList<>(), new ArrayList<>());
        List<List<Double>> costs = List.of(new ArrayList<>(), new ArrayList<>());
        List<Comparison> both = List.of(ours, theirs);
        for (Comparison c : both) {
            c.pass(3 * PACKETS);
        }
        for (int i = 0; i < ROUNDS; i++) {
            for (int k = 0; k < 2; k++) {
                Spent s = both.get(k).pass(PACKETS);
                rates.get(k).add(PACKETS / s.seconds / 1e3);
                costs.get(k).add(s.processor / PACKETS * 1e6);
            }
        }
        print(what + ", packets/s", "k/s", median(rates.get(0)), median(rates.get(1)), true);
        print(what + ", CPU", "us", median(costs.get(0)), median(costs.get(1)), false);
    }

    private static void latency(String what, Comparison ours, Comparison theirs)
            throws IOException {
        ours.roundTrips(ROUND_TRIPS);
        theirs.roundTrips(ROUND_TRIPS);
        List<Double> a = ours.roundTrips(ROUND_TRIPS);
        List<Double> b = theirs.roundTrips(ROUND_TRIPS);
        print(what + ", median latency", "us", median(a), median(b), false);
        print(what + ", 99th percentile", "us", quantile(a, 0.99), quantile(b, 0.99), false);
    }

    private void beside(String what, int flows, List<String> ours, List<String> theirs)
            throws IOException {
        try (Comparison a = new Comparison(Host.binary(), directory.resolve("a"), ours, flows);
                Comparison b = new Comparison(QEMU, directory.resolve("b"), theirs, flows)) {
            rate(what, a, b);
            latency(what, a, b);
        }
    }

    @Test
    void oneFlow() throws IOException {
        beside("compare, 1 flow", 1, alone(), alone());
    }

    @Test
    void hundredFlows() throws IOException {
        beside("compare, 100 flows", 100, alone(), alone());
    }

    @Test
    void tenThousandFlows() throws IOException {
        beside("compare, 10000 flows", 10_000, alone(), alone());
    }

    @Test
    void fromTheNetworkAndBackOverSockets() throws IOException {
        beside("redirectors and sockets", 100, redirected(false), redirected(false));
    }

    @Test
    void fromTheNetworkAndBackOverPairs() throws IOException {
        beside("redirectors and pairs", 100, redirected(true), redirected(false));
    }
}
