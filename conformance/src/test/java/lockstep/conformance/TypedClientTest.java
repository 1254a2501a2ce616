package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.Client;
import lockstep.api.RunState;
import lockstep.api.ShutdownEvent;
import lockstep.api.StatusInfo;
import lockstep.api.StopEvent;
import lockstep.qmp.Backoff;
import lockstep.qmp.Descriptor;
import lockstep.qmp.EventMessage;
import lockstep.qmp.EventQueue;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonStreamParser;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpAddress;
import lockstep.qmp.QmpClient;
import lockstep.qmp.QmpCommand;
import lockstep.qmp.QmpConnectionException;
import lockstep.qmp.QmpException;
import lockstep.qmp.QmpGreeting;
import lockstep.qmp.QmpReply;
import lockstep.qmp.QmpReplyException;
import lockstep.qmp.QmpState;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.lang.reflect.Field;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** The typed client drives our own monitor; the schema is the same on both sides, so all must fit. */
@Timeout(120)
class TypedClientTest {
    @TempDir Path directory;

    private Path socket() {
        return directory.resolve("qmp.sock");
    }

    private Process start() throws IOException {
        return new ProcessBuilder(
                        Host.binary().toString(),
                        "-machine",
                        "none",
                        "-display",
                        "none",
                        "-qmp",
                        "unix:" + socket() + ",server=on,wait=off")
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
    }

    private static Client connect(QmpClient.Builder builder) {
        Backoff often = new Backoff(Duration.ofMillis(50), Duration.ofMillis(500), 1.5, 0.2);
        QmpClient client = builder.reconnect(often).start();
        client.ready().orTimeout(60, TimeUnit.SECONDS).join();
        return new Client(client);
    }

    private Client connect() {
        return connect(Client.builder(QmpAddress.unix(socket())));
    }

    private static void kill(Process vm) throws InterruptedException {
        vm.destroyForcibly().waitFor();
    }

    @Test
    void everyQueryFitsTheSchema() throws Exception {
        Process vm = start();
        try (Client client = connect()) {
            Map<String, String> misfits = new TreeMap<>();
            int typed = 0;
            for (Class<?> module : Client.class.getInterfaces()) {
                Class<?> constants =
                        Class.forName(module.getName().replaceFirst("Client$", "Commands"));
                for (Field field : constants.getFields()) {
                    if (field.get(null) instanceof QmpCommand<?, ?> command
                            && command.name().startsWith("query-")) {
                        String outcome = outcome(client, command);
                        if (outcome.startsWith("misfit")) {
                            misfits.put(command.name(), outcome);
                        }
                        typed += outcome.equals("typed") ? 1 : 0;
                    }
                }
            }
            assertEquals(Map.of(), misfits);
            assertTrue(typed > 15, "only " + typed + " queries succeeded");
        } finally {
            kill(vm);
        }
    }

    private static <A, R> String outcome(Client client, QmpCommand<A, R> command)
            throws IOException {
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
        try {
            QmpReply<R> reply = client.caller().request(untyped, new JsonObject());
            return reply.missing().isEmpty() && reply.unrecognized().isEmpty()
                    ? "typed"
                    : "misfit: " + reply.missing() + reply.unrecognized();
        } catch (QmpException e) {
            return e.description();
        } catch (QmpReplyException e) {
            return "misfit: " + e.getMessage();
        }
    }

    @Test
    void commandsAndEventsAreTyped() throws Exception {
        Process vm = start();
        try (Client client = connect();
                EventQueue<StopEvent> stops = client.qmp().events(StopEvent.class);
                EventQueue<ShutdownEvent> ends = client.qmp().events(ShutdownEvent.class)) {
            client.stop();
            assertEquals(RunState.PAUSED, client.queryStatus().status());
            assertNotNull(stops.poll(Duration.ofSeconds(30)));
            List<CompletableFuture<StatusInfo>> replies = new ArrayList<>();
            for (int i = 0; i < 5000; i++) {
                replies.add(client.queryStatusAsync());
            }
            for (CompletableFuture<StatusInfo> reply : replies) {
                assertFalse(reply.get().running());
            }
            client.quit();
            EventMessage<ShutdownEvent> end = ends.poll(Duration.ofSeconds(30));
            assertNotNull(end);
            assertFalse(end.event().guest());
            assertEquals(0, vm.waitFor());
        } finally {
            kill(vm);
        }
    }

    @Test
    void outOfBandOvertakesABusyMainLoop() throws Exception {
        Path fifo = directory.resolve("fifo");
        Host.run("mkfifo", fifo.toString());
        Process vm = start();
        try (Client client = connect()) {
            // Opening a pipe that nobody else has open keeps the main loop where it is.
            CompletableFuture<JsonValue> stuck =
                    client.caller()
                            .executeAsync(
                                    "chardev-add",
                                    (JsonObject)
                                            JsonStreamParser.parse(
                                                    "{'id': 'c', 'backend': {'type': 'file',"
                                                            + " 'data': {'out': '"
                                                            + fifo
                                                            + "'}}}"));
            CompletableFuture<StatusInfo> behind = client.queryStatusAsync();
            assertNotNull(client.outOfBand().queryYank());
            assertFalse(behind.isDone());
            assertFalse(stuck.isDone());
            Files.newInputStream(fifo).close();
            stuck.get();
            assertTrue(behind.get().running());
        } finally {
            kill(vm);
        }
    }

    @Test
    void aKilledMonitorIsFoundAgain() throws Exception {
        Process vm = start();
        try (Client client = connect()) {
            kill(vm);
            Host.await(
                    "the client notices",
                    Duration.ofSeconds(60),
                    () -> client.qmp().state() != QmpState.CONNECTED);
            assertThrows(QmpConnectionException.class, client::queryStatus);
            CompletableFuture<QmpGreeting> again = client.qmp().ready();
            vm = start();
            again.get(60, TimeUnit.SECONDS);
            assertTrue(client.queryStatus().running());
        } finally {
            kill(vm);
        }
    }

    @Test
    void descriptorsArePassed() throws Exception {
        Path file = Files.writeString(directory.resolve("file"), "x");
        Process vm = start();
        try (Client client =
                        connect(Client.builder(QmpAddress.unix(socket())).descriptorPassing(true));
                Descriptor descriptor = Descriptor.open(file)) {
            JsonObject name = new JsonObject().put("fdname", "f");
            client.withDescriptors(descriptor).caller().execute("getfd", name);
            client.caller().execute("closefd", name);
            assertThrows(QmpException.class, () -> client.caller().execute("closefd", name));
        } finally {
            kill(vm);
        }
    }

    @Test
    void aProgramSpeaksOnItsStandardStreams() throws Exception {
        Process process;
        try (Client client =
                Client.connect(
                        QmpAddress.program(
                                Host.binary().toString(),
                                "-machine",
                                "none",
                                "-display",
                                "none",
                                "-qmp",
                                "stdio"))) {
            process = client.qmp().process();
            assertNotNull(process);
            assertTrue(client.queryStatus().running());
        }
        assertFalse(process.isAlive());
        assertEquals(0, process.exitValue());
    }
}
