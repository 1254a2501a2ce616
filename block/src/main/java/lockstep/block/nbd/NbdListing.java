package lockstep.block.nbd;

import lockstep.block.node.BlockException;
import lockstep.runtime.tls.TlsEnd;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** What a server exports, for who wants to see it and not use it. NBD protocol, "Option types". */
public final class NbdListing {
    /** More names than this are not asked for. */
    private static final int MOST_EXPORTS = 10_000;

    /**
     * An export.
     *
     * @param description "" for none
     * @param flags transmission flags
     * @param blocks smallest, best and largest request; null when the server does not say
     * @param contexts the names of what block status can tell
     */
    public record Export(
            String name,
            String description,
            long size,
            int flags,
            int @Nullable [] blocks,
            List<String> contexts) {}

    private final NbdHandshake handshake;

    private NbdListing(NbdHandshake handshake) {
        this.handshake = handshake;
    }

    /** Asks a server for its exports. */
    public static List<Export> of(NbdAddress address, @Nullable TlsEnd tls) throws BlockException {
        try (NbdStream stream = new NbdStream(address.connect(new NbdAttempt()))) {
            NbdHandshake handshake = new NbdHandshake(stream, "", tls, null);
            try {
                return new NbdListing(handshake).all();
            } catch (IOException e) {
                throw handshake.lost(e);
            }
        }
    }

    private List<Export> all() throws IOException, BlockException {
        boolean structured = handshake.begin();
        List<Export> exports = new ArrayList<>();
        for (String[] named : names()) {
            exports.add(export(named[0], named[1], structured));
        }
        handshake.send(Nbd.OPT_ABORT, new byte[0]);
        return exports;
    }

    /** The exports' names, each with a description. */
    private List<String[]> names() throws IOException, BlockException {
        handshake.send(Nbd.OPT_LIST, new byte[0]);
        List<String[]> names = new ArrayList<>();
        while (true) {
            NbdHandshake.Reply reply = handshake.receive(Nbd.OPT_LIST);
            if (reply.type() == Nbd.REP_ACK) {
                return names;
            }
            if (reply.isError()) {
                throw NbdHandshake.refused(Nbd.OPT_LIST, reply);
            }
            ByteBuffer data = ByteBuffer.wrap(reply.data());
            if (reply.type() != Nbd.REP_SERVER || data.remaining() < 4) {
                throw NbdHandshake.broken("Unexpected reply type " + reply.type());
            }
            int length = data.getInt();
            if (length < 0 || length > data.remaining() || names.size() == MOST_EXPORTS) {
                throw NbdHandshake.broken("incorrect option name length");
            }
            names.add(new String[] {text(data, length), text(data, data.remaining())});
        }
    }

    private static String text(ByteBuffer data, int length) {
        byte[] bytes = new byte[length];
        data.get(bytes);
        return new String(bytes, StandardCharsets.UTF_8);
    }

    private Export export(String name, String listed, boolean structured)
            throws IOException, BlockException {
        byte[] bytes = name.getBytes(StandardCharsets.UTF_8);
        ByteBuffer request = ByteBuffer.allocate(4 + bytes.length + 2 + 4);
        request.putInt(bytes.length).put(bytes).putShort((short) 2);
        request.putShort((short) Nbd.INFO_DESCRIPTION).putShort((short) Nbd.INFO_BLOCK_SIZE);
        handshake.send(Nbd.OPT_INFO, request.array());
        String description = listed;
        long size = 0;
        int flags = 0;
        int[] blocks = null;
        while (true) {
            NbdHandshake.Reply reply = handshake.receive(Nbd.OPT_INFO);
            if (reply.type() == Nbd.REP_ACK) {
                break;
            }
            if (reply.isError()) {
                throw NbdHandshake.refused(Nbd.OPT_INFO, reply);
            }
            ByteBuffer info = ByteBuffer.wrap(reply.data());
            if (reply.type() != Nbd.REP_INFO || info.remaining() < 2) {
                throw NbdHandshake.broken("Unexpected reply type " + reply.type());
            }
            int kind = info.getShort();
            if (kind == Nbd.INFO_EXPORT && info.remaining() == 10) {
                size = info.getLong();
                flags = info.getShort() & 0xffff;
            } else if (kind == Nbd.INFO_DESCRIPTION) {
                description = text(info, info.remaining());
            } else if (kind == Nbd.INFO_BLOCK_SIZE && info.remaining() == 12) {
                blocks = new int[] {info.getInt(), info.getInt(), info.getInt()};
            }
        }
        return new Export(
                name, description, size, flags, blocks, structured ? contexts(bytes) : List.of());
    }

    private List<String> contexts(byte[] name) throws IOException, BlockException {
        ByteBuffer request = ByteBuffer.allocate(4 + name.length + 4);
        handshake.send(
                Nbd.OPT_LIST_META_CONTEXT, request.putInt(name.length).put(name).putInt(0).array());
        List<String> contexts = new ArrayList<>();
        while (contexts.size() < MOST_EXPORTS) {
            NbdHandshake.Reply reply = handshake.receive(Nbd.OPT_LIST_META_CONTEXT);
            if (reply.type() != Nbd.REP_META_CONTEXT || reply.data().length < 4) {
                return contexts;
            }
            ByteBuffer data = ByteBuffer.wrap(reply.data());
            data.getInt();
            contexts.add(text(data, data.remaining()));
        }
        return contexts;
    }
}
