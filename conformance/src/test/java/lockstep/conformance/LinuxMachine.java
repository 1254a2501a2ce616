package lockstep.conformance;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A machine in a process of its own, with a console at hand and a monitor. */
final class LinuxMachine implements AutoCloseable {
    /** A guest on a processor in software, on a machine that others use: it takes as long as it takes. */
    static final Duration LONG = Duration.ofMinutes(10);

    private static final String PROMPT = "# ";

    private final Process process;
    private final Path socket;
    private final StringBuilder console = new StringBuilder();
    private int seen;

    /**
     * Starts a machine with a serial console and a monitor in {@code directory}.
     *
     * @param accelerator what runs the guest, as {@code -accel} is told
     * @param prefix what goes in front of the program, such as {@code ip netns exec}
     * @param options all that the machine has besides
     */
    LinuxMachine(
            String accelerator,
            Path directory,
            String name,
            List<String> prefix,
            List<String> options) {
        this(directory, name, prefix, Host.binary().toString(), accelerator, options);
    }

    /** The same machine by QEMU, whose processor in software has a name of its own. */
    static LinuxMachine qemu(
            String accelerator,
            Path directory,
            String name,
            List<String> prefix,
            List<String> options) {
        String its = accelerator.equals("jvm") ? "tcg" : accelerator;
        return new LinuxMachine(directory, name, prefix, Host.qemu(), its, options);
    }

    private LinuxMachine(
            Path directory,
            String name,
            List<String> prefix,
            String program,
            String accelerator,
            List<String> options) {
        socket = directory.resolve(name + ".qmp");
        List<String> command = new ArrayList<>(prefix);
        command.addAll(List.of(program, "-accel", accelerator, "-nodefaults"));
        command.addAll(List.of("-display", "none", "-serial", "stdio"));
        command.addAll(List.of("-qmp", "unix:" + socket + ",server=on,wait=off"));
        command.addAll(options);
        try {
            process =
                    new ProcessBuilder(command)
                            .redirectError(directory.resolve(name + ".err").toFile())
                            .start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        // The file is for whoever watches a test that takes long.
        Path log = directory.resolve(name + ".console");
        Thread reader = new Thread(() -> read(process.getInputStream(), log), name + "-console");
        reader.setDaemon(true);
        reader.start();
    }

    private void read(InputStream in, Path log) {
        byte[] buffer = new byte[4096];
        try (OutputStream copy = Files.newOutputStream(log)) {
            for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
                copy.write(buffer, 0, n);
                synchronized (console) {
                    console.append(new String(buffer, 0, n, StandardCharsets.ISO_8859_1));
                }
            }
        } catch (IOException e) {
            // The process has ended, as whoever waits for more will say.
        }
    }

    Process process() {
        return process;
    }

    /** A new connection to the monitor. */
    Monitor monitor() {
        awaitDoor(socket);
        return new Monitor(List.of("nc", "-U", socket.toString()));
    }

    /** Waits until it listens at a unix socket. */
    void awaitDoor(Path door) {
        Host.await(
                "it listens at " + door,
                Duration.ofSeconds(60),
                () -> Host.listens(process, door) || !process.isAlive());
    }

    /** All that the console has shown. */
    String console() {
        synchronized (console) {
            return console.toString();
        }
    }

    /** Waits for a text on the console; gives what came before it, since the last one. */
    String await(String text) {
        try {
            Host.await(
                    "\"" + text + "\" on the console",
                    LONG,
                    () -> console().indexOf(text, seen) >= 0 || !process.isAlive());
        } catch (AssertionError e) {
            throw new AssertionError(e.getMessage() + "; it shows: " + tail(), e);
        }
        int at = console().indexOf(text, seen);
        if (at < 0) {
            throw new AssertionError("the process ended before \"" + text + "\": " + tail());
        }
        String before = console().substring(seen, at);
        seen = at + text.length();
        return before;
    }

    private String tail() {
        String all = console();
        return all.substring(Math.max(0, all.length() - 2000));
    }

    /** Waits for the shell of a {@link LinuxGuest}. */
    LinuxMachine up() {
        await(LinuxGuest.UP);
        await(PROMPT);
        return this;
    }

    /** Types a line. */
    void type(String line) {
        try {
            process.getOutputStream().write((line + "\n").getBytes(StandardCharsets.US_ASCII));
            process.getOutputStream().flush();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Runs a command in the guest's shell and gives what it prints. */
    String run(String command) {
        // What is typed is echoed, and must not look like the end.
        type("echo BEG''IN; " + command + "; echo E''ND");
        await("BEGIN\r\n");
        String output = await("END\r\n");
        await(PROMPT);
        return output.replace("\r", "").strip();
    }

    /** The exit status. */
    int awaitEnd() {
        try {
            if (!process.waitFor(LONG.toSeconds(), TimeUnit.SECONDS)) {
                throw new AssertionError("the process does not end; the console shows: " + tail());
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
    }
}
