package lockstep.block.export;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.Semaphore;
import lockstep.block.BlockBackend;
import lockstep.block.BlockException;
import lockstep.block.BlockStatus;
import lockstep.block.Errno;
import lockstep.block.nbd.Nbd;
import lockstep.block.nbd.NbdStream;
import lockstep.block.node.BlockNode;
import lockstep.block.node.Buffers;
import org.jspecify.annotations.Nullable;

/** One client: negotiation and then requests, up to {@value #IN_FLIGHT} of them at a time. */
final class NbdSession {
    private static final int IN_FLIGHT = 16;
    private static final int EXTENTS_MAX = 131072;

    private final NbdServer server;
    private final NbdStream stream;
    private final Semaphore room = new Semaphore(IN_FLIGHT);
    private boolean structured;
    private @Nullable NbdExport contextExport;
    private boolean allocationContext;

    NbdSession(NbdServer server, SocketChannel channel) {
        this.server = server;
        this.stream = new NbdStream(channel);
    }

    /** Cuts the connection; the serving thread ends. Any thread. */
    void shutdown() {
        stream.shutdown();
    }

    void serve() {
        NbdExport export = null;
        try {
            ScheduledFuture<?> timer = server.startHandshakeTimer(this);
            export = negotiate();
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
            stream.close();
            if (export != null) {
                export.leave(this);
            }
            server.forget(this);
        }
    }

    // Negotiation

    private @Nullable NbdExport negotiate() throws IOException {
        stream.write(
                ByteBuffer.allocate(18)
                        .putLong(Nbd.INIT_MAGIC)
                        .putLong(Nbd.OPTION_MAGIC)
                        .putShort((short) (Nbd.FLAG_FIXED_NEWSTYLE | Nbd.FLAG_NO_ZEROES))
                        .flip());
        int flags = stream.readInt();
        if ((flags & ~(Nbd.FLAG_FIXED_NEWSTYLE | Nbd.FLAG_NO_ZEROES)) != 0) {
            return null;
        }
        boolean fixed = (flags & Nbd.FLAG_FIXED_NEWSTYLE) != 0;
        boolean noZeroes = (flags & Nbd.FLAG_NO_ZEROES) != 0;
        while (true) {
            if (stream.readLong() != Nbd.OPTION_MAGIC) {
                return null;
            }
            int option = stream.readInt();
            int length = stream.readInt();
            if (Integer.compareUnsigned(length, Nbd.PAYLOAD_MAX) > 0
                    || !fixed && option != Nbd.OPT_EXPORT_NAME) {
                return null;
            }
            switch (option) {
                case Nbd.OPT_EXPORT_NAME -> {
                    return exportName(length, noZeroes);
                }
                case Nbd.OPT_ABORT -> {
                    stream.skip(length);
                    reply(option, Nbd.REP_ACK, new byte[0]);
                    return null;
                }
                case Nbd.OPT_LIST -> list(length);
                case Nbd.OPT_STARTTLS -> {
                    stream.skip(length);
                    if (length != 0) {
                        error(option, Nbd.REP_ERR_INVALID, "option 'starttls' has unexpected length");
                    } else {
                        error(option, Nbd.REP_ERR_POLICY, "TLS not configured");
                    }
                }
                case Nbd.OPT_INFO, Nbd.OPT_GO -> {
                    NbdExport chosen = info(option, length);
                    if (chosen != null) {
                        return chosen;
                    }
                }
                case Nbd.OPT_STRUCTURED_REPLY -> {
                    stream.skip(length);
                    if (length != 0) {
                        error(
                                option,
                                Nbd.REP_ERR_INVALID,
                                "option 'structured reply' has unexpected length");
                    } else if (structured) {
                        error(option, Nbd.REP_ERR_INVALID, "structured reply already negotiated");
                    } else {
                        structured = true;
                        reply(option, Nbd.REP_ACK, new byte[0]);
                    }
                }
                case Nbd.OPT_LIST_META_CONTEXT, Nbd.OPT_SET_META_CONTEXT -> contexts(option, length);
                default -> {
                    stream.skip(length);
                    error(option, Nbd.REP_ERR_UNSUP, "Unsupported option " + option);
                }
            }
        }
    }

    private void reply(int option, int type, byte[] data) throws IOException {
        stream.write(
                ByteBuffer.allocate(20 + data.length)
                        .putLong(Nbd.OPTION_REPLY_MAGIC)
                        .putInt(option)
                        .putInt(type)
                        .putInt(data.length)
                        .put(data)
                        .flip());
    }

