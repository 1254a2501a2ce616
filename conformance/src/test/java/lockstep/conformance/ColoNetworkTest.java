package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** A client has a TCP connection to the protected guest: it outlives either host. */
@Tag("tun")
@Tag("root")
class ColoNetworkTest {
    private static final String ADDRESS = "10.77.0.50";
    private static final byte[] ADDRESS_BYTES = {10, 77, 0, 50};

    @TempDir Path directory;

    @BeforeEach
    void machine() {
        ColoPair.assumePossible();
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

    /** The heartbeat's cable is cut, all else lives: the one that the arbiter grants it talks, the other one falls silent. */
    @ParameterizedTest
    @ValueSource(strings = {"primary", "secondary"})
    void onlyOneIsHeardAfterTheCut(String granted) throws Exception {
        Host.assumeProgram("socat");
        Path place = directory.resolve("n");
        ColoPair pair = new ColoPair(place, Guests.echo(ADDRESS_BYTES));
        Path arbiter =
                Files.writeString(
                        place.resolve("arbiter"), "#!/bin/sh\n[ $1 = " + granted + " ]\n");
        arbiter.toFile().setExecutable(true);
        pair.secondary.own = heartbeat(place, "hb,server=on,wait=off");
        pair.primary.own = heartbeat(place, "cable,reconnect-ms=200");
        Process cable =
                new ProcessBuilder(
                                "socat",
                                "UNIX-LISTEN:" + place.resolve("cable"),
                                "UNIX-CONNECT:" + place.resolve("hb") + ",retry=600,interval=0.5")
                        .start();
        try (pair) {
            connect(pair);
            try (EchoClient client = new EchoClient(pair.inNamespace("nc", ADDRESS, "7"))) {
                for (int i = 0; i < 30; i++) {
                    client.exchange("before " + i);
                }
                cable.destroyForcibly();
                boolean first = granted.equals("primary");
                ColoPair.Side goesOn = first ? pair.primary : pair.secondary;
                ColoPair.Side silent = first ? pair.secondary : pair.primary;
                Host.await(
                        "the arbiter's answer; " + goesOn,
                        ColoPair.PATIENCE,
                        () -> Host.text(goesOn.errors).contains("'hb0': going on alone"));
                for (int i = 0; i < 30; i++) {
                    client.exchange("after " + i);
                }
                String before = heard(pair, silent);
                for (int i = 0; i < 30; i++) {
                    client.exchange("later " + i);
                }
                assertEquals(before, heard(pair, silent));
            }
        } finally {
            cable.destroyForcibly();
        }
    }

    /** How many packets of a side's guest have come to the network. */
    private static String heard(ColoPair pair, ColoPair.Side side) {
        String tap =
                "$(sed -n 's/^iff:[[:space:]]*//p' /proc/%d/fdinfo/*)"
                        .formatted(side.process.pid());
        return Host.run(
                pair.inNamespace(
                        "sh", "-c", "cat /sys/class/net/" + tap + "/statistics/rx_packets"));
    }

    private static List<String> heartbeat(Path place, String socket) {
        return List.of(
                "-object",
                "iothread,id=beats",
                "-chardev",
                "socket,id=hb,path=" + place.resolve(socket),
                "-object",
                "colo-heartbeat,id=hb0,chardev=hb,iothread=beats,interval=100,lease=2000,arbiter="
                        + place.resolve("arbiter"));
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
