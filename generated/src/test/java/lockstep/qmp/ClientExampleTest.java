package lockstep.qmp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** The example of the package's documentation says what is compiled here, and works. */
class ClientExampleTest {
    @TempDir Path directory;

    private static List<String> lines(String file, String begin, String end, String prefix)
            throws IOException {
        List<String> lines = Files.readAllLines(Path.of("src").resolve(file));
        int from = lines.indexOf(begin) + 1;
        return lines.subList(from, lines.lastIndexOf(end)).stream()
                .map(line -> line.substring(prefix.length()))
                .toList();
    }

    @Test
    void theDocumentationShowsTheExample() throws IOException {
        assertEquals(
                lines(
                        "test/java/lockstep/qmp/ClientExample.java",
                        "        // example",
                        "        // end",
                        "        "),
                lines("main/java/lockstep/qmp/package-info.java", " * {@snippet :", " * }", " * "));
    }

    @Test
    @Tag("qemu")
    void theExampleWorks() throws Exception {
        Path socket = directory.resolve("qmp.sock");
        PrintStream console = System.out;
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        try (Vm vm =
                Vm.start(
                        "-machine",
                        "none",
                        "-name",
                        "vm7",
                        "-qmp",
                        "unix:" + socket + ",server=on,wait=off")) {
            try (QmpClient first =
                    QmpClient.builder(QmpAddress.unix(socket)).reconnect(Backoff.DEFAULT).start()) {
                first.ready().join(); // it listens now
                assertTrue(vm.process().isAlive());
            }
            System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
            ClientExample.run(socket.toString());
        } finally {
            System.setOut(console);
        }
        String text = printed.toString(StandardCharsets.UTF_8);
        assertTrue(text.contains("vm7"), text);
        assertTrue(
                text.contains(
                        "The server refused: COMMAND_NOT_FOUND, The command x-any-command has not"
                                + " been found"),
                text);
    }
}