    private void error(int option, int type, String text) throws IOException {
        reply(option, type, text.getBytes(StandardCharsets.UTF_8));
    }

    private @Nullable NbdExport exportName(int length, boolean noZeroes) throws IOException {
        if (length > Nbd.STRING_MAX) {
            return null;
        }
        NbdExport export = server.find(stream.readString(length));
        if (export == null || !export.join(this)) {
            return null;
        }
        boolean sent = false;
        try {
            ByteBuffer answer = ByteBuffer.allocate(10 + (noZeroes ? 0 : 124));
            answer.putLong(export.size());
            answer.putShort((short) export.flags(structured, server.multiConn()));
            stream.write(answer.position(0));
            sent = true;
        } finally {
            if (!sent) {
                export.leave(this);
            }
        }
        checkContext(export);
        return export;
    }

    private void list(int length) throws IOException {
        if (length != 0) {
            stream.skip(length);
            error(Nbd.OPT_LIST, Nbd.REP_ERR_INVALID, "option 'list' has unexpected length");
            return;
        }
        for (NbdExport export : server.exports()) {
            byte[] name = export.name().getBytes(StandardCharsets.UTF_8);
            byte[] description = export.description().getBytes(StandardCharsets.UTF_8);
            ByteBuffer data = ByteBuffer.allocate(4 + name.length + description.length);
            data.putInt(name.length).put(name).put(description);
            reply(Nbd.OPT_LIST, Nbd.REP_SERVER, data.array());
        }
        reply(Nbd.OPT_LIST, Nbd.REP_ACK, new byte[0]);
    }

    private @Nullable NbdExport info(int option, int length) throws IOException {
        if (length > 8 * Nbd.STRING_MAX) {
            stream.skip(length);
            error(option, Nbd.REP_ERR_TOO_BIG, "option too long");
            return null;
        }
        ByteBuffer data = ByteBuffer.wrap(stream.readBytes(length));
        if (data.remaining() < 6) {
            error(option, Nbd.REP_ERR_INVALID, "overall request too short");
            return null;
        }
        int nameLength = data.getInt();
        if (nameLength < 0 || nameLength > Nbd.STRING_MAX || nameLength > data.remaining() - 2) {
            error(option, Nbd.REP_ERR_INVALID, "name length is incorrect");
            return null;
        }
        byte[] nameBytes = new byte[nameLength];
        data.get(nameBytes);
        String name = new String(nameBytes, StandardCharsets.UTF_8);
        int requests = data.getShort() & 0xffff;
        if (data.remaining() != requests * 2) {
            error(option, Nbd.REP_ERR_INVALID, "incorrect number of requests");
            return null;
        }
        boolean wantsName = false;
        boolean wantsDescription = false;
        for (int i = 0; i < requests; i++) {
            int wanted = data.getShort();
            wantsName |= wanted == Nbd.INFO_NAME;
            wantsDescription |= wanted == Nbd.INFO_DESCRIPTION;
        }
        NbdExport export = server.find(name);
        if (export == null || option == Nbd.OPT_GO && !export.join(this)) {
            error(option, Nbd.REP_ERR_UNKNOWN, "export '" + name + "' not present");
            return null;
        }
        boolean done = false;
        try {
            if (wantsName) {
                reply(option, Nbd.REP_INFO, infoText(Nbd.INFO_NAME, name));
            }
            if (wantsDescription || !export.description().isEmpty()) {
                reply(option, Nbd.REP_INFO, infoText(Nbd.INFO_DESCRIPTION, export.description()));
            }
            reply(
                    option,
                    Nbd.REP_INFO,
                    ByteBuffer.allocate(14)
                            .putShort((short) Nbd.INFO_BLOCK_SIZE)
                            .putInt(1)
                            .putInt(4096)
                            .putInt(Nbd.PAYLOAD_MAX)
                            .array());
            reply(
                    option,
                    Nbd.REP_INFO,
                    ByteBuffer.allocate(12)
                            .putShort((short) Nbd.INFO_EXPORT)
                            .putLong(export.size())
                            .putShort((short) export.flags(structured, server.multiConn()))
                            .array());
            reply(option, Nbd.REP_ACK, new byte[0]);
            done = true;
        } finally {
            if (!done && option == Nbd.OPT_GO) {
                export.leave(this);
            }
        }
        if (option == Nbd.OPT_INFO) {
            return null;
        }
        checkContext(export);
        return export;
    }

    private static byte[] infoText(int kind, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(2 + bytes.length).putShort((short) kind).put(bytes).array();
    }

