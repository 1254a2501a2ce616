package lockstep.conformance;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** An NBD server that lets one client in, takes its first request, and then hangs. */
final class SilentNbdServer implements AutoCloseable {
    private static final long SIZE = 16 << 20;
    private static final long OPTION = 0x49484156454F5054L;
    private static final long REPLY = 0x0003e889045565a9L;
    private static final int GO = 7;
    private static final int ACK = 1;
    private static final int INFO = 3;
    private static final int UNSUPPORTED = 0x80000001;

    private final ServerSocketChannel listener;
    private final CountDownLatch requested = new CountDownLatch(1);

    SilentNbdServer(Path socket) throws IOException {
        listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        listener.bind(UnixDomainSocketAddress.of(socket));
        Thread.ofPlatform().daemon().start(this::serve);
    }

    /** Waits until a request is here. */
    void awaitRequest() throws InterruptedException {
        if (!requested.await(60, TimeUnit.SECONDS)) {
            throw new AssertionError("no request comes");
        }
    }

    private void serve() {
        try (SocketChannel client = listener.accept()) {
            client.write(
                    ByteBuffer.allocate(18)
                            .put("NBDMAGIC".getBytes(java.nio.charset.StandardCharsets.US_ASCII))
                            .putLong(OPTION)
                            .putShort((short) 3)
                            .flip());
            read(client, 4);
            int option;
            do {
                ByteBuffer header = read(client, 16);
                option = header.getInt(8);
                read(client, header.getInt(12));
                if (option == GO) {
                    ByteBuffer export = reply(option, INFO, 12).putShort((short) 0);
                    client.write(export.putLong(SIZE).putShort((short) 5).flip());
                    client.write(reply(option, ACK, 0).flip());
                } else {
                    client.write(reply(option, UNSUPPORTED, 0).flip());
                }
            } while (option != GO);
            read(client, 28);
            requested.countDown();
            Thread.sleep(Long.MAX_VALUE);
        } catch (IOException e) {
            // The case is over.
            requested.countDown();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static ByteBuffer reply(int option, int type, int length) {
        ByteBuffer reply = ByteBuffer.allocate(20 + length);
        return reply.putLong(REPLY).putInt(option).putInt(type).putInt(length);
    }

    static ByteBuffer read(SocketChannel channel, int bytes) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(bytes);
        while (buffer.hasRemaining()) {
            if (channel.read(buffer) < 0) {
                throw new IOException("the peer left");
            }
        }
        return buffer.flip();
    }

    @Override
    public void close() {
        try {
            listener.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
