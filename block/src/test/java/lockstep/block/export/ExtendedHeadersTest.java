package lockstep.block.export;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.block.Backends;
import lockstep.block.BlockHost;
import lockstep.block.Images;
import lockstep.block.nbd.Nbd;
import lockstep.block.nbd.NbdAddress;
import lockstep.block.node.BlockNode;
import lockstep.runtime.linux.Errno;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/** The server's side of the NBD protocol's headers with 64-bit lengths, as its specification has them. */
class ExtendedHeadersTest {
    private static final long SIZE = 6L << 30;
    private static final String NAME = "disk";

    @TempDir Path dir;
    private final Backends backends = new Backends(BlockHost.direct());
    private NbdServer server;
    private Socket socket;
    private DataInputStream in;
    private DataOutputStream out;

    @BeforeEach
    void connect() throws Exception {
        server =
                NbdServer.start(
                        backends,
                        new NbdAddress.Inet("127.0.0.1", 0),
                        NbdServer.Terms.plain(100, 10));
        BlockNode disk = Images.qcow2(backends.graph(), dir.resolve("disk"), SIZE, false);
        server.add(
                new NbdServer.Request(NAME, NAME, "", true, false, false, true, List.of()),
                disk,
                null);
        backends.graph().release(disk);
        socket = new Socket("127.0.0.1", server.port());
        socket.setSoTimeout(20_000);
        in = new DataInputStream(socket.getInputStream());
        out = new DataOutputStream(socket.getOutputStream());
        in.readNBytes(18);
        out.writeInt(Nbd.FLAG_FIXED_NEWSTYLE | Nbd.FLAG_NO_ZEROES);
    }

    @AfterEach
    void close() throws Exception {
        socket.close();
        backends.close();
        server.close();
    }

    /** Sends an option and gives the type of the last answer. */
    private int option(int option, byte[] payload) throws IOException {
        out.writeLong(Nbd.OPTION_MAGIC);
        out.writeInt(option);
        out.writeInt(payload.length);
        out.write(payload);
        while (true) {
            assertEquals(Nbd.OPTION_REPLY_MAGIC, in.readLong());
            assertEquals(option, in.readInt());
            int type = in.readInt();
            byte[] data = in.readNBytes(in.readInt());
            if (type == Nbd.REP_INFO && data[1] == Nbd.INFO_EXPORT) {
                assertTrue(
                        (ByteBuffer.wrap(data).getShort(10) & Nbd.TRANSMIT_BLOCK_STATUS_PAYLOAD)
                                != 0);
            } else if (type != Nbd.REP_INFO && type != Nbd.REP_META_CONTEXT) {
                return type;
            }
        }
    }

