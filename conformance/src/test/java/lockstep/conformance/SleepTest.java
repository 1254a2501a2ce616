package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * A guest that sleeps with its RAM kept (ACPI S3), and is woken: what users see and what it finds afterwards. A
 * machine that was stopped in its sleep goes on sleeping.
 */
@Timeout(value = 120, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class SleepTest {
    private static final int POWER_MANAGEMENT = 0x0b;
    private static final int EVENTS = 0x600;
    private static final int CONTROL = 0x604;
    private static final int SLEEP_TO_RAM = 0x2401;

    private final List<QtestMachine> machines = new ArrayList<>();
    @TempDir private Path directory;

    @AfterEach
    void end() {
        machines.forEach(QtestMachine::close);
    }

    private QtestMachine ours(String... options) {
        List<String> all = new ArrayList<>(List.of("-machine", "pc", "-nodefaults"));
        all.addAll(List.of(options));
        QtestMachine machine = QtestMachine.ours(directory, all.toArray(String[]::new));
        machines.add(machine);
        return machine;
    }

    /** Gives the power management registers an address, as firmware does after each reset. */
    private static void firmware(QtestMachine m) {
        m.config(POWER_MANAGEMENT, 0x40, EVENTS | 1);
        m.config(POWER_MANAGEMENT, 0x80, 1);
    }

    private static String status(QtestMachine m) {
        String reply = m.execute("query-status").toString();
        return reply.replaceAll("(?s).*\"status\": *\"([a-z]+)\".*", "$1");
    }

    private static int resetCode(QtestMachine m) {
        m.outb(0x70, 0x0f);
        return m.inb(0x71);
    }

    private static void sleeps(QtestMachine m) {
        firmware(m);
        m.tell("write 0x1000 5 0x68656c6c6f", "outw " + CONTROL + ' ' + SLEEP_TO_RAM);
        m.event("SUSPEND");
        assertEquals("suspended", status(m));
        assertEquals(0xfe, resetCode(m), "what the firmware looks at");
    }

    private static void wakes(QtestMachine m) {
        assertTrue(m.execute("system_wakeup").has("return"));
        m.event("WAKEUP");
        assertEquals("running", status(m));
        firmware(m);
        assertEquals(0x8100, m.value("inw " + EVENTS) & 0xfffe, "woken, as by the button");
        assertEquals("OK 0x68656c6c6f", m.ask("read 0x1000 5"));
        String awake = m.execute("system_wakeup").toString();
        assertTrue(awake.contains("Unable to wake up: guest is not in suspended state"), awake);
    }

    @Test
    @Tag("qemu")
    void sleepLooksAsInQemu() throws IOException {
        Host.assumeProgram(Host.qemu());
        // QEMU's processor runs: it must not be in the way.
        byte[] halt = new byte[64 << 10];
        System.arraycopy(HexFormat.of().parseHex("faf4ebfd"), 0, halt, halt.length - 16, 4);
        String bios = Files.write(directory.resolve("halt"), halt).toString();
        QtestMachine theirs =
                QtestMachine.qemu(directory, "-machine", "pc", "-nodefaults", "-bios", bios);
        machines.add(theirs);
        for (QtestMachine m : List.of(theirs, ours("-S"))) {
            String can = m.execute("query-current-machine").toString();
            assertTrue(can.matches("(?s).*wakeup-suspend-support\": *true.*"), can);
            m.execute("cont");
            sleeps(m);
            m.execute("cont");
            assertEquals("suspended", status(m));
            wakes(m);
        }
    }

    @Test
    void aStoppedSleeperGoesOnSleeping() {
        QtestMachine m = ours();
        sleeps(m);
        m.execute("stop");
        m.event("STOP");
        assertEquals("paused", status(m));
        m.execute("cont");
        m.event("RESUME");
        assertEquals("suspended", status(m));
        wakes(m);
    }

    @Test
    void aSleeperMovesAndIsWokenElsewhere() {
        QtestMachine from = ours();
        sleeps(from);
        Path stream = directory.resolve("stream");
        from.execute("migrate", "{\"uri\": \"file:" + stream + "\"}");
        from.event("STOP");
        while (!status(from).equals("postmigrate")) {
            from.ask("inb 0");
        }
        QtestMachine to = ours("-incoming", "defer");
        to.execute("migrate-incoming", "{\"uri\": \"file:" + stream + "\"}");
        to.event("RESUME");
        assertEquals("suspended", status(to));
        wakes(to);
    }

    @Test
    void whatArrivesWakesWhereItIsToldSo() throws Exception {
        Path path = directory.resolve("line");
        QtestMachine m =
                ours(
                        "-chardev",
                        "socket,id=line,server=on,wait=off,path=" + path,
                        "-device",
                        "isa-serial,chardev=line,wakeup=on");
        sleeps(m);
        try (SocketChannel line = SocketChannel.open(UnixDomainSocketAddress.of(path))) {
            line.write(ByteBuffer.wrap(new byte[] {'x'}));
            m.event("WAKEUP");
        }
        assertEquals("running", status(m));
    }

    @Test
    void theAlarmWakesAGuestThatWantsIt() {
        QtestMachine m = ours("-rtc", "base=2026-01-01T00:00:00");
        firmware(m);
        m.tell("outw " + (EVENTS + 2) + " 0x0400");
        // Any hour, any minute, any second; update mode binary.
        for (int cell : new int[] {1, 3, 5}) {
            m.outb(0x70, cell);
            m.outb(0x71, 0xff);
        }
        m.outb(0x70, 0x0b);
        m.outb(0x71, 0x26);
        sleeps(m);
        m.event("WAKEUP");
        firmware(m);
        assertEquals(0x8400, m.value("inw " + EVENTS) & 0xfffe);
    }
}
