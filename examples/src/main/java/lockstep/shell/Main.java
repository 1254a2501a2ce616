package lockstep.shell;

import lockstep.api.Client;
import lockstep.qmp.Backoff;
import lockstep.qmp.QmpClient;
import lockstep.qmp.QmpGreeting;

import org.jspecify.annotations.Nullable;

import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.lang.module.ModuleDescriptor;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** The program. The launcher says by {@code lockstep.terminal} whether a user sits in front of it. */
public final class Main {
    private static final Duration CONNECT = Duration.ofSeconds(10);

    private Main() {}

    /** Runs the program and ends the process with its status. */
    public static void main(String[] arguments) {
        Output out = new Output();
        int status;
        try {
            status = run(arguments, out);
            out.check();
        } catch (UsageException e) {
            System.err.println(name() + ": " + e.getMessage());
            status = 2;
        } catch (IOException e) {
            if (!out.isBroken()) {
                System.err.println(name() + ": " + message(e));
            }
            status = 2;
        }
        System.exit(status);
    }

    private static String name() {
        return System.getProperty("lockstep.argv0", "lockstep-qmp");
    }

    private static String version() {
        ModuleDescriptor module = Main.class.getModule().getDescriptor();
        return module == null ? "" : module.rawVersion().orElse("");
    }

    static String message(Exception e) {
        String text = e.getMessage();
        return text == null ? e.toString() : text;
    }

    private static int run(String[] arguments, Output out) throws IOException, UsageException {
        if (Options.wants("--help", arguments)) {
            out.print(Options.HELP);
            return 0;
        }
        if (Options.wants("--version", arguments)) {
            out.print("lockstep-qmp " + version() + "\n");
            return 0;
        }
        Options options = Options.parse(arguments);
        try (InputStream file = open(options.file());
                QmpClient client = connect(options)) {
            Session session = new Session(client, options);
            if (!options.words().isEmpty()) {
                return new Script(session, out).run(options.words());
            }
            if (file == null && Boolean.getBoolean("lockstep.terminal")) {
                return new Terminal(session).run();
            }
            try (BufferedReader input =
                    file == null
                            ? new BufferedReader(
                                    new InputStreamReader(System.in, StandardCharsets.UTF_8))
                            : new BufferedReader(
                                    new InputStreamReader(
                                            file, StandardCharsets.UTF_8.newDecoder()))) {
                return new Script(session, out).run(input);
            }
        }
    }

    /** Opens the file of commands, if one is given. */
    private static @Nullable InputStream open(@Nullable Path file) throws IOException {
        if (file == null) {
            return null;
        }
        try {
            return new FileInputStream(file.toFile());
        } catch (FileNotFoundException e) {
            // Its message is the name and, in brackets, the system's reason.
            String reason = message(e).replaceFirst("(?s).*\\((.*)\\)$", "$1");
            throw new IOException("cannot read '" + file + "': " + reason, e);
        }
    }

    private static QmpClient connect(Options options) throws IOException {
        Duration timeout = options.timeout();
        Duration limit = timeout == null ? CONNECT : timeout;
        QmpClient.Builder builder =
                Client.builder(options.address()).connectTimeout(limit).executor(Runnable::run);
        if (timeout != null) {
            builder.timeout(timeout);
        }
        if (!options.awaitServer()) {
            return builder.connect();
        }
        QmpClient client = builder.reconnect(Backoff.DEFAULT).start();
        try {
            CompletableFuture<QmpGreeting> ready = client.ready();
            if (limit.isZero()) {
                ready.get();
            } else {
                ready.get(limit.toNanos(), TimeUnit.NANOSECONDS);
            }
            return client;
        } catch (TimeoutException e) {
            client.close();
            throw new IOException(
                    "no server at " + options.address() + " within " + limit.toSeconds() + " s", e);
        } catch (ExecutionException e) {
            client.close();
            throw e.getCause() instanceof IOException cause ? cause : new IOException(e);
        } catch (InterruptedException e) {
            client.close();
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        }
    }
}
