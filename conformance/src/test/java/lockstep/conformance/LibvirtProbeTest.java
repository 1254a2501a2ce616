package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpAddress;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * Asks what libvirt asks a QEMU it has not met before, in the same way, and compares with the installed
 * QEMU: whether a command succeeds, and which members its answer has.
 */
@Tag("qemu")
class LibvirtProbeTest {
    private static final String QEMU = Host.qemu();

    /** What the installed QEMU, which is older, tells and QEMU 10.2 does not. */
    private static final Map<String, Set<String>> GONE =
            Map.of("query-status", Set.of("singlestep"));

    /** What is built into the installed QEMU and not into this program. */
    private static final Set<String> NOT_BUILT_IN = Set.of("query-sev");

    private record Question(String command, String arguments) {}

    private static final List<Question> QUESTIONS =
            List.of(
                    new Question("query-version", ""),
                    new Question("query-target", ""),
                    new Question("query-commands", ""),
                    new Question("query-kvm", ""),
                    new Question("qom-list-types", ""),
                    new Question("qom-list-types", "{'implements': 'device'}"),
                    new Question("device-list-properties", "{'typename': 'e1000'}"),
                    new Question("device-list-properties", "{'typename': 'ide-hd'}"),
                    new Question("device-list-properties", "{'typename': 'piix3-usb-uhci'}"),
                    new Question("device-list-properties", "{'typename': 'VGA'}"),
                    new Question("device-list-properties", "{'typename': 'usb-tablet'}"),
                    new Question("device-list-properties", "{'typename': 'PIIX4_PM'}"),
                    new Question("device-list-properties", "{'typename': 'kvm-pit'}"),
                    new Question("device-list-properties", "{'typename': 'isa-serial'}"),
                    new Question("device-list-properties", "{'typename': 'virtio-net-ccw'}"),
                    new Question("device-list-properties", "{'typename': 'nosuch'}"),
                    new Question("device-list-properties", "{'typename': 'iothread'}"),
                    new Question("qom-list-properties", "{'typename': 'iothread'}"),
                    new Question("qom-list-properties", "{'typename': 'memory-backend-file'}"),
                    new Question("qom-list-properties", "{'typename': 'memory-backend-memfd'}"),
                    new Question("qom-list-properties", "{'typename': 'max-x86_64-cpu'}"),
                    new Question("qom-list-properties", "{'typename': 'none-machine'}"),
                    new Question("qom-list-properties", "{'typename': 'pc-i440fx-7.2-machine'}"),
                    new Question("qom-list-properties", "{'typename': 'nosuch'}"),
                    new Question("query-machines", ""),
                    new Question("query-cpu-definitions", ""),
                    new Question("query-tpm-models", ""),
                    new Question("query-tpm-types", ""),
                    new Question("query-command-line-options", ""),
                    new Question("query-command-line-options", "{'option': 'nosuch'}"),
                    new Question("query-migrate-capabilities", ""),
                    new Question("query-gic-capabilities", ""),
                    new Question("query-sev-capabilities", ""),
                    new Question("query-sgx-capabilities", ""),
                    new Question("query-sev", ""),
                    new Question("query-stats-schemas", ""),
                    new Question(
                            "query-cpu-model-expansion",
                            "{'type': 'static', 'model': {'name': 'max'}}"),
                    new Question(
                            "query-cpu-model-expansion",
                            "{'type': 'full', 'model': {'name': 'max'}}"),
                    new Question(
                            "query-cpu-model-expansion",
                            "{'type': 'static', 'model': {'name': 'host'}}"),
                    new Question(
                            "query-cpu-model-expansion",
                            "{'type': 'full', 'model': {'name': 'base', 'props': {'sse2': true}}}"),
                    new Question(
                            "query-cpu-model-expansion",
                            "{'type': 'full', 'model': {'name': 'host', 'props':"
                                    + " {'migratable': false, 'hv-passthrough': true}}}"),
                    new Question(
                            "query-cpu-model-expansion",
                            "{'type': 'full', 'model': {'name': 'nosuch'}}"),
                    new Question("query-status", ""),
                    new Question("query-cpus-fast", ""),
                    new Question("query-hotpluggable-cpus", ""),
                    new Question("query-chardev", ""),
                    new Question("query-block", ""),
                    new Question("query-named-block-nodes", "{'flat': true}"),
                    new Question("query-balloon", ""),
                    new Question("query-iothreads", ""),
                    new Question("query-fdsets", ""),
                    new Question("query-jobs", ""),
                    new Question("qom-list", "{'path': '/'}"),
                    new Question("qom-get", "{'path': '/machine', 'property': 'type'}"),
                    new Question("query-events", ""));

