package lockstep.block.export;

import lockstep.block.BlockBackend;
import lockstep.block.nbd.Nbd;
import lockstep.block.nbd.NbdStream;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.Buffers;
import lockstep.block.node.Pieces;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.trace.InternalFailure;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.Semaphore;

/** One client: negotiation and then requests, up to {@value #IN_FLIGHT} of them at a time. */
final class NbdSession {
    private static final int IN_FLIGHT = 16;
    private static final int EXTENTS_MAX = 131072;

    private final NbdServer server;
    private final NbdStream stream;
    private final Semaphore room = new Semaphore(IN_FLIGHT);
    private boolean structured;
    private boolean extended;
    private List<MetaContext> contexts = List.of();

    NbdSession(NbdServer server, SocketChannel channel) {
        this.server = server;
        this.stream = new NbdStream(channel);
    }

    /** Cuts the connection; the serving thread ends. Any thread. */
    void shutdown() {
        stream.shutdown();
    }

    /** Requests that have no reply yet. Any thread. */
    int underWay() {
        return Math.max(0, IN_FLIGHT - room.availablePermits());
    }

    void serve() {
        NbdExport export = null;
        try {
            ScheduledFuture<?> timer = server.startHandshakeTimer(this);
            NbdNegotiation negotiation = new NbdNegotiation(server, this, stream);
            export = negotiation.negotiate();
            structured = negotiation.structured();
            extended = negotiation.extended();
            contexts = negotiation.contexts();
            if (timer != null) {
                timer.cancel(false);
            }
            if (export != null) {
                transmit(export);
            }
        } catch (IOException e) {
            // The client left, or the export was taken away.
            System.getLogger("lockstep.block").log(System.Logger.Level.DEBUG, e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            room.acquireUninterruptibly(IN_FLIGHT);
            stream.end();
            stream.close();
            if (export != null) {
                export.leave(this);
            }
            server.forget(this, export != null);
        }
    }

    /**
     * What a client wants.
     *
     * @param length of what is meant on the disk; unsigned
     */
    private record Request(int flags, int type, long cookie, long from, long length) {
        /** Whether the length of the header was that of a payload. */
        boolean hasPayload(boolean extended) {
            return type == Nbd.CMD_WRITE || extended && (flags & Nbd.CMD_FLAG_PAYLOAD_LEN) != 0;
        }

        Request over(long bytes) {
            return new Request(flags, type, cookie, from, bytes);
        }
    }

    private static final class Refusal extends Exception {
        private static final long serialVersionUID = 1L;

        private final int errno;

        Refusal(int errno, String message) {
            super(message, null, false, false);
            this.errno = errno;
        }
    }

    private void transmit(NbdExport export) throws IOException, InterruptedException {
        while (true) {
            if (stream.readInt() != (extended ? Nbd.EXTENDED_REQUEST_MAGIC : Nbd.REQUEST_MAGIC)) {
                return;
            }
            Request request =
                    new Request(
                            stream.readShort(),
                            stream.readShort(),
                            stream.readLong(),
                            stream.readLong(),
                            extended
                                    ? stream.readLong()
                                    : Integer.toUnsignedLong(stream.readInt()));
            if (request.type() == Nbd.CMD_DISC) {
                return;
            }
            room.acquire();
            Buffers.Lease payload = Buffers.take(0);
            boolean handed = false;
            try {
                if (request.hasPayload(extended)) {
                    if (Long.compareUnsigned(request.length(), Nbd.PAYLOAD_MAX) > 0) {
                        // The payload cannot be skipped in reasonable time.
                        sendError(
                                request,
                                Errno.EINVAL,
                                "len ("
                                        + Long.toUnsignedString(request.length())
                                        + ") is larger than max len ("
                                        + Nbd.PAYLOAD_MAX
                                        + ")");
                        return;
                    }
                    payload.close();
                    payload = Buffers.take((int) request.length());
                    stream.readInto(payload.segment());
                }
                Buffers.Lease data = payload;
                server.workers().execute(() -> run(export, request, data));
                handed = true;
            } catch (RejectedExecutionException e) {
                // The server has stopped; the client sees the end of its connection.
                return;
            } finally {
                if (!handed) {
                    payload.close();
                    room.release();
                }
            }
        }
    }

    private void run(NbdExport export, Request request, Buffers.Lease payload) {
        try {
            try {
                Asked asked = asked(request, payload.segment());
                check(export, asked.request());
                perform(export, asked, payload.segment());
            } catch (Refusal e) {
                sendError(request, e.errno, String.valueOf(e.getMessage()));
            } catch (BlockException e) {
                sendError(request, wire(e.errno()), String.valueOf(e.getMessage()));
            } catch (RuntimeException | Error e) {
                // A driver's bug must not lose the request: the client would wait for ever.
                InternalFailure.log("an NBD request", e);
                sendError(request, Errno.EIO, "internal error");
            }
        } catch (IOException e) {
            stream.shutdown();
        } finally {
            payload.close();
            room.release();
        }
    }

    /** A request, and what it wants to know of the blocks. */
    private record Asked(Request request, List<MetaContext> contexts) {}

    /** Looks into the payload of a request for the state of blocks, which has their length and picks contexts. */
    private Asked asked(Request request, MemorySegment payload) throws Refusal {
        if (request.type() == Nbd.CMD_WRITE || !request.hasPayload(extended)) {
            return new Asked(request, contexts);
        }
        ByteBuffer data = payload.asByteBuffer();
        if (request.type() != Nbd.CMD_BLOCK_STATUS) {
            throw new Refusal(Errno.EINVAL, "unexpected payload of " + data.remaining() + " bytes");
        }
        if (data.remaining() < 8 || data.remaining() % 4 != 0) {
            throw new Refusal(Errno.EINVAL, "wrong payload of " + data.remaining() + " bytes");
        }
        long length = data.getLong();
        List<MetaContext> picked = new ArrayList<>();
        while (data.hasRemaining()) {
            int id = data.getInt();
            MetaContext context =
                    contexts.stream().filter(c -> c.id() == id).findFirst().orElse(null);
            if (context == null || picked.contains(context)) {
                throw new Refusal(Errno.EINVAL, "wrong context " + id + " in the payload");
            }
            picked.add(context);
        }
        if (picked.isEmpty()) {
            throw new Refusal(Errno.EINVAL, "no context in the payload");
        }
        return new Asked(request.over(length), picked);
    }

    private static int wire(int errno) {
        return switch (errno) {
            case Errno.EPERM,
                    Errno.EIO,
                    Errno.ENOMEM,
                    Errno.ENOSPC,
                    Errno.EOVERFLOW,
                    Errno.ENOTSUP,
                    Errno.ESHUTDOWN ->
                    errno;
            case Errno.EROFS -> Errno.EPERM;
            case Errno.EFBIG, Errno.EDQUOT -> Errno.ENOSPC;
            default -> Errno.EINVAL;
        };
    }

    private void check(NbdExport export, Request request) throws Refusal {
        int allowed =
                switch (request.type()) {
                    case Nbd.CMD_READ -> structured ? Nbd.CMD_FLAG_DF : 0;
                    case Nbd.CMD_WRITE ->
                            Nbd.CMD_FLAG_FUA | (extended ? Nbd.CMD_FLAG_PAYLOAD_LEN : 0);
                    case Nbd.CMD_TRIM -> Nbd.CMD_FLAG_FUA;
                    case Nbd.CMD_FLUSH, Nbd.CMD_CACHE -> 0;
                    case Nbd.CMD_WRITE_ZEROES ->
                            Nbd.CMD_FLAG_FUA | Nbd.CMD_FLAG_NO_HOLE | Nbd.CMD_FLAG_FAST_ZERO;
                    case Nbd.CMD_BLOCK_STATUS ->
                            Nbd.CMD_FLAG_REQ_ONE | (extended ? Nbd.CMD_FLAG_PAYLOAD_LEN : 0);
                    default ->
                            throw new Refusal(
                                    Errno.EINVAL,
                                    "invalid request type (" + request.type() + ") received");
                };
        boolean writes =
                request.type() == Nbd.CMD_WRITE
                        || request.type() == Nbd.CMD_TRIM
                        || request.type() == Nbd.CMD_WRITE_ZEROES;
        // FUA is allowed on every command.
        if ((request.flags() & ~(allowed | Nbd.CMD_FLAG_FUA)) != 0) {
            throw new Refusal(
                    Errno.EINVAL,
                    "unsupported flags for command (got 0x"
                            + Integer.toHexString(request.flags())
                            + ")");
        }
        long length = request.length();
        if (request.type() == Nbd.CMD_READ && Long.compareUnsigned(length, Nbd.PAYLOAD_MAX) > 0) {
            throw new Refusal(
                    Errno.EINVAL,
                    "len ("
                            + Long.toUnsignedString(length)
                            + ") is larger than max len ("
                            + Nbd.PAYLOAD_MAX
                            + ")");
        }
        if (writes && !export.writable()) {
            throw new Refusal(Errno.EINVAL, "Export is read-only");
        }
        BlockNode root = export.backend().root();
        if (request.type() != Nbd.CMD_READ && (root == null || !root.active())) {
            throw new Refusal(Errno.EPERM, "export is inactive");
        }
        if (request.type() != Nbd.CMD_FLUSH
                && (request.from() < 0
                        || request.from() > export.size()
                        || Long.compareUnsigned(length, export.size() - request.from()) > 0)) {
            throw new Refusal(
                    Errno.EINVAL,
                    "operation past EOF; From: "
                            + Long.toUnsignedString(request.from())
                            + ", Len: "
                            + Long.toUnsignedString(length)
                            + ", Size: "
                            + export.size());
        }
        if (request.type() == Nbd.CMD_BLOCK_STATUS && contexts.isEmpty()) {
            throw new Refusal(Errno.EINVAL, "CMD_BLOCK_STATUS not negotiated");
        }
    }

    private void perform(NbdExport export, Asked asked, MemorySegment payload)
            throws IOException, BlockException, Refusal {
        BlockBackend backend = export.backend();
        Request request = asked.request();
        long from = request.from();
        long length = request.length();
        boolean durable = (request.flags() & Nbd.CMD_FLAG_FUA) != 0 || export.writethrough();
        switch (request.type()) {
            case Nbd.CMD_READ -> read(export, request);
            case Nbd.CMD_WRITE -> {
                backend.writeBlocking(from, payload);
                flushIf(durable, backend);
                sendDone(request);
            }
            case Nbd.CMD_FLUSH -> {
                flushIf(true, backend);
                sendDone(request);
            }
            case Nbd.CMD_TRIM -> {
                backend.discardBlocking(from, length);
                flushIf(durable, backend);
                sendDone(request);
            }
            case Nbd.CMD_WRITE_ZEROES -> {
                if ((request.flags() & Nbd.CMD_FLAG_FAST_ZERO) != 0 && !export.zeroesFast()) {
                    throw new Refusal(Errno.ENOTSUP, "zeroes are not faster than data here");
                }
                backend.writeZeroesBlocking(
                        from, length, (request.flags() & Nbd.CMD_FLAG_NO_HOLE) == 0);
                flushIf(durable, backend);
                sendDone(request);
            }
            case Nbd.CMD_CACHE -> sendDone(request);
            default -> status(asked);
        }
    }

    private static void flushIf(boolean durable, BlockBackend backend) throws BlockException {
        if (durable) {
            backend.flushBlocking();
        }
    }

    private void sendDone(Request request) throws IOException {
        if (extended) {
            stream.write(chunk(request, Nbd.CHUNK_DONE, Nbd.CHUNK_NONE, 0, 0).flip());
        } else {
            simple(request, 0);
        }
    }

    private void simple(Request request, int error) throws IOException {
        stream.write(simpleHeader(request, error));
    }

    private static ByteBuffer simpleHeader(Request request, int error) {
        return ByteBuffer.allocate(16)
                .putInt(Nbd.SIMPLE_REPLY_MAGIC)
                .putInt(error)
                .putLong(request.cookie())
                .flip();
    }

    private ByteBuffer chunk(Request request, int flags, int type, int length, int extra) {
        ByteBuffer chunk =
                ByteBuffer.allocate((extended ? 32 : 20) + extra)
                        .putInt(extended ? Nbd.EXTENDED_REPLY_MAGIC : Nbd.CHUNK_MAGIC)
                        .putShort((short) flags)
                        .putShort((short) type)
                        .putLong(request.cookie());
        return extended ? chunk.putLong(request.from()).putLong(length) : chunk.putInt(length);
    }

    private void sendError(Request request, int error, String text) throws IOException {
        if (!structured) {
            simple(request, error);
            return;
        }
        byte[] message = text.getBytes(StandardCharsets.UTF_8);
        int length = Math.min(message.length, Nbd.STRING_MAX);
        stream.write(
                chunk(request, Nbd.CHUNK_DONE, Nbd.CHUNK_ERROR, 6 + length, 6 + length)
                        .putInt(error)
                        .putShort((short) length)
                        .put(message, 0, length)
                        .flip());
    }

    private void read(NbdExport export, Request request) throws IOException, BlockException {
        int length = (int) request.length(); // at most PAYLOAD_MAX
        if (!structured) {
            try (Buffers.Lease lease = Buffers.take(length)) {
                MemorySegment data = lease.segment();
                export.backend().readBlocking(request.from(), data);
                stream.write(simpleHeader(request, 0), Pieces.of(data));
            }
            return;
        }
        if (length == 0) {
            stream.write(chunk(request, Nbd.CHUNK_DONE, Nbd.CHUNK_NONE, 0, 0).flip());
            return;
        }
        if ((request.flags() & Nbd.CMD_FLAG_DF) != 0) {
            sendData(export, request, request.from(), length, true);
            return;
        }
        long at = request.from();
        long end = at + length;
        while (at < end) {
            BlockStatus status = export.status(at, end - at);
            long run = Math.min(status.length(), end - at);
            boolean last = at + run == end;
            if (status.zero()) {
                stream.write(
                        chunk(request, last ? Nbd.CHUNK_DONE : 0, Nbd.CHUNK_OFFSET_HOLE, 12, 12)
                                .putLong(at)
                                .putInt((int) run)
                                .flip());
            } else {
                sendData(export, request, at, (int) run, last);
            }
            at += run;
        }
    }

    private void sendData(NbdExport export, Request request, long at, int length, boolean last)
            throws IOException, BlockException {
        try (Buffers.Lease lease = Buffers.take(length)) {
            MemorySegment data = lease.segment();
            export.backend().readBlocking(at, data);
            ByteBuffer header =
                    chunk(request, last ? Nbd.CHUNK_DONE : 0, Nbd.CHUNK_OFFSET_DATA, 8 + length, 8);
            stream.write(header.putLong(at).flip(), Pieces.of(data));
        }
    }

    /** A chunk for each thing that the client asks for. */
    private void status(Asked asked) throws IOException, BlockException {
        Request request = asked.request();
        if (request.length() == 0) {
            sendError(request, Errno.EINVAL, "need non-zero length");
            return;
        }
        for (MetaContext context : asked.contexts()) {
            status(request, context, context == asked.contexts().getLast());
        }
    }

    private void status(Request request, MetaContext context, boolean done)
            throws IOException, BlockException {
        boolean one = (request.flags() & Nbd.CMD_FLAG_REQ_ONE) != 0;
        List<long[]> extents = new ArrayList<>();
        long at = request.from();
        long end = at + request.length();
        while (at < end) {
            MetaContext.Run found = context.look().at(at, end - at);
            long run = Math.min(found.length(), end - at);
            int flags = found.flags();
            long[] previous = extents.isEmpty() ? null : extents.getLast();
            if (previous != null && previous[1] == flags) {
                previous[0] += run;
            } else if (one && previous != null || extents.size() == EXTENTS_MAX) {
                break;
            } else {
                extents.add(new long[] {run, flags});
            }
            at += run;
        }
        int last = done ? Nbd.CHUNK_DONE : 0;
        if (extended) {
            int length = 8 + extents.size() * 16;
            ByteBuffer answer =
                    chunk(request, last, Nbd.CHUNK_BLOCK_STATUS_EXT, length, length)
                            .putInt(context.id())
                            .putInt(extents.size());
            for (long[] extent : extents) {
                answer.putLong(extent[0]).putLong(extent[1]);
            }
            stream.write(answer.flip());
            return;
        }
        int length = 4 + extents.size() * 8;
        ByteBuffer answer =
                chunk(request, last, Nbd.CHUNK_BLOCK_STATUS, length, length).putInt(context.id());
        for (long[] extent : extents) {
            answer.putInt((int) extent[0]).putInt((int) extent[1]);
        }
        stream.write(answer.flip());
    }
}
