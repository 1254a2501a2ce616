package lockstep.qmp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.Event;
import lockstep.api.RunState;
import lockstep.api.RunStateCommands;
import lockstep.api.StatusInfo;
import lockstep.api.StopEvent;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** The client against a server that does what real ones do rarely. */
@Timeout(60)
class QmpClientTest {
    private static final JsonObject NONE = new JsonObject();
    private static final String STOP =
            "{\"timestamp\": {\"seconds\": 5, \"microseconds\": 7}, \"event\": \"STOP\"}\r\n";

    @TempDir Path directory;
    private FakeServer server;
    private final ManualTimer timer = new ManualTimer();

    @BeforeEach
    void listen() {
        server = new FakeServer(directory);
    }

    @AfterEach
    void stopListening() {
        server.close();
    }

    private QmpClient.Builder builder() {
        return QmpClient.builder(server.address()).events(Event::read);
    }

    /** A client and the server's end of its connection. */
    private record Pair(QmpClient client, FakeServer.Peer peer) implements AutoCloseable {
        @Override
        public void close() {
            client.close();
            peer.close();
        }
    }

    private Pair pair(QmpClient.Builder builder) {
        QmpClient client = builder.start();
        FakeServer.Peer peer = server.negotiate();
        client.ready().join();
        return new Pair(client, peer);
    }

    private static <T extends Throwable> T failure(Class<T> type, CompletableFuture<?> future) {
        return assertInstanceOf(
                type, assertThrows(ExecutionException.class, future::get).getCause());
    }

    @Test
    void aConnectionIsGreetedAndNegotiated() {
        QmpClient client = builder().start();
        FakeServer.Peer peer = server.accept();
        peer.send(FakeServer.GREETING);
        JsonObject request = peer.request();
        assertEquals("\"qmp_capabilities\"", String.valueOf(request.get("execute")));
        assertEquals("{\"enable\": [\"oob\"]}", String.valueOf(request.get("arguments")));
        assertEquals(QmpState.CONNECTING, client.state());
        peer.answer(request, "{}");
        QmpGreeting greeting = client.ready().join();
        assertEquals("9.1.2", greeting.version());
        assertEquals("p", greeting.packageVersion());
        assertEquals(List.of("oob"), greeting.capabilities());
        assertEquals(QmpState.CONNECTED, client.state());
        client.close();
        assertTrue(peer.ended());
        assertEquals(QmpState.CLOSED, client.state());
    }

    @Test
    void anEventMayComeBeforeTheGreeting() throws Exception {
        QmpClient client = builder().start();
        EventQueue<StopEvent> queue = client.events(StopEvent.class);
        FakeServer.Peer peer = server.accept();
        peer.send(STOP);
        EventMessage<StopEvent> message = queue.poll(Duration.ofSeconds(30));
        assertNotNull(message);
        assertEquals(Instant.ofEpochSecond(5, 7000), message.time());
        peer.send(FakeServer.GREETING);
        peer.answer(peer.request(), "{}");
        client.ready().join();
        assertEquals(1, client.history().size());
        client.close();
    }

