package lockstep.block.export;

import lockstep.block.nbd.Nbd;
import lockstep.block.nbd.NbdStream;
import lockstep.runtime.tls.TlsEnd;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** The server's side of the handshake with one client. */
final class NbdNegotiation {
    private final NbdServer server;
    private final NbdSession session;
    private final NbdStream stream;
    private boolean secure;
    private boolean structured;
    private boolean extended;
    private @Nullable NbdExport contextExport;
    private List<MetaContext> contexts = List.of();

    NbdNegotiation(NbdServer server, NbdSession session, NbdStream stream) {
        this.server = server;
        this.session = session;
        this.stream = stream;
    }

    /** Whether replies come in chunks. */
    boolean structured() {
        return structured;
    }

    /** Whether requests and replies have headers with 64-bit lengths. */
    boolean extended() {
        return extended;
    }

    /** What the client may ask about the blocks of the chosen export. */
    List<MetaContext> contexts() {
        return contexts;
    }

    /** Runs until the client has chosen an export; null when it leaves without one. */
    @Nullable NbdExport negotiate() throws IOException {
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
            TlsEnd tls = server.terms().tls();
            if (tls != null && !secure) {
                if (!startTls(option, length, tls)) {
                    return null;
                }
                continue;
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
                        error(
                                option,
                                Nbd.REP_ERR_INVALID,
                                "option 'starttls' has unexpected length");
                    } else if (secure) {
                        error(option, Nbd.REP_ERR_INVALID, "TLS already enabled");
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
                case Nbd.OPT_STRUCTURED_REPLY, Nbd.OPT_EXTENDED_HEADERS -> headers(option, length);
                case Nbd.OPT_LIST_META_CONTEXT, Nbd.OPT_SET_META_CONTEXT ->
                        contexts(option, length);
                default -> {
                    stream.skip(length);
                    error(option, Nbd.REP_ERR_UNSUP, "Unsupported option " + option);
                }
            }
        }
    }

    /** The client wants other headers than those of the first protocol. */
    private void headers(int option, int length) throws IOException {
        boolean extending = option == Nbd.OPT_EXTENDED_HEADERS;
        String name = extending ? "extended headers" : "structured reply";
        stream.skip(length);
        if (length != 0) {
            error(option, Nbd.REP_ERR_INVALID, "option '" + name + "' has unexpected length");
        } else if (extended && !extending) {
            error(option, Nbd.REP_ERR_EXT_HEADER_REQD, "extended headers already negotiated");
        } else if (extending ? extended : structured) {
            error(option, Nbd.REP_ERR_INVALID, name + " already negotiated");
        } else {
            structured = true;
            extended = extending;
            reply(option, Nbd.REP_ACK, new byte[0]);
        }
    }

    /** What the export can do for this client. */
    private int flags(NbdExport export, boolean asking) {
        boolean picks = extended && (asking || contextExport == export && !contexts.isEmpty());
        return export.flags(structured, server.multiConn())
                | (picks ? Nbd.TRANSMIT_BLOCK_STATUS_PAYLOAD : 0);
    }

    /** Answers an option in front of TLS, which may be no other than that; false when the client has to go. */
    private boolean startTls(int option, int length, TlsEnd tls) throws IOException {
        if (option == Nbd.OPT_EXPORT_NAME) {
            return false; // there is no way to tell it why
        }
        stream.skip(length);
        if (option != Nbd.OPT_STARTTLS) {
            error(
                    option,
                    Nbd.REP_ERR_TLS_REQD,
                    "Option 0x" + Integer.toHexString(option) + " not permitted before TLS");
            return option != Nbd.OPT_ABORT;
        }
        if (length != 0) {
            error(option, Nbd.REP_ERR_INVALID, "option 'starttls' has unexpected length");
            return false;
        }
        reply(option, Nbd.REP_ACK, new byte[0]);
        try {
            stream.secure(tls);
        } catch (IOException e) {
            server.terms().refused().accept("option negotiation failed: " + e.getMessage());
            throw e;
        }
        secure = true;
        return true;
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
        if (extended || length > Nbd.STRING_MAX) {
            return null;
        }
        NbdExport export = server.find(stream.readString(length));
        if (export == null || !export.join(session)) {
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
                export.leave(session);
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
        if (export == null || option == Nbd.OPT_GO && !export.join(session)) {
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
                            .putShort((short) flags(export, option == Nbd.OPT_INFO))
                            .array());
            reply(option, Nbd.REP_ACK, new byte[0]);
            done = true;
        } finally {
            if (!done && option == Nbd.OPT_GO) {
                export.leave(session);
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
            contexts = List.of();
        }
    }

    private void contexts(int option, int length) throws IOException {
        boolean set = option == Nbd.OPT_SET_META_CONTEXT;
        if (set) {
            contextExport = null;
            contexts = List.of();
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
        boolean all = !set && queries == 0;
        Set<MetaContext> found = new HashSet<>();
        for (int i = 0; i < queries; i++) {
            String query = text(data);
            if (query == null) {
                error(option, Nbd.REP_ERR_INVALID, "query length is incorrect");
                return;
            }
            for (MetaContext context : export.contexts()) {
                if (context.isMeant(query, !set)) {
                    found.add(context);
                }
            }
        }
        if (data.hasRemaining()) {
            error(option, Nbd.REP_ERR_INVALID, "trailing bytes after the queries");
            return;
        }
        List<MetaContext> meant =
                export.contexts().stream().filter(c -> all || found.contains(c)).toList();
        for (MetaContext context : meant) {
            byte[] named = context.name().getBytes(StandardCharsets.UTF_8);
            reply(
                    option,
                    Nbd.REP_META_CONTEXT,
                    ByteBuffer.allocate(4 + named.length)
                            .putInt(set ? context.id() : 0)
                            .put(named)
                            .array());
        }
        if (set) {
            contextExport = export;
            contexts = meant;
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
}
