package lockstep.colo.checkpoint;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;

/** A relay between the two sides that dies after a number of bytes in one direction. */
final class Wire implements AutoCloseable {
    private final ServerSocketChannel server;
    private final Path target;
    private final long forwardLimit;
    private final long backwardLimit;
    private volatile @Nullable SocketChannel left;
    private volatile @Nullable SocketChannel right;
    volatile long forwarded;
    volatile long backwarded;

    Wire(Path listen, Path target, long forwardLimit, long backwardLimit) throws IOException {
        this.target = target;
        this.forwardLimit = forwardLimit;
        this.backwardLimit = backwardLimit;
        server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        server.bind(UnixDomainSocketAddress.of(listen));
        Thread.ofPlatform().daemon().name("wire").start(this::run);
    }

    private void run() {
        try {
            SocketChannel source = server.accept();
            left = source;
            SocketChannel sink = SocketChannel.open(UnixDomainSocketAddress.of(target));
            right = sink;
            Thread back =
                    Thread.ofPlatform()
                            .daemon()
                            .name("wire back")
                            .start(() -> pump(sink, source, backwardLimit, false));
            pump(source, sink, forwardLimit, true);
            back.join();
        } catch (IOException | InterruptedException e) {
            close();
        }
    }

    private void pump(SocketChannel from, SocketChannel to, long limit, boolean forward) {
        ByteBuffer buffer = ByteBuffer.allocate(1 << 16);
        long done = 0;
        try {
            while (done < limit) {
                buffer.clear().limit((int) Math.min(buffer.capacity(), limit - done));
                int n = from.read(buffer);
                if (n < 0) {
                    break;
                }
                buffer.flip();
                while (buffer.hasRemaining()) {
                    to.write(buffer);
                }
                done += n;
                if (forward) {
                    forwarded = done;
                } else {
                    backwarded = done;
                }
            }
        } catch (IOException e) {
            // One of the ends is gone: so is the wire.
        }
        close();
    }

    @Override
    public void close() {
        try {
            server.close();
            SocketChannel source = left;
            if (source != null) {
                source.close();
            }
            SocketChannel sink = right;
            if (sink != null) {
                sink.close();
            }
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }
}
