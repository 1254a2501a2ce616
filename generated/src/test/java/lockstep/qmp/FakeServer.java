package lockstep.qmp;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** A QMP server that says exactly what a test wants. */
final class FakeServer implements AutoCloseable {
    static final String GREETING =
            "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 2, \"minor\": 1, \"major\": 9},"
                    + " \"package\": \"p\"}, \"capabilities\": [\"oob\"]}}\r\n";

    private final Path path;
    private final ServerSocketChannel listener;

    FakeServer(Path directory) {
        path = directory.resolve("fake.sock");
        try {
            listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
            listener.bind(UnixDomainSocketAddress.of(path));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    QmpAddress address() {
        return QmpAddress.unix(path);
    }

    /** The next client, without a word said. */
    Peer accept() {
        try {
            return new Peer(listener.accept());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The next client, greeted and with negotiation done. */
    Peer negotiate() {
        Peer peer = accept();
        peer.send(GREETING);
        JsonObject request = peer.request();
        peer.send("{\"return\": {}, \"id\": " + request.get("id") + "}\r\n");
        return peer;
    }

    @Override
    public void close() {
        try {
            listener.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The server's end of a connection. */
    static final class Peer implements AutoCloseable {
        private final SocketChannel channel;
        private final BufferedReader in;
        private final OutputStream out;

        Peer(SocketChannel channel) {
            this.channel = channel;
            this.in =
                    new BufferedReader(
                            new InputStreamReader(
                                    Channels.newInputStream(channel), StandardCharsets.UTF_8));
            this.out = Channels.newOutputStream(channel);
        }

        void send(String text) {
            send(text.getBytes(StandardCharsets.UTF_8));
        }

        void send(byte[] bytes) {
            try {
                out.write(bytes);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        /** The next request. */
        JsonObject request() {
            try {
                String line = in.readLine();
                if (line == null) {
                    throw new AssertionError("the client has left");
                }
                return (JsonObject) JsonStreamParser.parse(line);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            } catch (QmpException e) {
                throw new AssertionError(e);
            }
        }

        /** Answers a request with a value. */
        void answer(JsonObject request, String value) {
            send("{\"return\": " + value + ", \"id\": " + request.get("id") + "}\r\n");
        }

        /** Whether the client has left. */
        boolean ended() {
            try {
                return in.read() < 0;
            } catch (IOException e) {
                return true;
            }
        }

        @Override
        public void close() {
            try {
                channel.close();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
