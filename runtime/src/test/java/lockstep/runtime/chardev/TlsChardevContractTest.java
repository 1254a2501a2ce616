package lockstep.runtime.chardev;

import static lockstep.linux.abi.LinuxAbi.AF_INET;

import static org.junit.jupiter.api.Assertions.assertEquals;

import lockstep.api.ObjectOptions;
import lockstep.api.QCryptoTLSCredsEndpoint;
import lockstep.api.TlsCredsX509Properties;
import lockstep.qmp.QmpException;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.SocketName;
import lockstep.runtime.linux.Sockets;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.testmachine.Certificates;
import lockstep.runtime.testmachine.Fake;
import lockstep.runtime.tls.TlsCredentials;
import lockstep.runtime.tls.TlsEnd;
import lockstep.runtime.tls.TlsStream;

import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The contract, run on sockets with TLS, where they listen with both versions of the protocol. */
class TlsChardevContractTest {
    @TempDir private static Path home;

    private static TlsEnd.Source ends = TlsEnd.Source.NONE;

    @BeforeAll
    static void makeCertificates() throws Exception {
        Path directory = Certificates.make(home.resolve("certificates"), "EC");
        TlsCredentials server = credentials(directory, QCryptoTLSCredsEndpoint.SERVER, "");
        TlsCredentials client = credentials(directory, QCryptoTLSCredsEndpoint.CLIENT, "");
        TlsCredentials older =
                credentials(directory, QCryptoTLSCredsEndpoint.CLIENT, "NORMAL:-VERS-TLS1.3");
        ObjectTree tree =
                Fake.of(
                        ObjectTree.class,
                        (method, arguments) ->
                                switch ((String) arguments[0]) {
                                    case "server" -> server;
                                    case "older" -> older;
                                    default -> client;
                                });
        ends = TlsEnd.Source.of(tree, new MachineLock());
    }

    private static TlsCredentials credentials(
            Path directory, QCryptoTLSCredsEndpoint endpoint, String priority) throws QmpException {
        TlsCredsX509Properties properties =
                TlsCredsX509Properties.builder()
                        .dir(directory.toString())
                        .endpoint(endpoint)
                        .priority(priority)
                        .build();
        return TlsCredentials.create(new ObjectOptions.TlsCredsX509("x", properties), id -> "");
    }

    private static SocketName loopback(int port) {
        return new SocketName.Inet(new InetSocketAddress(InetAddress.getLoopbackAddress(), port));
    }

    private static ChardevConfig.Address.Inet inet(int port) {
        return new ChardevConfig.Address.Inet("127.0.0.1", Integer.toString(port), null, null);
    }

    /** A peer that sees what goes through TLS over a socket. */
    private static Peer through(Fd socket, TlsEnd end) throws LinuxException {
        Fd[] pair = Sockets.pair();
        TlsSocket far = new TlsSocket(socket, () -> false);
        TlsSocket near = new TlsSocket(pair[1], () -> false);
        Thread.ofPlatform().daemon().name("tls-peer").start(() -> relay(far, near, end));
        return Peer.of(pair[0]);
    }

    private static void relay(TlsSocket far, TlsSocket near, TlsEnd end) {
        try {
            TlsStream stream = end.over(far);
            Thread back =
                    Thread.ofPlatform()
                            .daemon()
                            .start(
                                    () -> {
                                        pump(stream::read, near::write, far);
                                        near.cut();
                                    });
            pump(near::read, stream::write, far);
            stream.end();
            far.cut();
            back.join();
        } catch (IOException e) {
            near.cut(); // the test sees that nothing comes
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            far.fd().close();
            near.fd().close();
        }
    }

    private interface Source {
        int read(ByteBuffer target) throws IOException;
    }

    private interface Sink {
        void write(ByteBuffer source) throws IOException;
    }

    private static void pump(Source from, Sink to, TlsSocket failed) {
        ByteBuffer buffer = ByteBuffer.allocateDirect(10_000);
        try {
            while (from.read(buffer.clear()) >= 0) {
                to.write(buffer.flip());
            }
        } catch (IOException e) {
            failed.cut();
        }
    }

    /** The device listens. */
    abstract static class Server extends VisitorContract {
        private int port;

        abstract String clients();

        @Override
        TlsEnd.Source tlsEnds() {
            return ends;
        }

        @Override
        ChardevConfig config() {
            return new ChardevConfig.Socket(
                    inet(0), true, false, false, false, "server", null, null);
        }

        @Override
        Chardev make() throws Exception {
            Chardev device = super.make();
            port = Integer.parseInt(device.filename().replaceAll(".*:([0-9]+),server=on", "$1"));
            return device;
        }

        @Override
        Peer come(Chardev device) throws Exception {
            Fd socket = SocketConnector.connect(inet(port), () -> false);
            return through(socket, ends.client(clients(), "localhost"));
        }
    }

    @Nested
    class Newer extends Server {
        @Override
        String clients() {
            return "client";
        }
    }

    @Nested
    class Older extends Server {
        @Override
        String clients() {
            return "older";
        }
    }

    /** The device connects, and does so again when its peer left. */
    @Nested
    class Client extends VisitorContract {
        private final List<Fd> listeners = new ArrayList<>();

        @Override
        TlsEnd.Source tlsEnds() {
            return ends;
        }

        @Override
        ChardevConfig config() throws Exception {
            Fd listener = Sockets.stream(AF_INET());
            assertEquals(0, Sockets.bind(listener, loopback(0)));
            assertEquals(0, Sockets.listen(listener, 1));
            listeners.add(listener);
            int port = ((SocketName.Inet) Sockets.localName(listener.number())).address().getPort();
            return new ChardevConfig.Socket(
                    inet(port), false, null, false, false, "client", null, 1L);
        }

        @Override
        Peer come(Chardev device) throws Exception {
            Fd socket = SocketConnector.accept(listeners.getLast(), () -> false);
            return through(socket, ends.server("server", null));
        }

        @Override
        void forget() {
            listeners.forEach(Fd::close);
        }
    }
}
