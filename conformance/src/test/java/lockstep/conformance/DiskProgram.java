package lockstep.conformance;

import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpAddress;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Ours or QEMU, as what works on disks: a process without a board that exports them, and the tool for images. */
final class DiskProgram implements AutoCloseable {
    /** The two programs. */
    enum Kind {
        OURS,
        QEMU;

        /** The tool for images. */
        String tool() {
            return this == OURS ? Host.home() + "/bin/lockstep-img" : "qemu-img";
        }

        String machine() {
            return this == OURS ? Host.binary().toString() : Host.qemu();
        }
    }

    private static final Duration LIMIT = Duration.ofSeconds(60);

    private final Path nbd;
    private final Process process;
    private final ProbedMonitor monitor;
    private @Nullable NbdClient client;

    /** Starts one; its sockets are in that folder. */
    DiskProgram(Kind kind, Path folder) {
        Path qmp = folder.resolve("qmp");
        nbd = folder.resolve("nbd");
        try {
            process =
                    new ProcessBuilder(
                                    kind.machine(),
                                    "-machine",
                                    "none",
                                    "-nodefaults",
                                    "-display",
                                    "none",
                                    "-qmp",
                                    "unix:" + qmp + ",server=on,wait=off")
                            .redirectErrorStream(true)
                            .redirectOutput(
                                    ProcessBuilder.Redirect.appendTo(
                                            folder.resolve("out-" + kind).toFile()))
                            .start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        Host.await(kind + " listens", LIMIT, () -> Host.listens(process, qmp));
        monitor = new ProbedMonitor(QmpAddress.unix(qmp));
        execute("nbd-server-start", "{'addr': {'type': 'unix', 'data': {'path': '" + nbd + "'}}}");
    }

    JsonValue execute(String command, String arguments) {
        return monitor.execute(command, arguments);
    }

    /** Exports a node for writing, and connects to it. */
    void export(String node) {
        execute(
                "block-export-add",
                "{'type': 'nbd', 'id': 'e', 'name': 'e', 'node-name': '"
                        + node
                        + "', 'writable': true}");
        try {
            client = new NbdClient(nbd, "e", LIMIT);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Ends the export. */
    void withdraw() {
        try {
            disk().close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        client = null;
        execute("block-export-del", "{'id': 'e', 'mode': 'hard'}");
        monitor.event("BLOCK_EXPORT_DELETED");
    }

    /** The client of the export. */
    NbdClient disk() {
        if (client == null) {
            throw new IllegalStateException("nothing is exported");
        }
        return client;
    }

    /** Where the job of that id is in its life. */
    String status(String job) {
        for (JsonObject o : monitor.list("query-jobs", "")) {
            if (ProbedMonitor.text(o, "id").equals(job)) {
                return ProbedMonitor.text(o, "status");
            }
        }
        return "gone";
    }

    /** Waits until the job of that id, which was not to go by itself, is over; answers its error, empty for none. */
    String end(String job) {
        Host.await(job + " ends", LIMIT, () -> "concluded".equals(status(job)));
        String error = "";
        for (JsonObject o : monitor.list("query-jobs", "")) {
            error =
                    ProbedMonitor.text(o, "id").equals(job)
                            ? ProbedMonitor.text(o, "error")
                            : error;
        }
        execute("job-dismiss", "{'id': '" + job + "'}");
        return error;
    }

    /** Quits in order. */
    void quit() {
        execute("quit", "");
        try {
            if (!process.waitFor(LIMIT.toSeconds(), TimeUnit.SECONDS)) {
                throw new AssertionError("it does not end");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new AssertionError(e);
        }
    }

    /** Dies, as of a power cut that the host survives. */
    void kill() {
        process.destroyForcibly();
        try {
            process.waitFor();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new AssertionError(e);
        }
    }

    /** Runs a line of the tool for images, which must work. */
    static String image(Kind kind, String... line) {
        List<String> command = new java.util.ArrayList<>(List.of(kind.tool()));
        command.addAll(List.of(line));
        return Host.run(command);
    }

    @Override
    public void close() {
        kill();
        monitor.close();
        if (client != null) {
            try {
                client.close();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
