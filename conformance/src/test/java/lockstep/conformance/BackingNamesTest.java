package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** An image's header does not choose which driver opens what of the host. */
@Tag("qemu")
class BackingNamesTest {
    private static final String REFUSAL =
            "The image names its backing file by 'json:', which is not followed";

    @TempDir Path directory;
    private String image;
    private String secret;

    @BeforeEach
    void imageThatNamesASecret() {
        Host.assumeProgram("qemu-img");
        image = directory.resolve("image").toString();
        secret = directory.resolve("secret").toString();
        Host.run("qemu-img", "create", "-q", "-fraw", secret, "1M");
        Host.run("qemu-io", "-fraw", "-c", "write -P 5 0 1M", secret);
        Host.run(
                "qemu-img",
                "create",
                "-q",
                "-fqcow2",
                "-Fraw",
                "-b",
                "json:{'driver': 'raw', 'file': {'driver': 'file', 'filename': '%s'}}"
                        .formatted(secret),
                image);
    }

    private String tool(String... words) {
        List<String> command = new ArrayList<>();
        command.add(Host.home().resolve("bin/lockstep-img").toString());
        command.addAll(List.of(words));
        try {
            Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
            return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8)
                    + process.waitFor();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new AssertionError(e);
        }
    }

    @Test
    void whatIsWithinIsNotFollowedUnlessTheUserSaysSo() {
        String copy = directory.resolve("copy").toString();
        for (String[] words :
                new String[][] {
                    {"convert", "-Oraw", image, copy},
                    {"map", image},
                    {"info", "--backing-chain", image},
                    {"rebase", "-b", "", image}
                }) {
            String told = tool(words);
            assertTrue(told.contains(REFUSAL) && told.endsWith("1"), words[0] + ": " + told);
        }
        assertTrue(tool("info", image).contains("backing file: json:{"));
        assertTrue(tool("check", image).endsWith("0"));
        String asked =
                "driver=qcow2,file.filename=%s,backing.driver=raw,backing.file.filename=%s"
                        .formatted(image, secret);
        assertEquals("0", tool("convert", "-Oraw", "--image-opts", asked, copy));
        Host.run("qemu-io", "-r", "-fraw", "-c", "read -P 5 0 1M", copy);
    }

    @Test
    void aMachineDoesNotEither() {
        try (ProbedMonitor monitor =
                ProbedMonitor.start(
                        Host.binary().toString(), "-machine", "none", "-display", "none")) {
            String file = "'file': {'driver': 'file', 'filename': '" + image + "'}";
            String told =
                    monitor.answer(
                                    "blockdev-add",
                                    "{'driver': 'qcow2', 'node-name': 'a', " + file + "}")
                            .toString();
            assertTrue(told.contains(REFUSAL), told);
            monitor.execute(
                    "blockdev-add",
                    "{'driver': 'qcow2', 'node-name': 'a', 'backing': null, " + file + "}");
            monitor.execute("quit");
        }
    }
}
