package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonString;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;

/** {@code info qtree} beside QEMU's: the same devices on the same buses, with the same values of their properties. */
@Tag("qemu")
@Timeout(value = 120, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class DeviceTreeBesideQemuTest {
    private static final String[] MACHINE = {
        "-machine",
        "pc",
        "-nodefaults",
        "-usb",
        "-device",
        "e1000,id=e",
        "-device",
        "usb-tablet,id=t",
        "-device",
        "VGA",
        "-blockdev",
        "null-co,node-name=n,size=1048576",
        "-device",
        "ide-hd,drive=n,id=d,unit=1,bus=ide.1",
        "-chardev",
        "null,id=c",
        "-device",
        "isa-serial,chardev=c"
    };

    /** Parts of the keyboard controller, which are not devices of their own here. */
    private static final Set<String> INSIDE = Set.of("ps2-kbd", "ps2-mouse");

    /** What follows from how the processor runs, or from a disk without an image. */
    private static final Set<String> OWN = Set.of("smm-enabled", "bios-chs-trans");

    /** A text as sorted places, each with its line; and the values of properties by place. */
    private record Tree(List<String> places, TreeMap<String, List<String>> values) {
        static Tree of(String text) {
            List<String> places = new ArrayList<>();
            TreeMap<String, List<String>> values = new TreeMap<>();
            List<String> way = new ArrayList<>();
            for (String line : text.lines().toList()) {
                String said = line.strip();
                int depth = (line.length() - line.stripLeading().length()) / 2;
                if (said.isEmpty() || said.startsWith("gpio-") || said.startsWith("mmio ")) {
                    continue;
                }
                while (way.size() > depth) {
                    way.removeLast();
                }
                String place = String.join(" / ", way) + " / ";
                if (said.startsWith("dev: ") || said.startsWith("bus: ")) {
                    way.add(said);
                }
                int equals = said.indexOf(" = ");
                if (equals < 0) {
                    places.add(place + said);
                } else {
                    values.computeIfAbsent(
                                    place + said.substring(0, equals), none -> new ArrayList<>())
                            .add(said.substring(equals + 3));
                }
            }
            places.removeIf(
                    p -> INSIDE.stream().anyMatch(i -> p.endsWith("dev: " + i + ", id \"\"")));
            places.sort(null);
            return new Tree(places, values);
        }
    }

    private static String text(QtestMachine machine, String command) {
        String arguments = "{\"command-line\": \"" + command + "\"}";
        JsonObject answer = machine.execute("human-monitor-command", arguments);
        return ((JsonString) answer.get("return")).value();
    }

    @Test
    void theSameDevicesSitOnTheSameBuses(@TempDir Path directory) {
        Host.assumeProgram(Host.qemu());
        String theirs;
        String ours;
        String brief;
        try (QtestMachine qemu = QtestMachine.qemu(directory, MACHINE)) {
            theirs = text(qemu, "info qtree");
        }
        try (QtestMachine machine = QtestMachine.ours(directory, MACHINE)) {
            ours = text(machine, "info qtree");
            brief = text(machine, "info qtree -b");
        }
        Tree expected = Tree.of(theirs);
        Tree shown = Tree.of(ours);
        assertEquals(String.join("\n", expected.places()), String.join("\n", shown.places()));
        int compared = 0;
        for (var entry : shown.values().entrySet()) {
            String name = entry.getKey().substring(entry.getKey().lastIndexOf('/') + 2);
            List<String> value = expected.values().get(entry.getKey());
            if (value != null && !OWN.contains(name)) {
                assertEquals(value, entry.getValue(), entry.getKey());
                compared++;
            }
        }
        assertTrue(compared > 100, compared + " properties in both");
        assertEquals(
                ours.lines().filter(l -> l.contains("dev: ")).toList(),
                brief.lines().filter(l -> l.contains("dev: ")).toList());
        assertEquals(List.of(), brief.lines().filter(l -> l.contains(" = ")).toList());
    }

    @Test
    void aDefaultOfAnAbstractTypeIsThatOfAllThatSpecialiseIt(@TempDir Path directory) {
        String[] options = {
            "-machine",
            "pc",
            "-nodefaults",
            "-device",
            "e1000",
            "-global",
            "fw_cfg.dma_enabled=off",
            "-global",
            "e1000.romfile=none.rom",
            "-global",
            "pci-device.romfile="
        };
        try (QtestMachine machine = QtestMachine.ours(directory, options)) {
            String text = text(machine, "info qtree");
            assertTrue(text.contains("dma_enabled = false"), text);
            assertEquals(
                    List.of("romfile = \"\""),
                    text.lines()
                            .map(String::strip)
                            .filter(l -> l.startsWith("romfile"))
                            .distinct()
                            .toList());
        }
    }
}