    /** Contexts only count for the export they were chosen for. */
    private void checkContext(NbdExport export) {
        if (contextExport != export) {
            allocationContext = false;
        }
    }

    private void contexts(int option, int length) throws IOException {
        boolean set = option == Nbd.OPT_SET_META_CONTEXT;
        if (set) {
            contextExport = null;
            allocationContext = false;
        }
        if (length > 1 << 20) {
            stream.skip(length);
            error(option, Nbd.REP_ERR_TOO_BIG, "option too long");
            return;
        }
        ByteBuffer data = ByteBuffer.wrap(stream.readBytes(length));
        if (set && !structured) {
            error(
                    option,
                    Nbd.REP_ERR_INVALID,
                    "request option 'set meta context' when structured reply is not negotiated");
            return;
        }
        String name = text(data);
        if (name == null || data.remaining() < 4) {
            error(option, Nbd.REP_ERR_INVALID, "name length is incorrect");
            return;
        }
        NbdExport export = server.find(name);
        if (export == null) {
            error(option, Nbd.REP_ERR_UNKNOWN, "export '" + name + "' not present");
            return;
        }
        int queries = data.getInt();
        boolean found = !set && queries == 0;
        for (int i = 0; i < queries; i++) {
            String query = text(data);
            if (query == null) {
                error(option, Nbd.REP_ERR_INVALID, "query length is incorrect");
                return;
            }
            found |= query.equals(Nbd.BASE_ALLOCATION) || !set && query.equals("base:");
        }
        if (data.hasRemaining()) {
            error(option, Nbd.REP_ERR_INVALID, "trailing bytes after the queries");
            return;
        }
        if (found) {
            byte[] context = Nbd.BASE_ALLOCATION.getBytes(StandardCharsets.US_ASCII);
            reply(
                    option,
                    Nbd.REP_META_CONTEXT,
                    ByteBuffer.allocate(4 + context.length).putInt(0).put(context).array());
        }
        if (set) {
            contextExport = export;
            allocationContext = found;
        }
        reply(option, Nbd.REP_ACK, new byte[0]);
    }

    private static @Nullable String text(ByteBuffer data) {
        if (data.remaining() < 4) {
            return null;
        }
        int length = data.getInt();
        if (length < 0 || length > Nbd.STRING_MAX || length > data.remaining()) {
            return null;
        }
        byte[] bytes = new byte[length];
        data.get(bytes);
        return new String(bytes, StandardCharsets.UTF_8);
    }

    // Transmission

