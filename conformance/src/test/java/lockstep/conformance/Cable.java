package lockstep.conformance;

import org.jspecify.annotations.Nullable;

import java.io.BufferedInputStream;
import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.SequenceInputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Everything that the two sides of a pair say to each other goes through here. It reads along, so that something can be
 * done at an exact place of the conversation: what comes behind waits until that is done. It can be cut, hang, or be slow.
 */
final class Cable implements AutoCloseable {
    private static final int NBD_REQUEST = 0x25609513;
    private static final int RAM_BEGINS = 100_000;
    private static final int PIECE = 1024;

    private final List<AutoCloseable> ends = new CopyOnWriteArrayList<>();
    private volatile @Nullable Phase wanted;
    private volatile Runnable act = () -> {};
    private volatile CountDownLatch reached = new CountDownLatch(1);
    private volatile long skip;
    private volatile boolean silent;
    private volatile boolean slow;
    private volatile boolean ready;
    private volatile @Nullable Throwable misread;

    /** Who copies one direction of a connection. */
    private interface Pump {
        void run(InputStream in, OutputStream out) throws IOException;
    }

    /** The channel of migration and COLO; connections to {@code listen} go on to {@code target}. */
    void migration(Path listen, Path target) throws IOException {
        link(listen, target, this::forward, this::backward);
    }

    /** The connection to the secondary's disk. */
    void disk(Path listen, Path target) throws IOException {
        link(listen, target, this::writes, this::copy);
    }

    /** Any other connection. */
    void other(Path listen, Path target) throws IOException {
        link(listen, target, this::copy, this::copy);
    }

    /**
     * Has something done once, when a phase is reached.
     *
     * @param pages how many pages go before, where the phase has pages
     */
    void at(Phase phase, long pages, Runnable what) {
        reached = new CountDownLatch(1);
        act = what;
        skip = pages;
        wanted = phase;
    }

    /** Waits until it is done. */
    void awaitReached() throws InterruptedException {
        if (!reached.await(60, TimeUnit.SECONDS)) {
            throw new AssertionError(wanted + " does not come; misread: " + misread);
        }
    }

    /** Ends all connections. */
    void cut() {
        close();
    }

    /** Nothing comes any more, and the connections stay. */
    void hang() {
        silent = true;
    }

    /** Lets some hundred kilobytes a second through, or as much as comes. */
    void slow(boolean on) {
        slow = on;
    }

    private void link(Path listen, Path target, Pump forward, Pump backward) throws IOException {
        ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        ends.add(server.bind(UnixDomainSocketAddress.of(listen)));
        String name = listen.getFileName().toString();
        Thread.ofPlatform()
                .daemon()
                .name(name)
                .start(
                        () -> {
                            try {
                                while (true) {
                                    SocketChannel near = server.accept();
                                    ends.add(near);
                                    SocketChannel far =
                                            SocketChannel.open(StandardProtocolFamily.UNIX);
                                    ends.add(far);
                                    try {
                                        far.connect(UnixDomainSocketAddress.of(target));
                                    } catch (IOException e) {
                                        near.close();
                                        continue;
                                    }
                                    pump(name + " forward", forward, near, far);
                                    pump(name + " backward", backward, far, near);
                                }
                            } catch (IOException e) {
                                // The cable was cut.
                            }
                        });
    }

    private void pump(String name, Pump pump, SocketChannel from, SocketChannel to) {
        Thread.ofPlatform()
                .daemon()
                .name(name)
                .start(
                        () -> {
                            try (from;
                                    to) {
                                pump.run(
                                        Channels.newInputStream(from),
                                        Channels.newOutputStream(to));
                            } catch (IOException e) {
                                // One of the ends is gone.
                            } catch (RuntimeException e) {
                                misread = e;
                            }
                        });
    }

    private void reach(Phase phase) {
        if (wanted == phase && (phase != Phase.PAGES || skip-- <= 0)) {
            wanted = null;
            act.run();
            reached.countDown();
        }
    }

    /** Writes as much as the cable lets through. */
    private void write(OutputStream out, byte[] data, int length) throws IOException {
        for (int done = 0; done < length; ) {
            while (silent) {
                pause(50);
            }
            int piece = slow ? Math.min(PIECE, length - done) : length - done;
            out.write(data, done, piece);
            done += piece;
            if (slow) {
                pause(4);
            }
        }
    }

