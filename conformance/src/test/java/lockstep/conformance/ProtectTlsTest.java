package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.runtime.testmachine.Certificates;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.List;

/** A pair that talks by TLS loses its primary; the survivor and the next secondary do, too, at other ports. */
@Tag("tun")
@Tag("root")
class ProtectTlsTest {
    private static final String ADDRESS = "10.77.0.62";
    private static final int PORT = 56010;
    private static final String TAKES_TLS =
            "{'execute': 'qmp_capabilities'} {'execute': 'migrate-set-parameters', 'arguments':"
                    + " {'tls-creds': 'server'}}";

    @TempDir Path directory;

    @Test
    void theNextPairIsSecretToo() throws Exception {
        ColoPair.assumePossible();
        byte[] guest = Guests.echo(new byte[] {10, 77, 0, 62});
        try (ColoPair pair = new ColoPair(directory.resolve("p"), guest)) {
            pair.secure(Certificates.make(directory.resolve("certificates"), "EC"));
            Host.run(pair.inNamespace("ip", "addr", "add", "10.77.0.1/24", "dev", "br0"));
            pair.start();
            pair.ncAnswers(ColoPair.SECONDARY_QMP, "secondary-cmd");
            pair.ncAnswers(ColoPair.PRIMARY_QMP, "primary-cmd");
            pair.networkGuestIsUp();
            try (EchoClient client = new EchoClient(pair.inNamespace("nc", ADDRESS, "7"))) {
                client.exchange("pair");
                pair.primary.kill();
                ColoPair.Side left = pair.secondary;
                pair.ncAnswers(left.qmp, "secondary-failover");
                client.exchange("alone");
                pair.others =
                        script ->
                                script.replace("port=9003", "port=9103")
                                        .replace("port=9004", "port=9104");
                ColoPair.Side fresh = pair.another("next", PORT);
                refused(pair, "the survivor moves by TLS");
                String[] secret = {
                    "--tls-creds=client",
                    "--tls-creds-server=server",
                    "--mirror-port=9103",
                    "--compare-port=9104"
                };
                refused(pair, "the new secondary does not take the migration by TLS", secret);
                pair.talk(fresh.qmp, TAKES_TLS, 2);
                // At the ports of the first pair nobody will ever connect.
                refused(
                        pair,
                        "did not connect to character device mirror0",
                        "--patience=4",
                        secret[0],
                        secret[1]);
                assertTrue(Host.run(protect(pair, secret)).endsWith("protected\n"));
                client.exchange("pair again");
                left.kill();
                pair.ncAnswers(fresh.qmp, "secondary-failover");
                client.exchange("alone again");
                for (ColoPair.Side side : List.of(left, fresh)) {
                    assertFalse(Host.text(side.errors).contains("without TLS"), side::toString);
                }
            }
        }
    }

    private static List<String> protect(ColoPair pair, String... options) {
        List<String> command =
                pair.inNamespace(
                        Host.home().resolve("bin/lockstep-colo").toString(),
                        "protect",
                        "localhost:" + pair.secondary.qmp,
                        "localhost:" + PORT);
        command.addAll(List.of(options));
        return command;
    }

    private static void refused(ColoPair pair, String why, String... options) {
        String told =
                String.valueOf(
                        assertThrows(AssertionError.class, () -> Host.run(protect(pair, options)))
                                .getMessage());
        assertTrue(told.contains(why), told);
    }
}