    @Test
    void aMessageMayComeInAnyPieces() throws Exception {
        try (Pair pair = pair(builder())) {
            CompletableFuture<JsonValue> reply = pair.client.executeAsync("x", NONE);
            JsonObject request = pair.peer.request();
            String text = "{\"return\":\n\t{\"s\": \"é€😀\"},\n\"id\": " + request.get("id") + "}";
            for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
                pair.peer.send(new byte[] {b});
            }
            assertEquals(new JsonObject().put("s", "é€😀"), reply.get());
            // And several in one piece.
            CompletableFuture<JsonValue> first = pair.client.executeAsync("x", NONE);
            CompletableFuture<JsonValue> second = pair.client.executeAsync("x", NONE);
            String ids =
                    "{\"return\":1,\"id\":%s}{\"return\":2,\"id\":%s}"
                            .formatted(
                                    pair.peer.request().get("id"), pair.peer.request().get("id"));
            pair.peer.send(ids);
            assertEquals("1 2", first.get() + " " + second.get());
        }
    }

    @Test
    void argumentsAreSentAsUtf8() {
        try (Pair pair = pair(builder())) {
            JsonObject arguments = new JsonObject().put("päth", "\u20ac\ud83d\ude00\n\"");
            CompletableFuture<JsonValue> reply = pair.client.executeAsync("open", arguments);
            JsonObject request = pair.peer.request();
            assertEquals(arguments, request.get("arguments"));
            pair.peer.answer(request, "\"ok\"");
            assertEquals(new JsonString("ok"), reply.join());
        }
    }

    @Test
    void repliesMayOvertake() throws Exception {
        try (Pair pair = pair(builder())) {
            CompletableFuture<JsonValue> slow = pair.client.executeAsync("slow", NONE);
            CompletableFuture<JsonValue> fast = pair.client.executeAsync("fast", NONE);
            JsonObject first = pair.peer.request();
            JsonObject second = pair.peer.request();
            pair.peer.answer(second, "2");
            assertEquals("2", fast.get().toString());
            assertFalse(slow.isDone());
            pair.peer.answer(first, "1");
            assertEquals("1", slow.get().toString());
        }
    }

    @Test
    void whatNobodyWaitsForIsPassedOver() throws Exception {
        BlockingQueue<QmpMessage> messages = new LinkedBlockingQueue<>();
        try (Pair pair = pair(builder());
                Subscription tap = pair.client.onMessage(messages::add)) {
            pair.peer.send(
                    "{\"return\": 1, \"id\": 999}{\"return\": 1, \"id\": \"x\"}{\"odd\": 1}[]");
            CompletableFuture<JsonValue> reply = pair.client.executeAsync("x", NONE);
            pair.peer.answer(pair.peer.request(), "{}");
            reply.get();
            List<String> seen = new ArrayList<>();
            for (int i = 0; i < 6; i++) {
                QmpMessage message = messages.poll(30, TimeUnit.SECONDS);
                assertNotNull(message);
                seen.add(
                        message.direction() == QmpMessage.Direction.SENT
                                ? "sent"
                                : message.json().toString());
            }
            assertTrue(seen.containsAll(List.of("sent", "{\"odd\": 1}", "[]")), seen.toString());
            assertEquals(0, tap.dropped());
        }
    }

    @Test
    void errorsHaveClassAndDescription() {
        try (Pair pair = pair(builder())) {
            CompletableFuture<JsonValue> reply = pair.client.executeAsync("x", NONE);
            pair.peer.send(
                    "{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"no\"}, \"id\": "
                            + pair.peer.request().get("id")
                            + "}");
            QmpException known = failure(QmpException.class, reply);
            assertEquals(ErrorClass.DEVICE_NOT_FOUND, known.errorClass());
            assertEquals("no", known.description());
            reply = pair.client.executeAsync("x", NONE);
            pair.peer.send(
                    "{\"error\": {\"class\": \"NewClass\", \"desc\": \"no\"}, \"id\": "
                            + pair.peer.request().get("id")
                            + "}");
            QmpException unknown = failure(QmpException.class, reply);
            assertEquals(ErrorClass.GENERIC_ERROR, unknown.errorClass());
            assertEquals("NewClass", unknown.className());
        }
    }

    @Test
    void anErrorWithoutIdIsForTheOldestCommand() {
        try (Pair pair = pair(builder())) {
            CompletableFuture<JsonValue> first = pair.client.executeAsync("first", NONE);
            CompletableFuture<JsonValue> second = pair.client.executeAsync("second", NONE);
            pair.peer.request();
            JsonObject request = pair.peer.request();
            pair.peer.send(
                    "{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON token size limit"
                            + " exceeded\"}}");
            assertEquals(
                    "JSON token size limit exceeded",
                    failure(QmpException.class, first).description());
            pair.peer.answer(request, "2");
            assertEquals("2", second.join().toString());
        }
    }

    @Test
    void aReplyMayBeHuge() throws Exception {
        try (Pair pair = pair(builder())) {
            CompletableFuture<JsonValue> reply = pair.client.executeAsync("x", NONE);
            StringBuilder text = new StringBuilder("{\"list\": [0");
            for (int i = 0; i < 2_500_000; i++) {
                text.append(", 1"); // more elements than QEMU's own reader takes
            }
            text.append("], \"text\": \"").append("é".repeat(10_000_000)).append("\"}");
            pair.peer.answer(pair.peer.request(), text.toString());
            JsonObject value = assertInstanceOf(JsonObject.class, reply.get());
            assertEquals(2_500_001, assertInstanceOf(JsonArray.class, value.get("list")).size());
            assertEquals(
                    10_000_000,
                    assertInstanceOf(JsonString.class, value.get("text")).value().length());
        }
    }

    @Test
    void whatDoesNotFitTheSchemaSaysWhere() {
        try (Pair pair = pair(builder())) {
            CompletableFuture<StatusInfo> reply =
                    pair.client.executeAsync(RunStateCommands.QUERY_STATUS);
            pair.peer.answer(pair.peer.request(), "{\"running\": 1, \"status\": \"running\"}");
            QmpReplyException e = failure(QmpReplyException.class, reply);
            assertTrue(String.valueOf(e.getMessage()).contains("'query-status'"), e.getMessage());
            assertTrue(String.valueOf(e.getMessage()).contains("'running'"), e.getMessage());
            assertEquals("{\"status\": \"running\", \"running\": 1}", e.raw().toString());
        }
    }

    @Test
    void aLostConnectionFailsWhatWasUnderWay() {
        QmpClient client = builder().start();
        FakeServer.Peer peer = server.negotiate();
        client.ready().join();
        CompletableFuture<JsonValue> reply = client.executeAsync("device_add", NONE);
        JsonObject request = peer.request();
        peer.send("{\"return\": {\"half\": \"of a repl");
        peer.close();
        QmpConnectionException e = failure(QmpConnectionException.class, reply);
        assertTrue(e.outcomeUnknown());
        assertTrue(
                String.valueOf(e.getMessage()).contains("its outcome is unknown"), e.getMessage());
        assertNotNull(request);
        QmpConnectionException late =
                assertThrows(QmpConnectionException.class, () -> client.execute("x", NONE));
        assertFalse(late.outcomeUnknown());
        assertEquals(QmpState.CLOSED, client.state());
    }

    @Test
    void whatIsNotJsonEndsTheConnection() {
        QmpClient client = builder().start();
        FakeServer.Peer peer = server.negotiate();
        client.ready().join();
        CompletableFuture<JsonValue> reply = client.executeAsync("x", NONE);
        peer.request();
        peer.send("{\"return\" 5}\n");
        QmpConnectionException e = failure(QmpConnectionException.class, reply);
        assertTrue(String.valueOf(e.getMessage()).contains("not JSON"), e.getMessage());
        assertTrue(peer.ended());
    }

    @Test
    void closingFailsWhatWasUnderWay() {
        try (Pair pair = pair(builder())) {
            CompletableFuture<JsonValue> reply = pair.client.executeAsync("x", NONE);
            pair.peer.request();
            pair.client.close();
            pair.client.close();
            QmpConnectionException e = failure(QmpConnectionException.class, reply);
            assertTrue(e.outcomeUnknown());
            assertTrue(
                    String.valueOf(e.getMessage()).startsWith("The client was closed"),
                    e.getMessage());
        }
    }

    @Test
    void aSlowListenerLosesTheOldestEventsAndDelaysNobody() throws Exception {
        CountDownLatch entered = new CountDownLatch(1);
        CountDownLatch release = new CountDownLatch(1);
        BlockingQueue<EventMessage<QmpEvent>> got = new LinkedBlockingQueue<>();
        try (Pair pair = pair(builder().queueCapacity(3).history(5))) {
            Subscription slow =
                    pair.client.on(
                            QmpEvent.class,
                            message -> {
                                got.add(message);
                                entered.countDown();
                                try {
                                    release.await();
                                } catch (InterruptedException e) {
                                    throw new AssertionError(e);
                                }
                            });
            pair.peer.send(event(0));
            entered.await();
            for (int i = 1; i <= 10; i++) {
                pair.peer.send(event(i));
            }
            CompletableFuture<JsonValue> reply = pair.client.executeAsync("x", NONE);
            pair.peer.answer(pair.peer.request(), "1");
            assertEquals("1", reply.get().toString()); // while the listener still blocks
            release.countDown();
            List<String> names = new ArrayList<>();
            long missed = 0;
            for (int i = 0; i < 4; i++) {
                EventMessage<QmpEvent> message = got.poll(30, TimeUnit.SECONDS);
                assertNotNull(message);
                names.add(message.event().eventName());
                missed += message.missed();
            }
            assertEquals(List.of("E0", "E8", "E9", "E10"), names);
            assertEquals(7, missed);
            assertEquals(7, slow.dropped());
            assertEquals(
                    List.of("E6", "E7", "E8", "E9", "E10"),
                    pair.client.history().stream().map(m -> m.event().eventName()).toList());
        }
    }

    private static String event(int i) {
        return "{\"event\": \"E%d\", \"data\": {\"i\": %d}}\r\n".formatted(i, i);
    }

    @Test
    void listenersGetWhatTheyAskFor() throws Exception {
        BlockingQueue<EventMessage<StopEvent>> stops = new LinkedBlockingQueue<>();
        BlockingQueue<EventMessage<QmpEvent>> unknown = new LinkedBlockingQueue<>();
        try (Pair pair = pair(builder())) {
            pair.client.on(
                    QmpEvent.class,
                    message -> {
                        throw new IllegalStateException("a listener that fails");
                    });
            pair.client.on(StopEvent.class, stops::add);
            pair.client.on("E7", unknown::add);
            EventQueue<QmpEvent> queue =
                    pair.client.events(QmpEvent.class, e -> !e.eventName().equals("STOP"));
            pair.peer.send(event(1) + STOP + event(7));
            assertNotNull(stops.poll(30, TimeUnit.SECONDS));
            EventMessage<QmpEvent> message = unknown.poll(30, TimeUnit.SECONDS);
            assertNotNull(message);
            UnknownEvent event = assertInstanceOf(UnknownEvent.class, message.event());
            assertEquals(new JsonObject().put("i", 7), event.data());
            assertEquals("E1", name(queue.poll(Duration.ofSeconds(30))));
            assertEquals("E7", name(queue.poll(Duration.ofSeconds(30))));
            assertEquals("", name(queue.poll(Duration.ZERO)));
            pair.client.close();
            assertEquals("", name(queue.poll(Duration.ofDays(1))));
        }
    }

    private static String name(@org.jspecify.annotations.Nullable EventMessage<?> message) {
        return message == null ? "" : message.event().eventName();
    }

    @Test
    void aListenerMayRunCommandsAndClose() throws Exception {
        CompletableFuture<String> result = new CompletableFuture<>();
        try (Pair pair = pair(builder())) {
            pair.client.on(
                    StopEvent.class,
                    message -> {
                        try {
                            result.complete(pair.client.execute("x", NONE).toString());
                        } catch (QmpException | IOException e) {
                            result.completeExceptionally(e);
                        }
                        pair.client.close();
                    });
            pair.peer.send(STOP);
            pair.peer.answer(pair.peer.request(), "5");
            assertEquals("5", result.get());
            assertTrue(pair.peer.ended());
        }
    }

    @Test
    void chainedWorkMayBlock() throws Exception {
        try (Pair pair = pair(builder())) {
            CompletableFuture<String> chained =
                    pair.client
                            .executeAsync("first", NONE)
                            .thenApply(
                                    first -> {
                                        try {
                                            return first + " " + pair.client.execute("2nd", NONE);
                                        } catch (QmpException | IOException e) {
                                            throw new IllegalStateException(e);
                                        }
                                    });
            pair.peer.answer(pair.peer.request(), "1");
            pair.peer.answer(pair.peer.request(), "2");
            assertEquals("1 2", chained.get());
        }
    }

    @Test
    void aCallHasATimeLimit() throws Exception {
        try (Pair pair = pair(builder().timer(timer).timeout(Duration.ofSeconds(3)))) {
            assertEquals(0, timer.pending()); // the limit for connecting is cancelled
            CompletableFuture<JsonValue> slow = pair.client.executeAsync("slow", NONE);
            ManualTimer.Task task = timer.next();
            assertEquals(Duration.ofSeconds(3), task.delay());
            JsonObject request = pair.peer.request();
            task.action().run();
            QmpTimeoutException e = failure(QmpTimeoutException.class, slow);
            assertEquals(
                    "No reply to 'slow' within PT3S; it may still be carried out", e.getMessage());
            pair.peer.answer(request, "1"); // late, and dropped
            CompletableFuture<JsonValue> next =
                    pair.client.withTimeout(Duration.ofSeconds(9)).executeAsync("next", NONE);
            assertEquals(Duration.ofSeconds(9), timer.next().delay());
            pair.peer.answer(pair.peer.request(), "2");
            assertEquals("2", next.get().toString());
            CompletableFuture<JsonValue> unlimited =
                    pair.client.withTimeout(Duration.ZERO).executeAsync("unlimited", NONE);
            assertEquals(0, timer.pending());
            pair.peer.answer(pair.peer.request(), "3");
            assertEquals("3", unlimited.get().toString());
        }
    }

    @Test
    void connectingHasATimeLimit() {
        QmpClient client = builder().timer(timer).connectTimeout(Duration.ofSeconds(4)).start();
        FakeServer.Peer peer = server.accept();
        ManualTimer.Task task = timer.next();
        assertEquals(Duration.ofSeconds(4), task.delay());
        task.action().run();
        QmpTimeoutException e = failure(QmpTimeoutException.class, client.ready());
        assertTrue(
                String.valueOf(e.getMessage()).startsWith("No greeting from unix:"),
                e.getMessage());
        assertTrue(peer.ended());
        assertEquals(QmpState.CLOSED, client.state());
    }

    @Test
    void connectSaysWhatFailed() {
        QmpAddress nowhere = QmpAddress.unix(directory.resolve("none"));
        IOException e = assertThrows(IOException.class, () -> QmpClient.connect(nowhere));
        assertTrue(
                String.valueOf(e.getMessage()).startsWith("Cannot connect to unix:"),
                e.getMessage());
    }

    @Test
    void aCancelledCommandIsNotSentIfItWasNot() throws Exception {
        try (Pair pair = pair(builder())) {
            List<CompletableFuture<JsonValue>> calls = new ArrayList<>();
            for (int i = 0; i < 9; i++) {
                calls.add(pair.client.executeAsync("c" + i, NONE));
            }
            calls.get(7).cancel(false); // waits for its place in the server's queue
            List<JsonObject> requests = new ArrayList<>();
            for (int i = 0; i < 7; i++) {
                requests.add(pair.peer.request());
            }
            pair.peer.answer(requests.getFirst(), "0");
            assertEquals("\"c8\"", String.valueOf(pair.peer.request().get("execute")));
        }
    }

    @Test
    void outOfBandGoesFirstAndFindsRoom() throws Exception {
        try (Pair pair = pair(builder())) {
            for (int i = 0; i < 20; i++) {
                pair.client.executeAsync("c" + i, NONE);
            }
            List<JsonObject> requests = new ArrayList<>();
            for (int i = 0; i < SendQueue.WINDOW; i++) {
                requests.add(pair.peer.request());
            }
            CompletableFuture<JsonValue> urgent =
                    pair.client.outOfBand().executeAsync("yank", NONE);
            JsonObject request = pair.peer.request();
            assertEquals("\"yank\"", String.valueOf(request.get("exec-oob")));
            pair.peer.answer(request, "{}");
            urgent.get();
            pair.peer.answer(requests.getFirst(), "{}");
            assertEquals("\"c7\"", String.valueOf(pair.peer.request().get("execute")));
        }
        QmpClient client = builder().outOfBand(false).start();
        FakeServer.Peer peer = server.negotiate();
        client.ready().join();
        assertThrows(
                UnsupportedOperationException.class,
                () -> client.outOfBand().executeAsync("yank", NONE));
        client.close();
        peer.close();
    }

    @Test
    void anythingCanBeSent() throws Exception {
        try (Pair pair = pair(builder())) {
            JsonObject odd = new JsonObject().put("no", "command").put("id", "mine");
            CompletableFuture<JsonObject> answer = pair.client.send(odd);
            JsonObject request = pair.peer.request();
            assertEquals(new JsonString("command"), request.get("no"));
            pair.peer.send(
                    "{\"id\": %s, \"error\": {\"class\": \"GenericError\", \"desc\": \"d\"}}"
                            .formatted(request.get("id")));
            assertEquals(
                    JsonStreamParser.parse(
                            "{'id': 'mine', 'error': {'class': 'GenericError', 'desc': 'd'}}"),
                    answer.get());
        }
    }

    @Test
    void aCommandWithoutReplyIsDoneWhenSent() throws Exception {
        QmpCommand<Empty, Empty> silent =
                new QmpCommand<>(
                        "guest-shutdown",
                        Empty::read,
                        Empty::write,
                        Empty::read,
                        Empty::write,
                        false,
                        false,
                        false);
        try (Pair pair = pair(builder())) {
            pair.client.execute(silent);
            assertEquals("\"guest-shutdown\"", String.valueOf(pair.peer.request().get("execute")));
        }
    }

    @Test
    void aLostConnectionIsMadeAgain() throws Exception {
        Backoff backoff = new Backoff(Duration.ofSeconds(1), Duration.ofSeconds(3), 2, 0);
        BlockingQueue<QmpStateChange> changes = new LinkedBlockingQueue<>();
        QmpClient client = builder().timer(timer).reconnect(backoff).start();
        client.onState(changes::add);
        FakeServer.Peer peer = server.negotiate();
        client.ready().join();
        EventQueue<StopEvent> queue = client.events(StopEvent.class);
        awaitState(changes, QmpState.CONNECTED);
        CompletableFuture<JsonValue> lost =
                client.withTimeout(Duration.ZERO).executeAsync("x", NONE);
        peer.request();
        server.close();
        peer.close();
        assertTrue(failure(QmpConnectionException.class, lost).outcomeUnknown());
        List<Duration> delays = new ArrayList<>();
        for (int i = 1; i <= 3; i++) {
            QmpStateChange waiting = awaitState(changes, QmpState.WAITING);
            assertEquals(i, waiting.attempt());
            assertNotNull(waiting.cause());
            ManualTimer.Task task = timer.next();
            assertEquals(waiting.delay(), task.delay());
            delays.add(task.delay());
            if (i == 3) {
                java.nio.file.Files.delete(directory.resolve("fake.sock"));
                server = new FakeServer(directory);
            }
            task.action().run();
        }
        assertEquals(
                List.of(Duration.ofSeconds(1), Duration.ofSeconds(2), Duration.ofSeconds(3)),
                delays);
        CompletableFuture<QmpGreeting> ready = client.ready();
        assertFalse(ready.isDone());
        QmpConnectionException early =
                assertThrows(QmpConnectionException.class, () -> client.execute("x", NONE));
        assertFalse(early.outcomeUnknown());
        try (FakeServer.Peer again = server.negotiate()) {
            ready.get();
            again.send(STOP);
            assertNotNull(queue.poll(Duration.ofSeconds(30))); // listeners stay
            CompletableFuture<JsonValue> reply = client.executeAsync("x", NONE);
            again.answer(again.request(), "1");
            assertEquals("1", reply.get().toString());
        }
        awaitState(changes, QmpState.WAITING);
        client.close();
        awaitState(changes, QmpState.CLOSED);
        assertTrue(client.ready().isCompletedExceptionally());
    }

    private static QmpStateChange awaitState(BlockingQueue<QmpStateChange> changes, QmpState state)
            throws InterruptedException {
        while (true) {
            QmpStateChange change = changes.poll(30, TimeUnit.SECONDS);
            assertNotNull(change, "no change to " + state);
            if (change.state() == state) {
                return change;
            }
        }
    }

    @Test
    void delaysGrowAndVaryBySeed() {
        Backoff backoff = new Backoff(Duration.ofMillis(100), Duration.ofSeconds(1), 3, 0.5);
        java.util.Random random = new java.util.Random(7);
        java.util.Random same = new java.util.Random(7);
        for (int attempt = 1; attempt < 9; attempt++) {
            double full = Math.min(1e9, 1e8 * Math.pow(3, attempt - 1.0));
            long delay = backoff.delay(attempt, random).toNanos();
            assertTrue(delay > full / 2 - 1 && delay <= full, attempt + ": " + delay);
            assertEquals(delay, backoff.delay(attempt, same).toNanos());
        }
    }

    @Test
    void unknownValuesOfARunStateSurvive() throws Exception {
        try (Pair pair = pair(builder())) {
            CompletableFuture<QmpReply<StatusInfo>> reply =
                    pair.client.requestAsync(RunStateCommands.QUERY_STATUS, Empty.EMPTY);
            pair.peer.answer(
                    pair.peer.request(),
                    "{\"running\": true, \"status\": \"running\", \"new-member\": [1]}");
            assertEquals(RunState.RUNNING, reply.get().value().status());
            assertEquals("[1]", String.valueOf(reply.get().unrecognized().get("new-member")));
        }
    }

    @Test
    void anOlderServerIsUnderstood() throws Exception {
        try (Pair pair = pair(builder())) {
            CompletableFuture<QmpReply<List<lockstep.api.BlockInfo>>> reply =
                    pair.client.requestAsync(
                            lockstep.api.BlockCoreCommands.QUERY_BLOCK, Empty.EMPTY);
            pair.peer.answer(
                    pair.peer.request(),
                    "[{\"device\": \"d\", \"type\": \"x\", \"removable\": true}]");
            assertTrue(reply.get().value().getFirst().removable());
            assertFalse(reply.get().value().getFirst().locked());
            assertEquals(List.of("[0].locked"), reply.get().missing());
        }
    }

    @Test
    void addressesAreRead() {
        assertEquals(QmpAddress.unix(Path.of("/run/a:b")), QmpAddress.parse("/run/a:b"));
        assertEquals(QmpAddress.unix(Path.of("sock")), QmpAddress.parse("sock"));
        assertEquals(QmpAddress.unix(Path.of("x:1")), QmpAddress.parse("unix:x:1"));
        assertEquals(QmpAddress.tcp("h", 4444), QmpAddress.parse("h:4444"));
        assertEquals(QmpAddress.tcp("::1", 4444), QmpAddress.parse("tcp:[::1]:4444"));
        assertEquals(QmpAddress.tcp("localhost", 5), QmpAddress.parse(":5"));
        assertEquals("tcp:[::1]:4444", QmpAddress.tcp("::1", 4444).toString());
        for (String wrong : List.of("", "h:x", "tcp:h", "tcp:h:0", "h:70000")) {
            assertThrows(IllegalArgumentException.class, () -> QmpAddress.parse(wrong), wrong);
        }
    }
}
