package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.runtime.testmachine.Certificates;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** Migration over TLS with certificates, between Lockstep and QEMU in both roles, and what is refused. */
@Tag("qemu")
@Timeout(600)
class TlsMigrationTest {
    @TempDir private static Path directory;

    private static Path rsa = Path.of("");
    private static Path ec = Path.of("");

    private final List<Monitor> machines = new ArrayList<>();

    @BeforeAll
    static void makeCertificates() throws IOException, GeneralSecurityException {
        rsa = Certificates.make(directory.resolve("RSA"), "RSA");
        ec = Certificates.make(directory.resolve("EC"), "EC");
        Path few = Files.createDirectory(directory.resolve("few"));
        Files.copy(rsa.resolve("ca-cert.pem"), few.resolve("ca-cert.pem"));
    }

    @AfterEach
    void end() {
        machines.forEach(Monitor::close);
    }

    /** A machine whose guest stands still, with credentials {@code t}. */
    private Monitor machine(String who, String endpoint, Path certificates, String... more) {
        Monitor m = TlsMachine.start(who, endpoint, certificates, more);
        machines.add(m);
        parameter(m, "tls-creds", "t");
        return m;
    }

    private static void parameter(Monitor m, String name, String value) {
        m.execute(
                "{\"execute\": \"migrate-set-parameters\", \"arguments\": {\"%s\": \"%s\"}}"
                        .formatted(name, value));
    }

    private static String uri(String verb, String uri) {
        return "{\"execute\": \"%s\", \"arguments\": {\"uri\": \"%s\"}}".formatted(verb, uri);
    }

    /** How the migration ended for the source. */
    private static String migrate(Monitor source, String uri) {
        source.execute(uri("migrate", uri));
        String[] status = {""};
        Host.await(
                "the migration ends",
                Duration.ofMinutes(2),
                () -> {
                    status[0] = source.execute("{\"execute\": \"query-migrate\"}");
                    return status[0].contains("\"completed\"") || status[0].contains("\"failed\"");
                });
        return status[0];
    }

    private static void arrives(Monitor source, Monitor target, String uri) {
        String status = migrate(source, uri);
        assertTrue(status.contains("\"completed\""), status);
        Host.await(
                "the guest has arrived",
                Duration.ofMinutes(2),
                () -> !target.execute("{\"execute\": \"query-status\"}").contains("inmigrate"));
    }

    private static String listening(Monitor target) throws IOException {
        String uri = "tcp:127.0.0.1:" + TlsMachine.freePort();
        target.execute(uri("migrate-incoming", uri));
        return uri;
    }

    @ParameterizedTest
    @CsvSource({
        "lockstep, lockstep, RSA",
        "lockstep, qemu, RSA",
        "qemu, lockstep, RSA",
        "lockstep, qemu, EC",
        "qemu, lockstep, EC",
        "lockstep, lockstep, EC"
    })
    void goesThere(String from, String to, String kind) throws IOException {
        Host.assumeProgram(TlsMachine.QEMU);
        Path certificates = kind.equals("RSA") ? rsa : ec;
        Monitor target = machine(to, "server", certificates, "-incoming", "defer");
        String uri = listening(target);
        arrives(machine(from, "client", certificates), target, uri);
    }

    @Test
    void onlyARightPeerIsLetIn() throws IOException {
        Monitor target =
                machine(
                        "lockstep",
                        "server",
                        rsa,
                        "-incoming",
                        "defer",
                        "-object",
                        "{\"qom-type\": \"authz-list\", \"id\": \"a\", \"rules\": [{\"match\":"
                                + " \"C=GB,O=Home,CN=cl*\", \"policy\": \"allow\", \"format\":"
                                + " \"glob\"}]}",
                        "-object",
                        "authz-simple,id=b,identity=CN=somebody else");
        String uri = listening(target);
        String refused = "\"failed\"";
        // Whoever is refused leaves the door open for the next one.
        int port = Integer.parseInt(uri.substring(uri.lastIndexOf(':') + 1));
        try (Socket s = new Socket(InetAddress.getLoopbackAddress(), port)) {
            s.getOutputStream().write("QEVM\0\0\0\3".getBytes(StandardCharsets.ISO_8859_1));
        }
        String wrong = migrate(machine("lockstep", "client", ec), uri);
        assertTrue(wrong.contains(refused) && wrong.contains("TLS handshake failed"), wrong);
        Path few = directory.resolve("few");
        String nobody = migrate(machine("lockstep", "client", few), uri);
        assertTrue(nobody.contains(refused), nobody);
        parameter(target, "tls-authz", "b");
        String other = migrate(machine("lockstep", "client", rsa), uri);
        assertTrue(other.contains(refused), other);
        parameter(target, "tls-authz", "a");
        arrives(machine("lockstep", "client", rsa), target, uri);
    }

    @Test
    void strangersThatSayNothingHoldNobodyUp() throws IOException {
        Monitor target = machine("lockstep", "server", rsa, "-incoming", "defer");
        String uri = listening(target);
        List<Socket> crowd = new ArrayList<>();
        try {
            TlsMachine.crowd(crowd, Integer.parseInt(uri.substring(uri.lastIndexOf(':') + 1)));
            arrives(machine("lockstep", "client", rsa), target, uri);
            for (Socket stranger : crowd) {
                assertEquals(-1, stranger.getInputStream().read());
            }
        } finally {
            TlsMachine.closeAll(crowd);
        }
    }

    @Test
    void yankSendsThoseAwayThatSayNothing() throws IOException {
        Monitor target = machine("lockstep", "server", rsa, "-incoming", "defer");
        String uri = listening(target);
        List<Socket> crowd = new ArrayList<>();
        try {
            TlsMachine.crowd(crowd, Integer.parseInt(uri.substring(uri.lastIndexOf(':') + 1)));
            Host.await(
                    "those that said nothing are sent away",
                    Duration.ofSeconds(20),
                    () -> {
                        target.execute(
                                "{\"execute\": \"yank\", \"arguments\": {\"instances\":"
                                        + " [{\"type\": \"migration\"}]}}");
                        return crowd.stream().allMatch(TlsMigrationTest::ended);
                    });
            arrives(machine("lockstep", "client", rsa), target, uri);
        } finally {
            TlsMachine.closeAll(crowd);
        }
    }

    private static boolean ended(Socket s) {
        try {
            s.setSoTimeout(200);
            return s.getInputStream().read() < 0;
        } catch (SocketTimeoutException e) {
            return false;
        } catch (IOException e) {
            return true;
        }
    }

    @Test
    void theServersNameMustBeRight() throws IOException {
        Monitor target = machine("lockstep", "server", rsa, "-incoming", "defer");
        String uri = listening(target);
        Monitor source = machine("lockstep", "client", rsa);
        parameter(source, "tls-hostname", "other.example");
        String status = migrate(source, uri);
        assertTrue(status.contains("other.example"), status);
        parameter(source, "tls-hostname", "");
        arrives(source, target, uri);
    }

    @Test
    void credentialsMustBeThereAndForThisEnd() throws IOException {
        try (ServerSocket anybody = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            String uri = "tcp:127.0.0.1:" + anybody.getLocalPort();
            Monitor source = machine("lockstep", "server", rsa);
            String status = migrate(source, uri);
            assertTrue(status.contains("Expected TLS credentials for a client endpoint"), status);
            parameter(source, "tls-creds", "nobody");
            status = migrate(source, uri);
            assertTrue(status.contains("No TLS credentials with id 'nobody'"), status);
        }
    }
}
