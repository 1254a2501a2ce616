package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonValue;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * What is said of a machine by its properties with members, however it is said, and what types without objects can be
 * told: as the installed QEMU has it.
 */
@Tag("qemu")
class MachinePropertiesTest {
    private static final String QEMU = Host.qemu();

    private static final Map<String, List<String>> VALUES =
            Map.of(
                    "smp",
                    List.of(
                            "{'cpus': 4}",
                            "{}",
                            "{'maxcpus': 8}",
                            "{'cpus': 2, 'maxcpus': 8}",
                            "{'cores': 3}",
                            "{'sockets': 2, 'cores': 2, 'threads': 2}",
                            "{'dies': 2}",
                            "{'cpus': '2'}",
                            "{'bogus': 1}",
                            "5"),
                    "memory",
                    List.of(
                            "{'size': 1048576}",
                            "{'size': 100}",
                            "{}",
                            "{'max-size': 1073741824}",
                            "{'slots': 2}",
                            "{'slots': 2, 'max-size': 1073741824}",
                            "{'slots': 0, 'max-size': 1048576}",
                            "{'size': 134217728, 'max-size': 134217728, 'slots': 3}",
                            "{'size': '1M'}",
                            "{'bogus': 1}"),
                    "boot",
                    List.of(
                            "{'order': 'c'}",
                            "{'order': 'xyz'}",
                            "{'order': 'cc'}",
                            "{'menu': true}",
                            "{'once': 'q'}",
                            "{}",
                            "{'splash-time': 70000}",
                            "{'menu': 'on'}",
                            "{'bogus': 1}"));

    /** Levels of processors that came after the installed QEMU. */
    private static final Set<String> LATER = Set.of("modules", "books", "drawers");

    private static final List<String> ABSTRACT =
            List.of(
                    "apic-common",
                    "bus",
                    "e1000-base",
                    "fw_cfg",
                    "ide-device",
                    "ioapic-common",
                    "isa-device",
                    "pci-device",
                    "pci-host-bridge",
                    "pci-ide",
                    "pci-uhci-usb",
                    "pci-vga",
                    "pic-common",
                    "smbus-device",
                    "sys-bus-device",
                    "usb-device",
                    "usb-hid");

    /** Properties that QEMU 10.2 does not have any more. */
    private static final Set<String> GONE = Set.of("legacy-addr", "legacy-instance-id");

    private static ProbedMonitor start(String program, String... more) {
        List<String> arguments =
                new ArrayList<>(List.of("-machine", "pc-i440fx-7.2", "-S", "-display", "none"));
        arguments.addAll(List.of(more));
        return ProbedMonitor.start(program, arguments.toArray(String[]::new));
    }

    private static String get(String group) {
        return "{'path': '/machine', 'property': '" + group + "'}";
    }

    /** An answer without what the installed QEMU does not know. */
    private static JsonValue known(JsonValue answer) {
        if (answer instanceof JsonObject object) {
            LATER.forEach(object::remove);
        }
        return answer;
    }

    @Test
    void whatIsLeftOutIsFilledIn() {
        Host.assumeProgram(QEMU);
        Map<String, String> different = new TreeMap<>();
        try (ProbedMonitor ours = start(Host.binary().toString());
                ProbedMonitor theirs = start(QEMU)) {
            VALUES.forEach(
                    (group, values) -> {
                        for (String value : values) {
                            String set =
                                    "{'path': '/machine', 'property': '%s', 'value': %s}"
                                            .formatted(group, value);
                            compare(ours, theirs, "qom-set", set, different);
                            compare(ours, theirs, "qom-get", get(group), different);
                        }
                    });
        }
        assertEquals(Map.of(), different);
    }

    private static void compare(
            ProbedMonitor ours,
            ProbedMonitor theirs,
            String command,
            String arguments,
            Map<String, String> different) {
        JsonValue a = known(ours.answer(command, arguments));
        JsonValue b = known(theirs.answer(command, arguments));
        if (!a.equals(b)) {
            different.put(command + " " + arguments, a + " instead of " + b);
        }
    }

    @Test
    void whoeverSaysItLastOrLouder() {
        Host.assumeProgram(QEMU);
        String[] said = {
            "-machine",
            "memory.size=256M,smp.cores=2,boot.order=c,boot.menu=on",
            "-m",
            "64",
            "-smp",
            "4",
            "-boot",
            "order=d"
        };
        try (ProbedMonitor ours = start(Host.binary().toString(), said);
                ProbedMonitor theirs = start(QEMU, said)) {
            for (String group : VALUES.keySet()) {
                assertEquals(
                        known(theirs.execute("qom-get", get(group))),
                        known(ours.execute("qom-get", get(group))));
            }
        }
    }

    @Test
    void typesWithoutObjects() {
        Host.assumeProgram(QEMU);
        try (ProbedMonitor ours = start(Host.binary().toString());
                ProbedMonitor theirs = start(QEMU)) {
            for (String type : ABSTRACT) {
                assertEquals(properties(theirs, type), properties(ours, type), type);
            }
            for (String accelerator : List.of("kvm-accel", "tcg-accel")) {
                Map<String, String> all = properties(ours, accelerator);
                Map<String, String> theirsAll = properties(theirs, accelerator);
                all.keySet().retainAll(theirsAll.keySet());
                assertEquals(theirsAll, all, accelerator);
            }
        }
    }

    private static Map<String, String> properties(ProbedMonitor monitor, String type) {
        Map<String, String> all = new TreeMap<>();
        for (JsonObject p : monitor.list("qom-list-properties", "{'typename': '" + type + "'}")) {
            all.put(ProbedMonitor.text(p, "name"), ProbedMonitor.text(p, "type"));
        }
        all.keySet().removeAll(GONE);
        return all;
    }
}
