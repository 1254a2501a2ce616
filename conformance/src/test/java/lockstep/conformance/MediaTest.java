package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonValue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Media go in and out of drives with the answers, the events and the queries of the installed QEMU. */
@Tag("qemu")
class MediaTest {
    private static final String QEMU = Host.qemu();

    @TempDir Path directory;

    private record Step(String command, String arguments) {}

    @BeforeEach
    void images() throws IOException {
        Host.assumeProgram(QEMU);
        for (String name : List.of("one", "two", "disk")) {
            Files.write(directory.resolve(name), new byte[1 << 20]);
        }
    }

    /** For each drive, by the name of the drive and of the device. */
    private List<Step> steps() {
        List<Step> steps = new ArrayList<>();
        for (String which :
                List.of(
                        "'device': 'd'",
                        "'id': 'cd'",
                        "'device': 'disk'",
                        "'id': 'hd'",
                        "'device': 'empty'",
                        "'device': 'nosuch'",
                        "'id': 'nosuch'",
                        "'device': 'd', 'id': 'cd'")) {
            for (String command :
                    List.of(
                            "blockdev-open-tray",
                            "blockdev-open-tray",
                            "blockdev-close-tray",
                            "eject",
                            "eject",
                            "blockdev-close-tray")) {
                steps.add(new Step(command, which));
            }
            for (String rest :
                    List.of(
                            "'filename': '%s/nosuch'",
                            "'filename': '%s/two', 'format': 'nosuch'",
                            "'filename': '%s/two', 'format': 'raw'",
                            "'filename': '%s/one', 'format': 'raw', 'read-only-mode': 'read-only'",
                            "'filename': '%s/one', 'format': 'raw', 'read-only-mode': 'bogus'")) {
                steps.add(
                        new Step(
                                "blockdev-change-medium",
                                which + ", " + rest.formatted(directory)));
            }
        }
        for (String id : List.of("'id': 'cd'", "'id': 'hd'", "'id': 'nosuch'")) {
            steps.add(new Step("blockdev-remove-medium", id));
            steps.add(new Step("blockdev-insert-medium", id + ", 'node-name': 'n'"));
            steps.add(new Step("blockdev-open-tray", id + ", 'force': true"));
            steps.add(new Step("blockdev-remove-medium", id));
            steps.add(new Step("blockdev-remove-medium", id));
            steps.add(new Step("blockdev-insert-medium", id + ", 'node-name': 'nosuch'"));
            steps.add(new Step("blockdev-insert-medium", id + ", 'node-name': 'n'"));
            steps.add(new Step("blockdev-insert-medium", id + ", 'node-name': 'n'"));
            steps.add(new Step("blockdev-del", "'node-name': 'n'"));
            steps.add(new Step("blockdev-close-tray", id));
            steps.add(new Step("eject", id + ", 'force': true"));
        }
        for (String line :
                List.of(
                        "eject d",
                        "eject -f d",
                        "eject nosuch",
                        "eject disk",
                        "change d " + directory + "/two",
                        "change d " + directory + "/one raw",
                        "change d " + directory + "/one raw bogus",
                        "change d " + directory + "/one bogus",
                        "change nosuch x",
                        "change disk " + directory + "/one raw")) {
            steps.add(new Step("human-monitor-command", "'command-line': '" + line + "'"));
        }
        return steps;
    }

    private ProbedMonitor start(String program, List<String> board) {
        List<String> arguments =
                new ArrayList<>(
                        List.of(
                                "-S",
                                "-nodefaults",
                                "-display",
                                "none",
                                "-drive",
                                "if=none,id=d,media=cdrom,format=raw,file=" + file("one"),
                                "-drive",
                                "if=none,id=disk,format=raw,file.locking=off,file.filename="
                                        + file("disk"),
                                "-drive",
                                "if=none,id=empty",
                                "-blockdev",
                                "driver=null-co,node-name=n,read-only=on"));
        arguments.addAll(board);
        return ProbedMonitor.start(program, arguments.toArray(String[]::new));
    }

    private Path file(String name) {
        return directory.resolve(name);
    }

    private static List<String> drives(ProbedMonitor monitor) {
        List<String> drives = new ArrayList<>();
        for (JsonObject drive : monitor.list("query-block", "")) {
            JsonValue inserted = drive.get("inserted");
            drives.add(
                    "%s removable %s locked %s tray_open %s: %s"
                            .formatted(
                                    drive.get("device"),
                                    drive.get("removable"),
                                    drive.get("locked"),
                                    drive.get("tray_open"),
                                    inserted instanceof JsonObject medium
                                            ? medium.get("file") + " " + medium.get("ro")
                                            : "nothing"));
        }
        return drives;
    }

    private void compare(List<String> board) {
        Map<String, String> different = new TreeMap<>();
        try (ProbedMonitor ours = start(Host.binary().toString(), board);
                ProbedMonitor theirs = start(QEMU, board)) {
            int number = 0;
            for (Step s : steps()) {
                String arguments = "{" + s.arguments + "}";
                JsonValue a = ours.answer(s.command, arguments);
                JsonValue b = theirs.answer(s.command, arguments);
                String step = "%03d %s %s".formatted(number++, s.command, arguments);
                if (!a.equals(b)) {
                    different.put(step, a + " instead of " + b);
                }
                if (!drives(ours).equals(drives(theirs))) {
                    different.put(step + " state", drives(ours) + " instead of " + drives(theirs));
                }
            }
            ours.execute("quit");
            theirs.execute("quit");
            List<String> expected = trays(theirs);
            assertEquals(expected, trays(ours));
        }
        assertEquals(Map.of(), different);
    }

    private static List<String> trays(ProbedMonitor monitor) {
        return monitor.eventsUntil("SHUTDOWN").stream()
                .filter(e -> e.contains("DEVICE_TRAY_MOVED"))
                .toList();
    }

    @Test
    void drivesWithoutDevices() {
        compare(List.of("-machine", "none"));
    }
}
