package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** A client has a TCP connection to the protected guest: it outlives either host. */
@Tag("kvm")
@Tag("tun")
@Tag("root")
class ColoNetworkTest {
    private static final String ADDRESS = "10.77.0.50";
    private static final byte[] ADDRESS_BYTES = {10, 77, 0, 50};

    @TempDir Path directory;

    @BeforeEach
    void machine() {
        Host.assumeKvm();
        Host.assumeNetworkRoot();
        Host.assumeProgram("nc");
        Host.assumeProgram("qemu-img");
    }

    @Test
    void theConnectionOutlivesTheSecondary() throws IOException {
        try (ColoPair pair = connected()) {
            talkAcross(pair, pair.secondary, ColoPair.PRIMARY_QMP, "primary-failover");
        }
    }

    @Test
    void theConnectionOutlivesThePrimary() throws IOException {
        try (ColoPair pair = connected()) {
            talkAcross(pair, pair.primary, ColoPair.SECONDARY_QMP, "secondary-failover");
        }
    }

    private ColoPair connected() throws IOException {
        ColoPair pair = new ColoPair(directory.resolve("n"), Guests.echo(ADDRESS_BYTES));
        try {
            connect(pair);
            return pair;
        } catch (RuntimeException | Error e) {
            pair.close();
            throw e;
        }
    }

    private static void connect(ColoPair pair) {
        Host.run(pair.inNamespace("ip", "addr", "add", "10.77.0.1/24", "dev", "br0"));
        pair.start();
        pair.protect();
        for (ColoPair.Side side : List.of(pair.primary, pair.secondary)) {
            Host.await(
                    "the guest is up on both sides; " + side,
                    ColoPair.PATIENCE,
                    () -> {
                        pair.alive(side);
                        return Host.text(side.output).contains("network guest is up");
                    });
        }
    }

    private static void talkAcross(ColoPair pair, ColoPair.Side dies, int port, String script)
            throws IOException {
        try (Conversation client = new Conversation(pair)) {
            for (int i = 0; i < 30; i++) {
                client.exchange("before " + i);
            }
            dies.kill();
            pair.nc(port, script, ColoPair.replies(script).size());
            for (int i = 0; i < 30; i++) {
                client.exchange("after " + i);
            }
        }
    }

    /** One connection to the guest's echo port. */
    private static final class Conversation implements AutoCloseable {
        private final Process nc;
        private final OutputStream out;
        private final BlockingQueue<String> lines = new LinkedBlockingQueue<>();

        Conversation(ColoPair pair) throws IOException {
            nc =
                    new ProcessBuilder(pair.inNamespace("nc", ADDRESS, "7"))
                            .redirectError(ProcessBuilder.Redirect.INHERIT)
                            .start();
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
}
