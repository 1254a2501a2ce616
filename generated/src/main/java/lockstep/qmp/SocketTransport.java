package lockstep.qmp;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.net.UnixDomainSocketAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.util.List;

/** A socket of the JDK. */
final class SocketTransport implements Transport {
    private final QmpAddress address;
    private final SocketChannel channel;

    SocketTransport(QmpAddress address) throws IOException {
        this.address = address;
        this.channel =
                address instanceof QmpAddress.Unix
                        ? SocketChannel.open(StandardProtocolFamily.UNIX)
                        : SocketChannel.open();
    }

    @Override
    public void connect() throws IOException {
        try {
            channel.connect(socketAddress());
        } catch (IOException e) {
            // The JDK's messages do not say where to.
            throw new IOException("Cannot connect to " + address + ": " + e.getMessage(), e);
        }
        if (address instanceof QmpAddress.Tcp) {
            channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
        }
    }

    private SocketAddress socketAddress() throws IOException {
        return switch (address) {
            case QmpAddress.Unix unix -> {
                try {
                    yield UnixDomainSocketAddress.of(unix.path());
                } catch (UncheckedIOException e) {
                    throw e.getCause();
                }
            }
            case QmpAddress.Tcp tcp -> {
                InetSocketAddress inet = new InetSocketAddress(tcp.host(), tcp.port());
                if (inet.isUnresolved()) {
                    throw new UnknownHostException("the host '" + tcp.host() + "' is not known");
                }
                yield inet;
            }
            default -> throw new IllegalStateException(address + " is not a socket");
        };
    }

    @Override
    public InputStream input() {
        InputStream input = Channels.newInputStream(channel);
        return address instanceof QmpAddress.Tcp ? new TelnetInput(input) : input;
    }

    @Override
    public void write(byte[] bytes, int length, List<Descriptor> descriptors) throws IOException {
        if (!descriptors.isEmpty()) {
            throw new UnsupportedOperationException();
        }
        ByteBuffer buffer = ByteBuffer.wrap(bytes, 0, length);
        while (buffer.hasRemaining()) {
            channel.write(buffer);
        }
    }

    @Override
    public void close() {
        try {
            channel.close();
        } catch (IOException e) {
            // Closed it is; nothing that was written depends on it.
        }
    }
}
