package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
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
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Disks over NBD with TLS: our server with other people's clients, our client with other people's servers. */
@Tag("qemu")
@Timeout(600)
class TlsNbdTest {
    private static final int SIZE = 3 << 20;

    @TempDir private static Path shared;
    @TempDir private Path directory;

    private static Path certificates = Path.of("");
    private static Path strangers = Path.of("");

    private final List<AutoCloseable> started = new ArrayList<>();
    private Path image = Path.of("");
    private int port;

    @BeforeAll
    static void makeCertificates() throws IOException, GeneralSecurityException {
        certificates = Certificates.make(shared.resolve("certificates"), "RSA");
        strangers = Certificates.make(shared.resolve("strangers"), "RSA");
    }

    @BeforeEach
    void makeImage() throws IOException {
        image = directory.resolve("image");
        byte[] content = new byte[SIZE];
        new Random(1).nextBytes(content);
        Files.write(image, content);
        port = TlsMachine.freePort();
    }

    @AfterEach
    void end() throws Exception {
        for (AutoCloseable one : started) {
            one.close();
        }
    }

    private Monitor machine(String endpoint, String... more) {
        Monitor m = TlsMachine.start("lockstep", endpoint, certificates, more);
        started.add(m);
        return m;
    }

    private static String command(String name, String arguments) {
        return "{\"execute\": \"" + name + "\", \"arguments\": {" + arguments + "}}";
    }

    /** Ours, with an export {@code d} of a file; {@code more} are further words of nbd-server-start. */
    private Monitor server(Path file, String more) {
        Monitor m =
                machine(
                        "server",
                        "-blockdev",
                        "raw,node-name=d,file.driver=file,file.filename=" + file,
                        "-object",
                        "authz-simple,id=nobody,identity=CN=nobody");
        m.execute(
                command(
                        "nbd-server-start",
                        "\"addr\": {\"type\": \"inet\", \"data\": {\"host\": \"127.0.0.1\","
                                + " \"port\": \""
                                + port
                                + "\"}}, \"tls-creds\": \"t\""
                                + more));
        m.execute(
                command(
                        "block-export-add",
                        "\"type\": \"nbd\", \"id\": \"e\", \"node-name\": \"d\", \"writable\":"
                                + " true"));
        return m;
    }

    private static String error(Runnable use) {
        return String.valueOf(assertThrows(AssertionError.class, use::run).getMessage());
    }

    private String qemuIo(Path with, String... commands) {
        List<String> words =
                new ArrayList<>(
                        List.of(
                                "qemu-io",
                                "--object",
                                TlsMachine.credentials("client", with),
                                "--image-opts",
                                "driver=nbd,host=127.0.0.1,export=d,tls-creds=t,port=" + port));
        for (String command : commands) {
            words.add("-c");
            words.add(command);
        }
        return Host.run(words);
    }

    @Test
    void ourServerSpeaksTlsAndNothingElse() throws IOException {
        Host.assumeProgram("qemu-io");
        server(image, "");
        String done = qemuIo(certificates, "write -P 7 64k 2M", "read -P 7 64k 2M", "flush");
        assertTrue(!done.contains("failed"), done);
        byte[] content = Files.readAllBytes(image);
        assertEquals(7, content[64 << 10]);
        assertEquals(7, content[(64 << 10) + (2 << 20) - 1]);
        String plain = "nbd://127.0.0.1:" + port + "/d";
        String refused = error(() -> Host.run("qemu-img", "info", plain));
        assertTrue(refused.contains("TLS negotiation required before option 7 (go)"), refused);
        String unknown = error(() -> qemuIo(strangers, "read 0 512"));
        assertTrue(unknown.contains("A TLS fatal alert has been received"), unknown);
    }

    @Test
    void ourServerServesLibnbd() {
        Host.assumeProgram("nbdinfo");
        server(image, "");
        String uri = "nbds://localhost:" + port + "/d?tls-certificates=" + certificates;
        assertEquals(SIZE + "\n", Host.run("nbdinfo", "--size", uri));
    }

    @Test
    void whoMayConnectIsAskedForEachClient() {
        Host.assumeProgram("qemu-io");
        Monitor m = server(image, ", \"tls-authz\": \"a\"");
        error(() -> qemuIo(certificates, "read 0 512")); // nobody decides
        m.execute(
                command(
                        "object-add",
                        "\"qom-type\": \"authz-simple\", \"id\": \"a\", \"identity\":"
                                + " \"C=GB,O=Home,CN=client\""));
        qemuIo(certificates, "read 0 512");
        m.execute(command("object-del", "\"id\": \"a\""));
        m.execute(
                command(
                        "object-add",
                        "\"qom-type\": \"authz-simple\", \"id\": \"a\", \"identity\":"
                                + " \"CN=other\""));
        error(() -> qemuIo(certificates, "read 0 512"));
    }