    private record Request(int flags, int type, long cookie, long from, int length) {}

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
            if (stream.readInt() != Nbd.REQUEST_MAGIC) {
                return;
            }
            Request request =
                    new Request(
                            stream.readShort(),
                            stream.readShort(),
                            stream.readLong(),
                            stream.readLong(),
                            stream.readInt());
            if (request.type() == Nbd.CMD_DISC) {
                return;
            }
            room.acquire();
            Buffers.Lease payload = Buffers.take(0);
            boolean handed = false;
            try {
                if (request.type() == Nbd.CMD_WRITE) {
                    if (Integer.compareUnsigned(request.length(), Nbd.PAYLOAD_MAX) > 0) {
                        // The payload cannot be skipped in reasonable time.
                        sendError(request, Errno.EINVAL, "len (" + Integer.toUnsignedString(request.length()) + ") is larger than max len (" + Nbd.PAYLOAD_MAX + ")");
                        return;
                    }
                    payload.close();
                    payload = Buffers.take(request.length());
                    stream.readInto(payload.segment());
                }
                Buffers.Lease data = payload;
                server.graph().workers().execute(() -> run(export, request, data));
                handed = true;
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
                check(export, request);
                perform(export, request, payload.segment());
            } catch (Refusal e) {
                sendError(request, e.errno, String.valueOf(e.getMessage()));
            } catch (BlockException e) {
                sendError(request, wire(e.errno()), String.valueOf(e.getMessage()));
            } catch (RuntimeException e) {
                System.getLogger("lockstep.block")
                        .log(System.Logger.Level.ERROR, "NBD request failed", e);
                sendError(request, Errno.EIO, "internal error");
            }
        } catch (IOException e) {
            stream.shutdown();
        } finally {
            payload.close();
            room.release();
        }
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
                    case Nbd.CMD_WRITE, Nbd.CMD_TRIM -> Nbd.CMD_FLAG_FUA;
                    case Nbd.CMD_FLUSH, Nbd.CMD_CACHE -> 0;
                    case Nbd.CMD_WRITE_ZEROES ->
                            Nbd.CMD_FLAG_FUA | Nbd.CMD_FLAG_NO_HOLE | Nbd.CMD_FLAG_FAST_ZERO;
                    case Nbd.CMD_BLOCK_STATUS -> Nbd.CMD_FLAG_REQ_ONE;
                    default ->
                            throw new Refusal(
                                    Errno.EINVAL, "invalid request type (" + request.type() + ") received");
                };
        boolean writes =
                request.type() == Nbd.CMD_WRITE
                        || request.type() == Nbd.CMD_TRIM
                        || request.type() == Nbd.CMD_WRITE_ZEROES;
        // FUA is allowed on every command.
        if ((request.flags() & ~(allowed | Nbd.CMD_FLAG_FUA)) != 0) {
            throw new Refusal(
                    Errno.EINVAL,
                    "unsupported flags for command (got 0x" + Integer.toHexString(request.flags()) + ")");
        }
        long length = Integer.toUnsignedLong(request.length());
        if (request.type() == Nbd.CMD_READ && length > Nbd.PAYLOAD_MAX) {
            throw new Refusal(
                    Errno.EINVAL,
                    "len (" + length + ") is larger than max len (" + Nbd.PAYLOAD_MAX + ")");
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
                        || length > export.size() - request.from())) {
            throw new Refusal(
                    Errno.EINVAL,
                    "operation past EOF; From: "
                            + Long.toUnsignedString(request.from())
                            + ", Len: "
                            + length
                            + ", Size: "
                            + export.size());
        }
        if (request.type() == Nbd.CMD_BLOCK_STATUS && !allocationContext) {
            throw new Refusal(Errno.EINVAL, "CMD_BLOCK_STATUS not negotiated");
        }
    }

    private void perform(NbdExport export, Request request, MemorySegment payload)
            throws IOException, BlockException, Refusal {
        BlockBackend backend = export.backend();
        long from = request.from();
        long length = Integer.toUnsignedLong(request.length());
        boolean durable =
                (request.flags() & Nbd.CMD_FLAG_FUA) != 0 || export.writethrough();
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
            default -> status(export, request);
        }
    }

    private static void flushIf(boolean durable, BlockBackend backend) throws BlockException {
        if (durable) {
            backend.flushBlocking();
        }
    }

    private void sendDone(Request request) throws IOException {
        simple(request, 0);
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

    private static ByteBuffer chunk(Request request, int flags, int type, int length, int extra) {
        return ByteBuffer.allocate(20 + extra)
                .putInt(Nbd.CHUNK_MAGIC)
                .putShort((short) flags)
                .putShort((short) type)
                .putLong(request.cookie())
                .putInt(length);
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
        int length = request.length();
        if (!structured) {
            try (Buffers.Lease lease = Buffers.take(length)) {
                MemorySegment data = lease.segment();
                export.backend().readBlocking(request.from(), data);
                stream.write(simpleHeader(request, 0), data.asByteBuffer());
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
                        chunk(
                                        request,
                                        last ? Nbd.CHUNK_DONE : 0,
                                        Nbd.CHUNK_OFFSET_HOLE,
                                        12,
                                        12)
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
            stream.write(header.putLong(at).flip(), data.asByteBuffer());
        }
    }

    private void status(NbdExport export, Request request) throws IOException, BlockException {
        if (request.length() == 0) {
            sendError(request, Errno.EINVAL, "need non-zero length");
            return;
        }
        boolean one = (request.flags() & Nbd.CMD_FLAG_REQ_ONE) != 0;
        List<long[]> extents = new ArrayList<>();
        long at = request.from();
        long end = at + Integer.toUnsignedLong(request.length());
        while (at < end) {
            BlockStatus status = export.status(at, end - at);
            long run = Math.min(status.length(), end - at);
            int flags =
                    (status.data() ? 0 : Nbd.STATE_HOLE) | (status.zero() ? Nbd.STATE_ZERO : 0);
            long[] last = extents.isEmpty() ? null : extents.getLast();
            if (last != null && last[1] == flags) {
                last[0] += run;
            } else if (one && last != null || extents.size() == EXTENTS_MAX) {
                break;
            } else {
                extents.add(new long[] {run, flags});
            }
            at += run;
        }
        int length = 4 + extents.size() * 8;
        ByteBuffer answer =
                chunk(request, Nbd.CHUNK_DONE, Nbd.CHUNK_BLOCK_STATUS, length, length).putInt(0);
        for (long[] extent : extents) {
            answer.putInt((int) extent[0]).putInt((int) extent[1]);
        }
        stream.write(answer.flip());
    }
}
