package lockstep.conformance;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A monitor without a board, QEMU's or ours, with QMP on a unix socket; bytes go in and come out. */
final class MonitorProcess implements AutoCloseable {
    private static final byte[] NEGOTIATION = bytes("{\"execute\":\"qmp_capabilities\"}");
    // The byte FF brings a parser that is in the middle of something into a clean state.
    private static final byte[] LAST =
            bytes("\n\u00ff\n{\"execute\":\"query-name\",\"id\":\"end\"}\n");
    private static final byte[] LAST_ANSWER = bytes("{\"return\": {}, \"id\": \"end\"}\r\n");

    private final Process process;
    private final Path socket;

    /** Starts {@code program} with {@code options} besides; its files are in {@code directory}. */
    MonitorProcess(String program, Path directory, String... options) {
        socket = directory.resolve(Path.of(program).getFileName() + ".qmp");
        List<String> command =
                new ArrayList<>(
                        List.of(program, "-machine", "none", "-nodefaults", "-display", "none"));
        command.addAll(List.of("-S", "-qmp", "unix:" + socket + ",server=on,wait=off"));
        command.addAll(List.of(options));
        try {
            process =
                    new ProcessBuilder(command)
                            .directory(directory.toFile())
                            .redirectOutput(directory.resolve("out").toFile())
                            .redirectError(directory.resolve("err").toFile())
                            .start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        Host.await(program + " listens", Duration.ofSeconds(30), () -> Host.listens(socket));
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }

    /** The process. */
    Process process() {
        return process;
    }

    /** A new connection, not yet read from. */
    SocketChannel connect() throws IOException {
        SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        channel.connect(UnixDomainSocketAddress.of(socket));
        return channel;
    }

    /** All that a new client is answered to {@code input}, sent in pieces of the given length. */
    String answers(byte[] input, int piece) throws IOException {
        try (SocketChannel channel = connect()) {
            readTo(channel, bytes("\r\n"));
            write(channel, NEGOTIATION, NEGOTIATION.length);
            readTo(channel, bytes("{\"return\": {}}\r\n"));
            Thread writer =
                    Thread.ofPlatform()
                            .start(
                                    () -> {
                                        try {
                                            write(channel, input, piece);
                                            write(channel, LAST, LAST.length);
                                        } catch (IOException e) {
                                            throw new UncheckedIOException(e);
                                        }
                                    });
            String answers = readTo(channel, LAST_ANSWER);
            writer.join();
            return answers;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new AssertionError(e);
        }
    }

    private static void write(SocketChannel channel, byte[] data, int piece) throws IOException {
        for (int at = 0; at < data.length; at += piece) {
            ByteBuffer part = ByteBuffer.wrap(data, at, Math.min(piece, data.length - at));
            while (part.hasRemaining()) {
                channel.write(part);
            }
        }
    }

    /** Reads until {@code end} has come; an event may stand behind it. */
    static String readTo(SocketChannel channel, byte[] end) throws IOException {
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        ByteBuffer buffer = ByteBuffer.allocate(65536);
        String tail = new String(end, StandardCharsets.ISO_8859_1);
        while (!text.toString(StandardCharsets.ISO_8859_1).contains(tail)) {
            int n = channel.read(buffer.clear());
            if (n < 0) {
                throw new IOException("the end after: " + text);
            }
            text.write(buffer.array(), 0, n);
        }
        return text.toString(StandardCharsets.ISO_8859_1);
    }

    @Override
    public void close() {
        process.destroy();
        try {
            if (!process.waitFor(20, TimeUnit.SECONDS)) {
                process.destroyForcibly();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