    /** Neither a client's silence in the handshake nor what is no handshake holds anybody up. */
    @Test
    void clientsThatCannotSpeakTlsAreLetGo() throws IOException {
        Monitor m = server(image, ", \"handshake-max-seconds\": 1, \"max-connections\": 1");
        for (String words : new String[] {"", "this is no handshake, is it"}) {
            try (Socket s = new Socket(InetAddress.getLoopbackAddress(), port)) {
                s.setSoTimeout(60_000);
                ByteBuffer start = ByteBuffer.allocate(20).putInt(3);
                start.put("IHAVEOPT".getBytes(StandardCharsets.US_ASCII)).putInt(5).putInt(0);
                s.getOutputStream().write(start.array());
                s.getOutputStream().write(words.getBytes(StandardCharsets.US_ASCII));
                m.execute(command("query-status", ""));
                // The greeting, and at most an acknowledgement and an alert.
                assertTrue(s.getInputStream().readAllBytes().length < 60);
            }
        }
        m.execute(command("query-status", ""));
    }

    private String peer(String kind, Path file) throws IOException {
        List<String> words;
        if (kind.equals("nbdkit")) {
            words =
                    List.of(
                            "nbdkit",
                            "-f",
                            "--tls=require",
                            "--tls-verify-peer",
                            "--tls-certificates=" + certificates,
                            "-p",
                            Integer.toString(port),
                            "file",
                            file.toString());
        } else {
            words =
                    List.of(
                            "qemu-nbd",
                            "-t",
                            "-f",
                            "raw",
                            "-x",
                            "d",
                            "--object",
                            TlsMachine.credentials("server", certificates),
                            "--tls-creds",
                            "t",
                            "-p",
                            Integer.toString(port),
                            file.toString());
        }
        Host.assumeProgram(words.getFirst());
        Process p = new ProcessBuilder(words).inheritIO().start();
        started.add(p::destroyForcibly);
        Host.await("the server listens", Duration.ofSeconds(60), this::listens);
        return "d";
    }

    private boolean listens() {
        try (Socket s = new Socket(InetAddress.getLoopbackAddress(), port)) {
            return s.isConnected();
        } catch (IOException e) {
            return false;
        }
    }

    private String node(String more) {
        return command(
                "blockdev-add",
                "\"driver\": \"nbd\", \"node-name\": \"n\", \"export\": \"d\", \"server\":"
                        + " {\"type\": \"inet\", \"host\": \"127.0.0.1\", \"port\": \""
                        + port
                        + "\"}"
                        + more);
    }

    private static void mirror(Monitor m, String from, String to) {
        m.send(
                command(
                        "blockdev-mirror",
                        "\"job-id\": \"j\", \"sync\": \"full\", \"device\": \""
                                + from
                                + "\", \"target\": \""
                                + to
                                + "\""));
        m.await(line -> line.contains("BLOCK_JOB_READY"));
        m.execute(command("job-cancel", "\"id\": \"j\""));
        m.await(line -> line.contains("\"null\""));
    }

    @ParameterizedTest
    @ValueSource(strings = {"qemu-nbd", "nbdkit", "lockstep"})
    void ourClientReadsAndWrites(String kind) throws IOException {
        Path far = Files.write(directory.resolve("far"), new byte[SIZE]);
        Path back = Files.write(directory.resolve("back"), new byte[SIZE]);
        if (kind.equals("lockstep")) {
            server(far, "");
        } else {
            peer(kind, far);
        }
        String file = "raw,node-name=%s,file.driver=file,file.filename=%s";
        Monitor m =
                machine(
                        "client",
                        "-blockdev",
                        file.formatted("image", image),
                        "-blockdev",
                        file.formatted("back", back),
                        "-blockdev",
                        "nbd,node-name=f,export=d,tls-creds=t,server.type=inet,"
                                + "server.host=127.0.0.1,server.port="
                                + port);
        mirror(m, "image", "f");
        assertEquals(-1, Files.mismatch(image, far));
        mirror(m, "f", "back");
        assertEquals(-1, Files.mismatch(image, back));
    }

    private String refusal(Monitor m, String more) {
        return error(() -> m.execute(node(more)));
    }

    @Test
    void ourClientSaysWhyItDoesNotConnect() throws IOException {
        Monitor server = server(image, "");
        Monitor m = machine("client");
        String plain = refusal(m, "");
        assertTrue(plain.contains("TLS negotiation required before option 7 (go)"), plain);
        String name = refusal(m, ", \"tls-creds\": \"t\", \"tls-hostname\": \"other.example\"");
        assertTrue(name.contains("other.example"), name);
        String none = refusal(m, ", \"tls-creds\": \"x\"");
        assertTrue(none.contains("No TLS credentials with id 'x'"), none);
        server.execute("{\"execute\": \"nbd-server-stop\"}");
        server.execute(
                command(
                        "nbd-server-start",
                        "\"addr\": {\"type\": \"inet\", \"data\": {\"host\": \"127.0.0.1\","
                                + " \"port\": \""
                                + port
                                + "\"}}"));
        String without = refusal(m, ", \"tls-creds\": \"t\"");
        assertTrue(without.contains("Denied by server for option 5 (starttls)"), without);
        Monitor wrongEnd = machine("server");
        String end = refusal(wrongEnd, ", \"tls-creds\": \"t\"");
        assertTrue(end.contains("Expected TLS credentials for a client endpoint"), end);
    }
}
