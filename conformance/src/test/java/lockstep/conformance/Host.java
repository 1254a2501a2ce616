package lockstep.conformance;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import static java.nio.file.StandardOpenOption.READ;
import static java.nio.file.StandardOpenOption.WRITE;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;

/** What the machine under the tests can do, and how to run programs on it. */
final class Host {
    private static final Path KVM = Path.of("/dev/kvm");

    private Host() {}

    /** The distribution under test. */
    static Path home() {
        return Path.of(System.getProperty("lockstep.home", "../examples/target/lockstep"))
                .toAbsolutePath()
                .normalize();
    }

    /** The launcher of the virtual machine monitor under test. */
    static Path binary() {
        return home().resolve("bin/lockstep-system-x86_64");
    }

    /** The QEMU that ours is tried beside and with: {@code -Dqemu=} a name or a path. */
    static String qemu() {
        return System.getProperty("qemu", "qemu-system-x86_64");
    }

    /** The given COLO scripts. */
    static Path scripts() {
        return Path.of(System.getProperty("lockstep.scripts", "../examples/colo"))
                .toAbsolutePath()
                .normalize();
    }

    /**
     * What {@code -accel} is told: KVM where it opens (root may write to any mode), else a processor in software, under the
     * name that QEMU knows as well.
     */
    static String accelerator() {
        try {
            Files.newByteChannel(KVM, READ, WRITE).close();
            return "kvm";
        } catch (IOException e) {
            return "tcg";
        }
    }

    /** Skips the test on a machine without KVM. */
    static void assumeKvm() {
        assumeTrue(accelerator().equals("kvm"), "needs " + KVM);
    }

    /** Skips the test for other users than root. */
    static void assumeRoot() {
        assumeTrue("root".equals(System.getProperty("user.name")), "needs root");
    }

    /** Skips the test where taps and network namespaces cannot be made. */
    static void assumeNetworkRoot() {
        assumeRoot();
        assumeTrue(Files.exists(Path.of("/dev/net/tun")), "needs /dev/net/tun");
    }

    /** Skips the test where a program is not installed. */
    static void assumeProgram(String name) {
        assumeTrue(find(name), "needs the program " + name);
    }

    private static boolean find(String name) {
        if (name.contains("/")) {
            return Files.isExecutable(Path.of(name));
        }
        for (String dir : System.getenv().getOrDefault("PATH", "").split(":")) {
            if (Files.isExecutable(Path.of(dir, name))) {
                return true;
            }
        }
        return false;
    }

    /** The memory of a process that is there, in MiB. */
    static double resident(long process) throws IOException {
        return Files.readAllLines(Path.of("/proc/" + process + "/status")).stream()
                .filter(line -> line.startsWith("VmRSS:"))
                .mapToDouble(line -> Double.parseDouble(line.replaceAll("\\D", "")) / 1024)
                .findFirst()
                .orElseThrow();
    }

    /** Whether COLO with {@link #qemu} takes the return path: 11 wants it, 7.2 fails with it. */
    static boolean coloByReturnPath() {
        String version =
                run(qemu(), "--version").replaceFirst("(?s)QEMU emulator version (\\d+).*", "$1");
        return Integer.parseInt(version) >= 11;
    }

    /** A command that switches COLO on, as {@link #qemu} takes it. */
    static String coloOfQemu(String json) {
        return !coloByReturnPath()
                ? json
                : json.replace(
                        "{\"capability\": \"x-colo\"",
                        "{\"capability\": \"return-path\", \"state\": true},"
                                + " {\"capability\": \"x-colo\"");
    }

    /** Runs a program to its end and gives its output, both streams; fails on a non-zero status. */
    static String run(String... command) {
        return run(List.of(command));
    }

    static String run(List<String> command) {
        try {
            Process p = new ProcessBuilder(command).redirectErrorStream(true).start();
            p.getOutputStream().close();
            String output = new String(p.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            if (!p.waitFor(60, TimeUnit.SECONDS)) {
                p.destroyForcibly();
                throw new AssertionError(command + " did not end; it printed: " + output);
            }
            if (p.exitValue() != 0) {
                throw new AssertionError(
                        command + " ended with " + p.exitValue() + " and printed: " + output);
            }
            return output;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new AssertionError("interrupted while running " + command, e);
        }
    }

    /** Waits until {@code condition} holds; fails with {@code what} if it does not within the limit. */
    static void await(String what, Duration limit, BooleanSupplier condition) {
        long end = System.nanoTime() + limit.toNanos();
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > end) {
                throw new AssertionError("waited " + limit.toSeconds() + " s in vain: " + what);
            }
            try {
                Thread.sleep(20);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new AssertionError("interrupted while waiting: " + what, e);
            }
        }
    }

    /**
     * Whether somebody listens at a unix socket. That its file exists says less: it is made before the first connection is
     * let in.
     */
    static boolean listens(Path socket) {
        return listens("self", socket);
    }

    /** The same for a process that may have a network namespace of its own: each sees no more than its own sockets. */
    static boolean listens(Process process, Path socket) {
        return listens(Long.toString(process.pid()), socket);
    }

    private static boolean listens(String process, Path socket) {
        // The fourth field of a line of this table holds the flags; 10000 is __SO_ACCEPTCON.
        return Stream.of(text(Path.of("/proc", process, "net/unix")).split("\n"))
                .anyMatch(line -> line.endsWith(" " + socket) && line.contains(" 00010000 "));
    }

    /** A file's text so far, with bytes that are not ASCII kept as ISO 8859-1. */
    static String text(Path file) {
        try {
            return Files.exists(file) ? Files.readString(file, StandardCharsets.ISO_8859_1) : "";
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
