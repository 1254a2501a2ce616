package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A Linux guest behind user networking: its address by DHCP, the gateway, and TCP both ways. */
@Timeout(1200)
@ParameterizedClass
@ValueSource(strings = {"jvm", "kvm"})
class UserNetworkLinuxTest {
    private static final int LENGTH = 4 << 20;

    /** What busybox's client runs when something has become of an address. */
    private static final String ON_LEASE =
            """
            cat > /tmp/on-lease <<'END'
            #!/bin/sh
            env | grep -E '^(ip|subnet|router|dns|hostname|domain|search|lease|serverid|siaddr)=' | sort
            [ "$1" = bound ] && ip addr add $ip/24 dev eth0 && ip route add default via $router
            exit 0
            END
            chmod +x /tmp/on-lease
            """;

    /** What runs the guest. */
    @Parameter String accelerator = "";

    @TempDir Path directory;

    @BeforeEach
    void assumePrograms() {
        LinuxKvm.assumeRuns(accelerator);
        Host.assumeProgram("nc");
    }

    @Test
    void servesLinux() throws Exception {
        try (LinuxMachine machine = machine(false)) {
            check(machine);
        }
    }

    @Test
    @Tag("qemu")
    void isServedByQemuAlike() throws Exception {
        LinuxTest.assumeAskedFor();
        Host.assumeProgram(Host.qemu());
        try (LinuxMachine machine = machine(true)) {
            check(machine);
        }
    }

    private LinuxMachine machine(boolean qemu) throws IOException {
        LinuxGuest guest = LinuxGuest.usual();
        Path initrd = directory.resolve("initrd");
        guest.writeInitrd(initrd, ON_LEASE, "e1000");
        List<String> options =
                List.of(
                        "-m",
                        "256",
                        "-kernel",
                        guest.kernel().toString(),
                        "-initrd",
                        initrd.toString(),
                        "-append",
                        "console=ttyS0 panic=-1",
                        "-netdev",
                        "user,id=n0,hostname=guest,dnssearch=a.example,dnssearch=b.example,"
                                + "domainname=example,hostfwd=tcp:127.0.0.1:0-:9000",
                        "-device",
                        "e1000,netdev=n0,romfile=");
        return (qemu
                        ? LinuxMachine.qemu(accelerator, directory, "machine", List.of(), options)
                        : new LinuxMachine(accelerator, directory, "machine", List.of(), options))
                .up();
    }

    private static void check(LinuxMachine machine) throws Exception {
        machine.run("ip link set eth0 up");
        assertEquals(
                """
                dns=10.0.2.3
                domain=example
                hostname=guest
                ip=10.0.2.15
                lease=86400
                router=10.0.2.2
                search=a.example b.example
                serverid=10.0.2.2
                siaddr=10.0.2.2
                subnet=255.255.255.0\
                """,
                machine.run("udhcpc -i eth0 -n -q -s /tmp/on-lease 2>/dev/null"));
        assertTrue(
                machine.run("ping -c 2 10.0.2.2").contains("2 packets received"),
                "the gateway answers");

        byte[] content = new byte[LENGTH];
        new Random(7).nextBytes(content);
        String sum = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
        try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            Thread thread = new Thread(() -> serve(server, content), "server");
            thread.start();
            String get = "nc 10.0.2.2 " + server.getLocalPort();
            assertEquals(sum + "  -", machine.run(get + " < /dev/null | sha256sum"));
            thread.join();
        }
        assertTrue(
                machine.run("nc 10.0.2.2 1 < /dev/null; echo status $?").endsWith("status 1"),
                "a port where nobody listens refuses");

        try (Monitor monitor = machine.monitor()) {
            String table =
                    monitor.execute(
                            "{\"execute\": \"human-monitor-command\", \"arguments\":"
                                    + " {\"command-line\": \"info usernet\"}}");
            Matcher forward =
                    Pattern.compile("127\\.0\\.0\\.1 +(\\d+) +10\\.0\\.2\\.15 +9000")
                            .matcher(table);
            assertTrue(forward.find(), table);
            machine.run("nc -l -p 9000 > /tmp/got & sleep 1");
            try (Socket client = new Socket("127.0.0.1", Integer.parseInt(forward.group(1)))) {
                client.getOutputStream().write(content);
                client.shutdownOutput();
                assertArrayEquals(new byte[0], client.getInputStream().readAllBytes());
            }
            assertEquals(sum + "  /tmp/got", machine.run("wait; sha256sum /tmp/got"));
        }
    }

    private static void serve(ServerSocket server, byte[] content) {
        try (Socket client = server.accept()) {
            client.getOutputStream().write(content);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
