package lockstep.conformance;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A QMP connection through nc that stays open; its lines can be waited for. */
final class Monitor implements AutoCloseable {
    private static final Pattern STAMP =
            Pattern.compile("\"seconds\": ([0-9]+), \"microseconds\": ([0-9]+)");
    private static final String END = "end of connection";

    private final Process nc;
    private final OutputStream out;
    private final BlockingQueue<String> lines = new LinkedBlockingQueue<>();

    /** Connects with {@code command}, and negotiates. */
    Monitor(List<String> command) {
        try {
            nc = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        out = nc.getOutputStream();
        Thread reader = new Thread(this::read, "monitor-reader");
        reader.setDaemon(true);
        reader.start();
        send("{\"execute\": \"qmp_capabilities\"}");
        await(line -> line.contains("\"return\""));
    }

    private void read() {
        try (BufferedReader in =
                new BufferedReader(
                        new InputStreamReader(nc.getInputStream(), StandardCharsets.ISO_8859_1))) {
            String line;
            while ((line = in.readLine()) != null) {
                lines.add(line);
            }
        } catch (IOException e) {
            // The process was killed; its end is what the waiter needs to know.
        }
        lines.add(END);
    }

    /** Sends JSON text. */
    void send(String json) {
        try {
            out.write((json + "\n").getBytes(StandardCharsets.UTF_8));
            out.flush();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Sends a command and waits for its answer. */
    String execute(String json) {
        send(json);
        String answer = await(line -> line.contains("\"return\"") || line.contains("\"error\": {"));
        if (!answer.contains("\"return\"")) {
            throw new AssertionError(json + " got " + answer);
        }
        return answer;
    }

    /** The next line that matches; those before it are dropped. */
    String await(Predicate<String> wanted) {
        return await(wanted, Duration.ofSeconds(60));
    }

    String await(Predicate<String> wanted, Duration limit) {
        long end = System.nanoTime() + limit.toNanos();
        try {
            while (true) {
                String line = lines.poll(end - System.nanoTime(), TimeUnit.NANOSECONDS);
                if (line == null) {
                    throw new AssertionError("waited in vain for a line of the monitor");
                }
                if (line.equals(END)) {
                    throw new AssertionError("the monitor's connection ended");
                }
                if (wanted.test(line)) {
                    return line;
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new AssertionError(e);
        }
    }

    /** Waits for an event and gives its time in microseconds. */
    long event(String name) {
        Matcher m = STAMP.matcher(await(line -> line.contains("\"event\": \"" + name + "\"")));
        if (!m.find()) {
            throw new AssertionError("an event without a time");
        }
        return Long.parseLong(m.group(1)) * 1_000_000 + Long.parseLong(m.group(2));
    }

    /** Waits for that long, and counts such events in it. */
    int count(String name, Duration during) {
        long end = System.nanoTime() + during.toNanos();
        int events = 0;
        try {
            while (true) {
                String line = lines.poll(end - System.nanoTime(), TimeUnit.NANOSECONDS);
                if (line == null) {
                    return events;
                }
                events += line.contains("\"event\": \"" + name + "\"") ? 1 : 0;
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new AssertionError(e);
        }
    }

    @Override
    public void close() {
        nc.destroyForcibly();
    }
}
