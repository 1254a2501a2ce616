package lockstep.qmp;

import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import lockstep.api.Event;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/** A server that does what real ones do rarely, and clients of it. */
@Timeout(60)
abstract class AgainstFakeServer {
    static final JsonObject NONE = new JsonObject();
    static final String STOP =
            "{\"timestamp\": {\"seconds\": 5, \"microseconds\": 7}, \"event\": \"STOP\"}\r\n";

    @TempDir Path directory;
    FakeServer server;
    final ManualTimer timer = new ManualTimer();

    @BeforeEach
    void listen() {
        server = new FakeServer(directory);
    }

    @AfterEach
    void stopListening() {
        server.close();
    }

    final QmpClient.Builder builder() {
        return QmpClient.builder(server.address()).events(Event::read);
    }

    /** A client and the server's end of its connection. */
    record Pair(QmpClient client, FakeServer.Peer peer) implements AutoCloseable {
        @Override
        public void close() {
            client.close();
            peer.close();
        }
    }

    final Pair pair(QmpClient.Builder builder) {
        QmpClient client = builder.start();
        FakeServer.Peer peer = server.negotiate();
        client.ready().join();
        return new Pair(client, peer);
    }

    static <T extends Throwable> T failure(Class<T> type, CompletableFuture<?> future) {
        return assertInstanceOf(
                type, assertThrows(ExecutionException.class, future::get).getCause());
    }
}
