package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** How the process behaves towards those who start, signal and leave it. */
@Timeout(value = 120, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class ProcessConductTest {
    private static final String NEGOTIATE = "{\"execute\":\"qmp_capabilities\"}\r\n";

    @TempDir Path directory;

    private Process start(List<String> prefix, String... options) throws IOException {
        List<String> command = new ArrayList<>(prefix);
        command.addAll(List.of(Host.binary().toString(), "-S", "-no-user-config", "-nodefaults"));
        command.addAll(List.of("-display", "none", "-machine", "none"));
        command.addAll(List.of(options));
        return new ProcessBuilder(command)
                .directory(directory.toFile())
                .redirectError(directory.resolve("err").toFile())
                .start();
    }

    private void signalled(String signal, int number, String... prefix) throws Exception {
        Process p = start(List.of(prefix), "-qmp", "stdio");
        try (BufferedReader answers = p.inputReader(StandardCharsets.UTF_8);
                OutputStream requests = p.getOutputStream()) {
            assertTrue(answers.readLine().startsWith("{\"QMP\": "));
            requests.write(NEGOTIATE.getBytes(StandardCharsets.UTF_8));
            requests.flush();
            assertEquals("{\"return\": {}}", answers.readLine());
            Host.run("kill", "-" + signal, Long.toString(p.pid()));
            assertTrue(
                    answers.readLine()
                            .endsWith(
                                    "\"event\": \"SHUTDOWN\", \"data\": {\"guest\": false,"
                                            + " \"reason\": \"host-signal\"}}"));
            assertEquals(0, p.waitFor());
            String errors = Host.text(directory.resolve("err"));
            assertTrue(
                    errors.matches(
                            "lockstep-system-x86_64: terminating on signal "
                                    + number
                                    + " from pid [0-9]+ \\(.*\\)\n"),
                    errors);
        } finally {
            p.destroyForcibly();
        }
    }

    @Test
    void signalsEndItOrderly() throws Exception {
        signalled("TERM", 15);
        signalled("INT", 2);
        signalled("HUP", 1);
    }

    /** As in a background job of a shell without job control, or under nohup. */
    @Test
    void signalsThatWereIgnoredBeforeToo() throws Exception {
        signalled("INT", 2, "sh", "-c", "trap '' INT HUP; exec \"$@\"", "sh");
        signalled("HUP", 1, "sh", "-c", "trap '' INT HUP; exec \"$@\"", "sh");
    }

    @Test
    void everyCommandOfAPipeIsAnswered() throws Exception {
        for (String capabilities : List.of("", ",\"arguments\":{\"enable\":[\"oob\"]}")) {
            StringBuilder text = new StringBuilder("{\"execute\":\"qmp_capabilities\"");
            text.append(capabilities).append('}');
            int count = 1000;
            for (int i = 0; i < count; i++) {
                text.append("{\"execute\":\"query-name\",\"id\":").append(i).append("}\n");
            }
            Process p = start(List.of(), "-qmp", "stdio");
            try (BufferedReader answers = p.inputReader(StandardCharsets.UTF_8)) {
                try (OutputStream requests = p.getOutputStream()) {
                    requests.write(text.toString().getBytes(StandardCharsets.UTF_8));
                }
                answers.readLine();
                assertEquals("{\"return\": {}}", answers.readLine());
                for (int i = 0; i < count; i++) {
                    assertEquals("{\"return\": {}, \"id\": " + i + "}", answers.readLine());
                }
                assertTrue(p.isAlive(), "the end of the input does not end the process");
            } finally {
                p.destroy();
                p.waitFor();
            }
        }
    }

    @Test
    void aDaemonAnswersWhenItsParentReturns() throws Exception {
        Path socket = directory.resolve("qmp.monitor");
        Path pidFile = directory.resolve("qmp.pid");
        Process parent =
                start(
                        List.of(),
                        "-nographic",
                        "-machine",
                        "none,accel=kvm:tcg",
                        "-qmp",
                        "unix:" + socket + ",server=on,wait=off",
                        "-pidfile",
                        pidFile.toString(),
                        "-daemonize");
        assertEquals(0, parent.waitFor(), () -> Host.text(directory.resolve("err")));
        assertEquals("rw-------", permissions(pidFile));
        long pid = Long.parseLong(Files.readString(pidFile).strip());
        ProcessHandle daemon = ProcessHandle.of(pid).orElseThrow();
        try (SocketChannel client = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            client.connect(UnixDomainSocketAddress.of(socket));
            MonitorProcess.readTo(client, MonitorProcess.bytes("\r\n"));
            client.write(ByteBuffer.wrap(MonitorProcess.bytes(NEGOTIATE)));
            MonitorProcess.readTo(client, MonitorProcess.bytes("\r\n"));
            String ask = "{\"execute\":\"query-status\",\"id\":\"libvirt-1\"}\r\n";
            client.write(ByteBuffer.wrap(MonitorProcess.bytes(ask)));
            assertEquals(
                    "{\"return\": {\"status\": \"prelaunch\", \"running\": false},"
                            + " \"id\": \"libvirt-1\"}\r\n",
                    MonitorProcess.readTo(client, MonitorProcess.bytes("\r\n")));
            client.write(ByteBuffer.wrap(MonitorProcess.bytes("{\"execute\":\"quit\"}\r\n")));
            MonitorProcess.readTo(client, MonitorProcess.bytes("{\"return\": {}}\r\n"));
        } finally {
            Host.await("the daemon ends", Duration.ofSeconds(30), () -> !daemon.isAlive());
        }
        assertFalse(Files.exists(socket), "the socket is removed");
        assertFalse(Files.exists(pidFile), "the file with the process number is removed");
    }

    private static String permissions(Path file) throws IOException {
        return java.nio.file.attribute.PosixFilePermissions.toString(
                Files.getPosixFilePermissions(file));
    }

    @Test
    void thousandsOfClientsLeaveNothingBehind() throws Exception {
        try (MonitorProcess monitor = new MonitorProcess(Host.binary().toString(), directory)) {
            monitor.answers(new byte[0], 1);
            long before = descriptors(monitor);
            for (int i = 0; i < 3000; i++) {
                try (SocketChannel client = monitor.connect()) {
                    switch (i % 3) {
                        case 0 -> MonitorProcess.readTo(client, MonitorProcess.bytes("\r\n"));
                        case 1 ->
                                client.write(
                                        ByteBuffer.wrap(
                                                MonitorProcess.bytes(NEGOTIATE + "{\"execute\":")));
                        default -> client.shutdownOutput();
                    }
                }
            }
            monitor.answers(new byte[0], 1);
            // The last client's end is noticed a moment after it.
            Host.await(
                    "as many open files as before",
                    Duration.ofSeconds(20),
                    () -> descriptors(monitor) <= before);
        }
    }

    private static long descriptors(MonitorProcess monitor) {
        try (Stream<Path> open =
                Files.list(Path.of("/proc", Long.toString(monitor.process().pid()), "fd"))) {
            return open.count();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
