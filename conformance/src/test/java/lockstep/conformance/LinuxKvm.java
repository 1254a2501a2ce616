package lockstep.conformance;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/**
 * Whether a Linux can run on this host's KVM. Where the processor does not help, a kernel may emulate what a guest does
 * in ring 0, and not know all that a Linux does there; the guest {@code linux-probe.S} tries it.
 */
final class LinuxKvm {
    private static final String END = "END";
    private static final String DONE = "works";

    private LinuxKvm() {}

    /** Once for all tests, and not before one asks. */
    private static final class Probe {
        /** What stands in the way; empty for nothing. */
        static final String OBSTACLE = probe();
    }

    /** Skips the test where a Linux does not run on that; {@code accelerator} is what {@code -accel} is told. */
    static void assumeRuns(String accelerator) {
        if (accelerator.startsWith("kvm")) {
            Host.assumeKvm();
            assumeTrue(Probe.OBSTACLE.isEmpty(), "no Linux runs on this KVM: " + Probe.OBSTACLE);
        }
    }

    private static String probe() {
        try {
            Path directory = Files.createTempDirectory("linux-probe");
            Path firmware = Files.write(directory.resolve("firmware"), Guests.load("linux-probe"));
            Path told = directory.resolve("told");
            Path errors = directory.resolve("errors");
            try {
                run(firmware, told, errors);
                return obstacle(Host.text(told), Host.text(errors));
            } catch (AssertionError e) {
                return String.valueOf(e.getMessage()); // it took too long
            } finally {
                for (Path file : List.of(firmware, told, errors, directory)) {
                    Files.deleteIfExists(file);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void run(Path firmware, Path told, Path errors) throws IOException {
        Process machine =
                new ProcessBuilder(
                                List.of(
                                        Host.binary().toString(),
                                        "-accel",
                                        "kvm",
                                        "-m",
                                        "16",
                                        "-nodefaults",
                                        "-display",
                                        "none",
                                        "-no-reboot",
                                        "-bios",
                                        firmware.toString(),
                                        "-debugcon",
                                        "file:" + told))
                        .redirectErrorStream(true)
                        .redirectOutput(errors.toFile())
                        .start();
        try {
            Host.await(
                    "a probe of KVM ends",
                    Duration.ofMinutes(2),
                    () ->
                            Host.text(told).contains(END)
                                    || Host.text(errors).contains("KVM internal error")
                                    || !machine.isAlive());
        } finally {
            machine.destroyForcibly().onExit().join();
        }
    }

    /** What the probe tells: a line for each instruction, which ends when it was executed. */
    static String obstacle(String told, String errors) {
        if (told.endsWith(END + "\n")) {
            return "";
        }
        String last = told.substring(told.lastIndexOf('\n') + 1);
        return last.isEmpty() || last.contains(DONE)
                ? "the guest that finds out does not get through: " + errors.strip()
                : last + " is not executed in ring 0";
    }
}
