package lockstep.block.nbd;

import lockstep.block.node.BlockException;
import lockstep.block.node.Pieces;
import lockstep.block.node.Route;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.IoUring;
import lockstep.runtime.tls.TlsEnd;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/**
 * One negotiated connection. Many requests may be under way; one thread reads all replies, straight
 * into the requests' buffers, and one sends those requests that no thread waits for. When the connection breaks every request under way ends with {@link
 * Lost}.
 */
final class NbdConnection implements Route.Remote {
    /** The connection broke; what became of the request is not known. */
    static final class Lost extends IOException {
        private static final long serialVersionUID = 1L;

        Lost(String message) {
            super(message);
        }
    }

    private static final class Pending {
        final long offset;
        final Pieces target;
        final boolean read;
        final IoUring.@Nullable Completion completion;
        long cookie;
        long received;
        boolean done;
        boolean lost;
        int error;
        long statusLength = -1;
        int statusFlags;

        Pending(long offset, Pieces target, boolean read, IoUring.@Nullable Completion completion) {
            this.completion = completion;
            this.offset = offset;
            this.target = target;
            this.read = read;
        }

        void finish(boolean wasLost) {
            if (completion != null) {
                completion.completed(wasLost || error != 0 ? -Errno.EIO : (int) target.byteSize());
                return;
            }
            synchronized (this) {
                lost = wasLost;
                done = true;
                notifyAll();
            }
        }

        synchronized void await() throws InterruptedException {
            while (!done) {
                wait();
            }
        }
    }

    /** Requests that are under way without a thread each, at most. */
    private static final int MOST_UNDER_WAY = 256;

    private static final int HEADER = 28;

    private final NbdStream stream;
    private final NbdHandshake.Result agreed;
    private final Map<Long, Pending> pending = new ConcurrentHashMap<>();
    private final AtomicLong cookies = new AtomicLong(1);
    private final Runnable onLoss;
    private volatile @Nullable String lostBecause;
    private volatile boolean protocolViolated;

    /** What is to be sent and nobody waits for; the lock also of what makes an end of that. */
    private final ArrayDeque<Pending> toSend = new ArrayDeque<>();

    private boolean sending;
    private boolean disconnected;

    private NbdConnection(NbdStream stream, NbdHandshake.Result agreed, Runnable onLoss) {
        this.stream = stream;
        this.agreed = agreed;
        this.onLoss = onLoss;
    }

    /** Connects and negotiates. */
    static NbdConnection open(
            NbdNode.Options options, String name, Runnable onLoss, NbdAttempt attempt)
            throws BlockException {
        NbdConnection connection =
                over(
                        options.address().connect(attempt),
                        options.export(),
                        options.tls(),
                        options.context(),
                        onLoss);
        Thread.ofPlatform().daemon().name("nbd-reply-" + name).start(connection::readReplies);
        return connection;
    }

    /** Negotiates; {@link #readReplies} is to be run then. */
    static NbdConnection over(
            SocketChannel channel,
            String export,
            @Nullable TlsEnd tls,
            @Nullable String context,
            Runnable onLoss)
            throws BlockException {
        NbdStream stream = new NbdStream(channel);
        NbdHandshake handshake = new NbdHandshake(stream, export, tls, context);
        try {
            return new NbdConnection(stream, handshake.negotiate(), onLoss);
        } catch (IOException e) {
            stream.close();
            throw handshake.lost(e);
        } catch (BlockException e) {
            stream.close();
            throw e;
        }
    }

    NbdHandshake.Result agreed() {
        return agreed;
    }

    boolean lost() {
        return lostBecause != null;
    }

    /** The server does not keep to the protocol: there is no use in connecting again. */
    boolean protocolViolated() {
        return protocolViolated;
    }

    /** Ends the connection as if the peer had gone. Any thread. */
    void shutdown() {
        stream.shutdown();
    }

    /** Tells the server that no more requests follow. */
    void disconnect() {
        synchronized (toSend) {
            disconnected = true;
            toSend.notifyAll();
        }
        try {
            stream.write(header(ByteBuffer.allocate(HEADER), 0, Nbd.CMD_DISC, 0, 0, 0).flip());
            stream.end();
        } catch (IOException e) {
            // It is gone already.
            lose("disconnected");
        }
        stream.shutdown();
    }

    private static ByteBuffer header(
            ByteBuffer target, int flags, int type, long cookie, long from, int length) {
        return target.putInt(Nbd.REQUEST_MAGIC)
                .putShort((short) flags)
                .putShort((short) type)
                .putLong(cookie)
                .putLong(from)
                .putInt(length);
    }

