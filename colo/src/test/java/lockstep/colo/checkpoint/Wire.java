package lockstep.colo.checkpoint;

import org.jspecify.annotations.Nullable;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** A relay between the two sides that dies, or falls silent, after a number of bytes in one direction. */
final class Wire implements AutoCloseable {
    private static final int HEAD = 64;
    private static final byte[] OFFER =
            "\"colo_device_changes\": 1".getBytes(StandardCharsets.US_ASCII);

    private final ServerSocketChannel server;
    private final Path target;
    private final long forwardLimit;
    private final long backwardLimit;
    private final boolean silent;

    /** Where a byte of what goes forward is turned over; -1 for nowhere. */
    volatile long mangled = -1;

    /** Whether the primary's offer of what no QEMU knows does not arrive. */
    volatile boolean asQemu;

    private volatile @Nullable SocketChannel left;
    private volatile @Nullable SocketChannel right;
    private final byte[] last = new byte[4096];
    private final ByteArrayOutputStream first = new ByteArrayOutputStream();
    private final ByteArrayOutputStream back = new ByteArrayOutputStream();
    private int offered;
    volatile long forwarded;
    volatile long backwarded;

    /** With {@code silent} nothing more comes behind the limit, and the connection stays. */
    Wire(Path listen, Path target, long forwardLimit, long backwardLimit, boolean silent)
            throws IOException {
        this.target = target;
        this.silent = silent;
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
                long at = mangled - done;
                if (forward && at >= 0 && at < n) {
                    buffer.put((int) at, (byte) ~buffer.get((int) at));
                }
                if (forward && asQemu) {
                    withhold(buffer);
                }
                done += n;
                ByteArrayOutputStream head = forward ? first : back;
                head.write(buffer.array(), 0, Math.min(n, Math.max(0, HEAD - head.size())));
                if (forward) {
                    for (int i = 0; i < n; i++) {
                        last[(int) ((done - n + i) % last.length)] = buffer.get(i);
                    }
                    forwarded = done;
                } else {
                    backwarded = done;
                }
                // What a side that is gone has said is still to come; the wire ends behind it.
                if (!passed(to, buffer) && forward) {
                    return;
                }
            }
        } catch (IOException e) {
            // One of the ends is gone: so is the wire.
        }
        if (!silent || done < limit) {
            close();
        }
    }

    private static boolean passed(SocketChannel to, ByteBuffer buffer) {
        try {
            while (buffer.hasRemaining()) {
                to.write(buffer);
            }
            return true;
        } catch (IOException e) {
            return false;
        }
    }

    /** The offer becomes that of a version that nobody knows; it may come in pieces. */
    private void withhold(ByteBuffer buffer) {
        for (int i = buffer.position(); i < buffer.limit(); i++) {
            byte b = buffer.get(i);
            if (b != OFFER[offered]) {
                offered = b == OFFER[0] ? 1 : 0;
            } else if (++offered == OFFER.length) {
                buffer.put(i, (byte) '9');
                offered = 0;
            }
        }
    }

    /** How many bytes went in a direction. */
    long carried(boolean forward) {
        return forward ? forwarded : backwarded;
    }

    /** What went in a direction first, 64 bytes at most. */
    byte[] head(boolean forward) {
        return (forward ? first : back).toByteArray();
    }

    /** How many bytes of device state ended what was sent forward: behind their size, a message with a value. */
    int devices() {
        for (int size = 1; size < last.length - 12; size++) {
            ByteBuffer message = ByteBuffer.allocate(12);
            for (int i = 12; i > 0; i--) {
                message.put(last[(int) ((forwarded - size - i) % last.length)]);
            }
            if (message.getInt(0) == 4 && message.getLong(4) == size) {
                return size;
            }
        }
        throw new AssertionError("no device state at the end");
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
