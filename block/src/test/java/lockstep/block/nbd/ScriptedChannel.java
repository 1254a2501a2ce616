package lockstep.block.nbd;

import java.io.IOException;
import java.net.Socket;
import java.net.SocketAddress;
import java.net.SocketOption;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.SocketChannel;
import java.nio.channels.spi.SelectorProvider;
import java.util.Set;

/** A connection whose peer says what was written down before, and does not mind what it hears. */
public final class ScriptedChannel extends SocketChannel {
    private final ByteBuffer script;
    private final int piece;
    private long heard;

    /**
     * A peer that says these bytes and hangs up.
     *
     * @param piece the most bytes of one read
     */
    public ScriptedChannel(byte[] script, int piece) {
        super(SelectorProvider.provider());
        this.script = ByteBuffer.wrap(script);
        this.piece = piece;
    }

    /** How many bytes were written to the peer. */
    public synchronized long heard() {
        return heard;
    }

    @Override
    public int read(ByteBuffer target) throws IOException {
        if (!isOpen()) {
            throw new ClosedChannelException();
        }
        if (!script.hasRemaining()) {
            return -1;
        }
        int n = Math.min(piece, Math.min(target.remaining(), script.remaining()));
        target.put(target.position(), script, script.position(), n);
        target.position(target.position() + n);
        script.position(script.position() + n);
        return n;
    }

    @Override
    public synchronized int write(ByteBuffer source) throws IOException {
        if (!isOpen()) {
            throw new ClosedChannelException();
        }
        int n = source.remaining();
        source.position(source.limit());
        heard += n;
        return n;
    }

    @Override
    public long read(ByteBuffer[] targets, int offset, int length) throws IOException {
        return read(targets[offset]);
    }

    @Override
    public long write(ByteBuffer[] sources, int offset, int length) throws IOException {
        long n = 0;
        for (int i = offset; i < offset + length; i++) {
            n += write(sources[i]);
        }
        return n;
    }

    @Override
    public SocketChannel shutdownInput() {
        return this;
    }

    @Override
    public SocketChannel shutdownOutput() {
        return this;
    }

    @Override
    public boolean isConnected() {
        return isOpen();
    }

    @Override
    protected void implCloseSelectableChannel() {}

    @Override
    protected void implConfigureBlocking(boolean block) {}

    private static UnsupportedOperationException unused() {
        return new UnsupportedOperationException("a script has no socket");
    }

    @Override
    public SocketChannel bind(SocketAddress local) {
        throw unused();
    }

    @Override
    public <T> SocketChannel setOption(SocketOption<T> name, T value) {
        throw unused();
    }

    @Override
    public <T> T getOption(SocketOption<T> name) {
        throw unused();
    }

    @Override
    public Set<SocketOption<?>> supportedOptions() {
        return Set.of();
    }

    @Override
    public Socket socket() {
        throw unused();
    }

    @Override
    public boolean isConnectionPending() {
        return false;
    }

    @Override
    public boolean connect(SocketAddress remote) {
        throw unused();
    }

    @Override
    public boolean finishConnect() {
        throw unused();
    }

    @Override
    public SocketAddress getRemoteAddress() {
        throw unused();
    }

    @Override
    public SocketAddress getLocalAddress() {
        throw unused();
    }
}