    @Override
    public boolean submit(boolean write, long offset, Pieces data, IoUring.Completion completion) {
        Pending request = new Pending(offset, data, !write, completion);
        request.cookie = cookies.getAndIncrement();
        synchronized (toSend) {
            // Who is entered before the connection is lost hears of that.
            if (disconnected || lost() || pending.size() >= MOST_UNDER_WAY) {
                return false;
            }
            pending.put(request.cookie, request);
            toSend.add(request);
            if (!sending) {
                sending = true;
                Thread.ofPlatform().daemon().name("nbd-send").start(this::send);
            }
            toSend.notifyAll();
        }
        return true;
    }

    /** Sends requests that nobody waits for, all that there are by one call, until the connection is at its end. */
    private void send() {
        ByteBuffer headers = ByteBuffer.allocateDirect(MOST_UNDER_WAY * HEADER);
        List<ByteBuffer> batch = new ArrayList<>();
        try {
            while (takeBatch(headers.clear(), batch)) {
                stream.write(batch.toArray(ByteBuffer[]::new));
                batch.clear();
            }
        } catch (IOException | RuntimeException | Error e) {
            lose(String.valueOf(e.getMessage()));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            lose("interrupted");
        }
    }

    private boolean takeBatch(ByteBuffer headers, List<ByteBuffer> batch)
            throws InterruptedException {
        synchronized (toSend) {
            while (toSend.isEmpty() && !disconnected && !lost()) {
                toSend.wait();
            }
            if (disconnected || lost()) {
                return false;
            }
            int from = 0;
            while (headers.remaining() >= HEADER && !toSend.isEmpty()) {
                Pending request = toSend.remove();
                int type = request.read ? Nbd.CMD_READ : Nbd.CMD_WRITE;
                int length = (int) request.target.byteSize();
                header(headers, 0, type, request.cookie, request.offset, length);
                if (!request.read) {
                    batch.add(headers.slice(from, headers.position() - from));
                    from = headers.position();
                    for (MemorySegment piece : request.target.segments()) {
                        batch.add(piece.asByteBuffer());
                    }
                }
            }
            if (headers.position() > from) {
                batch.add(headers.slice(from, headers.position() - from));
            }
            return true;
        }
    }

    void read(long offset, Pieces target) throws Lost, BlockException {
        exchange(0, Nbd.CMD_READ, offset, (int) target.byteSize(), target);
    }

    void write(long offset, Pieces source) throws Lost, BlockException {
        exchange(0, Nbd.CMD_WRITE, offset, (int) source.byteSize(), source);
    }

    void command(int flags, int type, long offset, int length) throws Lost, BlockException {
        exchange(flags, type, offset, length, Pieces.NONE);
    }

    /** An extent of base:allocation. */
    record Extent(long length, int flags) {}

    Extent status(long offset, int length) throws Lost, BlockException {
        Pending answer =
                exchange(Nbd.CMD_FLAG_REQ_ONE, Nbd.CMD_BLOCK_STATUS, offset, length, Pieces.NONE);
        if (answer.statusLength <= 0) {
            throw new BlockException(Errno.EIO, "NBD server sent no block status");
        }
        return new Extent(Math.min(length, answer.statusLength), answer.statusFlags);
    }

    private Pending exchange(int flags, int type, long offset, int length, Pieces data)
            throws Lost, BlockException {
        long cookie = cookies.getAndIncrement();
        Pending request = new Pending(offset, data, type == Nbd.CMD_READ, null);
        pending.put(cookie, request);
        try {
            ByteBuffer header =
                    header(ByteBuffer.allocate(HEADER), flags, type, cookie, offset, length).flip();
            stream.write(header, type == Nbd.CMD_WRITE ? data : Pieces.NONE);
        } catch (IOException e) {
            lose(String.valueOf(e.getMessage()));
        }
        if (lostBecause != null && pending.remove(cookie) != null) {
            request.finish(true);
        }
        try {
            request.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new BlockException(Errno.EIO, "interrupted", e);
        }
        if (request.lost) {
            throw new Lost(String.valueOf(lostBecause));
        }
        if (request.error != 0) {
            throw new BlockException(errno(request.error));
        }
        return request;
    }

    private static int errno(int wire) {
        return switch (wire) {
            case Errno.EPERM,
                    Errno.EIO,
                    Errno.ENOMEM,
                    Errno.EINVAL,
                    Errno.ENOSPC,
                    Errno.EOVERFLOW,
                    Errno.ENOTSUP,
                    Errno.ESHUTDOWN ->
                    wire;
            default -> Errno.EINVAL;
        };
    }

