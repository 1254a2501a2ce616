package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;

/** What the human monitor says of a processor that has not run yet, and of parts that are not there. */
@Tag("qemu")
class HumanMonitorBesideQemuTest {
    private static final List<String> COMMANDS =
            List.of(
                    "info registers",
                    "gva2gpa 0",
                    "gva2gpa 0x1000",
                    "screendump",
                    "gdbserver none",
                    "watchdog_action",
                    "watchdog_action pause",
                    "watchdog_action bogus",
                    "info stats",
                    "info stats vm",
                    "info stats bogus",
                    "info capture",
                    "info vnc",
                    "info virtio");

    @TempDir Path directory;

    @Test
    void saysTheSame() {
        Host.assumeProgram(Host.qemu());
        try (QtestMachine qemu = QtestMachine.qemu(directory, "-M", "pc");
                QtestMachine ours = QtestMachine.ours(directory, "-M", "pc")) {
            assertEquals(talk(qemu), talk(ours));
        }
    }

    private static String talk(QtestMachine machine) {
        return COMMANDS.stream()
                .map(c -> c + "\n" + machine.human(c))
                .collect(Collectors.joining("\n"));
    }
}
