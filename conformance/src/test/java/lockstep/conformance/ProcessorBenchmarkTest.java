package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;

/**
 * The software processor beside QEMU's, with the same guest and from the start of the process, so that warming up counts.
 * It prints what it measures and asserts nothing about times. What a Linux does is asked for with {@code -Dlinux=1}.
 */
@Tag("qemu")
class ProcessorBenchmarkTest {
    private static final Path QEMU = Path.of(Host.qemu());
    private static final Duration PATIENCE = Duration.ofMinutes(10);

    /** A program for Linux: 100 million rounds of ADD, ROL, XOR, SUB and JNZ. */
    private static final byte[] LOOP =
            HexFormat.of()
                    .parseHex(
                            "7f454c46020101000000000000000000" // ELF header: an executable for
                                    // x86-64
                                    + "02003e00010000007800400000000000"
                                    + "40000000000000000000000000000000"
                                    + "00000000400038000100000000000000"
                                    + "01000000050000000000000000000000" // loaded at 0x400000
                                    + "00004000000000000000400000000000"
                                    + "98000000000000009800000000000000"
                                    + "0010000000000000"
                                    + "48c7c100e1f505" // mov rcx, 100000000
                                    + "4801d8" // add rax, rbx
                                    + "48c1c307" // rol rbx, 7
                                    + "4831cb" // xor rbx, rcx
                                    + "4883e901" // sub rcx, 1
                                    + "75f0" // jnz
                                    + "b83c00000031ff0f05"); // exit(0)

    @TempDir Path directory;

    @BeforeEach
    void peer() {
        Host.assumeProgram(QEMU.toString());
    }

    private static void print(String what, double ours, double theirs) {
        System.out.printf(
                "BENCH %-34s lockstep %9.2f s    qemu %9.2f s    ratio %.2f%n",
                what, ours, theirs, ours / theirs);
    }

    @Test
    void firmware() throws IOException {
        List<String> options =
                List.of("-debugcon", "stdio", "-global", "isa-debugcon.iobase=0x402", "-m", "128");
        double ours;
        double theirs;
        try (Guest g = new Guest(Host.binary(), "jvm", options)) {
            ours = g.until("Booting from");
        }
        try (Guest g = new Guest(QEMU, "tcg", options)) {
            theirs = g.until("Booting from");
        }
        print("SeaBIOS until it boots", ours, theirs);
    }

    @Test
    void linux() throws IOException {
        assumeTrue(Integer.getInteger("linux", 0) > 0, "asked for with -Dlinux=1");
        LinuxGuest linux = LinuxGuest.cloud();
        Path initrd = directory.resolve("initrd");
        linux.writeInitrd(initrd, "");
        List<String> options =
                List.of(
                        "-m",
                        "512",
                        "-serial",
                        "stdio",
                        "-kernel",
                        linux.kernel().toString(),
                        "-initrd",
                        initrd.toString(),
                        "-append",
                        "console=ttyS0 quiet");
        List<Double> ours = measure(Host.binary(), "jvm", options);
        List<Double> theirs = measure(QEMU, "tcg", options);
        List<String> names =
                List.of(
                        "Linux to its prompt",
                        "500 million instructions",
                        "copy of 64 MiB, ten times",
                        "gzip of 64 MiB");
        for (int i = 0; i < names.size(); i++) {
            print(names.get(i), ours.get(i), theirs.get(i));
        }
    }

    private static List<Double> measure(Path program, String accelerator, List<String> options)
            throws IOException {
        List<Double> all = new ArrayList<>();
        try (Guest g = new Guest(program, accelerator, options)) {
            all.add(g.until(LinuxGuest.UP));
            g.await("# ");
            g.run("echo " + Base64.getEncoder().encodeToString(LOOP) + " | base64 -d > /loop");
            g.run("chmod +x /loop");
            all.add(g.run("/loop"));
            g.run("for i in $(seq 34); do cat /bin/busybox; done | head -c 67108864 > /data");
            all.add(g.run("for i in $(seq 10); do cat /data > /copy; done"));
            all.add(g.run("gzip -c /data > /copy"));
        }
        return all;
    }

    /** A machine whose console is the process's standard input and output. */
    private static final class Guest implements AutoCloseable {
        private final long start = System.nanoTime();
        private final Process process;
        private final InputStream from;
        private final OutputStream to;
        private final StringBuilder said = new StringBuilder();
        private int seen;
        private int commands;

        Guest(Path program, String accelerator, List<String> options) throws IOException {
            List<String> command = new ArrayList<>();
            command.addAll(List.of(program.toString(), "-accel", accelerator, "-nodefaults"));
            command.addAll(List.of("-display", "none"));
            command.addAll(options);
            process =
                    new ProcessBuilder(command)
                            .redirectError(ProcessBuilder.Redirect.DISCARD)
                            .start();
            from = process.getInputStream();
            to = process.getOutputStream();
        }

        private static double since(long start) {
            return (System.nanoTime() - start) / 1e9;
        }

        /** Seconds from the start to a text. */
        double until(String text) throws IOException {
            await(text);
            return since(start);
        }

        /** Seconds that a command takes. */
        double run(String command) throws IOException {
            commands++;
            long begin = System.nanoTime();
            // What is typed comes back as an echo, but without the sum.
            to.write(
                    (command + "; echo done $((1000 + " + commands + ")) $?\n")
                            .getBytes(StandardCharsets.US_ASCII));
            to.flush();
            String done = "done " + (1000 + commands) + " ";
            await(done);
            double time = since(begin);
            await("# ");
            assertTrue(said.indexOf(done + "0") >= 0, () -> command + ": " + said);
            return time;
        }

        /** Waits for a text behind what was waited for before. */
        private void await(String text) throws IOException {
            long begin = System.nanoTime();
            byte[] buffer = new byte[4096];
            while (said.indexOf(text, seen) < 0) {
                assertTrue(
                        since(begin) < PATIENCE.toSeconds(), () -> "no '" + text + "' in: " + said);
                int n = from.read(buffer);
                assertTrue(n >= 0, () -> "ended before '" + text + "': " + said);
                said.append(new String(buffer, 0, n, StandardCharsets.ISO_8859_1));
            }
            seen = said.indexOf(text, seen) + text.length();
        }

        @Override
        public void close() {
            process.destroyForcibly();
        }
    }
}
