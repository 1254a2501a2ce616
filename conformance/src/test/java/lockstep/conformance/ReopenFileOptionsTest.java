package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** {@code blockdev-reopen} and how a file is locked and its requests handed to the kernel, beside QEMU. */
@Tag("qemu")
class ReopenFileOptionsTest {
    /** What of a file's options follows its name; a qcow2 image's file where it begins with "in". */
    private static final List<String> REOPENED =
            List.of(
                    "'aio': 'native'",
                    "'aio': 'native', 'cache': {'direct': true}",
                    "'aio': 'threads'",
                    "",
                    "'aio': 'native', 'locking': 'on'",
                    "'aio': 'io_uring', 'locking': 'off'",
                    "in 'aio': 'native'",
                    "in 'aio': 'threads'",
                    "in ");

    @TempDir Path directory;

    @Test
    void staysAsItWasOpened() throws Exception {
        Host.assumeProgram(Host.qemu());
        Path image = directory.resolve("image");
        Host.run("qemu-img", "create", "-q", "-f", "qcow2", image.toString(), "1M");
        Path raw = directory.resolve("raw");
        Files.write(raw, new byte[1 << 20]);
        String file = "'driver': 'file', 'filename': '" + raw + "'";
        String below = "'driver': 'file', 'filename': '" + image + "'";
        StringBuilder script = new StringBuilder("{'execute': 'qmp_capabilities'}\n");
        String direct = ", 'aio': 'native', 'cache': {'direct': true}";
        command(script, "blockdev-add", file + direct + ", 'node-name': 'f'");
        command(
                script,
                "blockdev-add",
                qcow2(below + ", 'aio': 'native'") + ", 'cache': {'direct': true}");
        for (String options : REOPENED) {
            boolean inside = options.startsWith("in ");
            String own = inside ? options.substring(3) : options;
            String comma = own.isEmpty() ? "" : ", " + own;
            String node = inside ? qcow2(below + comma) : file + ", 'node-name': 'f'" + comma;
            command(script, "blockdev-reopen", "'options': [{" + node + "}]");
        }
        script.append("{'execute': 'quit'}\n");
        Path commands = directory.resolve("commands");
        Files.writeString(commands, script.toString().replace('\'', '"'));
        assertEquals(answers(Host.qemu(), commands), answers(Host.binary().toString(), commands));
    }

    private static String qcow2(String below) {
        return "'driver': 'qcow2', 'node-name': 'q', 'file': {" + below + "}";
    }

    private static void command(StringBuilder script, String name, String arguments) {
        script.append("{'execute': '" + name + "', 'arguments': {" + arguments + "}}\n");
    }

    private static String answers(String program, Path commands) throws IOException {
        Process process =
                new ProcessBuilder(program, "-machine", "none", "-display", "none", "-qmp", "stdio")
                        .redirectInput(commands.toFile())
                        .redirectError(ProcessBuilder.Redirect.INHERIT)
                        .start();
        try {
            String all =
                    new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            process.waitFor(30, TimeUnit.SECONDS);
            StringBuilder answers = new StringBuilder();
            all.lines()
                    .filter(l -> l.startsWith("{\"return\"") || l.startsWith("{\"error\""))
                    .forEach(l -> answers.append(l).append('\n'));
            return answers.toString();
        } catch (InterruptedException e) {
            throw new IOException(e);
        } finally {
            process.destroyForcibly();
        }
    }
}
