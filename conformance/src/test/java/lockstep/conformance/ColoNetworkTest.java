package lockstep.conformance;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;

/** A client has a TCP connection to the protected guest: it outlives either host. */
@Tag("tun")
@Tag("root")
class ColoNetworkTest {
    private static final String ADDRESS = "10.77.0.50";
    private static final byte[] ADDRESS_BYTES = {10, 77, 0, 50};

    @TempDir Path directory;

    @BeforeEach
    void machine() {
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

    @Test
    void theComparisonNeedsNoSocketsWithinAProcess() throws IOException {
        try (ColoPair pair = connected(true)) {
            talkAcross(pair, pair.primary, ColoPair.SECONDARY_QMP, "secondary-failover");
        }
    }

    private ColoPair connected() throws IOException {
        return connected(false);
    }

    private ColoPair connected(boolean direct) throws IOException {
        ColoPair pair = new ColoPair(directory.resolve("n"), Guests.echo(ADDRESS_BYTES));
        pair.primary.direct = direct;
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
        pair.networkGuestIsUp();
    }

    private static void talkAcross(ColoPair pair, ColoPair.Side dies, int port, String script)
            throws IOException {
        try (EchoClient client = new EchoClient(pair.inNamespace("nc", ADDRESS, "7"))) {
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
}
