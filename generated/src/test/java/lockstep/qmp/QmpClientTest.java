package lockstep.qmp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.RunState;
import lockstep.api.RunStateCommands;
import lockstep.api.StatusInfo;
import lockstep.api.StopEvent;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** Commands, replies and events of the client, with a server that does what real ones do rarely. */
class QmpClientTest extends AgainstFakeServer {
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
            CompletableFuture<JsonValue> reply = pair.client().executeAsync("x", NONE);
            JsonObject request = pair.peer().request();
            String text = "{\"return\":\n\t{\"s\": \"é€😀\"},\n\"id\": " + request.get("id") + "}";
            for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
                pair.peer().send(new byte[] {b});
            }
            assertEquals(new JsonObject().put("s", "é€😀"), reply.get());
            // And several in one piece.
            CompletableFuture<JsonValue> first = pair.client().executeAsync("x", NONE);
            CompletableFuture<JsonValue> second = pair.client().executeAsync("x", NONE);
            String ids =
                    "{\"return\":1,\"id\":%s}{\"return\":2,\"id\":%s}"
                            .formatted(
                                    pair.peer().request().get("id"),
                                    pair.peer().request().get("id"));
            pair.peer().send(ids);
            assertEquals("1 2", first.get() + " " + second.get());
        }
    }

    @Test
    void argumentsAreSentAsUtf8() {
        try (Pair pair = pair(builder())) {
            JsonObject arguments = new JsonObject().put("päth", "\u20ac\ud83d\ude00\n\"");
            CompletableFuture<JsonValue> reply = pair.client().executeAsync("open", arguments);
            JsonObject request = pair.peer().request();
            assertEquals(arguments, request.get("arguments"));
            pair.peer().answer(request, "\"ok\"");
            assertEquals(new JsonString("ok"), reply.join());
        }
    }

    @Test
    void repliesMayOvertake() throws Exception {
        try (Pair pair = pair(builder())) {
            CompletableFuture<JsonValue> slow = pair.client().executeAsync("slow", NONE);
            CompletableFuture<JsonValue> fast = pair.client().executeAsync("fast", NONE);
            JsonObject first = pair.peer().request();
            JsonObject second = pair.peer().request();
            pair.peer().answer(second, "2");
            assertEquals("2", fast.get().toString());
            assertFalse(slow.isDone());
            pair.peer().answer(first, "1");
            assertEquals("1", slow.get().toString());
        }
    }

    @Test
    void whatNobodyWaitsForIsPassedOver() throws Exception {
        BlockingQueue<QmpMessage> messages = new LinkedBlockingQueue<>();
        try (Pair pair = pair(builder());
                Subscription tap = pair.client().onMessage(messages::add)) {
            pair.peer()
                    .send(
                            "{\"return\": 1, \"id\": 999}{\"return\": 1, \"id\": \"x\"}{\"odd\":"
                                    + " 1}[]");
            CompletableFuture<JsonValue> reply = pair.client().executeAsync("x", NONE);
            pair.peer().answer(pair.peer().request(), "{}");
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
            CompletableFuture<JsonValue> reply = pair.client().executeAsync("x", NONE);
            pair.peer()
                    .send(
                            "{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"no\"}, \"id\":"
                                    + " "
                                    + pair.peer().request().get("id")
                                    + "}");
            QmpException known = failure(QmpException.class, reply);
            assertEquals(ErrorClass.DEVICE_NOT_FOUND, known.errorClass());
            assertEquals("no", known.description());
            reply = pair.client().executeAsync("x", NONE);
            pair.peer()
                    .send(
                            "{\"error\": {\"class\": \"NewClass\", \"desc\": \"no\"}, \"id\": "
                                    + pair.peer().request().get("id")
                                    + "}");
            QmpException unknown = failure(QmpException.class, reply);
            assertEquals(ErrorClass.GENERIC_ERROR, unknown.errorClass());
            assertEquals("NewClass", unknown.className());
        }
    }

    @Test
    void anErrorWithoutIdIsForTheOldestCommand() {
        try (Pair pair = pair(builder())) {
            CompletableFuture<JsonValue> first = pair.client().executeAsync("first", NONE);
            CompletableFuture<JsonValue> second = pair.client().executeAsync("second", NONE);
            pair.peer().request();
            JsonObject request = pair.peer().request();
            pair.peer()
                    .send(
                            "{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON token size"
                                    + " limit exceeded\"}}");
            assertEquals(
                    "JSON token size limit exceeded",
                    failure(QmpException.class, first).description());
            pair.peer().answer(request, "2");
            assertEquals("2", second.join().toString());
        }
    }

    @Test
    void aReplyMayBeHuge() throws Exception {
        try (Pair pair = pair(builder())) {
            CompletableFuture<JsonValue> reply = pair.client().executeAsync("x", NONE);
            StringBuilder text = new StringBuilder("{\"list\": [0");
            for (int i = 0; i < 2_500_000; i++) {
                text.append(", 1"); // more elements than QEMU's own reader takes
            }
            text.append("], \"text\": \"").append("é".repeat(10_000_000)).append("\"}");
            pair.peer().answer(pair.peer().request(), text.toString());
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
                    pair.client().executeAsync(RunStateCommands.QUERY_STATUS);
            pair.peer().answer(pair.peer().request(), "{\"running\": 1, \"status\": \"running\"}");
            QmpReplyException e = failure(QmpReplyException.class, reply);
            assertTrue(String.valueOf(e.getMessage()).contains("'query-status'"), e.getMessage());
            assertTrue(String.valueOf(e.getMessage()).contains("'running'"), e.getMessage());
            assertEquals("{\"status\": \"running\", \"running\": 1}", e.raw().toString());
        }
    }

    @Test
    void aSlowListenerLosesTheOldestEventsAndDelaysNobody() throws Exception {
        CountDownLatch entered = new CountDownLatch(1);
        CountDownLatch release = new CountDownLatch(1);
        BlockingQueue<EventMessage<QmpEvent>> got = new LinkedBlockingQueue<>();
        try (Pair pair = pair(builder().queueCapacity(3).history(5))) {
            Subscription slow =
                    pair.client()
                            .on(
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
            pair.peer().send(event(0));
            entered.await();
            for (int i = 1; i <= 10; i++) {
                pair.peer().send(event(i));
            }
            CompletableFuture<JsonValue> reply = pair.client().executeAsync("x", NONE);
            pair.peer().answer(pair.peer().request(), "1");
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
                    pair.client().history().stream().map(m -> m.event().eventName()).toList());
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
            pair.client()
                    .on(
                            QmpEvent.class,
                            message -> {
                                throw new IllegalStateException("a listener that fails");
                            });
            pair.client().on(StopEvent.class, stops::add);
            pair.client().on("E7", unknown::add);
            EventQueue<QmpEvent> queue =
                    pair.client().events(QmpEvent.class, e -> !e.eventName().equals("STOP"));
            pair.peer().send(event(1) + STOP + event(7));
            assertNotNull(stops.poll(30, TimeUnit.SECONDS));
            EventMessage<QmpEvent> message = unknown.poll(30, TimeUnit.SECONDS);
            assertNotNull(message);
            UnknownEvent event = assertInstanceOf(UnknownEvent.class, message.event());
            assertEquals(new JsonObject().put("i", 7), event.data());
            assertEquals("E1", name(queue.poll(Duration.ofSeconds(30))));
            assertEquals("E7", name(queue.poll(Duration.ofSeconds(30))));
            assertEquals("", name(queue.poll(Duration.ZERO)));
            pair.client().close();
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
            pair.client()
                    .on(
                            StopEvent.class,
                            message -> {
                                try {
                                    result.complete(pair.client().execute("x", NONE).toString());
                                } catch (QmpException | IOException e) {
                                    result.completeExceptionally(e);
                                }
                                pair.client().close();
                            });
            pair.peer().send(STOP);
            pair.peer().answer(pair.peer().request(), "5");
            assertEquals("5", result.get());
            assertTrue(pair.peer().ended());
        }
    }

    @Test
    void chainedWorkMayBlock() throws Exception {
        try (Pair pair = pair(builder())) {
            CompletableFuture<String> chained =
                    pair.client()
                            .executeAsync("first", NONE)
                            .thenApply(
                                    first -> {
                                        try {
                                            return first + " " + pair.client().execute("2nd", NONE);
                                        } catch (QmpException | IOException e) {
                                            throw new IllegalStateException(e);
                                        }
                                    });
            pair.peer().answer(pair.peer().request(), "1");
            pair.peer().answer(pair.peer().request(), "2");
            assertEquals("1 2", chained.get());
        }
    }

    @Test
    void aCancelledCommandIsNotSentIfItWasNot() throws Exception {
        try (Pair pair = pair(builder())) {
            List<CompletableFuture<JsonValue>> calls = new ArrayList<>();
            for (int i = 0; i < 9; i++) {
                calls.add(pair.client().executeAsync("c" + i, NONE));
            }
            calls.get(7).cancel(false); // waits for its place in the server's queue
            List<JsonObject> requests = new ArrayList<>();
            for (int i = 0; i < 7; i++) {
                requests.add(pair.peer().request());
            }
            pair.peer().answer(requests.getFirst(), "0");
            assertEquals("\"c8\"", String.valueOf(pair.peer().request().get("execute")));
        }
    }

    @Test
    void outOfBandGoesFirstAndFindsRoom() throws Exception {
        try (Pair pair = pair(builder())) {
            for (int i = 0; i < 20; i++) {
                pair.client().executeAsync("c" + i, NONE);
            }
            List<JsonObject> requests = new ArrayList<>();
            for (int i = 0; i < SendQueue.WINDOW; i++) {
                requests.add(pair.peer().request());
            }
            CompletableFuture<JsonValue> urgent =
                    pair.client().outOfBand().executeAsync("yank", NONE);
            JsonObject request = pair.peer().request();
            assertEquals("\"yank\"", String.valueOf(request.get("exec-oob")));
            pair.peer().answer(request, "{}");
            urgent.get();
            pair.peer().answer(requests.getFirst(), "{}");
            assertEquals("\"c7\"", String.valueOf(pair.peer().request().get("execute")));
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
            CompletableFuture<JsonObject> answer = pair.client().send(odd);
            JsonObject request = pair.peer().request();
            assertEquals(new JsonString("command"), request.get("no"));
            pair.peer()
                    .send(
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
            pair.client().execute(silent);
            assertEquals(
                    "\"guest-shutdown\"", String.valueOf(pair.peer().request().get("execute")));
        }
    }

    @Test
    void unknownValuesOfARunStateSurvive() throws Exception {
        try (Pair pair = pair(builder())) {
            CompletableFuture<QmpReply<StatusInfo>> reply =
                    pair.client().requestAsync(RunStateCommands.QUERY_STATUS, Empty.EMPTY);
            pair.peer()
                    .answer(
                            pair.peer().request(),
                            "{\"running\": true, \"status\": \"running\", \"new-member\": [1]}");
            assertEquals(RunState.RUNNING, reply.get().value().status());
            assertEquals("[1]", String.valueOf(reply.get().unrecognized().get("new-member")));
        }
    }

    @Test
    void anOlderServerIsUnderstood() throws Exception {
        try (Pair pair = pair(builder())) {
            CompletableFuture<QmpReply<List<lockstep.api.BlockInfo>>> reply =
                    pair.client()
                            .requestAsync(lockstep.api.BlockCoreCommands.QUERY_BLOCK, Empty.EMPTY);
            pair.peer()
                    .answer(
                            pair.peer().request(),
                            "[{\"device\": \"d\", \"type\": \"x\", \"removable\": true}]");
            assertTrue(reply.get().value().getFirst().removable());
            assertFalse(reply.get().value().getFirst().locked());
            assertEquals(List.of("[0].locked"), reply.get().missing());
        }
    }
}
