package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpAddress;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;

/**
 * What is wrong with a command and can be known at once is told at once, in the same words by QEMU and by this program:
 * a success means that what was asked for has begun.
 */
@Tag("qemu")
@Timeout(value = 180, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class CommandMistakesTest {
    private static final String QEMU = Host.qemu();

    /** Those whose arguments are any, or which were made later than the oldest QEMU that is compared with. */
    private static final Set<String> APART = Set.of("migrate", "migrate-incoming");

    @TempDir Path directory;
    private Side qemu;
    private Side ours;

    private record Side(Path home, MonitorProcess process, ProbedMonitor monitor)
            implements AutoCloseable {
        static Side start(String program, Path home) throws IOException {
            Files.createDirectories(home.resolve("dir"));
            Files.write(home.resolve("raw.img"), new byte[1 << 20]);
            Files.write(home.resolve("ro.img"), new byte[1 << 20]);
            Files.writeString(home.resolve("garbage"), "garbage".repeat(1000));
            Host.run("qemu-img", "create", "-q", "-f", "qcow2", home + "/q.qcow2", "4M");
            MonitorProcess process = new MonitorProcess(program, home, "-m", "32");
            Path socket = home.resolve(Path.of(program).getFileName() + ".qmp");
            return new Side(home, process, new ProbedMonitor(QmpAddress.parse("unix:" + socket)));
        }

        /** The answer as far as it is compared. */
        String answer(String command, String arguments) {
            JsonValue answer = monitor.answer(command, arguments.replace("DIR", home.toString()));
            if (!ProbedMonitor.failed(answer)) {
                return "done";
            }
            JsonValue error = ((JsonObject) answer).get("error");
            return ProbedMonitor.text(error, "class")
                    + ": "
                    + ProbedMonitor.text(error, "desc").replace(home.toString(), "DIR");
        }

        Set<String> commands() {
            Set<String> names = new TreeSet<>();
            for (JsonValue command : (JsonArray) monitor.execute("query-commands")) {
                names.add(ProbedMonitor.text(command, "name"));
            }
            return names;
        }

        @Override
        public void close() {
            monitor.close();
            process.close();
        }
    }

    @BeforeEach
    void start() throws IOException {
        Host.assumeProgram(QEMU);
        Host.assumeProgram("qemu-img");
        qemu = Side.start(QEMU, directory.resolve("qemu"));
        ours = Side.start(Host.binary().toString(), directory.resolve("ours"));
    }

    @AfterEach
    void stop() {
        qemu.close();
        ours.close();
    }

    private static List<String> rows() throws IOException {
        try (InputStream in =
                CommandMistakesTest.class.getResourceAsStream("command-mistakes.txt")) {
            String text =
                    new String(Objects.requireNonNull(in).readAllBytes(), StandardCharsets.UTF_8);
            return text.lines().filter(l -> !l.startsWith("#")).toList();
        }
    }

    @Test
    void sameWords() throws IOException {
        List<String> theirs = new ArrayList<>();
        List<String> here = new ArrayList<>();
        for (String row : rows()) {
            boolean apart = row.startsWith("~");
            String line = apart ? row.substring(row.indexOf("| ") + 2) : row;
            int space = line.indexOf(' ');
            String command = space < 0 ? line : line.substring(0, space);
            String arguments = space < 0 ? "" : line.substring(space + 1);
            String wanted = apart ? "an error" : qemu.answer(command, arguments);
            String got = ours.answer(command, arguments);
            theirs.add(row + "\n    " + wanted);
            here.add(row + "\n    " + (apart && !got.equals("done") ? wanted : got));
        }
        assertEquals(String.join("\n", theirs), String.join("\n", here));
    }

    @Test
    void noCommandTakesWhatItDoesNotKnow() {
        Set<String> common = qemu.commands();
        common.retainAll(ours.commands());
        common.removeAll(APART);
        List<String> theirs = new ArrayList<>();
        List<String> here = new ArrayList<>();
        for (String command : common) {
            theirs.add(command + ": " + qemu.answer(command, "{'nosuch':1}"));
            here.add(command + ": " + ours.answer(command, "{'nosuch':1}"));
        }
        assertEquals(String.join("\n", theirs), String.join("\n", here));
    }
}
