package lockstep.conformance;

import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonStreamParser;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpException;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A virtual machine monitor whose devices a test drives: the client of the qtest protocol, with a QMP monitor beside. */
final class QtestMachine implements AutoCloseable {
    private final Process process;
    private final Path directory;
    private final Line qtest;
    private final Line qmp;
    private final BitSet irqs = new BitSet();
    private final Deque<String> events = new ArrayDeque<>();

    /** One connection, a line at a time. */
    private static final class Line implements AutoCloseable {
        private final SocketChannel channel;
        private final BufferedReader in;

        Line(SocketChannel channel) {
            this.channel = channel;
            in =
                    new BufferedReader(
                            new InputStreamReader(
                                    Channels.newInputStream(channel), StandardCharsets.UTF_8));
        }

        void send(String text) throws IOException {
            ByteBuffer data = ByteBuffer.wrap((text + '\n').getBytes(StandardCharsets.UTF_8));
            while (data.hasRemaining()) {
                channel.write(data);
            }
        }

        String receive() throws IOException {
            String line = in.readLine();
            if (line == null) {
                throw new IOException("the connection ended");
            }
            return line;
        }

        @Override
        public void close() throws IOException {
            channel.close();
        }
    }

    /** Ours, on the accelerator that runs nothing. */
    static QtestMachine ours(Path directory, String... options) {
        List<String> all = new ArrayList<>(List.of(options));
        all.addAll(List.of("-accel", "qtest"));
        return new QtestMachine(Host.binary().toString(), directory, all);
    }

    /** The installed QEMU, which stands still. */
    static QtestMachine qemu(Path directory, String... options) {
        List<String> all = new ArrayList<>(List.of(options));
        all.addAll(List.of("-accel", "tcg", "-S"));
        return new QtestMachine(Host.qemu(), directory, all);
    }

    private QtestMachine(String program, Path parent, List<String> options) {
        try {
            directory = Files.createTempDirectory(parent, "vm");
            Path qtestPath = directory.resolve("qtest");
            Path qmpPath = directory.resolve("qmp");
            try (ServerSocketChannel first = listen(qtestPath);
                    ServerSocketChannel second = listen(qmpPath)) {
                List<String> command = new ArrayList<>(List.of(program));
                command.addAll(List.of("-qtest", "unix:" + qtestPath, "-qtest-log", "/dev/null"));
                command.addAll(List.of("-chardev", "socket,path=" + qmpPath + ",id=char0"));
                command.addAll(List.of("-mon", "chardev=char0,mode=control", "-display", "none"));
                command.addAll(options);
                process =
                        new ProcessBuilder(command)
                                .directory(directory.toFile())
                                .redirectOutput(directory.resolve("out").toFile())
                                .redirectError(directory.resolve("err").toFile())
                                .start();
                // A process that ends early would never connect.
                process.onExit()
                        .thenRun(
                                () -> {
                                    closeQuietly(first);
                                    closeQuietly(second);
                                });
                qtest = new Line(accept(first));
                qmp = new Line(accept(second));
            }
            qmp.receive();
            execute("qmp_capabilities");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private SocketChannel accept(ServerSocketChannel server) throws IOException {
        try {
            return server.accept();
        } catch (IOException e) {
            throw new IOException("it ended: " + errors(), e);
        }
    }

    private static void closeQuietly(ServerSocketChannel server) {
        try {
            server.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static ServerSocketChannel listen(Path path) throws IOException {
        ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        server.bind(UnixDomainSocketAddress.of(path));
        return server;
    }

    /** Sends a line and gives the reply; what interrupts did before it is noted. */
    String ask(String command) {
        try {
            qtest.send(command);
            while (true) {
                String line = qtest.receive();
                if (!line.startsWith("IRQ ")) {
                    return line;
                }
                String[] words = line.split(" ", -1);
                irqs.set(Integer.parseInt(words[2]), words[1].equals("raise"));
            }
        } catch (IOException e) {
            throw new AssertionError(command + ": " + e.getMessage() + "; " + errors(), e);
        }
    }

    /** Sends lines whose replies are OK. */
    void tell(String... commands) {
        for (String command : commands) {
            String reply = ask(command);
            if (!reply.startsWith("OK")) {
                throw new AssertionError(command + ": " + reply);
            }
        }
    }

    /** The number that a command is answered with. */
    long value(String command) {
        String reply = ask(command);
        if (!reply.startsWith("OK ")) {
            throw new AssertionError(command + ": " + reply);
        }
        return Long.parseUnsignedLong(
                reply.startsWith("OK 0x") ? reply.substring(5) : reply.substring(3),
                reply.startsWith("OK 0x") ? 16 : 10);
    }

    int inb(int port) {
        return (int) value("inb " + port);
    }

    void outb(int port, int value) {
        tell("outb " + port + ' ' + value);
    }

    long readl(long address) {
        return value("readl " + address);
    }

    void writel(long address, long value) {
        tell("writel " + address + ' ' + value);
    }

    /** A register of a PCI function's configuration space, by device and function. */
    long config(int function, int offset) {
        tell("outl 0xcf8 " + (0x80000000L | function << 8 | offset & ~3));
        return value("inl 0xcfc");
    }

    void config(int function, int offset, long value) {
        tell("outl 0xcf8 " + (0x80000000L | function << 8 | offset & ~3));
        tell("outl 0xcfc " + value);
    }

    /** Whether an intercepted interrupt is high. */
    boolean irq(int n) {
        ask("inb 0"); // whatever was sent until now is in front of the reply
        return irqs.get(n);
    }

    /** Executes a QMP command without arguments. */
    JsonObject execute(String command) {
        return send("{\"execute\": \"" + command + "\"}");
    }

    /** Executes a QMP command with arguments as JSON text. */
    JsonObject execute(String command, String arguments) {
        return send("{\"execute\": \"" + command + "\", \"arguments\": " + arguments + "}");
    }

    private JsonObject send(String json) {
        try {
            qmp.send(json);
            while (true) {
                String line = qmp.receive();
                JsonValue value = JsonStreamParser.parse(line);
                if (value instanceof JsonObject object && object.get("event") == null) {
                    return object;
                }
                events.add(line);
            }
        } catch (IOException | QmpException e) {
            throw new AssertionError(json + ": " + e.getMessage() + "; " + errors(), e);
        }
    }

    /** The next event of that name; those before it are dropped. */
    String event(String name) {
        try {
            while (true) {
                String line = events.isEmpty() ? qmp.receive() : events.remove();
                if (line.contains("\"event\": \"" + name + "\"")) {
                    return line;
                }
            }
        } catch (IOException e) {
            throw new AssertionError("waited for " + name + ": " + e.getMessage(), e);
        }
    }

    /** A command of the human monitor. */
    String human(String command) {
        return execute("human-monitor-command", "{\"command-line\": \"" + command + "\"}")
                .toString();
    }

    /** What the process printed about errors. */
    String errors() {
        return Host.text(directory.resolve("err"));
    }

    /** Ends the process as a test harness does; its exit status. */
    int terminate() {
        process.destroy();
        try {
            if (!process.waitFor(30, TimeUnit.SECONDS)) {
                throw new AssertionError("it does not end");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new AssertionError(e);
        }
        return process.exitValue();
    }

    @Override
    public void close() {
        process.destroyForcibly();
        try (qtest;
                qmp) {
            process.waitFor();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
