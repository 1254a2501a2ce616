package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * The monitor of Lockstep and of QEMU side by side, without a machine: start to greeting, memory, round trip of
 * query-status, requests sent without waiting. It prints what it measures and asserts nothing about times.
 */
@Tag("qemu")
class MonitorBenchmarkTest {
    private static final Path QEMU = Path.of(Host.qemu());
    private static final int STARTS = Integer.getInteger("bench.starts", 15);
    private static final int ROUND_TRIPS = Integer.getInteger("bench.roundtrips", 4000);
    private static final String STATUS = "{\"execute\": \"query-status\"}\r\n";

    @TempDir Path directory;

    @BeforeEach
    void machine() {
        Host.assumeProgram(QEMU.toString());
    }

    private static void print(String what, String unit, double ours, double theirs) {
        System.out.printf(
                "BENCH %-34s lockstep %9.1f %-4s qemu %9.1f %-4s ratio %.2f%n",
                what, ours, unit, theirs, unit, ours / theirs);
    }

    private record Start(double milliseconds, double mebibytes) {}

    @Test
    void startToGreetingAndMemory() throws IOException {
        List<Start> ours = new ArrayList<>();
        List<Start> theirs = new ArrayList<>();
        for (int i = 0; i < STARTS; i++) {
            ours.add(start(Host.binary()));
            theirs.add(start(QEMU));
        }
        print(
                "start to greeting",
                "ms",
                median(ours.stream().map(Start::milliseconds).toList()),
                median(theirs.stream().map(Start::milliseconds).toList()));
        print(
                "resident memory at the greeting",
                "MiB",
                median(ours.stream().map(Start::mebibytes).toList()),
                median(theirs.stream().map(Start::mebibytes).toList()));
    }

    private static Start start(Path binary) throws IOException {
        long start = System.nanoTime();
        Process process =
                new ProcessBuilder(
                                binary.toString(),
                                "-machine",
                                "none",
                                "-nodefaults",
                                "-display",
                                "none",
                                "-qmp",
                                "stdio")
                        .redirectError(ProcessBuilder.Redirect.INHERIT)
                        .start();
        try (BufferedReader output =
                new BufferedReader(
                        new InputStreamReader(
                                process.getInputStream(), StandardCharsets.US_ASCII))) {
            String greeting = output.readLine();
            double milliseconds = (System.nanoTime() - start) / 1e6;
            assertTrue(greeting != null && greeting.startsWith("{\"QMP\""), greeting);
            return new Start(milliseconds, Host.resident(process.pid()));
        } finally {
            process.destroyForcibly();
        }
    }

    @Test
    void roundTripAndThroughput() throws IOException {
        Measured ours = converse(Host.binary(), "ours");
        Measured theirs = converse(QEMU, "theirs");
        print("query-status, median round trip", "us", ours.median, theirs.median);
        print("query-status, 99th percentile", "us", ours.tail, theirs.tail);
        print("query-status without waiting", "us", ours.pipelined, theirs.pipelined);
    }

    /** Microseconds a request. */
    private record Measured(double median, double tail, double pipelined) {}

    private Measured converse(Path binary, String name) throws IOException {
        Path socket = directory.resolve(name);
        Process process =
                new ProcessBuilder(
                                binary.toString(),
                                "-machine",
                                "none",
                                "-nodefaults",
                                "-display",
                                "none",
                                "-qmp",
                                "unix:" + socket + ",server=on,wait=off")
                        .redirectErrorStream(true)
                        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                        .start();
        try {
            Host.await(binary + " listens", Duration.ofSeconds(20), () -> Host.listens(socket));
            try (SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX)) {
                channel.connect(UnixDomainSocketAddress.of(socket));
                BufferedReader input =
                        new BufferedReader(Channels.newReader(channel, StandardCharsets.US_ASCII));
                input.readLine();
                send(channel, "{\"execute\": \"qmp_capabilities\"}\r\n");
                input.readLine();
                List<Double> times = new ArrayList<>();
                for (int i = 0; i < ROUND_TRIPS; i++) {
                    long start = System.nanoTime();
                    send(channel, STATUS);
                    String reply = input.readLine();
                    times.add((System.nanoTime() - start) / 1e3);
                    assertTrue(reply != null && reply.startsWith("{\"return\""), reply);
                }
                return new Measured(
                        median(times), quantile(times, 0.99), pipelined(channel, input));
            }
        } finally {
            process.destroyForcibly();
        }
    }

    private static double pipelined(SocketChannel channel, BufferedReader input)
            throws IOException {
        long start = System.nanoTime();
        Thread writer =
                Thread.ofVirtual()
                        .start(
                                () -> {
                                    OutputStream out = Channels.newOutputStream(channel);
                                    byte[] many =
                                            STATUS.repeat(50).getBytes(StandardCharsets.US_ASCII);
                                    try {
                                        for (int i = 0; i < ROUND_TRIPS; i += 50) {
                                            out.write(many);
                                        }
                                    } catch (IOException e) {
                                        throw new java.io.UncheckedIOException(e);
                                    }
                                });
        int replies = 0;
        while (replies < ROUND_TRIPS) {
            assertTrue(input.readLine() != null, "the connection ended");
            replies++;
        }
        double each = (System.nanoTime() - start) / 1e3 / ROUND_TRIPS;
        try {
            writer.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        return each;
    }

    private static void send(SocketChannel channel, String text) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.US_ASCII));
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
    }

    private static double median(List<Double> values) {
        return quantile(values, 0.5);
    }

    private static double quantile(List<Double> values, double part) {
        List<Double> sorted = new ArrayList<>(values);
        Collections.sort(sorted);
        return sorted.get((int) (part * (sorted.size() - 1)));
    }
}
