package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The disk path of Lockstep and of QEMU side by side: {@code bench} of {@code lockstep-img} and {@code qemu-img} on the
 * same images. It prints, and asserts nothing about times. Each row has two ratios, more than 1 where Lockstep is
 * faster: of a short run, in which its code is not compiled yet, and of what a run five times as long takes more.
 *
 * <p>A few rows in a usual run, all with {@code -Dbench.disk=true}.
 */
@Tag("qemu")
class DiskBenchmarkTest {
    private static final boolean ALL = Boolean.getBoolean("bench.disk");
    private static final Pattern SECONDS = Pattern.compile("completed in ([0-9.]+) seconds");
    private static final int MEBIBYTES = ALL ? 256 : 16;

    /** How many times as many requests the longer run has. */
    private static final int LONGER = 5;

    @TempDir Path directory;

    @BeforeEach
    void programs() {
        Host.assumeProgram("qemu-img");
        Host.assumeProgram("qemu-nbd");
    }

    /**
     * Requests of one kind.
     *
     * @param random whether one is far from the one before
     * @param count of the short run
     */
    private record Requests(String name, int size, boolean random, int count) {
        static List<Requests> all() {
            return ALL
                    ? List.of(
                            new Requests("4K random", 4096, true, 20000),
                            new Requests("64K random", 65536, true, 4000),
                            new Requests("2M sequential", 2 << 20, false, 200))
                    : List.of(new Requests("4K random", 4096, true, 500));
        }

        /** What brings it to each place once, in an order that no read-ahead foresees. */
        int step() {
            return random ? 5 * (1 << 20) + size : size;
        }
    }

    private static int[] depths() {
        return ALL ? new int[] {1, 8, 32} : new int[] {8};
    }

    private static String[] caches() {
        return ALL ? new String[] {"writeback", "none"} : new String[] {"writeback"};
    }

    private void rows(String what, String format, String image, boolean write, boolean fresh)
            throws IOException {
        for (Requests requests : Requests.all()) {
            for (String cache : caches()) {
                for (int depth : depths()) {
                    row(what, format, image, write, fresh, requests, cache, depth);
                }
            }
        }
    }

    private void row(
            String what,
            String format,
            String image,
            boolean write,
            boolean fresh,
            Requests requests,
            String cache,
            int depth)
            throws IOException {
        double[][] seconds = new double[2][2];
        for (int longer = 0; longer < 2; longer++) {
            int count = requests.count * (longer == 0 ? 1 : LONGER);
            for (int who = 0; who < 2; who++) {
                if (fresh) {
                    Files.deleteIfExists(Path.of(image));
                    Host.run("qemu-img", "create", "-q", "-f", "qcow2", image, "4G");
                }
                List<String> command = new ArrayList<>();
                command.add(
                        who == 0 ? Host.home().resolve("bin/lockstep-img").toString() : "qemu-img");
                command.add("bench");
                if (write) {
                    command.add("-w");
                }
                for (String option :
                        new String[] {
                            "-f",
                            format,
                            "-t",
                            cache,
                            "-c",
                            "" + count,
                            "-d",
                            "" + depth,
                            "-s",
                            "" + requests.size,
                            "-S",
                            "" + requests.step(),
                            image
                        }) {
                    command.add(option);
                }
                seconds[longer][who] = seconds(Host.run(command));
                if (fresh) {
                    Host.run("qemu-img", "check", "-q", image);
                }
            }
        }
        double more = seconds[1][0] - seconds[0][0];
        double theirs = seconds[1][1] - seconds[0][1];
        System.out.printf(
                Locale.ROOT,
                "BENCH %-20s %-13s depth %2d cache %-9s lockstep %8.3f s qemu %8.3f s ratio %5.2f"
                        + " then %5.2f%n",
                what,
                requests.name,
                depth,
                cache,
                seconds[0][0],
                seconds[0][1],
                seconds[0][1] / seconds[0][0],
                theirs / more);
    }

    private static double seconds(String output) {
        Matcher matcher = SECONDS.matcher(output);
        assertTrue(matcher.find(), output);
        return Math.max(Double.parseDouble(matcher.group(1)), 0.001);
    }

    private String file(String name) {
        return directory.resolve(name).toString();
    }

    /** A raw image without holes. */
    private String raw() throws IOException {
        String raw = file("raw");
        byte[] block = new byte[1 << 20];
        Arrays.fill(block, (byte) 7);
        try (OutputStream out = Files.newOutputStream(Path.of(raw))) {
            for (int i = 0; i < MEBIBYTES; i++) {
                out.write(block);
            }
        }
        return raw;
    }

    private String qcow2(String name) throws IOException {
        String image = file(name);
        Host.run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw(), image);
        return image;
    }

    @Test
    void rawFile() throws IOException {
        rows("raw read", "raw", raw(), false, false);
        if (ALL) {
            rows("raw write", "raw", raw(), true, false);
        }
    }

    @Test
    void allocatedQcow2() throws IOException {
        rows("qcow2 read", "qcow2", qcow2("image"), false, false);
        if (ALL) {
            rows("qcow2 overwrite", "qcow2", qcow2("image"), true, false);
        }
    }

    @Test
    void growingQcow2() throws IOException {
        rows("growing qcow2", "qcow2", file("grown"), true, true);
    }

    @Test
    void chainOfFour() throws IOException {
        String below = qcow2("bottom");
        for (String name : new String[] {"second", "third", "top"}) {
            String image = file(name);
            Host.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", below, "-F", "qcow2", image);
            below = image;
        }
        rows("chain of 4 read", "qcow2", below, false, false);
    }

    @Test
    void nbdOverUnixSocket() throws IOException {
        Path socket = directory.resolve("socket");
        String raw = raw();
        Process server =
                new ProcessBuilder("qemu-nbd", "-t", "-f", "raw", "-e", "8", "-k", "" + socket, raw)
                        .redirectErrorStream(true)
                        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                        .start();
        try {
            Host.await("qemu-nbd listens", Duration.ofSeconds(20), () -> Host.listens(socket));
            rows("nbd read", "raw", "nbd+unix:///?socket=" + socket, false, false);
            if (ALL) {
                rows("nbd write", "raw", "nbd+unix:///?socket=" + socket, true, false);
            }
        } finally {
            server.destroyForcibly();
        }
    }
}
