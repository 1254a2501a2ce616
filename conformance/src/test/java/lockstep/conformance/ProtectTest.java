package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * A host dies, the other goes on and is protected again by a new secondary, and so on; a client has one connection
 * all the time. {@code -Drounds=10} for more rounds.
 */
@Tag("tun")
@Tag("root")
class ProtectTest {
    private static final String ADDRESS = "10.77.0.60";
    private static final byte[] ADDRESS_BYTES = {10, 77, 0, 60};
    private static final int ROUNDS = Integer.getInteger("rounds", 2);
    private static final int FIRST_PORT = 56010;
    private static final String STOP = "{'execute': 'qmp_capabilities'} {'execute': 'stop'}";
    private static final String QUIT = "{'execute': 'qmp_capabilities'} {'execute': 'quit'}";

    @TempDir Path directory;

    @BeforeEach
    void machine() {
        ColoPair.assumePossible();
    }

    @Test
    void whoIsLeftIsProtectedAgain() throws IOException {
        try (ColoPair pair = new ColoPair(directory.resolve("p"), Guests.echo(ADDRESS_BYTES))) {
            Host.run(pair.inNamespace("ip", "addr", "add", "10.77.0.1/24", "dev", "br0"));
            pair.start();
            pair.protect();
            ColoPair.Side from = pair.primary;
            ColoPair.Side to = pair.secondary;
            pair.networkGuestIsUp();
            try (EchoClient client = new EchoClient(pair.inNamespace("nc", ADDRESS, "7"))) {
                for (int round = 0; round < ROUNDS; round++) {
                    talk(client, "pair " + round);
                    boolean primaryDies = round % 3 < 2;
                    (primaryDies ? from : to).kill();
                    ColoPair.Side left = primaryDies ? to : from;
                    pair.ncAnswers(
                            left.qmp, primaryDies ? "secondary-failover" : "primary-failover");
                    talk(client, "alone " + round);
                    ColoPair.Side fresh = pair.another("next" + round, FIRST_PORT + 10 * round);
                    assertTrue(
                            colo(pair, "protect", left, fresh).contains("protected"),
                            () -> left + "\n" + fresh);
                    from = left;
                    to = fresh;
                }
                talk(client, "at the end");
                String status = colo(pair, "status", from, to);
                assertTrue(status.contains(": primary, guest running"), status);
                assertTrue(status.contains(": secondary, guest running"), status);
            }
        }
    }

    /** The guest writes to its disk all the time; what it wrote while it was copied and moved is on both. */
    @Test
    void bothDisksAreEqual() throws Exception {
        try (ColoPair pair = new ColoPair(directory.resolve("d"), Guests.counter())) {
            pair.start();
            pair.protect();
            pair.countsOnBoth();
            pair.primary.kill();
            ColoPair.Side left = pair.secondary;
            pair.ncAnswers(left.qmp, "secondary-failover");
            pair.goesOn(left);
            ColoPair.Side fresh = pair.another("next", FIRST_PORT);
            assertTrue(colo(pair, "protect", left, fresh).contains("protected"), left::toString);
            pair.talk(left.qmp, STOP, 3);
            for (ColoPair.Side side : List.of(left, fresh)) {
                pair.talk(side.qmp, QUIT, 2);
                assertTrue(side.process.waitFor(30, TimeUnit.SECONDS), side::toString);
            }
            Host.run(
                    "qemu-img",
                    "compare",
                    pair.directory.resolve("images/secondary/primary.qcow2").toString(),
                    pair.directory.resolve("images/next/primary.qcow2").toString());
        }
    }

    private static String colo(ColoPair pair, String verb, ColoPair.Side one, ColoPair.Side two) {
        return Host.run(
                pair.inNamespace(
                        Host.home().resolve("bin/lockstep-colo").toString(),
                        verb,
                        "localhost:" + one.qmp,
                        "localhost:" + two.qmp));
    }

    private static void talk(EchoClient client, String when) throws IOException {
        for (int i = 0; i < 20; i++) {
            client.exchange(when + " " + i);
        }
    }
}
