package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.regex.Pattern;

/** Answers of a monitor as lines, comparable with recorded ones. */
final class Replies {
    private static final Pattern TELNET = Pattern.compile("\u00ff[\u00fb-\u00fe].", Pattern.DOTALL);
    private static final Pattern TIME =
            Pattern.compile("\"(seconds|microseconds)\": [0-9]+", Pattern.MULTILINE);

    private Replies() {}

    /** The lines of a text in ISO 8859-1, without telnet negotiation, timestamps set to 0. */
    static List<String> lines(String text) {
        String plain = TELNET.matcher(text).replaceAll("");
        return TIME.matcher(plain)
                .replaceAll("\"$1\": 0")
                .lines()
                .filter(l -> !l.isBlank())
                .toList();
    }

    /** Same answers in the same order, same events in the same order; their interleaving is free. */
    static void compare(List<String> expected, List<String> actual) {
        String all = String.join("\n", actual);
        assertEquals(answers(expected), answers(actual), all);
        assertEquals(events(expected), events(actual), all);
    }

    private static List<String> answers(List<String> lines) {
        return lines.stream().filter(l -> !l.contains("\"event\": ")).toList();
    }

    private static List<String> events(List<String> lines) {
        return lines.stream().filter(l -> l.contains("\"event\": ")).toList();
    }
}