    @TempDir Path directory;

    /** Starts a program as libvirt does; it has to be ready when its parent ends. */
    private ProbedMonitor daemon(String program, String name) throws IOException {
        Path socket = directory.resolve(name + ".monitor");
        Path pid = directory.resolve(name + ".pid");
        Host.run(
                program,
                "-S",
                "-no-user-config",
                "-nodefaults",
                "-nographic",
                "-machine",
                "none,accel=kvm:tcg",
                "-qmp",
                "unix:" + socket + ",server=on,wait=off",
                "-pidfile",
                pid.toString(),
                "-daemonize");
        assertEquals(
                "rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(pid)));
        assertTrue(Files.readString(pid).strip().matches("[0-9]+"), Files.readString(pid));
        return new ProbedMonitor(new QmpAddress.Unix(socket));
    }

    private void ended(String name) {
        Path pid = directory.resolve(name + ".pid");
        Host.await(
                name + " removes its files",
                Duration.ofSeconds(20),
                () -> !Files.exists(pid) && !Files.exists(directory.resolve(name + ".monitor")));
    }

    /** The members that every object in an answer has. */
    private static Set<String> members(JsonValue answer) {
        if (answer instanceof JsonObject object) {
            return new TreeSet<>(object.members().keySet());
        }
        Set<String> common = null;
        if (answer instanceof JsonArray array) {
            for (JsonValue element : array) {
                Set<String> own = members(element);
                if (common == null) {
                    common = own;
                } else {
                    common.retainAll(own);
                }
            }
        }
        return common == null ? new TreeSet<>() : common;
    }

    private static boolean empty(JsonValue answer) {
        return answer instanceof JsonArray array && array.size() == 0;
    }

    @Test
    void answersAsQemuDoes() throws IOException {
        Host.assumeKvm();
        Host.assumeProgram(QEMU);
        Map<String, String> different = new TreeMap<>();
        try (ProbedMonitor ours = daemon(Host.binary().toString(), "ours");
                ProbedMonitor theirs = daemon(QEMU, "theirs")) {
            for (Question q : QUESTIONS) {
                JsonValue a = ours.answer(q.command, q.arguments);
                JsonValue b = theirs.answer(q.command, q.arguments);
                String difference = difference(q, a, b);
                if (!difference.isEmpty()) {
                    different.put(q.command + " " + q.arguments, difference);
                }
            }
            ours.execute("quit");
            theirs.execute("quit");
        }
        assertEquals(Map.of(), different);
        ended("ours");
    }

    private static String difference(Question q, JsonValue ours, JsonValue theirs) {
        if (ProbedMonitor.failed(ours) || ProbedMonitor.failed(theirs)) {
            if (ProbedMonitor.failed(ours) != ProbedMonitor.failed(theirs)) {
                return NOT_BUILT_IN.contains(q.command) ? "" : ours + " instead of " + theirs;
            }
            String kind = errorClass(ours);
            return kind.equals(errorClass(theirs)) ? "" : kind + " for " + errorClass(theirs);
        }
        if (ours.kind() != theirs.kind()) {
            return "a " + ours.kind() + " instead of a " + theirs.kind();
        }
        if (empty(ours) || empty(theirs)) {
            return "";
        }
        Set<String> missing = members(theirs);
        missing.removeAll(members(ours));
        missing.removeAll(GONE.getOrDefault(q.command, Set.of()));
        return missing.isEmpty() ? "" : "without " + missing;
    }

    private static String errorClass(JsonValue answer) {
        return ProbedMonitor.text(((JsonObject) answer).get("error"), "class");
    }
}
