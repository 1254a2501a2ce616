package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/**
 * The software processor does as QEMU's what operating systems rely on: exceptions and their error codes, privilege
 * levels, gates, tasks, virtual-8086 mode, paging, debug registers, 64-bit mode, system calls. The firmware {@code
 * system.S} tries it all and tells on the debug console. Left out of it is what QEMU's software processor does
 * otherwise than the manuals say: a reserved bit without the present bit in a page fault's error code, interrupts
 * refused with twice the vector in the error code in 64-bit mode, jumps to addresses that are not canonical.
 */
@Tag("qemu")
class ProcessorBesideQemuTest {
    private static final String END = "END*";

    @TempDir Path directory;

    @Test
    void systemBehaviourIsTheSame() throws IOException {
        Host.assumeProgram(Host.qemu());
        Path firmware = directory.resolve("system.bin");
        Files.write(firmware, Guests.load("system"));
        String wanted = run(Host.qemu(), "tcg", firmware);
        String got = run(Host.binary().toString(), "jvm", firmware);
        assertTrue(wanted.endsWith(END), wanted);
        assertEquals(wanted, got);
    }

    private String run(String program, String accelerator, Path firmware) throws IOException {
        Path told = directory.resolve(accelerator + ".txt");
        Process p =
                new ProcessBuilder(
                                List.of(
                                        program,
                                        "-accel",
                                        accelerator,
                                        "-m",
                                        "64",
                                        "-nodefaults",
                                        "-display",
                                        "none",
                                        "-no-reboot",
                                        "-bios",
                                        firmware.toString(),
                                        "-debugcon",
                                        "file:" + told))
                        .redirectErrorStream(true)
                        .redirectOutput(directory.resolve(accelerator + ".err").toFile())
                        .start();
        try {
            Host.await(
                    "the firmware is through on " + accelerator,
                    Duration.ofMinutes(3),
                    () -> Host.text(told).contains(END) || !p.isAlive());
            return Host.text(told);
        } finally {
            p.destroyForcibly();
        }
    }
}
