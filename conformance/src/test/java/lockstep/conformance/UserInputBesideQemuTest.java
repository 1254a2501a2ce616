package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

/** What the human monitor answers to a user's hands, and to another boot order, beside QEMU. */
@Tag("qemu")
@Timeout(value = 120, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class UserInputBesideQemuTest {
    private static final List<String> COMMANDS =
            List.of(
                    "sendkey",
                    "sendkey ret",
                    "sendkey ctrl-alt-delete 10",
                    "sendkey ctrl-alt-shift-f1 0",
                    "sendkey nosuch",
                    "sendkey A",
                    "sendkey ctrl-foo",
                    "sendkey ctrl-",
                    "sendkey -",
                    "sendkey a--b",
                    "sendkey <",
                    "sendkey unmapped",
                    "sendkey 28",
                    "sendkey 0x1c",
                    "sendkey 0x1234",
                    "sendkey 0xzz",
                    "sendkey a b",
                    "sendkey a -5",
                    "sendkey a 1 2",
                    "mouse_move",
                    "mouse_move 1",
                    "mouse_move 1 -2",
                    "mouse_move 1 2 3",
                    "mouse_move 1 2 3 4",
                    "mouse_move a b",
                    "mouse_button",
                    "mouse_button 1",
                    "mouse_button 8",
                    "mouse_button x",
                    "info mice",
                    "mouse_set",
                    "mouse_set 1",
                    "mouse_set 2",
                    "mouse_set 3",
                    "mouse_set 4",
                    "mouse_set 5",
                    "mouse_set x",
                    "info mice",
                    "mouse_set 2",
                    "info mice",
                    "boot_set",
                    "boot_set a",
                    "boot_set \"\"",
                    "boot_set nc",
                    "boot_set acdn",
                    "boot_set aa",
                    "boot_set cz",
                    "boot_set p",
                    "boot_set a b");

    @TempDir Path directory;

    @BeforeEach
    void assumePeer() {
        Host.assumeProgram(Host.qemu());
    }

    private static String talk(QtestMachine machine) {
        return COMMANDS.stream()
                .map(c -> c + "\n" + machine.human(c))
                .collect(Collectors.joining("\n"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"-M pc", "-M none", "-M pc -usb -device usb-kbd -device usb-tablet"})
    void isAnsweredAlike(String options) {
        String[] words = options.split(" ");
        try (QtestMachine qemu = QtestMachine.qemu(directory, words);
                QtestMachine ours = QtestMachine.ours(directory, words)) {
            assertEquals(talk(qemu), talk(ours));
        }
    }
}
