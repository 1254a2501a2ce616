package lockstep.conformance;

import java.io.EOFException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;

/** An NBD client that makes one request at a time, and waits for its answer for a limited time. */
final class NbdClient implements AutoCloseable {
    /** The protocol's commands, with their numbers. */
    enum Command {
        READ(0),
        WRITE(1),
        FLUSH(3),
        TRIM(4),
        WRITE_ZEROES(6);

        private final short number;

        Command(int number) {
            this.number = (short) number;
        }
    }

    /**
     * An answer.
     *
     * @param error the protocol's error number, 0 for success
     * @param data what was read, else empty
     */
    record Answer(int error, byte[] data) {
        @Override
        public String toString() {
            return error == 0 ? "ok" + (data.length == 0 ? "" : data[0]) : "error " + error;
        }
    }

    private static final long OPTION_MAGIC = 0x49484156454f5054L;
    private static final int GO = 7;
    private static final int ACK = 1;
    private static final int INFO = 3;
    private static final int REQUEST_MAGIC = 0x25609513;
    private static final int REPLY_MAGIC = 0x67446698;
    private static final int DISCONNECT = 2;

    private final SocketChannel channel;
    private final Selector selector;
    private final Duration limit;
    private long size;
    private long requests;

    /**
     * Connects to an export.
     *
     * @param limit how long any answer may take
     */
    NbdClient(Path socket, String export, Duration limit) throws IOException {
        this.limit = limit;
        channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        channel.connect(UnixDomainSocketAddress.of(socket));
        channel.configureBlocking(false);
        selector = Selector.open();
        channel.register(selector, SelectionKey.OP_READ);
        receive(18);
        byte[] name = export.getBytes(StandardCharsets.UTF_8);
        ByteBuffer hello = ByteBuffer.allocate(26 + name.length);
        hello.putInt(3).putLong(OPTION_MAGIC).putInt(GO).putInt(6 + name.length);
        hello.putInt(name.length).put(name).putShort((short) 0);
        send(hello.flip());
        for (int type = 0; type != ACK; ) {
            ByteBuffer reply = receive(20);
            type = reply.getInt(12);
            ByteBuffer payload = receive(reply.getInt(16));
            if (type == INFO && payload.getShort(0) == 0) {
                size = payload.getLong(2);
            } else if (type < 0) {
                throw new IOException("the server refuses the export " + export);
            }
        }
    }

    /** The export's size in bytes. */
    long size() {
        return size;
    }

    /** Makes a request and waits for its answer. */
    Answer request(Command command, long offset, int length, byte[] data) throws IOException {
        requests++;
        ByteBuffer request = ByteBuffer.allocate(28 + data.length);
        request.putInt(REQUEST_MAGIC).putShort((short) 0).putShort(command.number);
        request.putLong(requests).putLong(offset).putInt(length).put(data);
        send(request.flip());
        ByteBuffer reply = receive(16);
        if (reply.getInt() != REPLY_MAGIC || reply.getLong(8) != requests) {
            throw new IOException("not the answer to request " + requests);
        }
        int error = reply.getInt();
        boolean more = command == Command.READ && error == 0;
        return new Answer(error, more ? receive(length).array() : new byte[0]);
    }

    private void send(ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            if (channel.write(bytes) == 0) {
                channel.register(selector, SelectionKey.OP_WRITE);
                await();
            }
        }
        channel.register(selector, SelectionKey.OP_READ);
    }

    private ByteBuffer receive(int length) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(length);
        while (bytes.hasRemaining()) {
            int n = channel.read(bytes);
            if (n < 0) {
                throw new EOFException("the server ended the connection");
            }
            if (n == 0) {
                await();
            }
        }
        return bytes.flip();
    }

    private void await() throws IOException {
        if (selector.select(limit.toMillis()) == 0) {
            throw new InterruptedIOException("no answer within " + limit.toSeconds() + " s");
        }
        selector.selectedKeys().clear();
    }

    /** Takes leave, if the server still listens, and disconnects. */
    @Override
    public void close() throws IOException {
        ByteBuffer farewell = ByteBuffer.allocate(28);
        farewell.putInt(REQUEST_MAGIC).putShort(6, (short) DISCONNECT).position(0);
        try (selector;
                channel) {
            send(farewell);
        } catch (IOException e) {
            // The server has gone; there is nobody to take leave of.
        }
    }
}
