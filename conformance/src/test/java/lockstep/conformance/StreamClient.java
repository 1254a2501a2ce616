package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import java.util.function.BooleanSupplier;
import java.util.function.LongConsumer;

/**
 * A connection, through nc, to a service that sends back what it gets. A stream goes there without a pause, and what
 * comes back must be it: nothing is lost, repeated or changed.
 */
final class StreamClient implements AutoCloseable {
    private static final Duration LIMIT = Duration.ofMinutes(5);
    private static final int CHUNK = 4096;

    /** How much may be on its way. */
    private static final int WINDOW = 64 << 10;

    private final Process nc;
    private final long seed;
    private volatile long sent;
    private volatile long returned;
    private volatile boolean enough;
    private volatile boolean ended;
    private volatile String fault = "";

    /** Connects with {@code command}, and begins. */
    StreamClient(List<String> command, long seed) throws IOException {
        this.seed = seed;
        nc = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        start("stream-writer", this::write);
        start("stream-reader", this::read);
    }

    private interface Work {
        void run() throws IOException;
    }

    private void start(String name, Work work) {
        Thread thread =
                new Thread(
                        () -> {
                            try {
                                work.run();
                            } catch (IOException e) {
                                fault = name + ": " + e;
                            }
                        },
                        name);
        thread.setDaemon(true);
        thread.start();
    }

    private void write() throws IOException {
        Random random = new Random(seed);
        byte[] chunk = new byte[CHUNK];
        long total = 0;
        try (OutputStream out = nc.getOutputStream()) {
            while (!enough) {
                if (total - returned > WINDOW) {
                    pause();
                } else {
                    random.nextBytes(chunk);
                    out.write(chunk);
                    out.flush();
                    total += CHUNK;
                    sent = total;
                }
            }
        }
    }

    private static void pause() {
        try {
            Thread.sleep(1);
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    private void read() throws IOException {
        try (InputStream in = nc.getInputStream()) {
            compare(in, Long.MAX_VALUE, count -> returned = count);
        } finally {
            ended = true;
        }
    }

    /** Compares what comes with the stream, up to {@code limit} bytes of it. */
    private void compare(InputStream in, long limit, LongConsumer equal) throws IOException {
        Random random = new Random(seed);
        byte[] expected = new byte[CHUNK];
        for (long at = 0; at < limit; at++) {
            int place = (int) (at % CHUNK);
            if (place == 0) {
                random.nextBytes(expected);
            }
            int b = in.read();
            if (b < 0) {
                return;
            }
            if ((byte) b != expected[place]) {
                throw new IOException("a wrong byte after " + at);
            }
            equal.accept(at + 1);
        }
    }

    /** Reads what {@code command} prints, which must begin with all that was sent. */
    void expectCopy(List<String> command) throws IOException {
        Process copy =
                new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        long[] equal = {0};
        try (InputStream in = copy.getInputStream()) {
            compare(in, sent, count -> equal[0] = count);
        } finally {
            copy.destroyForcibly();
        }
        assertEquals(sent, equal[0], "bytes of the copy");
    }

    /** How many bytes have come back. */
    long returned() {
        return returned;
    }

    /** Waits until more bytes have come back; gives how many came in a second. */
    double awaitMore(long bytes) {
        long before = returned;
        long start = System.nanoTime();
        await("the stream goes on", () -> returned >= before + bytes);
        return (returned - before) * 1e9 / (System.nanoTime() - start);
    }

    /** Ends the stream; all of it must come back. Gives its length. */
    long finish() {
        enough = true;
        await("the stream ends", () -> ended);
        if (returned != sent) {
            throw new AssertionError(returned + " bytes of " + sent + " came back");
        }
        return sent;
    }

    private void await(String what, BooleanSupplier condition) {
        try {
            Host.await(what, LIMIT, () -> condition.getAsBoolean() || !fault.isEmpty());
        } catch (AssertionError e) {
            throw new AssertionError(state(), e);
        }
        if (!fault.isEmpty()) {
            throw new AssertionError(state());
        }
    }

    private String state() {
        return fault + "; " + returned + " bytes of " + sent + " came back";
    }

    @Override
    public void close() {
        nc.destroyForcibly();
    }
}
