package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;

/**
 * Debian's Linux moves between Lockstep and QEMU while it works. It would tell of a processor that stood still, of
 * a clock that another one contradicts, or of an interrupt that got lost. One guest goes in every run, and starts here,
 * so that what Linux writes to our processor at its start has to be known there; others, each with another clock and
 * for ten moves, start in QEMU and are asked for with {@code -Dlinux=1}.
 */
@Tag("qemu")
@Timeout(3600)
@ParameterizedClass
@ValueSource(strings = {"jvm", "kvm"})
class TravellingLinuxTest {
    /** Computes, writes to its disk, and lets time pass, all the while. */
    private static final String WORK =
            """
            (while :; do md5sum /tmp/file > /dev/null; done) & \
            (while :; do dd if=/tmp/file of=/dev/sda bs=64k seek=64; sync; done 2> /dev/null) & \
            (while :; do sleep 1; date > /tmp/date; done) & true\
            """;

    private static final String COMPLAINTS =
            "dmesg | grep -iE 'lockup|stall|unstable|hung|BUG:|Call Trace'";

    /** How far a guest's clock may be behind after some moves on a machine with much to do, in seconds. */
    private static final long DELAY = 60;

    /** What runs the guest. */
    @Parameter String accelerator = "";

    @TempDir Path directory;

    private final List<LinuxMachine> machines = new ArrayList<>();

    @BeforeEach
    void assumePrograms() {
        LinuxKvm.assumeRuns(accelerator);
        Host.assumeProgram(Host.qemu());
        Host.assumeProgram("nc");
    }

    @AfterEach
    void endMachines() {
        machines.forEach(LinuxMachine::close);
    }

    @Test
    void goesOnInQemuAndHere() throws Exception {
        travel(1, 1, "", 3);
    }

    @ParameterizedTest
    @CsvSource({
        "1, tsc=reliable",
        "1, clocksource=hpet",
        "1, clocksource=acpi_pm",
        "1, clocksource=jiffies",
        "1, nohpet noapictimer",
        "2, ''"
    })
    void goesOnByAnyClock(int processors, String clock) throws Exception {
        LinuxTest.assumeAskedFor();
        travel(0, processors, clock, 10);
    }

    /** Those with even numbers are QEMU's. */
    private LinuxMachine machine(int number, int processors, String clock, String... more)
            throws IOException {
        LinuxGuest guest = LinuxGuest.cloud();
        Path initrd = directory.resolve("initrd");
        if (!Files.exists(initrd)) {
            guest.writeInitrd(initrd, "", "sd_mod", "ata_piix");
            Files.write(directory.resolve("disk"), new byte[8 << 20]);
        }
        List<String> all = new ArrayList<>(List.of("-M", "pc-i440fx-7.2", "-m", "192"));
        all.addAll(List.of("-smp", Integer.toString(processors)));
        all.addAll(List.of("-kernel", guest.kernel().toString(), "-initrd", initrd.toString()));
        all.addAll(List.of("-append", "console=ttyS0 panic=-1 " + clock));
        all.addAll(
                List.of(
                        "-drive",
                        "if=ide,format=raw,file.locking=off,file.driver=file,file.filename="
                                + directory.resolve("disk")));
        all.addAll(List.of(more));
        String name = "machine" + number;
        LinuxMachine machine =
                number % 2 == 0
                        ? LinuxMachine.qemu(accelerator, directory, name, List.of(), all)
                        : new LinuxMachine(accelerator, directory, name, List.of(), all);
        machines.add(machine);
        return machine;
    }

    private void travel(int first, int processors, String clock, int moves) throws Exception {
        LinuxMachine here = machine(first, processors, clock).up();
        here.run("dd if=/dev/urandom of=/tmp/file bs=64k count=16 2> /dev/null");
        String sum = here.run("md5sum /tmp/file");
        here.run(WORK);
        here.run("dmesg -c > /dev/null");
        for (int n = first + 1; n <= first + moves; n++) {
            Path door = directory.resolve("door" + n);
            LinuxMachine there = machine(n, processors, clock, "-incoming", "unix:" + door);
            there.awaitDoor(door);
            move(here, there, door);
            there.type("");
            there.await("# ");
            assertEquals(sum, there.run("md5sum /tmp/file"));
            assertEquals("", there.run("rm -f /tmp/date; while [ ! -e /tmp/date ]; do :; done"));
            assertEquals("", there.run(COMPLAINTS));
            if (!clock.contains("jiffies")) { // such a guest loses ticks for which there is no time
                long seconds = Long.parseLong(there.run("date +%s"));
                assertEquals(Instant.now().getEpochSecond(), seconds, DELAY, "the guest's clock");
            }
            here = there;
        }
        here.close();
    }

    private static void move(LinuxMachine here, LinuxMachine there, Path door) {
        try (Monitor monitor = here.monitor()) {
            monitor.execute(
                    "{\"execute\": \"migrate\", \"arguments\": {\"uri\": \"unix:" + door + "\"}}");
            LinuxTest.awaitMigration(monitor);
            monitor.send("{\"execute\": \"quit\"}");
            assertEquals(0, here.awaitEnd());
        }
        try (Monitor monitor = there.monitor()) {
            Host.await(
                    "the guest runs there",
                    Duration.ofMinutes(5),
                    () ->
                            monitor.execute("{\"execute\": \"query-status\"}")
                                    .contains("\"running\""));
        }
    }
}
