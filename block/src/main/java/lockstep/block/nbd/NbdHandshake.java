package lockstep.block.nbd;

import lockstep.block.node.BlockException;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.tls.TlsEnd;

import org.jspecify.annotations.Nullable;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** The client's side of the negotiation. */
final class NbdHandshake {
    /**
     * What was agreed on.
     *
     * @param flags transmission flags of the export
     * @param minBlock every offset and length is a multiple of this
     * @param maxBlock the most bytes of one request
     * @param structured replies come in chunks
     * @param statusContext the id of what the server can be asked about its blocks, -1 when it cannot
     */
    record Result(
            long size,
            int flags,
            int minBlock,
            int maxBlock,
            boolean structured,
            int statusContext) {}

    private static final int REPLY_MAX = 1 << 20;
    private static final int BLOCK_MAX = 1 << 16;

    /** Offsets are rounded up to blocks, which must not overflow. */
    private static final long SIZE_MAX = Long.MAX_VALUE - (1 << 30);

    /** The options and errors that QEMU has names for, by number. */
    private static final Map<Integer, String> OPTIONS =
            Map.of(
                    Nbd.OPT_EXPORT_NAME, "export name",
                    Nbd.OPT_ABORT, "abort",
                    Nbd.OPT_LIST, "list",
                    Nbd.OPT_STARTTLS, "starttls",
                    Nbd.OPT_INFO, "info",
                    Nbd.OPT_GO, "go",
                    Nbd.OPT_STRUCTURED_REPLY, "structured reply",
                    Nbd.OPT_LIST_META_CONTEXT, "list meta context",
                    Nbd.OPT_SET_META_CONTEXT, "set meta context");

    private static final Map<Integer, String> REPLIES =
            Map.of(
                    Nbd.REP_ACK, "ack",
                    Nbd.REP_SERVER, "server",
                    Nbd.REP_INFO, "info",
                    Nbd.REP_META_CONTEXT, "meta context",
                    Nbd.REP_ERR_UNSUP, "unsupported",
                    Nbd.REP_ERR_POLICY, "denied by policy",
                    Nbd.REP_ERR_INVALID, "invalid",
                    Nbd.REP_ERR_TLS_REQD, "TLS required",
                    Nbd.REP_ERR_UNKNOWN, "export unknown",
                    Nbd.REP_ERR_TOO_BIG, "option payload too big");

    private final NbdStream stream;
    private final String export;
    private final @Nullable TlsEnd tls;
    private final @Nullable String wanted;
    private String expected = "initial magic";

    NbdHandshake(NbdStream stream, String export, @Nullable TlsEnd tls, @Nullable String context) {
        this.stream = stream;
        this.export = export;
        this.tls = tls;
        this.wanted = context;
    }

    record Reply(int type, byte[] data) {
        boolean isError() {
            return type < 0;
        }

        String text() {
            return new String(data, StandardCharsets.UTF_8);
        }
    }

    Result negotiate() throws IOException, BlockException {
        Result result = agree();
        if (wanted != null && result.statusContext < 0) {
            throw broken("requested x-dirty-bitmap " + wanted + " not found");
        }
        return result;
    }

    private Result agree() throws IOException, BlockException {
        int offered = greeting();
        if (offered < 0) {
            requirePlain();
            return oldStyle();
        }
        boolean fixed = (offered & Nbd.FLAG_FIXED_NEWSTYLE) != 0;
        boolean noZeroes = (offered & Nbd.FLAG_NO_ZEROES) != 0;
        if (!fixed) {
            requirePlain();
            return exportName(noZeroes, false, -1);
        }
        boolean structured = secureAndStructured();
        int context = structured ? statusContext() : -1;
        return go(noZeroes, structured, context);
    }

    /** Likewise up to where options may be sent; answers whether replies come in chunks. */
    boolean begin() throws IOException, BlockException {
        int offered = greeting();
        if (offered < 0 || (offered & Nbd.FLAG_FIXED_NEWSTYLE) == 0) {
            throw broken("Server does not support listing exports");
        }
        return secureAndStructured();
    }

    private boolean secureAndStructured() throws IOException, BlockException {
        if (tls != null) {
            startTls(tls);
        }
        send(Nbd.OPT_STRUCTURED_REPLY, new byte[0]);
        return receive(Nbd.OPT_STRUCTURED_REPLY).type() == Nbd.REP_ACK;
    }

    /** The first words of both; answers the server's flags, or -1 for one that knows no options. */
    private int greeting() throws IOException, BlockException {
        long initial = stream.readLong();
        if (initial != Nbd.INIT_MAGIC) {
            throw broken("Bad initial magic received: 0x%016x".formatted(initial));
        }
        expected = "server magic";
        long magic = stream.readLong();
        if (magic == Nbd.OLDSTYLE_MAGIC) {
            return -1;
        }
        if (magic != Nbd.OPTION_MAGIC) {
            throw broken("Bad server magic received");
        }
        expected = "server flags";
        int offered = stream.readShort();
        stream.write(
                ByteBuffer.allocate(4)
                        .putInt(offered & (Nbd.FLAG_FIXED_NEWSTYLE | Nbd.FLAG_NO_ZEROES))
                        .flip());
        return offered & 0xffff;
    }

