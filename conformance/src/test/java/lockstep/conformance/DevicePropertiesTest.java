package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonValue;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/** The devices of a PC, those that users add and those that are built in, have the options of the installed QEMU's. */
@Tag("qemu")
class DevicePropertiesTest {
    private static final String QEMU = Host.qemu();

    /** What no option can set: the byte order of a display, and whether a USB device is attached. */
    private static final Set<String> SHOWN = Set.of("big-endian-framebuffer", "attached");

    /** Parts of QEMU that tell more than they are asked with options, for QEMU's own ACPI tables. */
    private static final Set<String> ADDRESSES =
            Set.of(
                    "acpi-pcihp-io-base",
                    "acpi-pcihp-io-len",
                    "acpi-pcihp-bsel",
                    "acpi_disable_cmd",
                    "acpi_enable_cmd",
                    "cpu-hotplug-legacy",
                    "gpe0_blk",
                    "gpe0_blk_len",
                    "pm_io_base",
                    "sci_int",
                    "pci-hole-start",
                    "pci-hole-end",
                    "pci-hole64-start",
                    "pci-hole64-end");

    /** What newer releases of QEMU have than the installed one. */
    private static final Map<String, String> NEWER = Map.of("pvpanic.events", "uint8 7");

    private static String described(JsonObject p) {
        JsonValue initial = p.get("default-value");
        return ProbedMonitor.text(p, "type") + (initial == null ? "" : " " + initial);
    }

    private static Map<String, String> options(ProbedMonitor monitor, String type) {
        Map<String, String> options = new TreeMap<>();
        for (JsonObject p :
                monitor.list("device-list-properties", "{'typename': '" + type + "'}")) {
            String kind = ProbedMonitor.text(p, "type");
            if (!kind.startsWith("child<") && !kind.startsWith("link<")) {
                options.put(ProbedMonitor.text(p, "name"), described(p));
            }
        }
        options.keySet().removeAll(SHOWN);
        options.keySet().removeAll(ADDRESSES);
        return options;
    }

    @Test
    void typesHaveTheOptionsAndDefaultsOfQemus() {
        Host.assumeProgram(QEMU);
        Map<String, Object> expected = new TreeMap<>();
        Map<String, Object> actual = new TreeMap<>();
        try (ProbedMonitor ours =
                        ProbedMonitor.start(
                                Host.binary().toString(), "-machine", "none", "-nodefaults");
                ProbedMonitor theirs =
                        ProbedMonitor.start(
                                QEMU, "-accel", "tcg", "-S", "-display", "none", "-m", "16")) {
            List<JsonObject> devices = ours.list("qom-list-types", "{'implements': 'device'}");
            assertFalse(devices.isEmpty());
            for (JsonObject device : devices) {
                String type = ProbedMonitor.text(device, "name");
                if (!type.endsWith("-cpu")) {
                    Map<String, String> options = options(theirs, type);
                    options.replaceAll((p, d) -> NEWER.getOrDefault(type + "." + p, d));
                    expected.put(type, options);
                    actual.put(type, options(ours, type));
                }
            }
            ours.execute("quit");
            theirs.execute("quit");
        }
        expected.entrySet().removeIf(e -> e.getValue().equals(actual.get(e.getKey())));
        actual.keySet().retainAll(expected.keySet());
        assertEquals(expected, actual);
    }

    /** A drive is shown by its id, or else by the name of the node in it; with no medium by nothing. */
    @Test
    void drivesAndHelpAreShownAsByQemu() {
        Host.assumeProgram(QEMU);
        List<String> options =
                List.of(
                        "-nodefaults -S -display none -m 16 -blockdev"
                                + " null-co,node-name=n0,size=1048576",
                        "-blockdev null-co,node-name=n1,size=1048576 -device"
                                + " ide-hd,id=a,bus=ide.0,drive=n0",
                        "-drive if=none,id=d,driver=null-co,size=1048576 -device"
                                + " ide-hd,id=b,drive=d",
                        "-device ide-cd,id=c,bus=ide.1 -device floppy,id=f,drive=n1");
        List<String> words = List.of(String.join(" ", options).split(" "));
        List<List<String>> seen = new ArrayList<>();
        for (String program : List.of(Host.binary().toString(), QEMU)) {
            List<String> arguments = new ArrayList<>(List.of("-accel"));
            arguments.add(program.equals(QEMU) ? "tcg" : "qtest");
            arguments.addAll(words);
            List<String> answers = new ArrayList<>();
            try (ProbedMonitor monitor =
                    ProbedMonitor.start(program, arguments.toArray(String[]::new))) {
                for (String id : List.of("a", "b", "c", "f")) {
                    String path = "'path': '/machine/peripheral/" + id + "'";
                    answers.add(
                            monitor.execute("qom-get", "{" + path + ", 'property': 'drive'}")
                                    .toString());
                }
                for (String command :
                        List.of(
                                "device_add nosuch,help",
                                "device_add pci-device,help",
                                "device_add edu,help",
                                "object_add iothread,help")) {
                    String text =
                            monitor.execute(
                                            "human-monitor-command",
                                            "{'command-line': '" + command + "'}")
                                    .toString();
                    answers.add(text.replaceAll("(\\\\r)?\\\\n.*", ""));
                }
            }
            seen.add(answers);
        }
        assertEquals(seen.getLast(), seen.getFirst());
    }
}
