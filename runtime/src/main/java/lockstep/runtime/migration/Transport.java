package lockstep.runtime.migration;

import static lockstep.linux.abi.LinuxAbi.O_CREAT;
import static lockstep.linux.abi.LinuxAbi.O_NONBLOCK;
import static lockstep.linux.abi.LinuxAbi.O_RDONLY;
import static lockstep.linux.abi.LinuxAbi.O_WRONLY;
import static lockstep.linux.abi.LinuxAbi.SEEK_SET;

import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileCalls;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.LinuxException;

import org.jspecify.annotations.Nullable;

import java.io.Closeable;
import java.io.IOException;
import java.net.ConnectException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.channels.UnresolvedAddressException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Opens the channels that migrations travel on. Blocking; any thread. */
final class Transport {
    /** How the JDK tells why a command cannot be started. */
    private static final Pattern ERRNO = Pattern.compile("error[:=] ?([0-9]+)");

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

    /**
     * Opens the source's end. Throws with a sentence for error-desc.
     *
     * @param kept takes the descriptor that a monitor keeps under a name; null for none
     */
    static MigrationChannel connect(
            Address address, Attempt attempt, Function<String, @Nullable Fd> kept)
            throws IOException {
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
            case Address.Exec exec -> spawn(exec.command());
            case Address.File file -> outputFile(file);
            case Address.Descriptor d -> {
                Fd fd = kept.apply(d.name());
                if (fd == null) {
                    throw unknown(d.name());
                }
                yield DescriptorLink.of(fd, true);
            }
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

    /** Whether {@link #connect} does not wait for anybody. */
    static boolean connectsAtOnce(Address address) {
        return !(address instanceof Address.Tcp || address instanceof Address.Unix);
    }

    /** Opens the destination's end likewise. Throws with a sentence for the user. */
    static Listener listen(Address address, Function<String, @Nullable Fd> kept)
            throws IOException {
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
            case Address.Exec exec -> ready(spawn(exec.command()));
            case Address.File file -> ready(inputFile(file));
            case Address.Descriptor d -> ready(inherited(d.name(), kept));
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

    private static IOException unknown(String name) {
        return new IOException("File descriptor named '" + name + "' has not been found");
    }

    /** What begins with a digit is the number of a descriptor, of whomever; anything else is a name. */
    private static MigrationChannel inherited(String name, Function<String, @Nullable Fd> kept)
            throws IOException {
        Fd fd;
        if (name.isEmpty() || !Character.isDigit(name.charAt(0))) {
            fd = kept.apply(name);
        } else {
            int number;
            try {
                number = Integer.parseInt(name);
            } catch (NumberFormatException e) {
                throw new IOException("Invalid file descriptor number '" + name + "'", e);
            }
            if (!FileIo.isOpen(number)) {
                throw new IOException(
                        "Invalid file descriptor number '"
                                + name
                                + "': "
                                + Errno.text(Errno.EBADF));
            }
            // What this process opened itself, or was handed for a set, has an owner already.
            fd = FileIo.isInherited(number) ? new Fd(number) : FileIo.duplicate(number);
        }
        if (fd == null) {
            throw unknown(name);
        }
        return DescriptorLink.of(fd, false);
    }

    private static MigrationChannel outputFile(Address.File file) throws IOException {
        Fd fd = open(file, O_CREAT() | O_WRONLY() | O_NONBLOCK(), "create");
        try {
            Errno.check(
                    FileCalls.ftruncate(fd.number(), file.offset()),
                    "failed to truncate migration file to offset "
                            + Long.toHexString(file.offset()));
            return positioned(fd, file, true);
        } catch (IOException e) {
            fd.close();
            throw e;
        }
    }

    private static MigrationChannel inputFile(Address.File file) throws IOException {
        Fd fd = open(file, O_RDONLY() | O_NONBLOCK(), "open");
        try {
            return positioned(fd, file, false);
        } catch (IOException e) {
            fd.close();
            throw e;
        }
    }

    /** O_NONBLOCK is for a FIFO, whose opening would wait for the other end. */
    private static Fd open(Address.File file, int flags, String verb) throws LinuxException {
        return new Fd(
                Errno.check(
                        FileIo.tryOpen(file.path(), flags, 0600),
                        "Could not " + verb + " '" + file.path() + "'"));
    }

    private static MigrationChannel positioned(Fd fd, Address.File file, boolean write)
            throws LinuxException {
        if (file.offset() > 0) {
            Errno.check(
                    FileCalls.lseek(fd.number(), file.offset(), SEEK_SET()),
                    "Unable to seek to offset " + file.offset() + " whence 0 in file");
        }
        return DescriptorLink.of(fd, write);
    }

    /** Starts a command whose input and output are ours; the JDK opens our ends of the pipes by their names. */
    private static MigrationChannel spawn(List<String> command) throws IOException {
        if (command.isEmpty()) {
            throw new IOException("The command to be executed is missing");
        }
        Fd[] input = FileIo.pipe();
        Fd[] output = FileIo.pipe();
        try {
            Process process =
                    new ProcessBuilder(command)
                            .redirectInput(file(input[0]))
                            .redirectOutput(file(output[1]))
                            .redirectError(ProcessBuilder.Redirect.INHERIT)
                            .start();
            return DescriptorLink.of(process, output[0], input[1]);
        } catch (IOException e) {
            output[0].close();
            input[1].close();
            Matcher errno = ERRNO.matcher(String.valueOf(e.getMessage()));
            throw new IOException(
                    "Failed to execute child process “%s” (%s)"
                            .formatted(
                                    command.getFirst(),
                                    errno.find()
                                            ? Errno.text(Integer.parseInt(errno.group(1)))
                                            : e.getMessage()),
                    e);
        } finally {
            input[0].close();
            output[1].close();
        }
    }

    private static java.io.File file(Fd fd) {
        return new java.io.File("/proc/self/fd/" + fd.number());
    }

    /** What the C library says about an error where Java says the same in other words. */
    static String reason(IOException e) {
        if (e instanceof LinuxException linux) {
            return linux.reason();
        }
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
}