    private void requirePlain() throws BlockException {
        if (tls != null) {
            throw broken("Server does not support STARTTLS");
        }
    }

    private void startTls(TlsEnd end) throws IOException, BlockException {
        send(Nbd.OPT_STARTTLS, new byte[0]);
        Reply reply = receive(Nbd.OPT_STARTTLS);
        if (reply.type() == Nbd.REP_ERR_UNSUP) {
            throw broken("Server don't support STARTTLS option");
        }
        if (reply.isError()) {
            throw refused(Nbd.OPT_STARTTLS, reply);
        }
        if (reply.type() != Nbd.REP_ACK || reply.data().length != 0) {
            throw broken("Unexpected reply type " + reply.type());
        }
        try {
            stream.secure(end);
        } catch (IOException e) {
            throw new BlockException(Errno.EIO, String.valueOf(e.getMessage()), e);
        }
    }

    /** What the user reads of a server's error. */
    static BlockException refused(int option, Reply reply) {
        String what = named(OPTIONS, option);
        if (reply.type() == Nbd.REP_ERR_TLS_REQD) {
            return new BlockException(
                    Errno.EINVAL,
                    "TLS negotiation required before option " + what,
                    "Did you forget a valid tls-creds?");
        }
        return new BlockException(
                Errno.EINVAL,
                (reply.type() == Nbd.REP_ERR_POLICY
                                ? "Denied by server for option "
                                : "Server refused option ")
                        + what,
                "server reported: " + reply.text());
    }

    private static String named(Map<Integer, String> names, int number) {
        return Integer.toUnsignedString(number)
                + " ("
                + names.getOrDefault(number, "<unknown>")
                + ")";
    }

    static BlockException broken(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    /** What the user reads when the connection broke: what the server was to send next, and why it did not. */
    BlockException lost(IOException e) {
        String reason =
                e instanceof EOFException || e instanceof ClosedChannelException
                        ? "Unexpected end-of-file before all data were read"
                        : e.getMessage();
        return new BlockException(Errno.EIO, "Failed to read " + expected + ": " + reason, e);
    }

    private Result oldStyle() throws IOException, BlockException {
        expected = "export length";
        if (!export.isEmpty()) {
            throw broken("Server does not support non-empty export names");
        }
        long size = stream.readLong();
        int flags = stream.readInt() & 0xffff;
        stream.skip(124);
        return checked(size, flags, 1, Nbd.PAYLOAD_MAX, false, -1, false);
    }

    void send(int option, byte[] data) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(16 + data.length);
        buffer.putLong(Nbd.OPTION_MAGIC).putInt(option).putInt(data.length).put(data).flip();
        stream.write(buffer);
    }

    Reply receive(int option) throws IOException, BlockException {
        expected = "option reply";
        if (stream.readLong() != Nbd.OPTION_REPLY_MAGIC) {
            throw broken("Unexpected option reply magic");
        }
        int answered = stream.readInt();
        if (answered != option) {
            throw broken(
                    "Unexpected option type "
                            + named(OPTIONS, answered)
                            + ", expected "
                            + named(OPTIONS, option));
        }
        int type = stream.readInt();
        int length = stream.readInt();
        if (Integer.compareUnsigned(length, REPLY_MAX) > 0) {
            throw broken(
                    (type < 0 ? "server error " : "option reply ")
                            + named(REPLIES, type)
                            + " message is too long");
        }
        return new Reply(type, stream.readBytes(length));
    }

    private byte[] name() {
        return export.getBytes(StandardCharsets.UTF_8);
    }

    private int statusContext() throws IOException, BlockException {
        byte[] name = name();
        String context = wanted == null ? Nbd.BASE_ALLOCATION : wanted;
        byte[] query = context.getBytes(StandardCharsets.UTF_8);
        ByteBuffer data = ByteBuffer.allocate(4 + name.length + 4 + 4 + query.length);
        data.putInt(name.length).put(name).putInt(1).putInt(query.length).put(query);
        send(Nbd.OPT_SET_META_CONTEXT, data.array());
        int id = -1;
        while (true) {
            Reply reply = receive(Nbd.OPT_SET_META_CONTEXT);
            if (reply.type() == Nbd.REP_META_CONTEXT && reply.data().length >= 4) {
                String named =
                        new String(
                                reply.data(), 4, reply.data().length - 4, StandardCharsets.UTF_8);
                if (named.equals(context)) {
                    id = ByteBuffer.wrap(reply.data()).getInt();
                }
            } else if (reply.type() == Nbd.REP_ACK) {
                return id;
            } else if (reply.isError()) {
                return -1;
            } else {
                throw broken("Unexpected reply type " + reply.type());
            }
        }
    }

