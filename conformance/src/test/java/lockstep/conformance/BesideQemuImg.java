package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Runs the same lines by {@code lockstep-img} and by {@code qemu-img}, in a folder each, and compares what they say. */
@Tag("qemu")
abstract class BesideQemuImg {
    static final String QEMU = "/usr/bin/qemu-img";

    @TempDir Path folder;
    Path ours;
    Path theirs;
    private final List<String> differences = new ArrayList<>();

    @BeforeEach
    void folders() throws IOException {
        assumeTrue(
                Files.isExecutable(Path.of(QEMU))
                        && Files.isExecutable(Path.of("/usr/bin/qemu-io")),
                "qemu-img is not installed (Debian package qemu-utils)");
        ours = Files.createDirectory(folder.resolve("ours"));
        theirs = Files.createDirectory(folder.resolve("theirs"));
    }

    @AfterEach
    void nothingDiffers() {
        assertEquals("", String.join("\n", differences));
    }

    static String launcher() {
        return System.getProperty("lockstep.home") + "/bin/lockstep-img";
    }

    static String run(Path where, String program, String line) throws Exception {
        List<String> words = new ArrayList<>();
        words.add(program);
        for (String word : line.split(" ")) {
            words.add(word.equals("''") ? "" : word.replace('~', ' '));
        }
        Process process = new ProcessBuilder(words).directory(where.toFile()).start();
        process.getOutputStream().close();
        String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        String err = new String(process.getErrorStream().readAllBytes(), StandardCharsets.UTF_8);
        return (process.waitFor() + "\n" + out + err)
                .replace("lockstep-img", "qemu-img")
                .replaceAll("(disk size: |\"actual-size\": |\"date-n?sec\": ).*", "$1")
                .replaceAll("\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d", "DATE")
                .replaceAll("#block\\d+", "#block")
                .replaceAll("(?m)^.* ops; .*$", "")
                .replaceAll("(?m)^(Run completed|Image end offset|.* = .* allocated).*", "$1");
    }

    /** Runs lines on both; those that begin with {@code qemu-} by that program on both. */
    void both(String lines) throws Exception {
        for (String line : lines.lines().map(String::strip).toList()) {
            boolean fixed = line.startsWith("qemu-");
            String program = fixed ? "/usr/bin/" + line.substring(0, line.indexOf(' ')) : "";
            String rest = fixed ? line.substring(line.indexOf(' ') + 1) : line;
            String want = run(theirs, fixed ? program : QEMU, rest);
            String have = run(ours, fixed ? program : launcher(), rest);
            if (!have.equals(want)) {
                differences.add("$ " + line + "\nqemu-img:\n" + want + "lockstep-img:\n" + have);
            }
        }
    }
}
