package lockstep.runtime.trace;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * All trace events of the process by name, and where their lines go. Any thread.
 *
 * <p>The line is the name, a space, the text: what QEMU's {@code log} back end writes, to standard error
 * or the file of {@code -D}, flushed line by line.
 */
public final class Trace {
    private static final Map<String, TraceEvent> EVENTS = new LinkedHashMap<>();
    private static final Object OUTPUT = new Object();
    private static @Nullable OutputStream file;
    private static volatile boolean timestamps;

    static {
        TraceNames.OURS.forEach(Trace::event);
        // Registration order as in QEMU, whose lists come out in reverse of it: net before
        // migration.
        TraceNames.MIGRATION.forEach(Trace::event);
        TraceNames.MIGRATION_COLO.forEach(Trace::event);
        TraceNames.NET.forEach(Trace::event);
    }

    private Trace() {}

    /** The event of that name; it is registered, switched off, if it is new. */
    public static TraceEvent event(String name) {
        synchronized (EVENTS) {
            return EVENTS.computeIfAbsent(name, TraceEvent::new);
        }
    }

    /** The event of exactly that name, or null. */
    public static @Nullable TraceEvent find(String name) {
        synchronized (EVENTS) {
            return EVENTS.get(name);
        }
    }

    /** Whether {@code name} is a pattern: it holds a {@code *} (only then is {@code ?} special too). */
    public static boolean isPattern(String name) {
        return name.indexOf('*') >= 0;
    }

    /** The events that a pattern or a literal name matches, the last registered first. */
    public static List<TraceEvent> match(String pattern) {
        List<TraceEvent> found = new ArrayList<>();
        synchronized (EVENTS) {
            if (!isPattern(pattern)) {
                TraceEvent event = EVENTS.get(pattern);
                return event == null ? List.of() : List.of(event);
            }
            for (TraceEvent event : EVENTS.values()) {
                if (glob(pattern, event.name())) {
                    found.add(event);
                }
            }
        }
        Collections.reverse(found);
        return found;
    }

    /**
     * Switches events on or off.
     *
     * @return false if {@code pattern} is a literal name that does not exist
     */
    public static boolean enable(String pattern, boolean enabled) {
        List<TraceEvent> found = match(pattern);
        for (TraceEvent event : found) {
            event.set(enabled);
        }
        return !found.isEmpty() || isPattern(pattern);
    }

    /** Sends lines to a file from now on, which is emptied. */
    public static void openFile(Path path) throws IOException {
        OutputStream out =
                Files.newOutputStream(
                        path,
                        StandardOpenOption.CREATE,
                        StandardOpenOption.TRUNCATE_EXISTING,
                        StandardOpenOption.WRITE);
        synchronized (OUTPUT) {
            OutputStream old = file;
            file = out;
            if (old != null) {
                old.close();
            }
        }
    }

    /** Puts the wall clock in front of each line, as {@code -msg timestamp=on} asks. */
    public static void timestamps(boolean enabled) {
        timestamps = enabled;
    }

    /** Writes one line of log, with the line end added. A log that cannot be written is not an error. */
    public static void write(String line) {
        String text =
                timestamps
                        ? Instant.now().truncatedTo(ChronoUnit.MICROS) + " " + line + "\n"
                        : line + "\n";
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        synchronized (OUTPUT) {
            OutputStream out = file;
            if (out == null) {
                PrintStream err = System.err;
                err.write(bytes, 0, bytes.length);
                err.flush();
                return;
            }
            try {
                out.write(bytes);
                out.flush();
            } catch (IOException e) {
                file = null; // A full disk must not stop the guest; lines go to standard error
                // again.
            }
        }
    }

    /** Whole-text match of {@code *} and {@code ?}, linear in time for one star, safe for many. */
    static boolean glob(String pattern, String text) {
        int p = 0;
        int t = 0;
        int star = -1;
        int mark = 0;
        while (t < text.length()) {
            if (p < pattern.length() && pattern.charAt(p) == '*') {
                star = p++;
                mark = t;
            } else if (p < pattern.length()
                    && (pattern.charAt(p) == '?' || pattern.charAt(p) == text.charAt(t))) {
                p++;
                t++;
            } else if (star >= 0) {
                p = star + 1;
                t = ++mark;
            } else {
                return false;
            }
        }
        while (p < pattern.length() && pattern.charAt(p) == '*') {
            p++;
        }
        return p == pattern.length();
    }
}
