package lockstep.qmp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.StopEvent;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** How the client's connection begins, ends and is made again, and how long it waits. */
class QmpConnectionTest extends AgainstFakeServer {
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
            CompletableFuture<JsonValue> reply = pair.client().executeAsync("x", NONE);
            pair.peer().request();
            pair.client().close();
            pair.client().close();
            QmpConnectionException e = failure(QmpConnectionException.class, reply);
            assertTrue(e.outcomeUnknown());
            assertTrue(
                    String.valueOf(e.getMessage()).startsWith("The client was closed"),
                    e.getMessage());
        }
    }

    @Test
    void aCallHasATimeLimit() throws Exception {
        try (Pair pair = pair(builder().timer(timer).timeout(Duration.ofSeconds(3)))) {
            assertEquals(0, timer.pending()); // the limit for connecting is cancelled
            CompletableFuture<JsonValue> slow = pair.client().executeAsync("slow", NONE);
            ManualTimer.Task task = timer.next();
            assertEquals(Duration.ofSeconds(3), task.delay());
            JsonObject request = pair.peer().request();
            task.action().run();
            QmpTimeoutException e = failure(QmpTimeoutException.class, slow);
            assertEquals(
                    "No reply to 'slow' within PT3S; it may still be carried out", e.getMessage());
            pair.peer().answer(request, "1"); // late, and dropped
            CompletableFuture<JsonValue> next =
                    pair.client().withTimeout(Duration.ofSeconds(9)).executeAsync("next", NONE);
            assertEquals(Duration.ofSeconds(9), timer.next().delay());
            pair.peer().answer(pair.peer().request(), "2");
            assertEquals("2", next.get().toString());
            CompletableFuture<JsonValue> unlimited =
                    pair.client().withTimeout(Duration.ZERO).executeAsync("unlimited", NONE);
            assertEquals(0, timer.pending());
            pair.peer().answer(pair.peer().request(), "3");
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
