package lockstep.conformance;

import lockstep.api.BlockExportDeletedEvent;
import lockstep.api.BlockImageCorruptedEvent;
import lockstep.api.Event;
import lockstep.qmp.EventMessage;
import lockstep.qmp.EventQueue;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonStreamParser;
import lockstep.qmp.QmpAddress;
import lockstep.qmp.QmpClient;
import lockstep.qmp.QmpException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A process, QEMU's or ours, that exports one image after another. */
final class ImageServer implements AutoCloseable {
    /** How long an answer may take on a busy machine before it counts as never coming. */
    private static final Duration LIMIT = Duration.ofSeconds(30);

    /** A request of an NBD client. */
    record Request(NbdClient.Command command, long offset, int length) {
        @Override
        public String toString() {
            return command + "(0x" + Long.toHexString(offset) + ")";
        }
    }

    /**
     * What came of using an image.
     *
     * @param refusal why the image was not opened, null when it was
     * @param trouble what never happened, null when all ended well
     * @param answers as many as there were requests, if the export lived to see them
     */
    record Outcome(
            @Nullable String refusal,
            @Nullable String trouble,
            List<NbdClient.Answer> answers,
            List<BlockImageCorruptedEvent> events) {}

    private final String program;
    private final Path directory;
    private @Nullable Process process;
    private @Nullable QmpClient qmp;
    private int starts;

    ImageServer(String program, Path directory) {
        this.program = program;
        this.directory = directory;
    }

    private Path socket(String kind) {
        return directory.resolve(Path.of(program).getFileName() + "." + starts + "." + kind);
    }

    private QmpClient running() throws IOException, QmpException {
        if (qmp == null) {
            starts++;
            Path socket = socket("qmp");
            process =
                    new ProcessBuilder(
                                    program,
                                    "-machine",
                                    "none",
                                    "-nodefaults",
                                    "-display",
                                    "none",
                                    "-qmp",
                                    "unix:" + socket + ",server=on,wait=off")
                            .directory(directory.toFile())
                            .redirectErrorStream(true)
                            .redirectOutput(socket("out").toFile())
                            .start();
            Host.await(program + " listens", LIMIT, () -> Host.listens(socket));
            qmp =
                    QmpClient.builder(QmpAddress.unix(socket))
                            .events(Event::read)
                            .timeout(LIMIT)
                            .connect();
            execute(
                    "nbd-server-start",
                    "{'addr': {'type': 'unix', 'data': {'path': '" + socket("nbd") + "'}}}");
        }
        return qmp;
    }

    private void execute(String command, String arguments) throws IOException, QmpException {
        running().execute(command, (JsonObject) JsonStreamParser.parse(arguments));
    }

    /** Opens an image with these node options, makes the requests, and closes the image. */
    Outcome use(String node, List<Request> requests) {
        return use(node, null, requests);
    }

    /**
     * Opens an image with these node options, makes the requests, and closes the image.
     *
     * @param again the options that it is opened again with before the requests, null for none
     */
    Outcome use(String node, @Nullable String again, List<Request> requests) {
        List<NbdClient.Answer> answers = new ArrayList<>();
        List<BlockImageCorruptedEvent> events = new ArrayList<>();
        String refusal = null;
        String trouble = null;
        try (EventQueue<BlockImageCorruptedEvent> corrupted =
                        running().events(BlockImageCorruptedEvent.class);
                EventQueue<BlockExportDeletedEvent> deleted =
                        running().events(BlockExportDeletedEvent.class)) {
            try {
                execute("blockdev-add", node);
                if (again != null) {
                    execute("blockdev-reopen", "{'options': [" + again + "]}");
                }
                execute(
                        "block-export-add",
                        "{'type': 'nbd', 'id': 'e', 'node-name': 'n', 'writable': true}");
                request(requests, answers);
                execute("block-export-del", "{'id': 'e', 'mode': 'hard'}");
                if (deleted.poll(LIMIT) == null) {
                    throw new IOException("the export is never gone");
                }
                execute("blockdev-del", "{'node-name': 'n'}");
            } catch (QmpException e) {
                refusal = e.getMessage();
            }
            for (EventMessage<BlockImageCorruptedEvent> event = corrupted.poll(Duration.ZERO);
                    event != null;
                    event = corrupted.poll(Duration.ZERO)) {
                events.add(event.event());
            }
        } catch (IOException | QmpException e) {
            trouble = e + " after " + answers.size() + " answers";
            kill();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new AssertionError(e);
        }
        return new Outcome(refusal, trouble, answers, events);
    }

    private void request(List<Request> requests, List<NbdClient.Answer> answers)
            throws IOException {
        try (NbdClient nbd = new NbdClient(socket("nbd"), "n", LIMIT)) {
            for (Request r : requests) {
                if (r.offset + r.length <= nbd.size()) {
                    byte[] data = new byte[r.command == NbdClient.Command.WRITE ? r.length : 0];
                    for (int i = 0; i < data.length; i++) {
                        data[i] = Qcow2Image.PATTERN[i % Qcow2Image.PATTERN.length];
                    }
                    answers.add(nbd.request(r.command, r.offset, r.length, data));
                }
            }
        }
    }

    private void kill() {
        if (qmp != null) {
            qmp.close();
        }
        qmp = null;
        if (process != null) {
            process.destroyForcibly();
        }
    }

    /** Quits; false when the process does not end. */
    boolean quit() throws IOException, QmpException, InterruptedException {
        if (qmp == null || process == null) {
            return true;
        }
        execute("quit", "{}");
        boolean ended = process.waitFor(LIMIT.toSeconds(), TimeUnit.SECONDS);
        kill();
        return ended;
    }

    @Override
    public void close() {
        kill();
    }
}
