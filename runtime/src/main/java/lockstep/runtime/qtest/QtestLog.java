package lockstep.runtime.qtest;

import org.jspecify.annotations.Nullable;

import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;

/** The trace of a qtest session: what was received and sent, each with the time since the session began. */
public final class QtestLog {
    private final @Nullable OutputStream out;
    private long began = System.nanoTime();

    private QtestLog(@Nullable OutputStream out) {
        this.out = out;
    }

    /**
     * As {@code -qtest-log} says.
     *
     * @param file null for standard error, {@code none} for no log
     * @throws IOException the file cannot be opened
     */
    public static QtestLog open(@Nullable String file) throws IOException {
        if (file == null) {
            return new QtestLog(System.err);
        }
        boolean nowhere = file.equals("none") || file.equals("/dev/null");
        return new QtestLog(nowhere ? null : new FileOutputStream(file));
    }

    private void line(String kind, String text) {
        if (out == null) {
            return;
        }
        long micros = (System.nanoTime() - began) / 1000;
        String stamp =
                "[%s +%d.%06d] %s%n".formatted(kind, micros / 1_000_000, micros % 1_000_000, text);
        try {
            out.write(stamp.getBytes(StandardCharsets.ISO_8859_1));
        } catch (IOException e) {
            // A log that nobody can take any more is no reason to stop.
            began = System.nanoTime();
        }
    }

    void opened() {
        began = System.nanoTime();
        line("I", "OPENED");
    }

    void closed() {
        line("I", "CLOSED");
    }

    void received(String text) {
        line("R", text);
    }

    void sent(String text) {
        line("S", text);
    }

    void note(String text) {
        line("I", text);
    }
}