    private Result go(boolean noZeroes, boolean structured, int context)
            throws IOException, BlockException {
        byte[] name = name();
        ByteBuffer data = ByteBuffer.allocate(4 + name.length + 2 + 2);
        data.putInt(name.length)
                .put(name)
                .putShort((short) 1)
                .putShort((short) Nbd.INFO_BLOCK_SIZE);
        send(Nbd.OPT_GO, data.array());
        boolean sized = false;
        long size = 0;
        int flags = 0;
        int minBlock = 0;
        int maxBlock = Nbd.PAYLOAD_MAX;
        while (true) {
            Reply reply = receive(Nbd.OPT_GO);
            if (reply.type() == Nbd.REP_ACK) {
                if (!sized) {
                    throw broken("broken server omitted NBD_INFO_EXPORT");
                }
                return checked(size, flags, minBlock, maxBlock, structured, context, minBlock == 0);
            }
            if (reply.type() == Nbd.REP_ERR_UNSUP) {
                requireListed();
                return exportName(noZeroes, structured, context);
            }
            if (reply.type() == Nbd.REP_ERR_UNKNOWN) {
                throw new BlockException(
                        Errno.EINVAL,
                        "Requested export not available",
                        "server reported: " + reply.text());
            }
            if (reply.isError()) {
                throw refused(Nbd.OPT_GO, reply);
            }
            if (reply.type() != Nbd.REP_INFO || reply.data().length < 2) {
                throw broken("Unexpected reply type " + reply.type());
            }
            ByteBuffer info = ByteBuffer.wrap(reply.data());
            if (info.remaining() < 2) {
                throw broken("info length " + info.remaining() + " is too short");
            }
            int kind = info.getShort();
            if (kind == Nbd.INFO_EXPORT) {
                requireLength(info, 10);
                sized = true;
                size = info.getLong();
                flags = info.getShort() & 0xffff;
            } else if (kind == Nbd.INFO_BLOCK_SIZE) {
                requireLength(info, 12);
                minBlock = info.getInt();
                info.getInt();
                int most = info.getInt();
                if (Integer.bitCount(minBlock) != 1 || minBlock < 0) {
                    throw broken(
                            "server minimum block size "
                                    + Integer.toUnsignedString(minBlock)
                                    + " is not a power of two");
                }
                maxBlock =
                        Integer.compareUnsigned(most, Nbd.PAYLOAD_MAX) > 0
                                ? Nbd.PAYLOAD_MAX
                                : most / minBlock * minBlock;
                if (maxBlock <= 0) {
                    throw broken(
                            "server maximum block size "
                                    + Integer.toUnsignedString(most)
                                    + " is not valid");
                }
            }
        }
    }

    private static void requireLength(ByteBuffer info, int length) throws BlockException {
        if (info.remaining() != length) {
            throw broken("remaining export info len " + info.remaining() + " is unexpected size");
        }
    }

    /**
     * A server that does not know GO answers an unknown export name by hanging up, so ask first.
     */
    private void requireListed() throws IOException, BlockException {
        send(Nbd.OPT_LIST, new byte[0]);
        boolean found = false;
        while (true) {
            Reply reply = receive(Nbd.OPT_LIST);
            if (reply.type() == Nbd.REP_ACK) {
                if (!found) {
                    throw broken("No export with name '" + export + "' available");
                }
                return;
            }
            if (reply.isError()) {
                return;
            }
            if (reply.data().length >= 4) {
                int length = ByteBuffer.wrap(reply.data()).getInt();
                if (length >= 0 && length <= reply.data().length - 4) {
                    found |=
                            new String(reply.data(), 4, length, StandardCharsets.UTF_8)
                                    .equals(export);
                }
            }
        }
    }

    private Result exportName(boolean noZeroes, boolean structured, int context)
            throws IOException, BlockException {
        send(Nbd.OPT_EXPORT_NAME, name());
        expected = "export length";
        long size = stream.readLong();
        int flags = stream.readShort();
        if (!noZeroes) {
            stream.skip(124);
        }
        return checked(size, flags, 0, Nbd.PAYLOAD_MAX, structured, context, true);
    }

    private static Result checked(
            long size,
            int flags,
            int minBlock,
            int maxBlock,
            boolean structured,
            int context,
            boolean unknownBlock)
            throws BlockException {
        if (size < 0 || size > SIZE_MAX) {
            throw new BlockException(
                    Errno.EFBIG,
                    "Could not refresh total sector count: " + Errno.text(Errno.EFBIG));
        }
        if (minBlock > 1 && size % minBlock != 0) {
            throw broken(
                    "export size " + size + " is not multiple of minimum block size " + minBlock);
        }
        if (minBlock > BLOCK_MAX) {
            throw broken("server advertised invalid minimum block size");
        }
        int block = minBlock;
        if (unknownBlock) {
            block = context >= 0 || size % 512 != 0 ? 1 : 512;
        }
        return new Result(size, flags, block, maxBlock, structured, context);
    }
}
