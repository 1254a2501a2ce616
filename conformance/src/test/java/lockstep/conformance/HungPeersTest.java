package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * The process ends, and commands that take something away are answered, whatever the peers do. Each case has a machine of
 * its own whose NBD server has taken a request and says nothing more; they mostly wait, so they run side by side.
 */
@Timeout(value = 300, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class HungPeersTest {
    private static final long OPTION = 0x49484156454F5054L;
    private static final String GIVEN_UP =
            "lockstep-system-x86_64: gave up after [0-9]+ s: export 'x' \\(1 request in"
                    + " flight\\)\n";

    @TempDir Path directory;

    private interface Case {
        void run(Machine machine) throws Exception;
    }

    @Test
    void everyWayOutEndsTheProcess() throws Exception {
        sideBySide(
                Map.of(
                        "quit", m -> m.send(command("quit", "")),
                        "hmp", m -> m.send(human("quit")),
                        "term", m -> Host.run("kill", "-TERM", m.pid())),
                m -> {
                    String errors = m.end();
                    assertEquals(0, m.process.process().exitValue(), errors);
                    assertTrue(
                            errors.matches("(.*terminating on signal 15 .*\n)?" + GIVEN_UP),
                            errors);
                });
    }

    @Test
    void aSecondSignalEndsItAtOnce() throws Exception {
        sideBySide(
                Map.of(
                        "twice",
                        m -> {
                            Host.run("kill", "-TERM", m.pid());
                            m.awaitEvent("SHUTDOWN");
                            Host.run("kill", "-TERM", m.pid());
                        }),
                m -> {
                    String errors = m.end();
                    assertTrue(errors.endsWith(" s: requests in flight\n"), errors);
                });
    }

    @Test
    void commandsAreAnswered() throws Exception {
        sideBySide(
                Map.of(
                        "stop", m -> m.ok(command("nbd-server-stop", "")),
                        "remove", m -> m.ok(command("block-export-del", "'id':'x','mode':'hard'")),
                        "other",
                                m -> {
                                    m.ok(
                                            command(
                                                    "blockdev-add",
                                                    "'driver':'null-co','node-name':'n1'"));
                                    m.ok(command("blockdev-del", "'node-name':'n1'"));
                                }),
                m -> {
                    m.ok(command("query-block-exports", ""));
                    m.send(command("quit", ""));
                    m.end();
                });
    }

    private void sideBySide(Map<String, Case> cases, Case then) throws Exception {
        try (ExecutorService threads = Executors.newCachedThreadPool()) {
            List<Future<?>> all = new ArrayList<>();
            cases.forEach(
                    (name, body) ->
                            all.add(
                                    threads.submit(
                                            () -> {
                                                try (Machine m = new Machine(name)) {
                                                    body.run(m);
                                                    then.run(m);
                                                }
                                                return null;
                                            })));
            for (Future<?> one : all) {
                one.get();
            }
        }
    }

    private static String command(String name, String arguments) {
        return ("{'execute':'" + name + "','arguments':{" + arguments + "}}").replace('\'', '"');
    }

    private static String human(String line) {
        return command("human-monitor-command", "'command-line':'" + line + "'");
    }

    /** A process without a board, with a node over a silent server and an export of it that a client reads from. */
    private final class Machine implements AutoCloseable {
        private final Path home;
        private final MonitorProcess process;
        private final SocketChannel monitor;
        private final SilentNbdServer below;
        private final SocketChannel client;

        Machine(String name) throws Exception {
            home = Files.createDirectory(directory.resolve(name));
            below = new SilentNbdServer(home.resolve("below"));
            process = new MonitorProcess(Host.binary().toString(), home);
            monitor = process.connect();
            MonitorProcess.readTo(monitor, MonitorProcess.bytes("\r\n"));
            ok(command("qmp_capabilities", ""));
            String node = "'driver':'nbd','node-name':'n0','server':{'type':'unix','path':'%s'}";
            ok(command("blockdev-add", node.formatted(home.resolve("below"))));
            Path above = home.resolve("above");
            String address = "'addr':{'type':'unix','data':{'path':'%s'}}";
            ok(command("nbd-server-start", address.formatted(above)));
            ok(command("block-export-add", "'type':'nbd','id':'x','node-name':'n0','name':'x'"));
            client = SocketChannel.open(UnixDomainSocketAddress.of(above));
            SilentNbdServer.read(client, 18);
            ByteBuffer choice = ByteBuffer.allocate(21).putInt(3).putLong(OPTION);
            client.write(choice.putInt(1).putInt(1).put((byte) 'x').flip());
            SilentNbdServer.read(client, 10);
            ByteBuffer request = ByteBuffer.allocate(28).putInt(0x25609513).putInt(0);
            client.write(request.putLong(1).putLong(0).putInt(4096).flip());
            below.awaitRequest();
        }

        String pid() {
            return Long.toString(process.process().pid());
        }

        void send(String command) throws IOException {
            monitor.write(ByteBuffer.wrap(MonitorProcess.bytes(command + "\r\n")));
        }

        void ok(String command) throws IOException {
            send(command);
            String answer = readUntil("{\"return\": ", "{\"error\": ");
            assertTrue(answer.contains("{\"return\": "), command + ": " + answer);
        }

        void awaitEvent(String name) throws IOException {
            readUntil("\"event\": \"" + name + "\"");
        }

        private String readUntil(String... any) throws IOException {
            StringBuilder text = new StringBuilder();
            do {
                text.append(MonitorProcess.readTo(monitor, MonitorProcess.bytes("\r\n")));
            } while (Stream.of(any).noneMatch(t -> text.indexOf(t) >= 0));
            return text.toString();
        }

        /** Waits for the end; gives what the process said on standard error. */
        String end() throws InterruptedException {
            assertTrue(process.process().waitFor(60, TimeUnit.SECONDS), "the process goes on");
            return Host.text(home.resolve("err"));
        }

        @Override
        public void close() throws IOException {
            process.process().destroyForcibly();
            client.close();
            below.close();
            monitor.close();
        }
    }
}
