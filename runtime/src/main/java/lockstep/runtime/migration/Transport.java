package lockstep.runtime.migration;

import java.io.Closeable;
import java.io.IOException;
import java.net.ConnectException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.channels.UnresolvedAddressException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Locale;

/** Opens the channels that migrations travel on. Blocking; any thread. */
final class Transport {
    private Transport() {}

    /** Something that is being opened and that {@link #close} of another thread gives up. */
    static final class Attempt implements Closeable {
        private Closeable target = () -> {};
        private boolean closed;

        /** Names what is being opened now. */
        synchronized void on(Closeable newTarget) throws IOException {
            target = newTarget;
            if (closed) {
                newTarget.close();
            }
        }

        @Override
        public synchronized void close() throws IOException {
            closed = true;
            target.close();
        }
    }

    /** Opens the source's end. Throws with a sentence for error-desc. */
    static MigrationChannel connect(Address address, Attempt attempt) throws IOException {
        return switch (address) {
            case Address.Tcp tcp ->
                    socket(
                            SocketChannel.open(),
                            new InetSocketAddress(tcp.host(), tcp.port()),
                            tcp.host() + ":" + tcp.port(),
                            attempt);
            case Address.Unix unix ->
                    socket(
                            SocketChannel.open(StandardProtocolFamily.UNIX),
                            UnixDomainSocketAddress.of(unix.path()),
                            unix.path(),
                            attempt);
            case Address.Exec exec -> {
                Process process =
                        new ProcessBuilder(exec.command())
                                .redirectOutput(ProcessBuilder.Redirect.INHERIT)
                                .redirectError(ProcessBuilder.Redirect.INHERIT)
                                .start();
                yield new PipeLink(
                        "command", null, Channels.newChannel(process.getOutputStream()), process);
            }
            case Address.File file -> {
                Path path = Path.of(file.path());
                try {
                    FileChannel channel =
                            FileChannel.open(
                                    path, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
                    if (file.offset() == 0) {
                        channel.truncate(0);
                    }
                    channel.position(file.offset());
                    yield new PipeLink("file", null, channel, null);
                } catch (IOException e) {
                    throw new IOException(
                            "Unable to open " + file.path() + ": " + fileReason(e), e);
                }
            }
            case Address.Descriptor fd -> descriptor(fd, true);
        };
    }

    private static MigrationChannel socket(
            SocketChannel channel, SocketAddress remote, String name, Attempt attempt)
            throws IOException {
        try {
            attempt.on(channel);
            if (remote instanceof InetSocketAddress inet && inet.isUnresolved()) {
                throw new UnresolvedAddressException();
            }
            channel.connect(remote);
            return new SocketLink(channel);
        } catch (UnresolvedAddressException e) {
            channel.close();
            throw new IOException(
                    "address resolution failed for " + name + ": Name or service not known", e);
        } catch (IOException e) {
            channel.close();
            throw new IOException("Failed to connect to '" + name + "': " + reason(e), e);
        }
    }

    /** A listening end, or one that needs nobody to come. */
    interface Listener extends Closeable {
        /** Waits for the source. */
        MigrationChannel accept() throws IOException;
    }

    /** Opens the destination's end. Throws with a sentence for the user. */
    static Listener listen(Address address) throws IOException {
        return switch (address) {
            case Address.Tcp tcp -> {
                ServerSocketChannel server = ServerSocketChannel.open();
                server.setOption(StandardSocketOptions.SO_REUSEADDR, true);
                String host = tcp.host().isEmpty() ? "0.0.0.0" : tcp.host();
                yield bound(
                        server,
                        new InetSocketAddress(host, tcp.port()),
                        tcp.host() + ":" + tcp.port());
            }
            case Address.Unix unix -> {
                Files.deleteIfExists(Path.of(unix.path()));
                yield bound(
                        ServerSocketChannel.open(StandardProtocolFamily.UNIX),
                        UnixDomainSocketAddress.of(unix.path()),
                        unix.path());
            }
            case Address.Exec exec -> {
                Process process =
                        new ProcessBuilder(exec.command())
                                .redirectInput(
                                        ProcessBuilder.Redirect.from(new java.io.File("/dev/null")))
                                .redirectError(ProcessBuilder.Redirect.INHERIT)
                                .start();
                yield ready(
                        new PipeLink(
                                "command",
                                Channels.newChannel(process.getInputStream()),
                                null,
                                process));
            }
            case Address.File file -> {
                try {
                    FileChannel channel =
                            FileChannel.open(Path.of(file.path()), StandardOpenOption.READ);
                    channel.position(file.offset());
                    yield ready(new PipeLink("file", channel, null, null));
                } catch (IOException e) {
                    throw new IOException(
                            "Unable to open " + file.path() + ": " + fileReason(e), e);
                }
            }
            case Address.Descriptor fd -> ready(descriptor(fd, false));
        };
    }

    private static Listener bound(ServerSocketChannel server, SocketAddress local, String name)
            throws IOException {
        try {
            if (local instanceof InetSocketAddress inet && inet.isUnresolved()) {
                throw new IOException("address resolution failed for " + name);
            }
            server.bind(local, 1);
        } catch (IOException e) {
            server.close();
            throw new IOException("Failed to bind socket to '" + name + "': " + reason(e), e);
        }
        return new Listener() {
            @Override
            public MigrationChannel accept() throws IOException {
                return new SocketLink(server.accept());
            }

            @Override
            public void close() throws IOException {
                server.close();
            }
        };
    }

    private static Listener ready(MigrationChannel channel) {
        return new Listener() {
            @Override
            public MigrationChannel accept() {
                return channel;
            }

            @Override
            public void close() {}
        };
    }

    /** A pipe or file that this process inherited; the kernel opens it again by its number. */
    private static MigrationChannel descriptor(Address.Descriptor fd, boolean write)
            throws IOException {
        int number;
        try {
            number = Integer.parseInt(fd.name());
        } catch (NumberFormatException e) {
            throw new IOException(
                    "File descriptor named '" + fd.name() + "' has not been found", e);
        }
        Path path = Path.of("/proc/self/fd/" + number);
        try {
            if (write) {
                return new PipeLink(
                        "file", null, FileChannel.open(path, StandardOpenOption.WRITE), null);
            }
            return new PipeLink(
                    "file", FileChannel.open(path, StandardOpenOption.READ), null, null);
        } catch (IOException e) {
            throw new IOException("cannot use file descriptor " + number + ": " + fileReason(e), e);
        }
    }

    /** What the C library says about an error where Java says the same in other words. */
    static String reason(IOException e) {
        String text = String.valueOf(e.getMessage());
        if (e instanceof ConnectException && text.contains("timed out")) {
            return "Connection timed out";
        }
        if (text.startsWith("Connection reset")) {
            return "Connection reset by peer";
        }
        if (e instanceof java.nio.channels.ClosedChannelException) {
            return "Broken pipe";
        }
        return text;
    }

    private static String fileReason(IOException e) {
        if (e instanceof java.nio.file.NoSuchFileException) {
            return "No such file or directory";
        }
        if (e instanceof java.nio.file.AccessDeniedException) {
            return "Permission denied";
        }
        String text = String.valueOf(e.getMessage());
        String lower = text.toLowerCase(Locale.ROOT);
        return lower.contains("is a directory") ? "Is a directory" : text;
    }
}
