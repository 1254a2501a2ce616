package lockstep.qmp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.Client;
import lockstep.api.ControlCommands;
import lockstep.api.Event;
import lockstep.api.ResumeEvent;
import lockstep.api.RunState;
import lockstep.api.RunStateCommands;
import lockstep.api.ShutdownEvent;
import lockstep.api.StopEvent;
import lockstep.api.YankCommands;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.lang.reflect.Field;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** The client against real QEMU. */
@Tag("qemu")
@Timeout(120)
class QmpClientQemuTest {
    private static final JsonObject NONE = new JsonObject();
    private static final Backoff QUICK =
            new Backoff(Duration.ofMillis(20), Duration.ofMillis(200), 1.5, 0.5);

    @TempDir Path directory;

    private Path socket() {
        return directory.resolve("qmp.sock");
    }

    private String[] arguments(String... more) {
        List<String> arguments =
                new ArrayList<>(List.of("-qmp", "unix:" + socket() + ",server=on,wait=off"));
        arguments.addAll(List.of(more));
        return arguments.toArray(String[]::new);
    }

    /** A client that is connected as soon as the server listens. */
    private static QmpClient client(Vm vm, QmpClient.Builder builder) {
        assertTrue(vm.process().isAlive());
        QmpClient client = builder.events(Event::read).reconnect(QUICK).start();
        client.ready().orTimeout(60, TimeUnit.SECONDS).join();
        return client;
    }

    private QmpClient client(Vm vm) {
        return client(vm, QmpClient.builder(QmpAddress.unix(socket())));
    }

    @Test
    void everyQueryGivesItsTypeOrAnError() throws Exception {
        try (Vm vm =
                        Vm.start(
                                arguments(
                                        "-machine",
                                        "pc",
                                        "-m",
                                        "64",
                                        "-S",
                                        "-blockdev",
                                        "null-co,node-name=n0,size=1048576",
                                        "-device",
                                        "ide-hd,drive=n0,id=d0",
                                        "-drive",
                                        "if=none,id=x0,driver=null-co,size=1M",
                                        "-netdev",
                                        "user,id=u0",
                                        "-device",
                                        "e1000,netdev=u0",
                                        "-object",
                                        "iothread,id=io0",
                                        "-object",
                                        "memory-backend-ram,id=m0,size=1M",
                                        "-chardev",
                                        "ringbuf,id=r0"));
                QmpClient client = client(vm)) {
            Map<String, String> outcomes = new TreeMap<>();
            for (QmpCommand<?, ?> command : queries()) {
                outcomes.put(command.name(), outcome(client, command));
            }
            assertTrue(outcomes.size() > 20, outcomes.toString());
            assertEquals("typed", outcomes.get("query-status"));
            assertEquals("typed", outcomes.get("query-block"));
            outcomes.values().removeIf(o -> !o.startsWith("misfit"));
            assertEquals(Map.of(), outcomes);
        }
    }

    private static <A, R> String outcome(QmpClient client, QmpCommand<A, R> command)
            throws IOException {
        // Arguments are not the point here, so those that a query needs are given as JSON.
        QmpCommand<JsonObject, R> untyped =
                new QmpCommand<>(
                        command.name(),
                        (visitor, name) -> new JsonObject(),
                        (value, visitor, name) -> visitor.any(name, value),
                        command.result(),
                        command.resultWriter(),
                        true,
                        false,
                        false);
        JsonObject arguments =
                switch (command.name()) {
                    case "query-cpu-model-expansion" ->
                            new JsonObject()
                                    .put("type", "static")
                                    .put("model", new JsonObject().put("name", "qemu64"));
                    case "query-stats" -> new JsonObject().put("target", "vm");
                    default -> NONE;
                };
        try {
            client.request(untyped, arguments);
            return "typed";
        } catch (QmpException e) {
            return e.className() + ": " + e.description();
        } catch (QmpReplyException e) {
            return "misfit: " + e.getMessage();
        }
    }

    /** The query commands among the constants of the generated interfaces. */
    private static List<QmpCommand<?, ?>> queries() throws Exception {
        List<QmpCommand<?, ?>> result = new ArrayList<>();
        for (Class<?> module : Client.class.getInterfaces()) {
            Class<?> constants =
                    Class.forName(module.getName().replaceFirst("Client$", "Commands"));
            for (Field field : constants.getFields()) {
                if (field.get(null) instanceof QmpCommand<?, ?> command
                        && command.name().startsWith("query-")) {
                    result.add(command);
                }
            }
        }
        return result;
    }

