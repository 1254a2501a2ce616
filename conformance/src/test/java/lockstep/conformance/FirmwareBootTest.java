package lockstep.conformance;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/** SeaBIOS, which nobody here wrote, comes to its end on the whole board, on each accelerator that runs guests. */
class FirmwareBootTest {
    private static final String LAST = "No bootable device";

    @TempDir Path directory;

    @Test
    void onTheSoftwareProcessor() throws IOException {
        boot("jvm");
    }

    @Test
    @Tag("kvm")
    void onKvm() throws IOException {
        Host.assumeKvm();
        boot("kvm");
    }

    private void boot(String accelerator) throws IOException {
        Path told = directory.resolve("debug.txt");
        Process p =
                new ProcessBuilder(
                                List.of(
                                        Host.binary().toString(),
                                        "-accel",
                                        accelerator,
                                        "-m",
                                        "128",
                                        "-display",
                                        "none",
                                        "-nodefaults",
                                        "-debugcon",
                                        "file:" + told,
                                        "-global",
                                        "isa-debugcon.iobase=0x402"))
                        .redirectErrorStream(true)
                        .redirectOutput(directory.resolve("errors.txt").toFile())
                        .start();
        try {
            Host.await(
                    "the firmware finds nothing to boot; it said: "
                            + Host.text(told)
                            + Host.text(directory.resolve("errors.txt")),
                    Duration.ofMinutes(2),
                    () -> Host.text(told).contains(LAST));
        } finally {
            p.destroyForcibly();
        }
    }
}
