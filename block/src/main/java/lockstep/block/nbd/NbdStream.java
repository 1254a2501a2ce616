package lockstep.block.nbd;

import lockstep.block.node.Pieces;
import lockstep.runtime.tls.TlsEnd;
import lockstep.runtime.tls.TlsStream;

import org.jspecify.annotations.Nullable;

import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;

/** A socket with a read buffer; one thread reads, and writers take turns. */
public final class NbdStream implements AutoCloseable {
    private final SocketChannel channel;
    private final ByteBuffer input = ByteBuffer.allocateDirect(64 << 10).limit(0);
    private final Object writing = new Object();

    /** Once the connection is secure; set in front of what other threads write. */
    private @Nullable TlsStream tls;

    public NbdStream(SocketChannel channel) {
        this.channel = channel;
    }

    /**
     * Has TLS over everything from here on. Blocks for the handshake; only the thread that reads may use the stream
     * then.
     *
     * @throws IOException with a sentence for the user
     */
    public void secure(TlsEnd end) throws IOException {
        if (input.hasRemaining()) {
            // Whoever put it there is not known to be the peer of what follows.
            throw new IOException("The peer sent data in front of the TLS handshake");
        }
        tls =
                end.over(
                        new TlsStream.Raw() {
                            @Override
                            public int read(ByteBuffer target) throws IOException {
                                return channel.read(target);
                            }

                            @Override
                            public void write(ByteBuffer source) throws IOException {
                                while (source.hasRemaining()) {
                                    channel.write(source);
                                }
                            }

                            @Override
                            public void cut() {
                                shutdown();
                            }
                        });
    }

    private int read(ByteBuffer target) throws IOException {
        TlsStream secure = tls;
        return secure == null ? channel.read(target) : secure.read(target);
    }

    private void need(int bytes) throws IOException {
        if (input.remaining() >= bytes) {
            return;
        }
        input.compact();
        while (input.position() < bytes) {
            if (read(input) < 0) {
                input.flip();
                throw new EOFException("connection closed");
            }
        }
        input.flip();
    }

    /** A big-endian 16-bit number. */
    public int readShort() throws IOException {
        need(2);
        return input.getShort() & 0xffff;
    }

    public int readInt() throws IOException {
        need(4);
        return input.getInt();
    }

    public long readLong() throws IOException {
        need(8);
        return input.getLong();
    }

    /** Reads a byte array; the caller has bounded the length. */
    public byte[] readBytes(int length) throws IOException {
        byte[] bytes = new byte[length];
        readFully(ByteBuffer.wrap(bytes));
        return bytes;
    }

    public String readString(int length) throws IOException {
        return new String(readBytes(length), StandardCharsets.UTF_8);
    }

    /** Fills a segment. */
    public void readInto(MemorySegment target) throws IOException {
        readFully(target.asByteBuffer());
    }

    /** Fills memory in pieces. */
    public void readInto(Pieces target) throws IOException {
        for (MemorySegment piece : target.segments()) {
            readInto(piece);
        }
    }

    private void readFully(ByteBuffer target) throws IOException {
        while (target.hasRemaining()) {
            if (input.hasRemaining()) {
                int n = Math.min(input.remaining(), target.remaining());
                target.put(target.position(), input, input.position(), n);
                input.position(input.position() + n);
                target.position(target.position() + n);
            } else if (target.remaining() >= input.capacity() && target.isDirect()) {
                if (read(target) < 0) {
                    throw new EOFException("connection closed");
                }
            } else {
                need(1);
            }
        }
    }

    /** Skips bytes. */
    public void skip(long length) throws IOException {
        long left = length;
        while (left > 0) {
            need(1);
            int n = (int) Math.min(left, input.remaining());
            input.position(input.position() + n);
            left -= n;
        }
    }

    /** Writes a header and what follows it, not mixed with other writers. */
    public void write(ByteBuffer header, Pieces data) throws IOException {
        ByteBuffer[] buffers = new ByteBuffer[1 + data.segments().size()];
        buffers[0] = header;
        for (int i = 1; i < buffers.length; i++) {
            buffers[i] = data.segments().get(i - 1).asByteBuffer();
        }
        write(buffers);
    }

    /** Writes what fits a buffer, not mixed with other writers. */
    public void write(ByteBuffer buffer) throws IOException {
        write(buffer, Pieces.NONE);
    }

    /** Writes buffers one after the other, not mixed with other writers. */
    void write(ByteBuffer[] buffers) throws IOException {
        synchronized (writing) {
            TlsStream secure = tls;
            if (secure != null) {
                for (ByteBuffer buffer : buffers) {
                    secure.write(buffer);
                }
                return;
            }
            int first = 0;
            while (first < buffers.length) {
                if (!buffers[first].hasRemaining()) {
                    first++;
                } else {
                    channel.write(buffers, first, buffers.length - first);
                }
            }
        }
    }

    /** Tells the peer that nothing more comes, where the protocol has a word for it. */
    public void end() {
        TlsStream secure = tls;
        if (secure != null) {
            secure.end();
        }
    }

    /** Ends both directions; a reader and a writer fail. Any thread. */
    public void shutdown() {
        try {
            channel.shutdownInput();
            channel.shutdownOutput();
        } catch (IOException e) {
            // The peer was faster.
            close();
        }
    }

    @Override
    public void close() {
        try {
            channel.close();
        } catch (IOException e) {
            // There is nothing left to lose.
            System.getLogger("lockstep.block").log(System.Logger.Level.DEBUG, e);
        }
    }
}