    @Test
    void eventsComeTyped() throws Exception {
        try (Vm vm = Vm.start(arguments("-machine", "none"));
                QmpClient client = client(vm);
                EventQueue<StopEvent> stops = client.events(StopEvent.class);
                EventQueue<ShutdownEvent> ends = client.events(ShutdownEvent.class)) {
            BlockingQueue<EventMessage<ResumeEvent>> resumes = new LinkedBlockingQueue<>();
            client.on(ResumeEvent.class, resumes::add);
            client.execute(RunStateCommands.STOP);
            assertEquals(RunState.PAUSED, client.execute(RunStateCommands.QUERY_STATUS).status());
            assertEquals(1, client.history().size());
            client.execute(RunStateCommands.CONT);
            EventMessage<StopEvent> stop = stops.poll(Duration.ofSeconds(30));
            EventMessage<ResumeEvent> resume = resumes.poll(30, TimeUnit.SECONDS);
            assertNotNull(stop);
            assertNotNull(resume);
            assertTrue(!resume.time().isBefore(stop.time()));
            client.execute(ControlCommands.QUIT);
            EventMessage<ShutdownEvent> end = ends.poll(Duration.ofSeconds(30));
            assertNotNull(end);
            assertFalse(end.event().guest());
            assertEquals(0, vm.process().waitFor());
        }
    }

    @Test
    void errorsComeWithTheirClass() throws Exception {
        try (Vm vm = Vm.start(arguments("-machine", "none"));
                QmpClient client = client(vm)) {
            QmpException unknown =
                    assertThrows(QmpException.class, () -> client.execute("nosuch", NONE));
            assertEquals(ErrorClass.COMMAND_NOT_FOUND, unknown.errorClass());
            assertEquals("The command nosuch has not been found", unknown.description());
            JsonObject answer = client.send(new JsonObject().put("id", "z")).get();
            assertEquals(
                    "{\"id\": \"z\", \"error\": {\"class\": \"GenericError\", \"desc\": \"QMP input"
                            + " lacks member 'execute'\"}}",
                    answer.toString());
        }
    }

    @Test
    void thousandsOfCommandsAtOnce() throws Exception {
        try (Vm vm = Vm.start(arguments("-machine", "none"));
                QmpClient client = client(vm)) {
            List<CompletableFuture<JsonValue>> replies = new ArrayList<>();
            for (int i = 0; i < 5000; i++) {
                String path = i % 2 == 0 ? "/machine" : "/nonexistent" + i;
                replies.add(client.executeAsync("qom-list", new JsonObject().put("path", path)));
            }
            for (int i = 0; i < replies.size(); i++) {
                if (i % 2 == 0) {
                    assertTrue(((JsonArray) replies.get(i).get()).size() > 0);
                } else {
                    CompletableFuture<JsonValue> reply = replies.get(i);
                    ExecutionException e = assertThrows(ExecutionException.class, reply::get);
                    QmpException cause = assertInstanceOf(QmpException.class, e.getCause());
                    // Each its own: the id is what tells them apart.
                    assertEquals("Device '/nonexistent" + i + "' not found", cause.description());
                }
            }
        }
    }

    @Test
    void outOfBandOvertakesABusyMainLoop() throws Exception {
        Path fifo = directory.resolve("fifo");
        assertEquals(0, new ProcessBuilder("mkfifo", fifo.toString()).start().waitFor());
        try (Vm vm = Vm.start(arguments("-machine", "none"));
                QmpClient client = client(vm)) {
            // Opening a pipe that nobody else has open keeps the main loop where it is.
            CompletableFuture<JsonValue> stuck =
                    client.executeAsync(
                            "chardev-add",
                            (JsonObject)
                                    JsonStreamParser.parse(
                                            "{'id': 'c', 'backend': {'type': 'file', 'data':"
                                                    + " {'out': '"
                                                    + fifo
                                                    + "'}}}"));
            CompletableFuture<?> behind = client.executeAsync(RunStateCommands.QUERY_STATUS);
            assertNotNull(client.outOfBand().execute(YankCommands.QUERY_YANK));
            assertFalse(stuck.isDone());
            assertFalse(behind.isDone());
            try (var reader = Files.newInputStream(fifo)) {
                assertTrue(reader.available() >= 0);
                stuck.get();
                behind.get();
            }
            QmpException refused =
                    assertThrows(
                            QmpException.class,
                            () -> client.outOfBand().execute(RunStateCommands.QUERY_STATUS));
            assertEquals("The command query-status does not support OOB", refused.description());
        }
    }

    @Test
    void aKilledServerIsFoundAgain() throws Exception {
        QmpClient client;
        CompletableFuture<QmpGreeting> again;
        EventQueue<StopEvent> stops;
        try (Vm vm = Vm.start(arguments("-machine", "none"))) {
            client = client(vm);
            stops = client.events(StopEvent.class);
            CompletableFuture<QmpState> lost = new CompletableFuture<>();
            client.onState(
                    change -> {
                        if (change.state() == QmpState.WAITING) {
                            lost.complete(change.state());
                        }
                    });
            vm.process().destroyForcibly();
            lost.get(60, TimeUnit.SECONDS);
            assertThrows(
                    QmpConnectionException.class,
                    () -> client.execute(RunStateCommands.QUERY_STATUS));
            again = client.ready();
        }
        try (Vm vm = Vm.start(arguments("-machine", "none"))) {
            again.get(60, TimeUnit.SECONDS);
            assertTrue(vm.process().isAlive());
            client.execute(RunStateCommands.STOP);
            assertNotNull(stops.poll(Duration.ofSeconds(30)));
        }
        client.close();
    }