    private static byte[] named(int more, String... queries) {
        ByteBuffer text = ByteBuffer.allocate(512).putInt(NAME.length()).put(bytes(NAME));
        if (more == 2) {
            text.putShort((short) 0);
        } else {
            text.putInt(queries.length);
            for (String query : queries) {
                text.putInt(query.length()).put(bytes(query));
            }
        }
        byte[] all = new byte[text.position()];
        text.get(0, all);
        return all;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private void negotiate() throws IOException {
        assertEquals(Nbd.REP_ACK, option(Nbd.OPT_EXTENDED_HEADERS, new byte[0]));
        assertEquals(
                Nbd.REP_ACK,
                option(
                        Nbd.OPT_SET_META_CONTEXT,
                        named(4, Nbd.BASE_ALLOCATION, Nbd.ALLOCATION_DEPTH)));
        assertEquals(Nbd.REP_ACK, option(Nbd.OPT_GO, named(2)));
    }

    private record Chunk(int flags, int type, byte[] payload) {}

    private void send(int type, int flags, long from, long length, byte[] payload)
            throws IOException {
        out.writeInt(Nbd.EXTENDED_REQUEST_MAGIC);
        out.writeShort(flags);
        out.writeShort(type);
        out.writeLong(type * 1000L + flags);
        out.writeLong(from);
        out.writeLong(length);
        out.write(payload);
    }

    private Chunk chunk(int type, int flags, long from) throws IOException {
        assertEquals(Nbd.EXTENDED_REPLY_MAGIC, in.readInt());
        int replyFlags = in.readUnsignedShort();
        int replyType = in.readUnsignedShort();
        assertEquals(type * 1000L + flags, in.readLong());
        assertEquals(from, in.readLong());
        return new Chunk(replyFlags, replyType, in.readNBytes((int) in.readLong()));
    }

    private Chunk ask(int type, int flags, long from, long length, byte[] payload)
            throws IOException {
        send(type, flags, from, length, payload);
        return chunk(type, flags, from);
    }

    private void done(Chunk chunk) {
        assertEquals(Nbd.CHUNK_NONE, chunk.type());
        assertEquals(Nbd.CHUNK_DONE, chunk.flags());
        assertEquals(0, chunk.payload().length);
    }

    private static void failed(Chunk chunk, int errno) {
        assertEquals(Nbd.CHUNK_ERROR, chunk.type());
        assertEquals(errno, ByteBuffer.wrap(chunk.payload()).getInt());
    }

    @Test
    void oneRequestIsForMoreThanFourGigabytes() throws IOException {
        negotiate();
        byte[] data = new byte[4096];
        Arrays.fill(data, (byte) 7);
        done(ask(Nbd.CMD_WRITE, Nbd.CMD_FLAG_PAYLOAD_LEN, SIZE - 4096, 4096, data));
        Chunk read = ask(Nbd.CMD_READ, 0, SIZE - 4096, 4096, new byte[0]);
        assertEquals(Nbd.CHUNK_OFFSET_DATA, read.type());
        assertEquals(SIZE - 4096, ByteBuffer.wrap(read.payload()).getLong());
        assertArrayEquals(data, Arrays.copyOfRange(read.payload(), 8, 4104));
        done(ask(Nbd.CMD_WRITE_ZEROES, 0, 4096, SIZE - 4096, new byte[0]));
        done(ask(Nbd.CMD_TRIM, 0, 0, SIZE, new byte[0]));
        Chunk zero = ask(Nbd.CMD_READ, 0, SIZE - 4096, 4096, new byte[0]);
        assertEquals(Nbd.CHUNK_OFFSET_HOLE, zero.type());
        failed(ask(Nbd.CMD_TRIM, 0, 1, SIZE, new byte[0]), Errno.EINVAL);
        failed(ask(Nbd.CMD_TRIM, 0, 1, -1, new byte[0]), Errno.EINVAL);
        failed(ask(Nbd.CMD_READ, 0, 0, 1L << 32, new byte[0]), Errno.EINVAL);
    }

    @Test
    void statesOfBlocksHaveLongLengthsAndOfPickedContextsOnly() throws IOException {
        negotiate();
        send(Nbd.CMD_BLOCK_STATUS, 0, 0, SIZE, new byte[0]);
        Chunk first = chunk(Nbd.CMD_BLOCK_STATUS, 0, 0);
        Chunk second = chunk(Nbd.CMD_BLOCK_STATUS, 0, 0);
        assertEquals(0, first.flags());
        assertEquals(Nbd.CHUNK_DONE, second.flags());
        states(first, 0, SIZE, Nbd.STATE_HOLE | Nbd.STATE_ZERO);
        states(second, 1, SIZE, 0);
        int flags = Nbd.CMD_FLAG_PAYLOAD_LEN;
        byte[] picks = ByteBuffer.allocate(12).putLong(SIZE - 1).putInt(1).array();
        Chunk picked = ask(Nbd.CMD_BLOCK_STATUS, flags, 1, picks.length, picks);
        assertEquals(Nbd.CHUNK_DONE, picked.flags());
        states(picked, 1, SIZE - 1, 0);
        byte[] wrong = ByteBuffer.allocate(12).putLong(SIZE).putInt(9).array();
        failed(ask(Nbd.CMD_BLOCK_STATUS, flags, 0, wrong.length, wrong), Errno.EINVAL);
        failed(ask(Nbd.CMD_BLOCK_STATUS, flags, 0, 3, new byte[3]), Errno.EINVAL);
        failed(ask(Nbd.CMD_TRIM, flags, 0, 3, new byte[3]), Errno.EINVAL);
        done(ask(Nbd.CMD_FLUSH, 0, 0, 0, new byte[0]));
    }

    private static void states(Chunk chunk, int context, long length, long state) {
        assertEquals(Nbd.CHUNK_BLOCK_STATUS_EXT, chunk.type());
        ByteBuffer data = ByteBuffer.wrap(chunk.payload());
        assertEquals(context, data.getInt());
        assertEquals(1, data.getInt());
        assertEquals(length, data.getLong());
        assertEquals(state, data.getLong());
        assertEquals(0, data.remaining());
    }

    @Test
    void theyAreAgreedOnce() throws IOException {
        assertEquals(Nbd.REP_ERR_INVALID, option(Nbd.OPT_EXTENDED_HEADERS, new byte[1]));
        assertEquals(Nbd.REP_ACK, option(Nbd.OPT_STRUCTURED_REPLY, new byte[0]));
        assertEquals(Nbd.REP_ACK, option(Nbd.OPT_EXTENDED_HEADERS, new byte[0]));
        assertEquals(Nbd.REP_ERR_INVALID, option(Nbd.OPT_EXTENDED_HEADERS, new byte[0]));
        assertEquals(Nbd.REP_ERR_EXT_HEADER_REQD, option(Nbd.OPT_STRUCTURED_REPLY, new byte[0]));
        // The old way to choose an export has no way to refuse it but this.
        out.writeLong(Nbd.OPTION_MAGIC);
        out.writeInt(Nbd.OPT_EXPORT_NAME);
        out.writeInt(NAME.length());
        out.write(bytes(NAME));
        assertEquals(-1, in.read());
    }
}
