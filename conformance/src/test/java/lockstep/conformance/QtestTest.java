package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/** A PC without a guest, driven over the qtest protocol from the command line on, as suites of device tests do. */
@Timeout(value = 120, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class QtestTest {
    private static final long SECOND = 1_000_000_000L;
    private static final int IDE = 1 << 3 | 1;

    @TempDir private Path directory;
    private QtestMachine machine;

    private void start(String... options) {
        machine = QtestMachine.ours(directory, options);
    }

    @AfterEach
    void close() {
        if (machine != null) {
            machine.close();
        }
    }

    // ---- the protocol

    @Test
    void everyCommandIsAnsweredWithOneLine() {
        start();
        String[][] dialogue = {
            {"endianness", "OK little"},
            {"writeq 0x100000 0x1122334455667788", "OK"},
            {"readb 0x100001", "OK 0x0000000000000077"},
            {"readw 0x100002", "OK 0x0000000000005566"},
            {"readl 1048576", "OK 0x0000000055667788"},
            {"readq 04000000", "OK 0x1122334455667788"},
            {"writew 0x100000 0xfffe", "OK"},
            {"read 0x100000 4", "OK 0xfeff6655"},
            {"write 0x100000 4 0x010203", "OK"},
            {"b64read 0x100000 4", "OK AQIDAA=="},
            {"b64write 0x100000 2 /w==", "OK"},
            {"memset 0x100001 2 0x5a", "OK"},
            {"memset 0x100000 0 1", "OK"},
            {"read 0x100000 4", "OK 0xff5a5a00"},
            {"write 0x100000 4 0x", "ERR invalid argument size"},
            {"outl 0xcf8 0x80000000", "OK"},
            {"inl 0xcfc", "OK 0x12378086"},
            {"inw 0xcfe", "OK 0x1237"},
            {"inb 0xcfc", "OK 0x0086"},
            {"module_load a b", "FAIL"},
            {"rtas a 1 2 3 4", "FAIL Unknown command 'rtas'"},
            {"nonsense 1 2", "FAIL Unknown command 'nonsense'"},
            {"irq_intercept_in nobody", "FAIL Unknown device"},
            {"irq_intercept_in ioapic", "OK"},
            {"irq_intercept_in ioapic", "OK"},
            {"irq_intercept_in /machine/i440fx", "FAIL IRQ intercept already enabled"},
        };
        for (String[] line : dialogue) {
            assertEquals(line[1], machine.ask(line[0]), line[0]);
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "readb",
                "readb x",
                "inb 0x10000",
                "read 0 0",
                "read 0 -1",
                "outb 1",
                "write 0",
                "set_irq_in ioapic nothing 1 1",
                "set_irq_in ioapic unnamed-gpio-in 99 1",
                "clock_step x",
                "memset 0 99999999999 0",
                "b64write 0 1"
            })
    void aCommandThatMakesNoSenseFails(String command) {
        start("-machine", "none");
        assertTrue(machine.ask(command).startsWith("FAIL"), command);
        assertEquals("OK little", machine.ask("endianness"));
    }

    @Test
    void theEndIsQuietAndOrderly() {
        start();
        assertEquals(0, machine.terminate());
        assertEquals("", machine.errors());
    }

    @Test
    void theFirstAcceleratorThatIsThereIsTaken() {
        start("-accel", "nosuch");
        assertTrue(machine.execute("query-accelerators").toString().contains("qtest"));
        assertEquals("", machine.errors(), "a test asks for more than there is");
    }

    // ---- time

    @Test
    void timeStandsStillUnlessItIsMoved() {
        start("-S");
        assertEquals("FAIL could not advance time", machine.ask("clock_step 1"));
        machine.execute("cont");
        long first = machine.value("clock_step");
        assertTrue(first > 0 && first <= 27_462_701, "half a period of the interval timer");
        assertEquals(first + 5, machine.value("clock_step 5"));
        assertEquals("FAIL " + (first + 5), machine.ask("clock_set " + first));
        assertEquals(SECOND, machine.value("clock_set " + SECOND));
        machine.execute("stop");
        assertEquals("FAIL " + SECOND, machine.ask("clock_set " + 2 * SECOND));
    }

    @Test
    void interruptsAreTold() {
        start();
        machine.tell("irq_intercept_in ioapic");
        machine.outb(0x43, 0x34);
        machine.outb(0x40, 0x9c);
        machine.outb(0x40, 0x2e); // 100 Hz
        assertFalse(machine.irq(0));
        machine.tell("clock_step 10000200");
        assertTrue(machine.irq(0));
        machine.tell("clock_step 1000");
        assertFalse(machine.irq(0));
        machine.tell("set_irq_in ioapic unnamed-gpio-in 20 1");
        assertFalse(machine.irq(20), "taps hear what devices say");
    }

    // ---- devices

    private int cmos(int register) {
        machine.outb(0x70, register);
        return machine.inb(0x71);
    }

    private void cmos(int register, int value) {
        machine.outb(0x70, register);
        machine.outb(0x71, value);
    }

    @Test
    void theClockAlarms() {
        start("-rtc", "clock=vm,base=2026-11-29T17:20:58");
        machine.tell("irq_intercept_in ioapic");
        assertEquals(0x20, cmos(0x32));
        assertEquals(0x17, cmos(4));
        assertEquals(0x58, cmos(0));
        cmos(1, 0x01);
        cmos(3, 0x21);
        cmos(5, 0x17);
        cmos(0xb, cmos(0xb) | 0x20);
        machine.tell("clock_step " + 2 * SECOND);
        assertFalse(machine.irq(8));
        machine.tell("clock_step " + SECOND);
        assertTrue(machine.irq(8));
        assertEquals(0xa0, cmos(0xc) & 0xa0);
        assertFalse(machine.irq(8));
        assertEquals(0x01, cmos(0));
        assertEquals(0x21, cmos(2));
    }

    @ParameterizedTest
    @CsvSource({
        "0x59, 4, 0xf0000, 0x10000", "0x5a, 0, 0xc0000, 0x4000", "0x5a, 4, 0xc4000, 0x4000",
        "0x5b, 0, 0xc8000, 0x4000", "0x5d, 4, 0xdc000, 0x4000", "0x5e, 0, 0xe0000, 0x4000",
        "0x5f, 4, 0xec000, 0x4000"
    })
    void shadowMemory(int register, int shift, int start, int size) {
        start();
        int at = register & ~3;
        int bits = (register & 3) * 8 + shift;
        long others = machine.config(0, at) & ~(3L << bits);
        String read = "readb " + (start + size - 1);
        long rom = machine.value(read);
        machine.config(0, at, others | 2L << bits); // writes go to memory
        machine.tell("memset " + start + " " + size + " 0x42");
        machine.config(0, at, others | 1L << bits); // reads come from it
        assertEquals(0x42, machine.value(read));
        machine.tell("memset " + start + " " + size + " 0x99");
        assertEquals(0x42, machine.value(read));
        machine.config(0, at, others | 3L << bits);
        machine.tell("memset " + start + " " + size + " 0x77");
        assertEquals(0x77, machine.value("readb " + start));
        machine.config(0, at, others);
        assertEquals(rom, machine.value(read));
    }

    @Test
    void firmwareIsTold() {
        start("-m", "256", "-uuid", "4600cb32-38ec-4b2f-8acb-81c6ea54f2d8");
        machine.tell("outw 0x510 0");
        StringBuilder signature = new StringBuilder();
        for (int i = 0; i < 4; i++) {
            signature.append((char) machine.inb(0x511));
        }
        assertEquals("QEMU", signature.toString());
        machine.tell("outw 0x510 3");
        long ram = 0;
        for (int i = 0; i < 8; i++) {
            ram |= (long) machine.inb(0x511) << 8 * i;
        }
        assertEquals(256L << 20, ram);
        machine.tell("outw 0x510 2");
        assertEquals(0x46, machine.inb(0x511));
        assertEquals(0x00, machine.inb(0x511));
    }

    /** By the alternate status register, which leaves the interrupt alone. */
    private void waitWhileBusy() {
        for (int i = 0; (machine.inb(0x3f6) & 0x80) != 0; i++) {
            assertTrue(i < 100_000, "it stays busy");
        }
    }

    /** The bus master of the IDE controller, mapped where nothing else is. */
    private int busMaster() {
        machine.config(IDE, 0x20, 0xc001);
        machine.config(IDE, 0x04, 5);
        return 0xc000;
    }

    @Test
    void aDiskIdentifiesItselfAndMovesSectors() throws IOException {
        Path image = directory.resolve("disk");
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.setLength(1 << 20);
        }
        start(
                "-drive",
                "file=" + image + ",if=ide,format=raw",
                "-global",
                "ide-hd.serial=testdisk",
                "-global",
                "ide-hd.ver=version");
        machine.tell("irq_intercept_in ioapic");
        machine.outb(0x1f6, 0);
        machine.outb(0x1f7, 0xec);
        waitWhileBusy();
        assertTrue(machine.irq(14));
        assertEquals(0x58, machine.inb(0x1f7));
        assertFalse(machine.irq(14));
        StringBuilder identity = new StringBuilder();
        for (int i = 0; i < 256; i++) {
            int word = (int) machine.value("inw 0x1f0");
            identity.append((char) (word >>> 8)).append((char) (word & 0xff));
        }
        assertEquals("testdisk", identity.substring(20, 40).strip());
        assertEquals("version", identity.substring(46, 54).strip());
        assertEquals(0x50, machine.inb(0x1f7));

        int master = busMaster();
        machine.tell("memset 0x200000 512 0x55", "writel 0x100000 0x200000");
        machine.tell("writel 0x100004 0x80000200", "outl " + (master + 4) + " 0x100000");
        transfer(master, 0xca, 0);
        machine.tell("memset 0x200000 512 0");
        transfer(master, 0xc8, 8);
        assertEquals(0x55555555L, machine.readl(0x2001fc));
        machine.outb(0x1f7, 0xe7); // flush
        waitWhileBusy();
        machine.execute("query-block");
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "r")) {
            file.seek(512);
            assertEquals(0x55, file.read());
        }
    }

    /** Moves sector 1 by DMA; {@code direction} is 8 from the disk, 0 to it. */
    private void transfer(int master, int command, int direction) {
        machine.outb(master + 2, 6);
        machine.outb(0x1f2, 1);
        machine.outb(0x1f3, 1);
        machine.outb(0x1f4, 0);
        machine.outb(0x1f5, 0);
        machine.outb(0x1f6, 0x40);
        machine.outb(0x1f7, command);
        machine.outb(master, direction | 1);
        for (int i = 0; (machine.inb(master + 2) & 5) == 1; i++) {
            assertTrue(i < 100_000, "the transfer does not end");
        }
        machine.outb(master, 0);
        assertEquals(4, machine.inb(master + 2) & 7, "interrupt, no error, not active");
        assertTrue(machine.irq(14));
        assertEquals(0x50, machine.inb(0x1f7));
        assertFalse(machine.irq(14));
    }

    @Test
    void aNetworkCardAndAHostControllerArePlugged() {
        start("-device", "piix3-usb-uhci,id=uhci,addr=1d.0");
        assertEquals(0x70208086L, machine.config(0x1d << 3, 0));
        String added =
                machine.execute("device_add", "{\"driver\":\"e1000\",\"id\":\"n\",\"addr\":\"6\"}")
                        .toString();
        assertFalse(added.contains("error"), added);
        assertEquals(0x100e8086L, machine.config(6 << 3, 0));
        machine.execute("device_del", "{\"id\":\"n\"}");
        assertNotEquals(0xffffffffL, machine.config(6 << 3, 0), "until the guest lets it go");
        machine.execute("system_reset");
        machine.event("DEVICE_DELETED");
        machine.event("RESET");
        assertEquals(0xffffffffL, machine.config(6 << 3, 0));
    }

    @Test
    void theHumanMonitorShowsThePC() {
        start();
        for (String command :
                new String[] {
                    "info registers", "info mtree", "info qtree", "info pci", "info irq"
                }) {
            String answer = machine.human(command);
            assertTrue(answer.startsWith("{\"return\": \""), command + ": " + answer);
            assertFalse(answer.contains("Error:"), command + ": " + answer);
        }
    }
}
