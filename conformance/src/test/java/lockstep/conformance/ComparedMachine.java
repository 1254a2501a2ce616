package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import lockstep.qmp.JsonObject;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/** One of the two programs that a test compares, ours or QEMU, in a directory of its own, and what it has answered. */
final class ComparedMachine implements AutoCloseable {
    final ProbedMonitor monitor;
    final List<String> heard = new ArrayList<>();
    private final Path own;

    private ComparedMachine(Path own, String program, Function<Path, List<String>> making) {
        this.own = own;
        own.toFile().mkdirs();
        List<String> arguments =
                new ArrayList<>(
                        List.of("-machine", "none", "-nodefaults", "-S", "-display", "none"));
        arguments.addAll(making.apply(own));
        monitor = ProbedMonitor.start(program, arguments.toArray(String[]::new));
    }

    /** What is said to both, and what they are asked. */
    interface Conversation {
        void with(ComparedMachine machine);
    }

    /**
     * Has the same conversation with both; what they have answered must be the same.
     *
     * @param making makes images in a directory, and gives the arguments to use them
     */
    static void compare(
            Path directory, Function<Path, List<String>> making, Conversation conversation) {
        try (ComparedMachine qemu =
                        new ComparedMachine(directory.resolve("qemu"), Host.qemu(), making);
                ComparedMachine ours =
                        new ComparedMachine(
                                directory.resolve("ours"), Host.binary().toString(), making)) {
            conversation.with(qemu);
            conversation.with(ours);
            assertFalse(qemu.heard.isEmpty());
            assertEquals(String.join("\n", qemu.heard), String.join("\n", ours.heard));
        }
    }

    /** The whole name of a file. */
    String image(String name) {
        return own.resolve(name).toString();
    }

    /** Executes a command; {@code %} in its arguments is the directory. */
    void say(String command, String arguments) {
        String told = monitor.answer(command, arguments.replace("%", own + "/")).toString();
        heard.add(command + " " + arguments + " -> " + told.replace(own.toString(), ""));
    }

    /** Likewise for a job; then waits until one is over, with its events. */
    void sayAndWait(String command, String arguments) {
        say(command, arguments);
        awaitEvents("JOB_STATUS_CHANGE", "null");
    }

    /** Waits for an event, which with those before is noted; but exports end, and jobs stand still, when they like. */
    void awaitEvents(String name, String status) {
        List<String> events = monitor.eventsUntil(name, status);
        events.remove("BLOCK_EXPORT_DELETED");
        for (String still : List.of("JOB_STATUS_CHANGE standby", "JOB_STATUS_CHANGE paused")) {
            for (int at = events.indexOf(still); at >= 0; at = events.indexOf(still)) {
                events.subList(at, at + 2).clear();
            }
        }
        heard.addAll(events);
    }

    /** What is below what. */
    void show() {
        List<String> nodes = new ArrayList<>();
        for (JsonObject o : monitor.list("query-named-block-nodes", "{'flat': true}")) {
            String backing =
                    o.get("backing_file") == null ? "nothing" : o.get("backing_file").toString();
            nodes.add(
                    ProbedMonitor.text(o, "node-name").replaceAll("#block.*", "#")
                            + " over "
                            + backing.replace(own.toString(), "")
                            + ", ro "
                            + o.get("ro"));
        }
        nodes.sort(null);
        heard.addAll(nodes);
    }

    /** Writes to a node as a client of its export. */
    void write(String node, String where, int pattern) {
        export(node, true, "write -P " + pattern + " " + where);
    }

    /** Reads from a node as a client of its export; it must have that pattern. */
    void reads(String node, String where, int pattern) {
        export(node, false, "read -P " + pattern + " " + where);
    }

    private void export(String node, boolean writable, String command) {
        Path socket = own.resolve("nbd-" + node);
        monitor.execute(
                "nbd-server-start",
                "{'addr': {'type': 'unix', 'data': {'path': '%s'}}}".formatted(socket));
        say("nbd-server-add", "{'device': '" + node + "', 'writable': " + writable + "}");
        List<String> client = new ArrayList<>(List.of("qemu-io", "-fraw", "-c", command));
        if (!writable) {
            client.add(1, "-r");
        }
        client.add("nbd+unix:///" + node + "?socket=" + socket);
        Host.run(client.toArray(String[]::new));
        monitor.execute("nbd-server-stop");
    }

    void holds(String node, String where, int pattern) {
        heard.add(
                node
                        + " at "
                        + where
                        + ": "
                        + Host.run(
                                        "qemu-io",
                                        "-U",
                                        "-r",
                                        "-fqcow2",
                                        "-c",
                                        "read -P " + pattern + " " + where,
                                        image(node))
                                .lines()
                                .filter(line -> line.contains("read"))
                                .findFirst()
                                .orElse("nothing"));
    }

    @Override
    public void close() {
        monitor.execute("quit");
        monitor.close();
    }
}
