package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.runtime.testmachine.Certificates;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * How fast memory goes over TLS from one Lockstep to another, beside two QEMU: a guest that stands still, all of its pages
 * random. It prints what it measures and asserts nothing about times.
 */
@Tag("qemu")
@Timeout(600)
class TlsBenchmarkTest {
    private static final int MEBIBYTES = 256;
    private static final int RUNS = Integer.getInteger("bench.runs", 1);
    private static final Pattern TRANSFERRED = Pattern.compile("\"transferred\": ([0-9]+)");
    private static final Pattern TOTAL = Pattern.compile("\"total-time\": ([0-9]+)");
    private static final Pattern SETUP = Pattern.compile("\"setup-time\": ([0-9]+)");

    @TempDir Path directory;

    @Test
    void migration() throws Exception {
        Host.assumeProgram(TlsMachine.QEMU);
        Path certificates = Certificates.make(directory.resolve("certificates"), "EC");
        Path memory = directory.resolve("memory");
        try (OutputStream out = Files.newOutputStream(memory)) {
            Random random = new Random(7);
            byte[] block = new byte[1 << 20];
            for (int i = 0; i < MEBIBYTES; i++) {
                random.nextBytes(block);
                out.write(block);
            }
        }
        for (boolean secure : new boolean[] {true, false}) {
            List<Double> ours = new ArrayList<>();
            List<Double> theirs = new ArrayList<>();
            for (int i = 0; i < RUNS; i++) {
                ours.add(speed("lockstep", certificates, memory, secure));
                theirs.add(speed("qemu", certificates, memory, secure));
            }
            System.out.printf(
                    "BENCH %-34s lockstep %9.1f MB/s qemu %9.1f MB/s ratio %.2f%n",
                    "migration" + (secure ? " over TLS" : ""),
                    median(ours),
                    median(theirs),
                    median(ours) / median(theirs));
        }
    }

    private static double median(List<Double> values) {
        List<Double> sorted = new ArrayList<>(values);
        Collections.sort(sorted);
        return sorted.get(sorted.size() / 2);
    }

    /** In MB/s, without the time for connecting. */
    private static double speed(String who, Path certificates, Path memory, boolean secure)
            throws IOException {
        try (Monitor target = machine(who, "server", certificates, memory, "-incoming", "defer");
                Monitor source = machine(who, "client", certificates, memory)) {
            parameters(target, secure, "");
            // More than there is: it is not the limit that is measured.
            parameters(source, secure, "\"max-bandwidth\": 100000000000");
            String uri = "{\"uri\": \"tcp:127.0.0.1:" + TlsMachine.freePort() + "\"}";
            target.execute("{\"execute\": \"migrate-incoming\", \"arguments\": " + uri + "}");
            source.execute("{\"execute\": \"migrate\", \"arguments\": " + uri + "}");
            String[] status = {""};
            Host.await(
                    "the migration ends",
                    Duration.ofMinutes(2),
                    () -> {
                        status[0] = source.execute("{\"execute\": \"query-migrate\"}");
                        return !status[0].contains("\"setup\"")
                                && !status[0].contains("\"active\"")
                                && !status[0].contains("\"device\"");
                    });
            assertTrue(status[0].contains("\"completed\""), status[0]);
            long bytes = number(TRANSFERRED, status[0]);
            assertTrue(bytes > (long) MEBIBYTES << 20, status[0]);
            return bytes / 1e3 / (number(TOTAL, status[0]) - number(SETUP, status[0]));
        }
    }

    private static Monitor machine(
            String who, String endpoint, Path certificates, Path memory, String... more) {
        List<String> words =
                new ArrayList<>(
                        List.of(
                                "-m",
                                MEBIBYTES + "M",
                                "-object",
                                "memory-backend-file,id=ram,share=off,size="
                                        + MEBIBYTES
                                        + "M,mem-path="
                                        + memory,
                                "-machine",
                                "memory-backend=ram"));
        words.addAll(List.of(more));
        return TlsMachine.start(who, endpoint, certificates, words.toArray(String[]::new));
    }

    private static void parameters(Monitor machine, boolean secure, String more) {
        String all =
                (secure ? "\"tls-creds\": \"t\"" : "") + (secure && !more.isEmpty() ? "," : "");
        machine.execute(
                "{\"execute\": \"migrate-set-parameters\", \"arguments\": {" + all + more + "}}");
    }

    private static long number(Pattern pattern, String text) {
        Matcher m = pattern.matcher(text);
        assertTrue(m.find(), text);
        return Long.parseLong(m.group(1));
    }
}
