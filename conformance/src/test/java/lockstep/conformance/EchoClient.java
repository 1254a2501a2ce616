package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** One connection to the network guest's echo port, through nc. */
final class EchoClient implements AutoCloseable {
    private final Process nc;
    private final OutputStream out;
    private final BlockingQueue<String> lines = new LinkedBlockingQueue<>();

    /** Connects with {@code command}. */
    EchoClient(List<String> command) throws IOException {
        nc = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        out = nc.getOutputStream();
        Thread reader = new Thread(this::read, "echo-reader");
        reader.setDaemon(true);
        reader.start();
    }

    private void read() {
        try (BufferedReader in = nc.inputReader(StandardCharsets.US_ASCII)) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                lines.add(line);
            }
        } catch (IOException e) {
            lines.add("the connection broke: " + e);
        }
    }

    /** Says a line and waits for its echo. */
    void exchange(String text) throws IOException {
        out.write((text + "\n").getBytes(StandardCharsets.US_ASCII));
        out.flush();
        try {
            assertEquals(text, lines.poll(60, TimeUnit.SECONDS));
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
