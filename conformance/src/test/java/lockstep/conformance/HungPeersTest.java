package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import static java.nio.charset.StandardCharsets.UTF_8;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * The process ends, and commands that take something away are answered, whatever the peers do: an NBD server that has
 * taken a request and says nothing more, or nothing at all, a destination that does not read, full pipes. Each case has
 * a machine of its own; they mostly wait, so they run side by side.
 */
@Timeout(value = 300, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class HungPeersTest {
    private static final long OPTION = 0x49484156454F5054L;
    private static final String GIVEN_UP =
            "lockstep-system-x86_64: gave up after [0-9]+ s: export 'x' \\(1 request in"
                    + " flight\\)\n";

    private static final String DRIVE =
            "drive_add -n buddy driver=replication,mode=primary,node-name=r,file.driver=nbd,"
                    + "file.server.type=";

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
                        "drive", m -> m.ok(human("drive_del d")),
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

    @Test
    void aServerThatSaysNothing() throws Exception {
        alone(
                Map.of(
                        "bounded",
                                m -> {
                                    m.send(command("blockdev-add", m.mute() + ",'open-timeout':1"));
                                    m.awaitError("Gave up after 2 s: '.*mute' does not answer");
                                    quits(m, "");
                                },
                        "meanwhile",
                                m -> {
                                    m.send(command("blockdev-add", m.mute()));
                                    SocketChannel other = m.client("other");
                                    MonitorProcess.readTo(other, MonitorProcess.bytes("\r\n"));
                                    answers(other, command("qmp_capabilities", ""));
                                    answers(other, command("query-block", ""));
                                    String node = "'instances':[{'type':'block-node','node-name':";
                                    answers(other, command("yank", node + "'m'}]"));
                                    m.awaitError(".*");
                                    quits(m, "");
                                },
                        "below",
                                m -> {
                                    String over = "'driver':'qcow2','node-name':'q','file':{%s}";
                                    String file = m.mute().replace("'node-name':'m',", "");
                                    m.send(command("blockdev-add", over.formatted(file)));
                                    ends(m);
                                },
                        "text",
                                m -> {
                                    String path = m.muteSocket();
                                    m.send(human(DRIVE + "unix,file.server.path=" + path));
                                    ends(m);
                                }));
    }

    private static void answers(SocketChannel monitor, String command) throws IOException {
        monitor.write(ByteBuffer.wrap(MonitorProcess.bytes(command + "\r\n")));
        String line = MonitorProcess.readTo(monitor, MonitorProcess.bytes("\r\n"));
        assertTrue(line.contains("return"), command + ": " + line);
    }

    /** The main loop is not what waits. */
    private static void ends(Machine m) throws Exception {
        Host.run("kill", "-TERM", m.pid());
        String errors = m.end();
        assertEquals(0, m.process.process().exitValue(), errors);
        assertTrue(errors.matches(".*terminating on signal 15 .*\n"), errors);
    }

    @Test
    void aClientThatReadsNothing() throws Exception {
        Map<String, String> inputs =
                Map.of(
                        "-monitor",
                        "help\n".repeat(500) + "quit\n",
                        "-qmp",
                        command("qmp_capabilities", "")
                                + command("query-qmp-schema", "").repeat(40)
                                + command("quit", ""));
        for (Map.Entry<String, String> input : inputs.entrySet()) {
            Process process =
                    new ProcessBuilder(
                                    Host.binary().toString(),
                                    "-machine",
                                    "none",
                                    "-nodefaults",
                                    "-display",
                                    "none",
                                    input.getKey(),
                                    "stdio")
                            .start();
            try {
                process.getOutputStream().write(input.getValue().getBytes(UTF_8));
                process.getOutputStream().flush();
                assertTrue(process.waitFor(60, TimeUnit.SECONDS), input.getKey());
                assertEquals(0, process.exitValue(), input.getKey());
            } finally {
                process.destroyForcibly();
            }
        }
    }

    @Test
    void aDestinationThatReadsNothing() throws Exception {
        Case cancelled =
                m -> {
                    migrate(m);
                    m.ok(command("migrate_cancel", ""));
                    m.until(command("query-migrate", ""), "\"status\": \"cancelled\"");
                    m.ok(command("query-status", ""));
                    quits(m, "");
                };
        Case left =
                m -> {
                    migrate(m);
                    quits(m, "");
                };
        alone(Map.of("exec", cancelled, "unix", cancelled, "exec-left", left, "unix-left", left));
    }

    private static void migrate(Machine m) throws IOException {
        String uri = "exec:exec sleep 600";
        if (m.name.startsWith("unix")) {
            m.mute();
            uri = "unix:" + m.home.resolve("mute");
        }
        m.ok(command("migrate", "'uri':'" + uri + "'"));
        m.until(command("query-migrate", ""), "\"status\": \"active\"");
    }

    @Test
    void fullPipes() throws Exception {
        alone(
                Map.of(
                        "net",
                                m -> {
                                    flood(m);
                                    m.ok(command("object-del", "'id':'f'"));
                                    m.ok(command("chardev-remove", "'id':'c'"));
                                    m.ok(command("netdev_del", "'id':'b'"));
                                    m.ok(command("netdev_del", "'id':'a'"));
                                    quits(m, "");
                                },
                        "net-left",
                                m -> {
                                    flood(m);
                                    quits(m, "");
                                },
                        "monitor",
                                m -> {
                                    Path pipe = m.home.resolve("pipe");
                                    Host.run("mkfifo", pipe.toString());
                                    try (RandomAccessFile both =
                                            new RandomAccessFile(pipe.toFile(), "rw")) {
                                        both.write(new byte[1 << 16]);
                                        String pipes = "'id':'p','backend':{'type':'pipe',";
                                        m.ok(
                                                command(
                                                        "chardev-add",
                                                        pipes
                                                                + "'data':{'device':'"
                                                                + pipe
                                                                + "'}}"));
                                        String mux = "'id':'m','backend':{'type':'mux',";
                                        m.ok(
                                                command(
                                                        "chardev-add",
                                                        mux + "'data':{'chardev':'p'}}"));
                                        quits(m, "");
                                    }
                                }));
    }

    /** A mirrored netdev sends to another one and to a character device, none of which anybody reads. */
    private static void flood(Machine m) throws IOException {
        List<SocketChannel> peers = new ArrayList<>();
        String socket = "'id':'c','backend':{'type':'socket','data':{'wait':false,'addr':";
        String unix = "{'type':'unix','data':{'path':'" + m.home.resolve("c") + "'}}}}";
        m.ok(command("chardev-add", socket + unix));
        peers.add(m.client("c"));
        for (String id : List.of("a", "b")) {
            String address = "'addr':{'type':'unix','path':'" + m.home.resolve(id) + "'}";
            String stream = "'type':'stream','id':'%s','server':true,".formatted(id);
            m.ok(command("netdev_add", stream + address));
            String port = "'type':'hubport','hubid':1,'id':'h%s','netdev':'%s'";
            m.ok(command("netdev_add", port.formatted(id, id)));
            peers.add(m.client(id));
        }
        m.ok(
                command(
                        "object-add",
                        "'qom-type':'filter-mirror','id':'f','netdev':'a','outdev':'c'"));
        SocketChannel sender = peers.get(1);
        sender.configureBlocking(false);
        ByteBuffer frame = ByteBuffer.allocate(1004).putInt(1000).clear();
        int refused = 0;
        for (int sent = 0; sent < 20_000 && refused < 100; ) {
            if (sender.write(frame) == 0) {
                refused++;
                m.ok(command("query-status", "")); // The machine had time to read.
            } else if (!frame.hasRemaining()) {
                frame.clear();
                sent++;
            }
        }
    }

    private static void quits(Machine m, String expected) throws Exception {
        m.send(command("quit", ""));
        String errors = m.end();
        assertEquals(0, m.process.process().exitValue(), errors);
        assertEquals(expected, errors);
    }

    private void alone(Map<String, Case> cases) throws Exception {
        sideBySide(cases, m -> {}, false);
    }

    private void sideBySide(Map<String, Case> cases, Case then) throws Exception {
        sideBySide(cases, then, true);
    }

    private void sideBySide(Map<String, Case> cases, Case then, boolean exporting)
            throws Exception {
        try (ExecutorService threads = Executors.newCachedThreadPool()) {
            List<Future<?>> all = new ArrayList<>();
            cases.forEach(
                    (name, body) ->
                            all.add(
                                    threads.submit(
                                            () -> {
                                                try (Machine m = new Machine(name)) {
                                                    if (exporting) {
                                                        m.export();
                                                    }
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

    /** A process without a board. */
    private final class Machine implements AutoCloseable {
        private final String name;
        private final Path home;
        private final MonitorProcess process;
        private final SocketChannel monitor;
        private final List<AutoCloseable> peers = new ArrayList<>();

        Machine(String name) throws IOException {
            this.name = name;
            home = Files.createDirectory(directory.resolve(name));
            process =
                    new MonitorProcess(
                            Host.binary().toString(),
                            home,
                            "-m",
                            "32",
                            "-qmp",
                            "unix:" + home.resolve("other") + ",server=on,wait=off");
            monitor = process.connect();
            MonitorProcess.readTo(monitor, MonitorProcess.bytes("\r\n"));
            ok(command("qmp_capabilities", ""));
        }

        /** A drive over a server that falls silent, and an export of it that a client waits for. */
        void export() throws Exception {
            SilentNbdServer below = new SilentNbdServer(home.resolve("below"));
            peers.add(below);
            ok(human("drive_add 0 if=none,id=d,format=raw,file=nbd:unix:" + home.resolve("below")));
            String address = "'addr':{'type':'unix','data':{'path':'%s'}}";
            ok(command("nbd-server-start", address.formatted(home.resolve("above"))));
            ok(command("nbd-server-add", "'device':'d','name':'x'"));
            SocketChannel client = client("above");
            SilentNbdServer.read(client, 18);
            ByteBuffer choice = ByteBuffer.allocate(21).putInt(3).putLong(OPTION);
            client.write(choice.putInt(1).putInt(1).put((byte) 'x').flip());
            SilentNbdServer.read(client, 10);
            ByteBuffer request = ByteBuffer.allocate(28).putInt(0x25609513).putInt(0);
            client.write(request.putLong(1).putLong(0).putInt(4096).flip());
            below.awaitRequest();
        }

        SocketChannel client(String socket) throws IOException {
            Path path = home.resolve(socket);
            Host.await(socket, Duration.ofSeconds(30), () -> Host.listens(path));
            SocketChannel client = SocketChannel.open(UnixDomainSocketAddress.of(path));
            peers.add(client);
            return client;
        }

        /** Options of a node whose server takes the connection and says nothing. */
        String mute() throws IOException {
            String path = muteSocket();
            return "'driver':'nbd','node-name':'m','server':{'type':'unix','path':'" + path + "'}";
        }

        /** Where that server listens. */
        String muteSocket() throws IOException {
            Path path = home.resolve("mute");
            ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
            peers.add(server.bind(UnixDomainSocketAddress.of(path)));
            return path.toString();
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

        void awaitError(String pattern) throws IOException {
            String answer = readUntil("{\"return\": ", "{\"error\": ");
            assertTrue(answer.matches("(?s).*\"desc\": \"" + pattern + "\".*"), answer);
        }

        /** Asks until the answer has a text. */
        void until(String command, String text) throws IOException {
            String answer;
            do {
                send(command);
                answer = readUntil("{\"return\": ", "{\"error\": ");
                assertFalse(answer.contains("\"failed\""), answer);
            } while (!answer.contains(text));
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
            for (AutoCloseable peer : peers) {
                try {
                    peer.close();
                } catch (IOException | RuntimeException e) {
                    throw e;
                } catch (Exception e) {
                    throw new IOException(e);
                }
            }
            monitor.close();
        }
    }
}
