package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/** A start in two steps, the object that serves qtest, and what queries say of parts that suites ask for. */
@Timeout(value = 120, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class PreconfigTest {
    private static final String TOO_EARLY =
            "is permitted only after machine initialization has completed";

    @TempDir private Path directory;
    private QtestMachine machine;

    @AfterEach
    void close() {
        if (machine != null) {
            machine.close();
        }
    }

    private String ask(String command) {
        return machine.execute(command).toString();
    }

    @Test
    void theMachineIsMadeWhenAMonitorSaysSo() {
        machine = QtestMachine.ours(directory, "--preconfig", "-machine", "pc");
        assertTrue(ask("query-status").contains("prelaunch"));
        assertTrue(ask("query-cpus-fast").contains(TOO_EARLY));
        assertTrue(ask("human-monitor-command").contains(TOO_EARLY));
        assertFalse(ask("query-commands").contains("error"));
        assertEquals("OK 0x0000000000000000", machine.ask("readl 0xfffffff0"), "no firmware yet");
        String made =
                machine.execute("object-add", "{\"qom-type\": \"iothread\", \"id\": \"early\"}")
                        .toString();
        assertFalse(made.contains("error"), made);
        assertFalse(ask("x-exit-preconfig").contains("error"));
        machine.event("RESUME");
        assertTrue(ask("query-status").contains("running"));
        assertFalse(ask("query-cpus-fast").contains("error"));
        assertTrue(
                ask("x-exit-preconfig")
                        .contains("The command is permitted only before machine initialization"));
        assertFalse(machine.ask("readl 0xfffffff0").endsWith("00000000"), "firmware");
    }

    @Test
    void withSTheGuestWaitsForCont() {
        machine = QtestMachine.ours(directory, "--preconfig", "-S");
        ask("x-exit-preconfig");
        assertTrue(ask("query-status").contains("prelaunch"));
        assertFalse(ask("cont").contains("error"));
        machine.event("RESUME");
    }

    @Test
    void aMachineThatCannotBeMadeEndsTheProcess() {
        machine = QtestMachine.ours(directory, "--preconfig", "-bios", "no-such-firmware");
        String answer = ask("x-exit-preconfig");
        assertTrue(answer.contains("could not load PC BIOS 'no-such-firmware'"), answer);
        assertEquals(1, machine.terminate());
    }

    @Test
    void quitWorksBeforeThereIsAMachine() {
        machine = QtestMachine.ours(directory, "--preconfig");
        assertFalse(ask("quit").contains("error"));
        assertEquals(0, machine.terminate());
    }

    @Test
    void thereIsOneServerOfQtest() {
        machine = QtestMachine.ours(directory, "-chardev", "null,id=second");
        String second =
                machine.execute(
                                "object-add",
                                "{\"qom-type\": \"qtest\", \"id\": \"t\", \"chardev\": \"second\"}")
                        .toString();
        assertTrue(second.contains("Only one instance of qtest can be created"), second);
        String none =
                machine.execute(
                                "object-add",
                                "{\"qom-type\": \"qtest\", \"id\": \"t\", \"chardev\": \"nobody\"}")
                        .toString();
        assertTrue(none.contains("Cannot find character device 'nobody'"), none);
    }

    @Test
    void queriesOfDeviceSuitesAreAnsweredWithoutAMachine() {
        machine =
                QtestMachine.ours(
                        directory, "-machine", "none", "-audiodev", "none,id=quiet,out.channels=1");
        String text = "{\"human-readable-text\": \"\"}";
        for (String query :
                new String[] {
                    "x-query-interrupt-controllers", "x-query-irq", "x-query-roms", "x-accel-stats"
                }) {
            assertTrue(ask(query).contains(text), query);
        }
        assertTrue(ask("xen-event-list").contains("GenericError"));
        assertTrue(ask("query-dirty-rate").contains("\"status\": \"unstarted\""));
        String sound = ask("query-audiodevs");
        assertTrue(sound.contains("\"id\": \"quiet\""), sound);
        assertTrue(sound.contains("\"channels\": 1"), sound);
        assertTrue(sound.contains("\"frequency\": 44100"), sound);
    }

    @Test
    void theMonitorCountsInterrupts() {
        machine = QtestMachine.ours(directory, "-machine", "pc");
        machine.tell(
                "set_irq_in /machine/i440fx/ioapic unnamed-gpio-in 9 1",
                "set_irq_in /machine/i440fx/ioapic unnamed-gpio-in 9 1",
                "set_irq_in /machine/i440fx/ioapic unnamed-gpio-in 9 0",
                "set_irq_in /machine/i440fx/ioapic unnamed-gpio-in 9 1");
        String irq = machine.human("info irq");
        assertTrue(irq.contains("IRQ statistics for ioapic:"), irq);
        assertTrue(irq.contains(" 9: 2"), irq);
        assertTrue(machine.human("info lapic 1").contains("No CPU available"));
        assertTrue(machine.human("info lapic").contains("APR 0x00 TPR 0x00"));
    }
}
