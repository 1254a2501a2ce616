package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;

/**
 * Debian's Linux as it comes, on a processor in software. One guest goes through its life in every run; the others,
 * which boot again and again, are asked for with {@code -Dlinux=1}.
 */
@Timeout(1800)
@ParameterizedClass
@ValueSource(strings = {"jvm", "kvm", "kvm,kernel-irqchip=off", "kvm,kernel-irqchip=split"})
class LinuxTest {
    private static final String DATE = "2031-03-04";

    /** What runs the guest. */
    @Parameter String accelerator = "";

    @TempDir Path directory;

    private final List<LinuxMachine> machines = new ArrayList<>();

    @BeforeEach
    void assumePrograms() {
        LinuxKvm.assumeRuns(accelerator);
        Host.assumeProgram("nc");
    }

    @AfterEach
    void endMachines() {
        machines.forEach(LinuxMachine::close);
    }

    static void assumeAskedFor() {
        assumeTrue(Integer.getInteger("linux", 0) > 0, "asked for with -Dlinux=1");
    }

    private LinuxMachine machine(String name, LinuxGuest guest, String... options)
            throws IOException {
        Path initrd = directory.resolve("initrd");
        if (!Files.exists(initrd)) {
            guest.writeInitrd(initrd, "", "sd_mod", "ata_piix", "button", "evdev");
        }
        List<String> all = new ArrayList<>(List.of("-m", "256", "-kernel"));
        all.addAll(List.of(guest.kernel().toString(), "-initrd", initrd.toString()));
        all.addAll(List.of("-append", "console=ttyS0 panic=-1"));
        all.addAll(List.of(options));
        LinuxMachine machine = new LinuxMachine(accelerator, directory, name, List.of(), all);
        machines.add(machine);
        return machine;
    }

    private static String sum(byte[] content) throws NoSuchAlgorithmException {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
    }

    @Test
    void livesFromItsFirstPromptToThePowerButton() throws Exception {
        LinuxGuest guest = LinuxGuest.cloud();
        byte[] content = new byte[8 << 20];
        new Random(1).nextBytes(content);
        Path disk = Files.write(directory.resolve("disk"), content);
        String drive = "if=ide,format=raw,file=" + disk;
        String rtc = "base=" + DATE;
        LinuxMachine first =
                machine("first", guest, "-drive", drive, "-rtc", rtc, "-smp", "2").up();
        Monitor monitor = first.monitor();

        assertEquals(DATE, first.run("cat /sys/class/rtc/rtc0/date"));
        assertEquals(DATE, first.run("date -u +%Y-%m-%d"));
        assertEquals(sum(content) + "  /dev/sda", first.run("sha256sum /dev/sda"));

        monitor.execute("{\"execute\": \"stop\"}");
        first.type("echo WHILE''STOPPED");
        monitor.execute("{\"execute\": \"cont\"}");
        first.await("WHILESTOPPED");

        // Saved while it reads its disk; what has been computed so far is in the file.
        first.run("(echo 3 > /proc/sys/vm/drop_caches; sha256sum /dev/sda > /tmp/sum) & true");
        Path saved = directory.resolve("saved");
        monitor.execute("{\"execute\": \"stop\"}");
        monitor.execute(
                "{\"execute\": \"migrate\", \"arguments\": {\"uri\": \"file:" + saved + "\"}}");
        awaitMigration(monitor);
        monitor.send("{\"execute\": \"quit\"}");
        assertEquals(0, first.awaitEnd());
        monitor.close();

        LinuxMachine second =
                machine(
                        "second",
                        guest,
                        "-drive",
                        drive,
                        "-rtc",
                        rtc,
                        "-smp",
                        "2",
                        "-incoming",
                        "file:" + saved);
        try (Monitor there = second.monitor()) {
            // It was saved while it stood still, and stands still until it is told.
            Host.await(
                    "it has come back",
                    LinuxMachine.LONG,
                    () -> there.execute("{\"execute\": \"query-status\"}").contains("\"paused\""));
            there.execute("{\"execute\": \"cont\"}");
            second.type("");
            second.await("# ");
            assertEquals(
                    sum(content) + "  /dev/sda",
                    second.run("while [ ! -s /tmp/sum ]; do sleep 1; done; cat /tmp/sum"));
            there.execute("{\"execute\": \"system_powerdown\"}");
            String event = there.await(l -> l.contains("\"SHUTDOWN\""), LinuxMachine.LONG);
            assertTrue(event.contains("\"guest-shutdown\""), event);
            assertEquals(0, second.awaitEnd());
        }
    }

    static void awaitMigration(Monitor monitor) {
        String[] status = {""};
        Host.await(
                "the migration ends",
                LinuxMachine.LONG,
                () -> {
                    status[0] = monitor.execute("{\"execute\": \"query-migrate\"}");
                    return status[0].contains("\"status\": \"completed\"")
                            || status[0].contains("\"status\": \"failed\"");
                });
        assertTrue(status[0].contains("completed"), status[0]);
    }

    @Test
    void restartsOrEndsWhenItReboots() throws Exception {
        assumeAskedFor();
        LinuxMachine machine = machine("reboots", LinuxGuest.cloud()).up();
        machine.type("reboot -f");
        machine.up();
        machine.close();

        LinuxMachine ends = machine("ends", LinuxGuest.cloud(), "-no-reboot").up();
        try (Monitor monitor = ends.monitor()) {
            ends.type("reboot -f");
            String event = monitor.await(l -> l.contains("\"SHUTDOWN\""), LinuxMachine.LONG);
            assertTrue(event.contains("\"guest-reset\""), event);
            assertEquals(0, ends.awaitEnd());
        }
    }

    @Test
    void hasTwoProcessors() throws Exception {
        assumeAskedFor();
        LinuxMachine machine = machine("two", LinuxGuest.cloud(), "-smp", "2").up();
        assertEquals("2", machine.run("grep -c ^processor /proc/cpuinfo"));
        String sum =
                "taskset %d sh -c 'dd if=/dev/zero bs=1M count=2 2>/dev/null | md5sum > /tmp/%d'";
        machine.run(sum.formatted(1, 1) + " & " + sum.formatted(2, 2) + " & wait");
        assertEquals(
                "b2d1236c286a3c0704224fe4105eca49  -\nb2d1236c286a3c0704224fe4105eca49  -",
                machine.run("cat /tmp/1 /tmp/2").replace("\r", ""));
    }
}