    private void lose(String why) {
        synchronized (toSend) {
            if (lostBecause == null) {
                lostBecause = why;
            }
            toSend.clear();
            toSend.notifyAll();
        }
        stream.close();
        for (Long cookie : pending.keySet()) {
            Pending request = pending.remove(cookie);
            if (request != null) {
                request.finish(true);
            }
        }
    }

    private static final class Violation extends IOException {
        private static final long serialVersionUID = 1L;

        Violation(String message) {
            super(message);
        }
    }

    /** Takes replies until the connection is lost. */
    void readReplies() {
        try {
            while (true) {
                int magic = stream.readInt();
                if (magic == Nbd.SIMPLE_REPLY_MAGIC) {
                    simple();
                } else if (magic == Nbd.CHUNK_MAGIC && agreed.structured()) {
                    chunk();
                } else {
                    throw new Violation("invalid reply magic");
                }
            }
        } catch (Violation e) {
            protocolViolated = true;
            lose(String.valueOf(e.getMessage()));
        } catch (IOException | RuntimeException | Error e) {
            // Whoever waits for a reply must not wait for ever.
            lose(String.valueOf(e.getMessage()));
        }
        onLoss.run();
    }

    private Pending find(long cookie) throws Violation {
        Pending request = pending.get(cookie);
        if (request == null) {
            throw new Violation("reply to no request");
        }
        return request;
    }

    private void end(long cookie, Pending request) {
        pending.remove(cookie);
        request.finish(false);
    }

    private void simple() throws IOException {
        int error = stream.readInt();
        long cookie = stream.readLong();
        Pending request = find(cookie);
        request.error = error;
        if (error == 0 && request.read) {
            if (agreed.structured()) {
                throw new Violation("simple reply to a read");
            }
            stream.readInto(request.target);
        }
        end(cookie, request);
    }

    private void chunk() throws IOException {
        int flags = stream.readShort();
        int type = stream.readShort();
        long cookie = stream.readLong();
        int length = stream.readInt();
        Pending request = find(cookie);
        if (Integer.compareUnsigned(length, Nbd.PAYLOAD_MAX + 8) > 0) {
            throw new Violation("chunk too long");
        }
        switch (type) {
            case Nbd.CHUNK_NONE -> {
                if (length != 0 || (flags & Nbd.CHUNK_DONE) == 0) {
                    throw new Violation("bad empty chunk");
                }
            }
            case Nbd.CHUNK_OFFSET_DATA -> {
                if (length <= 8) {
                    throw new Violation("bad data chunk");
                }
                stream.readInto(part(request, stream.readLong(), length - 8L));
            }
            case Nbd.CHUNK_OFFSET_HOLE -> {
                if (length != 12) {
                    throw new Violation("bad hole chunk");
                }
                long at = stream.readLong();
                long size = Integer.toUnsignedLong(stream.readInt());
                part(request, at, size).zero();
            }
            case Nbd.CHUNK_BLOCK_STATUS -> status(request, length);
            default -> {
                if ((type & 1 << 15) == 0) {
                    throw new Violation("unknown chunk type " + type);
                }
                error(request, length);
            }
        }
        if ((flags & Nbd.CHUNK_DONE) != 0) {
            if (request.read
                    && request.error == 0
                    && request.received < request.target.byteSize()) {
                throw new Violation("read reply is incomplete");
            }
            end(cookie, request);
        }
    }

    private static Pieces part(Pending request, long offset, long length) throws Violation {
        long at = offset - request.offset;
        if (!request.read || at < 0 || length <= 0 || at > request.target.byteSize() - length) {
            throw new Violation("reply outside of what was asked");
        }
        request.received += length;
        return request.target.slice(at, length);
    }

    private void status(Pending request, int length) throws IOException {
        if (length < 12 || length % 8 != 4) {
            throw new Violation("bad block status chunk");
        }
        int context = stream.readInt();
        if (context != agreed.statusContext()) {
            throw new Violation("block status of an unknown context");
        }
        request.statusLength = Integer.toUnsignedLong(stream.readInt());
        if (request.statusLength == 0) {
            throw new Violation("block status of no bytes");
        }
        request.statusFlags = stream.readInt();
        stream.skip(length - 12L);
    }

    private void error(Pending request, int length) throws IOException {
        if (length < 6) {
            throw new Violation("bad error chunk");
        }
        int error = stream.readInt();
        request.error = error == 0 ? Errno.EINVAL : error;
        stream.skip(length - 4L);
    }
}
