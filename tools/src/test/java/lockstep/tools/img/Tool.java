package lockstep.tools.img;

import static org.junit.jupiter.api.Assertions.assertEquals;

import lockstep.tools.shell.Console;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** The program inside the test's process. */
final class Tool {
    private Tool() {}

    /** What a command line did. */
    record Outcome(int code, String out, String err) {}

    static Outcome run(Object... line) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        Console console =
                new Console(
                        Help.ADVICE,
                        new PrintStream(out, false, StandardCharsets.UTF_8),
                        new PrintStream(err, false, StandardCharsets.UTF_8));
        List<String> words = java.util.Arrays.stream(line).map(Object::toString).toList();
        int code = new Main(console).run(words);
        return new Outcome(
                code, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
    }

    /** Runs a command line that must work; answers what it printed. */
    static String ok(Object... line) {
        Outcome outcome = run(line);
        assertEquals(0, outcome.code, outcome.out + outcome.err);
        return outcome.out;
    }
}