    private static void pause(long millis) throws IOException {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            throw new IOException(e);
        }
    }

    private void copy(InputStream in, OutputStream out) throws IOException {
        byte[] data = new byte[1 << 16];
        for (int n = in.read(data); n >= 0; n = in.read(data)) {
            write(out, data, n);
        }
    }

    private void writes(InputStream in, OutputStream out) throws IOException {
        byte[] data = new byte[1 << 16];
        for (int n = in.read(data); n >= 0; n = in.read(data)) {
            ByteBuffer read = ByteBuffer.wrap(data, 0, n);
            for (int i = 0; i + 8 <= n; i++) {
                if (read.getInt(i) == NBD_REQUEST && read.getShort(i + 6) == 1) {
                    reach(Phase.NBD_WRITE);
                }
            }
            write(out, data, n);
        }
    }

    private void backward(InputStream in, OutputStream out) throws IOException {
        Phase[] messages = {Phase.CHECKPOINT_REPLY, Phase.VMSTATE_RECEIVED, Phase.VMSTATE_LOADED};
        for (int i = -1; ; i = (i + 1) % messages.length) {
            byte[] message = in.readNBytes(4);
            if (message.length < 4) {
                return;
            }
            if (i < 0) {
                ready = true;
            }
            reach(i < 0 ? Phase.CHECKPOINT_READY : messages[i]);
            write(out, message, 4);
        }
    }

    private void forward(InputStream in, OutputStream out) throws IOException {
        byte[] data = new byte[1 << 16];
        reach(Phase.START);
        long before = 0;
        for (int n = in.read(data); n >= 0; n = in.read(data)) {
            if (ready) {
                InputStream first = new ByteArrayInputStream(data, 0, n);
                new Checkpoints(new SequenceInputStream(first, in), out).run();
                return;
            }
            write(out, data, n);
            before += n;
            if (before > RAM_BEGINS) {
                reach(Phase.RAM);
            }
        }
    }

    /** Reads what the primary says in checkpoints, and says it. */
    private final class Checkpoints {
        private final BufferedInputStream bytes;
        private final DataInputStream in;
        private final OutputStream out;

        Checkpoints(InputStream in, OutputStream out) {
            this.bytes = new BufferedInputStream(in, 1 << 16);
            this.in = new DataInputStream(bytes);
            this.out = out;
        }

        void run() throws IOException {
            while (true) {
                begins(Phase.CHECKPOINT_REQUEST);
                take(4);
                begins(Phase.VMSTATE_SEND);
                take(4);
                for (int type = take(1).get(0); type != 0; type = take(1).get(0)) {
                    section(type);
                }
                begins(Phase.VMSTATE_SIZE);
                take(4);
                long size = take(8).getLong(0);
                begins(Phase.DEVICE_STATE);
                take(Math.toIntExact(size));
            }
        }

        /** What comes next, once it comes, is the phase. */
        private void begins(Phase phase) throws IOException {
            bytes.mark(1);
            bytes.read();
            bytes.reset();
            reach(phase);
        }

        private ByteBuffer take(int length) throws IOException {
            byte[] data = new byte[length];
            in.readFully(data);
            write(out, data, length);
            return ByteBuffer.wrap(data);
        }

        private void section(int type) throws IOException {
            if (type == 8) {
                take(Short.toUnsignedInt(take(4).getShort(2)));
                return;
            }
            if (type != 2 && type != 3) {
                throw new IllegalStateException("section type " + type);
            }
            take(4);
            while (true) {
                int flags = (int) take(8).getLong(0) & 0xfff;
                if (flags == 0x10) {
                    break;
                }
                if ((flags & 0x20) == 0) {
                    take(Byte.toUnsignedInt(take(1).get(0)));
                }
                switch (flags & ~0x20) {
                    case 2 -> take(1);
                    case 8 -> take(4096);
                    default -> throw new IllegalStateException("flags " + flags);
                }
                reach(Phase.PAGES);
            }
            take(5);
        }
    }

    @Override
    public void close() {
        silent = false;
        for (AutoCloseable end : ends) {
            try {
                end.close();
            } catch (Exception e) {
                throw new AssertionError(e);
            }
        }
    }
}
