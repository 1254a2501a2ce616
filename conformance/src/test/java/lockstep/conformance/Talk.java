package lockstep.conformance;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** A client that says line after line to the network guest, each when the one before has come back. */
final class Talk implements AutoCloseable {
    private static final Duration PATIENCE = Duration.ofMinutes(1);

    private final EchoClient client;
    private final List<String> acknowledged = Collections.synchronizedList(new ArrayList<>());
    private final Thread thread;
    private volatile boolean ended;
    private volatile String error = "";

    /** Connects with {@code command}. */
    Talk(List<String> command) throws IOException {
        client = new EchoClient(command);
        thread = Thread.ofPlatform().daemon().name("talk").start(this::run);
    }

    private void run() {
        try {
            while (!ended) {
                String line = "line " + acknowledged.size();
                client.exchange(line);
                acknowledged.add(line);
                Thread.sleep(10);
            }
        } catch (IOException | AssertionError | InterruptedException e) {
            error = "after " + acknowledged.size() + " lines: " + e;
        }
    }

    /** Waits until that many more lines have come back. */
    void more(int lines) {
        int wanted = acknowledged.size() + lines;
        Host.await(
                "the client's lines",
                PATIENCE,
                () -> {
                    if (!error.isEmpty()) {
                        throw new AssertionError(error);
                    }
                    return acknowledged.size() >= wanted;
                });
    }

    /** Stops; gives all that came back. */
    List<String> end() throws InterruptedException {
        ended = true;
        thread.join(PATIENCE);
        more(0);
        return List.copyOf(acknowledged);
    }

    @Override
    public void close() {
        ended = true;
        client.close();
    }
}
