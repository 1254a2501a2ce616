package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.runtime.testmachine.Certificates;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** Character devices over TLS: serial lines between Lockstep and QEMU in both roles, and peers that are not the right ones. */
@Tag("qemu")
@Timeout(600)
class TlsChardevTest {
    @TempDir private static Path shared;
    @TempDir private Path directory;

    private static Path certificates = Path.of("");

    private final List<Monitor> machines = new ArrayList<>();
    private int port;

    @BeforeAll
    static void makeCertificates() throws IOException, GeneralSecurityException {
        certificates = Certificates.make(shared.resolve("certificates"), "EC");
    }

    @BeforeEach
    void choosePort() throws IOException {
        port = TlsMachine.freePort();
    }

    @AfterEach
    void end() {
        machines.forEach(Monitor::close);
    }

    /** A machine whose serial line is at the port; {@code how} are further words about the device. */
    private Monitor line(String who, String endpoint, String how) {
        return line(who, endpoint, how, Path.of("/dev/stderr"));
    }

    private Monitor line(String who, String endpoint, String how, Path errors) {
        List<String> words = new ArrayList<>(List.of("sh", "-c", "exec \"$@\" 2>>" + errors, "sh"));
        words.addAll(
                TlsMachine.words(
                        who,
                        endpoint,
                        certificates,
                        "-chardev",
                        "socket,id=c,host=127.0.0.1,port=" + port + ",tls-creds=t," + how,
                        "-serial",
                        "chardev:c"));
        Monitor m = new Monitor(words);
        machines.add(m);
        return m;
    }

    private static String human(Monitor m, String line) {
        return m.execute(
                "{\"execute\": \"human-monitor-command\", \"arguments\": {\"command-line\": \""
                        + line
                        + "\"}}");
    }

    private static boolean connected(Monitor m) {
        String all = m.execute("{\"execute\": \"query-chardev\"}");
        assertTrue(all.contains("tcp:127.0.0.1:"), all);
        return all.contains(" <-> ");
    }

    private static void awaitConnected(Monitor... lines) {
        for (Monitor m : lines) {
            Host.await("the peers are known", Duration.ofMinutes(1), () -> connected(m));
        }
    }

    private static void says(Monitor from, Monitor to, String text) {
        for (char c : text.toCharArray()) {
            human(from, "o /b 0x3f8 " + (int) c);
            String wanted = "= 0x%02x".formatted((int) c);
            Host.await(
                    "the other end has it",
                    Duration.ofMinutes(1),
                    () -> human(to, "i /b 0x3f8").contains(wanted));
        }
    }

    @ParameterizedTest
    @CsvSource({"lockstep, qemu", "qemu, lockstep", "lockstep, lockstep"})
    void bytesGoBothWays(String server, String client) {
        Host.assumeProgram(TlsMachine.QEMU);
        Monitor there = line(server, "server", "server=on,wait=off");
        Monitor here = line(client, "client", "server=off");
        awaitConnected(there, here);
        says(here, there, "ab");
        says(there, here, "cd");
    }

    @Test
    void aPeerThatSaysNothingHoldsNobodyUp() throws IOException {
        Monitor m = line("lockstep", "server", "server=on,wait=off");
        try (Socket silent = new Socket(InetAddress.getLoopbackAddress(), port)) {
            silent.setSoTimeout(60_000);
            m.execute("{\"execute\": \"query-status\"}");
            m.execute(
                    "{\"execute\": \"yank\", \"arguments\": {\"instances\": [{\"type\":"
                            + " \"chardev\", \"id\": \"c\"}]}}");
            assertEquals(-1, silent.getInputStream().read());
        }
        List<Socket> crowd = new ArrayList<>();
        try {
            TlsMachine.crowd(crowd, port);
            awaitConnected(m, line("lockstep", "client", "server=off"));
            for (Socket stranger : crowd) {
                assertEquals(-1, stranger.getInputStream().read());
            }
        } finally {
            TlsMachine.closeAll(crowd);
        }
    }

    /** Whoever may not connect leaves the door open, and comes back when told to reconnect. */
    @Test
    void onlyARightPeerIsLetIn() {
        Path errors = directory.resolve("errors");
        Monitor m = line("lockstep", "server", "server=on,wait=off,tls-authz=a", errors);
        Monitor other = line("lockstep", "client", "server=off,reconnect-ms=50");
        Host.await(
                "a peer is refused",
                Duration.ofMinutes(1),
                () -> Host.text(errors).contains("Cannot find QAuthZ object ID a"));
        assertFalse(connected(m));
        m.execute(
                "{\"execute\": \"object-add\", \"arguments\": {\"qom-type\": \"authz-simple\","
                        + " \"id\": \"a\", \"identity\": \"C=GB,O=Home,CN=client\"}}");
        awaitConnected(m, other);
        says(other, m, "x");
    }
}
