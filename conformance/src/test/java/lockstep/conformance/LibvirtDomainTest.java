package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The life of a small domain in libvirt's hands, from its definition to its end. */
@Tag("libvirt")
@Tag("root")
class LibvirtDomainTest {
    private static final int DISK = 1 << 20;

    /** A line of the guest {@link Guests#counter}. */
    private static final Pattern TICK = Pattern.compile("tick ([0-9a-f]{8})");

    private static final String DOMAIN =
            """
            <domain type='%s'>
              <name>guest</name>
              <memory unit='MiB'>64</memory>
              <vcpu>1</vcpu>
              <os>
                <type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type>
                <boot dev='hd'/>
              </os>
              <features><acpi/></features>
              <devices>
                <emulator>%s</emulator>
                <disk type='file' device='disk'>
                  <driver name='qemu' type='qcow2'/>
                  <source file='%s'/>
                  <target dev='hda' bus='ide'/>
                </disk>
                <serial type='pty'/>
                <console type='pty'/>
                <memballoon model='none'/>
              </devices>
            </domain>
            """;

    @TempDir Path directory;

    @BeforeEach
    void needs() {
        Host.assumeRoot();
        for (String program : new String[] {"libvirtd", "virsh", "unshare", "script"}) {
            Host.assumeProgram(program);
        }
        Host.assumeProgram("qemu-img");
    }

    @Test
    @Tag("kvm")
    void lockstep() throws Exception {
        Host.assumeKvm();
        live("kvm", Host.binary().toString());
    }

    /** The test is right: QEMU passes it. */
    @Test
    @Tag("qemu")
    void qemu() throws Exception {
        Host.assumeProgram(Host.qemu());
        live("qemu", "/usr/bin/qemu-system-x86_64");
    }

    /** The number of the next whole line that the guest prints. */
    private static long tick(Libvirtd libvirt) throws IOException {
        Process console = libvirt.console("guest");
        StringBuilder seen = new StringBuilder();
        try (BufferedReader reader = console.inputReader(StandardCharsets.ISO_8859_1)) {
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                seen.append(line).append('\n');
                Matcher tick = TICK.matcher(line);
                if (tick.find()) {
                    return Long.parseLong(tick.group(1), 16);
                }
            }
        } finally {
            console.destroy();
        }
        throw new AssertionError("the console ended: " + seen);
    }

    private static void goesOn(Libvirtd libvirt, long before) throws IOException {
        long now = tick(libvirt);
        assertTrue(now > before, () -> "the guest counts on from " + before + ": " + now);
    }

    private Path disk() throws IOException {
        Path raw = directory.resolve("disk.raw");
        Files.write(raw, Arrays.copyOf(Guests.counter(), DISK));
        Path disk = directory.resolve("disk.qcow2");
        Host.run(
                "qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw.toString(), disk.toString());
        return disk;
    }

    private static void assertState(String state, Libvirtd libvirt) {
        assertEquals(state, libvirt.run("domstate", "guest").strip());
    }

    private static void assertSays(String expected, String text) {
        assertTrue(text.contains(expected), () -> "'" + expected + "' in: " + text);
    }

    private void live(String type, String emulator) throws Exception {
        Path xml = directory.resolve("guest.xml");
        Files.writeString(xml, DOMAIN.formatted(type, emulator, disk()));
        try (Libvirtd libvirt = new Libvirtd(directory)) {
            libvirt.run("define", xml.toString());
            libvirt.run("start", "guest");
            long tick = tick(libvirt);
            describes(libvirt);

            libvirt.run("suspend", "guest");
            assertState("paused", libvirt);
            libvirt.run("resume", "guest");
            assertState("running", libvirt);
            goesOn(libvirt, tick);

            // The guest's processor is busy: it has to be stopped for this.
            tick = tick(libvirt);
            libvirt.run("inject-nmi", "guest");
            goesOn(libvirt, tick);

            tick = tick(libvirt);
            String saved = directory.resolve("guest.saved").toString();
            libvirt.run("save", "guest", saved);
            assertState("shut off", libvirt);
            libvirt.run("restore", saved);
            assertState("running", libvirt);
            goesOn(libvirt, tick);

            tick = tick(libvirt);
            libvirt.run("managedsave", "guest");
            assertState("shut off", libvirt);
            assertSays("Managed save:   yes", libvirt.run("dominfo", "guest"));
            libvirt.run("start", "guest");
            assertSays("Managed save:   no", libvirt.run("dominfo", "guest"));
            goesOn(libvirt, tick);

            tick = tick(libvirt);
            libvirt.run("reset", "guest");
            long again = tick(libvirt);
            assertTrue(again < tick, () -> "the guest starts again: " + again);

            libvirt.run("destroy", "guest");
            assertState("shut off", libvirt);
            libvirt.run("undefine", "guest");
            assertFalse(libvirt.run("list", "--all").contains("guest"));
        }
    }

    private static void describes(Libvirtd libvirt) {
        String info = libvirt.run("dominfo", "guest");
        assertSays("State:          running", info);
        assertSays("Max memory:     65536 KiB", info);
        String stats = libvirt.run("domstats", "guest");
        assertSays("state.state=1\n", stats);
        assertSays("vcpu.current=1\n", stats);
        assertSays("vcpu.0.state=1\n", stats);
        assertSays("balloon.maximum=65536\n", stats);
        assertSays("block.count=1\n", stats);
        assertSays("block.0.name=hda\n", stats);
        assertSays("block.0.capacity=" + DISK + "\n", stats);
        Matcher reads = Pattern.compile("block.0.rd.reqs=([0-9]+)").matcher(stats);
        assertTrue(reads.find() && Long.parseLong(reads.group(1)) > 0, stats);
    }
}