    @Test
    void descriptorsArePassed() throws Exception {
        Path image = Files.write(directory.resolve("disk.img"), new byte[65536]);
        try (Vm vm = Vm.start(arguments("-machine", "none"));
                QmpClient client =
                        client(
                                vm,
                                QmpClient.builder(QmpAddress.unix(socket()))
                                        .descriptorPassing(true));
                Descriptor file = Descriptor.open(image)) {
            QmpCaller passing = client.withDescriptors(file);
            List<CompletableFuture<JsonValue>> replies = new ArrayList<>();
            for (int i = 0; i < 20; i++) {
                JsonObject name = new JsonObject().put("fdname", "f" + i);
                replies.add(passing.executeAsync("getfd", name));
                replies.add(client.executeAsync("query-status", NONE));
            }
            for (CompletableFuture<JsonValue> reply : replies) {
                reply.get();
            }
            for (int i = 0; i < 20; i++) {
                client.execute("closefd", new JsonObject().put("fdname", "f" + i));
            }
            JsonObject set =
                    (JsonObject) passing.execute("add-fd", new JsonObject().put("fdset-id", 3));
            assertEquals("3", String.valueOf(set.get("fdset-id")));
            client.execute(
                    "blockdev-add",
                    (JsonObject)
                            JsonStreamParser.parse(
                                    "{'driver': 'file', 'node-name': 'n', 'read-only': true,"
                                            + " 'filename': '/dev/fdset/3'}"));
            assertTrue(
                    client.execute("query-named-block-nodes", NONE)
                            .toString()
                            .contains("\"virtual-size\": 65536"));
            QmpException without =
                    assertThrows(
                            QmpException.class,
                            () -> client.execute("getfd", new JsonObject().put("fdname", "x")));
            assertEquals("No file descriptor supplied via SCM_RIGHTS", without.description());
        }
    }

    @Test
    void descriptorsNeedToBeAskedFor() throws Exception {
        try (Vm vm = Vm.start(arguments("-machine", "none"));
                QmpClient client = client(vm)) {
            UnsupportedOperationException e =
                    assertThrows(
                            UnsupportedOperationException.class,
                            () ->
                                    client.withDescriptors(Descriptor.of(0))
                                            .execute("getfd", new JsonObject()));
            assertTrue(
                    String.valueOf(e.getMessage()).contains("descriptorPassing(true)"),
                    e.getMessage());
        }
    }

    @Test
    void aProgramSpeaksOnItsStandardStreams() throws Exception {
        QmpAddress address =
                QmpAddress.program(
                        Vm.qemu(), "-machine", "none", "-display", "none", "-qmp", "stdio");
        Process process;
        try (QmpClient client = QmpClient.builder(address).events(Event::read).connect()) {
            process = client.process();
            assertNotNull(process);
            assertTrue(client.execute(RunStateCommands.QUERY_STATUS).running());
        }
        assertFalse(process.isAlive());
        assertEquals(0, process.exitValue());
    }

    @Test
    void givenStreamsWillDo() throws Exception {
        Process process =
                new ProcessBuilder(
                                Vm.qemu(), "-machine", "none", "-display", "none", "-qmp", "stdio")
                        .start();
        QmpAddress streams =
                QmpAddress.streams(process.getInputStream(), process.getOutputStream());
        try (QmpClient client = QmpClient.connect(streams)) {
            client.execute(ControlCommands.QUIT);
            assertEquals(0, process.waitFor());
        }
    }

    @Test
    void tcpWillDo() throws Exception {
        int port;
        try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            port = free.getLocalPort();
        }
        try (Vm vm =
                        Vm.start(
                                "-machine",
                                "none",
                                "-qmp",
                                "tcp:127.0.0.1:" + port + ",server=on,wait=off");
                QmpClient client =
                        client(vm, QmpClient.builder(QmpAddress.tcp("127.0.0.1", port)))) {
            assertTrue(client.execute(RunStateCommands.QUERY_STATUS).running());
        }
    }

    @Test
    void aSecondClientIsToldWhy() throws Exception {
        try (Vm vm = Vm.start(arguments("-machine", "none"));
                QmpClient client = client(vm)) {
            QmpTimeoutException e =
                    assertThrows(
                            QmpTimeoutException.class,
                            () ->
                                    QmpClient.builder(QmpAddress.unix(socket()))
                                            .connectTimeout(Duration.ofMillis(300))
                                            .connect());
            assertTrue(
                    String.valueOf(e.getMessage()).contains("another client may be connected"),
                    e.getMessage());
            assertTrue(client.execute(RunStateCommands.QUERY_STATUS).running());
        }
    }
}
