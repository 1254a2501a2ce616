package lockstep.devices.piix4;

import static lockstep.devices.pc.Bench.MS;
import static lockstep.devices.pc.Bench.S;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.devices.pc.Bench;

import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.Arrays;

/** PM1 and GPE blocks as ACPI 6.5 section 4.8.3 has them, APM ports, and the SMBus of the 82371AB. */
final class PowerManagementTest {
    private static final int PM1_STATUS = 0x600;
    private static final int PM1_ENABLE = 0x602;
    private static final int PM1_CONTROL = 0x604;
    private static final int PM_TIMER = 0x608;
    private static final int APM_COMMAND = 0xb2;
    private static final int APM_STATUS = 0xb3;
    private static final int GPE = PowerManagement.GPE_BASE;
    private static final int SCI = PowerManagement.SCI;

    private static final int TIMER = 0x0001;
    private static final int BUTTON = 0x0100;

    private static final int SMB_STATUS = 0xb100;
    private static final int SMB_CONTROL = 0xb102;
    private static final int SMB_COMMAND = 0xb103;
    private static final int SMB_ADDRESS = 0xb104;
    private static final int SMB_DATA0 = 0xb105;
    private static final int SMB_DATA1 = 0xb106;
    private static final int SMB_BLOCK = 0xb107;
    private static final int SMB_AUX = 0xb10d;

    private static final int BUSY = 0x01;
    private static final int DONE = 0x02;
    private static final int DEVICE_ERROR = 0x04;
    private static final int FAILED = 0x10;

    private static final int QUICK = 0;
    private static final int BYTE = 1;
    private static final int BYTE_DATA = 2;
    private static final int WORD_DATA = 3;
    private static final int BLOCK = 5;
    private static final int READ = 1;

    private static final String SECTION = "0000:00:01.3/piix4_pm";
    private static final String EEPROM = "smbus-eeprom";

    @AutoClose private Bench pc;

    @BeforeEach
    void powerOn() throws Exception {
        pc = new Bench();
        map();
    }

    /** As firmware does it: PMBA and PMREGMISC. */
    private void map() {
        pc.configure(1, 3, 0x40, 4, 0x601);
        pc.configure(1, 3, 0x80, 1, 1);
    }

    private void enable(int sources) {
        pc.outSized(PM1_STATUS, 2, 0xffff);
        pc.outSized(PM1_ENABLE, 2, sources);
    }

    @Test
    void theBlockIsWhereConfigurationPutsIt() {
        assertEquals(1, pc.in(PM1_CONTROL, 2), "SCI_EN: there is no SMM that could set it");
        pc.configure(1, 3, 0x40, 4, 0x4001);
        assertEquals(0xffff, pc.in(PM1_CONTROL, 2) & 0xffff);
        assertEquals(1, pc.in(0x4004, 2));
        pc.configure(1, 3, 0x80, 1, 0);
        assertEquals(0xffff, pc.in(0x4004, 2) & 0xffff);
    }

    @Test
    void enablesAreMemoryAndStatusIsClearedByOnes() {
        pc.outSized(PM1_ENABLE, 2, 0x0521);
        assertEquals(0x0521, pc.in(PM1_ENABLE, 2));
        pc.out(PM1_ENABLE, 0x20);
        assertEquals(0x0520, pc.in(PM1_ENABLE, 2), "by bytes");
        pc.out(PM1_ENABLE + 1, 0x01);
        assertEquals(0x0120, pc.in(PM1_ENABLE, 2));
        pc.powerButton();
        assertEquals(BUTTON, pc.in(PM1_STATUS, 2) & BUTTON);
        pc.outSized(PM1_STATUS, 2, ~BUTTON);
        assertEquals(BUTTON, pc.in(PM1_STATUS, 2) & BUTTON, "zeroes keep it");
        pc.outSized(PM1_STATUS, 4, 0xffff);
        assertEquals(0, pc.in(PM1_STATUS, 4), "both registers at once");
    }

    @Test
    void thePowerButtonInterrupts() {
        enable(BUTTON);
        assertFalse(pc.irq(SCI));
        pc.powerButton();
        assertTrue(pc.irq(SCI));
        pc.outSized(PM1_ENABLE, 2, 0);
        assertFalse(pc.irq(SCI));
        pc.outSized(PM1_ENABLE, 2, BUTTON);
        assertTrue(pc.irq(SCI), "the status stayed");
        pc.outSized(PM1_STATUS, 2, BUTTON);
        assertFalse(pc.irq(SCI));
        assertFalse(pc.asked("requestShutdown"), "the guest decides");
    }

    @Test
    void theTimerCounts24Bits() {
        int start = pc.in(PM_TIMER, 4);
        pc.advance(S);
        assertEquals(3_579_545, pc.in(PM_TIMER, 4) - start, 1);
        int now = pc.in(PM_TIMER, 4);
        assertEquals(now >> 8 & 0xff, pc.in(PM_TIMER + 1));
        pc.outSized(PM_TIMER, 4, 0);
        assertEquals(now, pc.in(PM_TIMER, 4), "read only");
        pc.advance(4 * S);
        assertEquals(0, pc.in(PM_TIMER, 4) >>> 24);
        assertTrue(pc.in(PM_TIMER, 4) < now, "it wrapped after 4.7 seconds");
        pc.advance(100L * 365 * 86_400 * S / 2);
        assertEquals(0, pc.in(PM_TIMER, 4) >>> 24, "after half a century");
    }

    @Test
    void theTimerInterruptsAtEachChangeOfItsTopBit() {
        enable(TIMER);
        for (int half = 1; half <= 4; half++) {
            assertFalse(pc.irq(SCI));
            pc.advance(2_343_484_549L - 1000);
            assertFalse(pc.irq(SCI), "change " + half);
            pc.advance(1010);
            assertTrue(pc.irq(SCI), "change " + half);
            assertEquals(half % 2 != 0, (pc.in(PM_TIMER, 4) & 0x80_0000) != 0);
            assertEquals(TIMER, pc.in(PM1_STATUS, 2));
            pc.outSized(PM1_STATUS, 2, TIMER);
        }
    }

    @Test
    void softOff() {
        pc.outSized(PM1_CONTROL, 2, 0x0c01);
        assertEquals(0x0c01, pc.in(PM1_CONTROL, 2), "SLP_TYP alone does nothing");
        assertFalse(pc.asked("requestShutdown"));
        pc.outSized(PM1_CONTROL, 2, 0x3401);
        assertFalse(pc.asked("requestShutdown"), "a type that no table names");
        pc.outSized(PM1_CONTROL, 2, 0x2001);
        assertTrue(pc.asked("requestShutdown"), "S5");
        assertEquals(0x0001, pc.in(PM1_CONTROL, 2), "SLP_EN is write only");
        pc.outSized(PM1_CONTROL, 2, 0x2801);
        assertTrue(pc.asked("requestShutdown"), "S4");
        pc.outSized(PM1_CONTROL, 2, 0x2401);
        assertTrue(pc.asked("requestSleep"), "S3");
    }

    @Test
    void apmCommandsSwitchAcpi() {
        pc.out(APM_COMMAND, 0xf0);
        assertEquals(0xf0, pc.in(APM_COMMAND));
        assertEquals(0, pc.in(PM1_CONTROL, 2));
        pc.out(APM_COMMAND, 0x12);
        assertEquals(0, pc.in(PM1_CONTROL, 2));
        pc.out(APM_COMMAND, 0xf1);
        assertEquals(1, pc.in(PM1_CONTROL, 2));
        pc.out(APM_STATUS, 0x5a);
        assertEquals(0x5a, pc.in(APM_STATUS));
    }

    @Test
    void generalPurposeEvents() {
        pc.out(GPE + 2, 0xff, 0xa5);
        assertEquals(0xa5, pc.in(GPE + 2));
        pc.out(GPE + 3, 0x5a);
        assertEquals(0x5aa5, pc.in(GPE + 2, 2));
        pc.out(GPE, 0xff);
        assertEquals(0, pc.in(GPE, 2), "no event");
        assertFalse(pc.irq(SCI));
    }

    @Test
    void reset() {
        enable(BUTTON);
        pc.powerButton();
        pc.out(GPE + 2, 0xff);
        pc.out(APM_COMMAND, 0x12);
        pc.reset();
        assertFalse(pc.irq(SCI));
        assertEquals(0xffff, pc.in(PM1_ENABLE, 2) & 0xffff, "not mapped");
        map();
        assertEquals(0, pc.in(PM1_ENABLE, 2));
        assertEquals(0, pc.in(PM1_STATUS, 2) & BUTTON);
        assertEquals(1, pc.in(PM1_CONTROL, 2));
        assertEquals(0, pc.in(GPE + 2, 2));
        assertEquals(0, pc.in(APM_COMMAND));
    }

    /** A transaction with a device's address (8 bits, the lowest is 1 to read); the final status. */
    private int transact(int address, int command, int protocol) {
        pc.out(SMB_STATUS, 0xff);
        pc.out(SMB_ADDRESS, address);
        pc.out(SMB_COMMAND, command);
        pc.out(SMB_CONTROL, 0x40 | protocol << 2);
        int status;
        do {
            status = pc.in(SMB_STATUS);
        } while ((status & BUSY) != 0);
        return status;
    }

    private void store(int address, int cell, int value) {
        pc.out(SMB_DATA0, value);
        assertEquals(DONE, transact(address, cell, BYTE_DATA));
    }

    private int fetch(int address, int cell) {
        assertEquals(DONE, transact(address | READ, cell, BYTE_DATA));
        return pc.in(SMB_DATA0);
    }

    @Test
    void smbusFindsEightEeproms() {
        for (int address = 0xa0; address <= 0xae; address += 2) {
            assertEquals(DONE, transact(address, 0, QUICK));
        }
        assertEquals(DONE | DEVICE_ERROR, transact(0xb0, 0, QUICK), "nobody acknowledges");
        assertEquals(DONE | DEVICE_ERROR, transact(0x9f, 0, BYTE_DATA));
        assertEquals(DONE | DEVICE_ERROR, transact(0xa0, 0, 4), "no process calls");
        pc.out(SMB_STATUS, DEVICE_ERROR);
        assertEquals(DONE, pc.in(SMB_STATUS), "cleared by ones");
    }

    @Test
    void smbusIsSeenBusyOnce() {
        pc.out(SMB_ADDRESS, 0xa0);
        pc.out(SMB_CONTROL, 0x40);
        pc.out(SMB_STATUS, 0xff);
        assertEquals(BUSY, pc.in(SMB_STATUS), "which cannot be cleared");
        assertEquals(DONE, pc.in(SMB_STATUS));
        pc.out(SMB_CONTROL, 0x41);
        assertEquals(DONE, pc.in(SMB_STATUS), "with interrupts it is done at once");
        assertEquals(0x01, pc.in(SMB_CONTROL), "START is write only");
        pc.out(SMB_STATUS, 0xff);
        pc.out(SMB_CONTROL, 0x40);
        pc.out(SMB_CONTROL, 0x02);
        assertEquals(FAILED, pc.in(SMB_STATUS), "KILL");
        assertEquals(0x02, pc.in(SMB_CONTROL));
    }

    @Test
    void eepromsKeepBytesAndWords() {
        store(0xa0, 0x10, 0x77);
        store(0xa2, 0x10, 0x88);
        assertEquals(0x77, fetch(0xa0, 0x10));
        assertEquals(0x88, fetch(0xa2, 0x10));
        pc.out(SMB_DATA0, 0x12);
        pc.out(SMB_DATA1, 0x34);
        assertEquals(DONE, transact(0xa0, 0xff, WORD_DATA));
        assertEquals(0x12, fetch(0xa0, 0xff));
        assertEquals(0x34, fetch(0xa0, 0x00), "the address wraps");
        assertEquals(DONE, transact(0xa0 | READ, 0xff, WORD_DATA));
        assertEquals(0x3412, pc.in(SMB_DATA1) << 8 | pc.in(SMB_DATA0));
    }

    @Test
    void eepromsReadOnFromAnAddress() {
        store(0xa0, 0x20, 1);
        store(0xa0, 0x21, 2);
        assertEquals(DONE, transact(0xa0, 0x20, BYTE), "send byte sets the address");
        transact(0xa0 | READ, 0, BYTE);
        assertEquals(1, pc.in(SMB_DATA0));
        transact(0xa0 | READ, 0, BYTE);
        assertEquals(2, pc.in(SMB_DATA0));
    }

    @Test
    void blocks() {
        pc.in(SMB_BLOCK);
        pc.in(SMB_CONTROL);
        pc.out(SMB_BLOCK, 0xaa, 0xbb, 0xcc);
        pc.out(SMB_DATA0, 3);
        assertEquals(DONE, transact(0xa0, 0x40, BLOCK));
        assertEquals(3, fetch(0xa0, 0x40), "the count is sent first");
        assertEquals(0xcc, fetch(0xa0, 0x43));
        assertEquals(DONE, transact(0xa0 | READ, 0x40, BLOCK));
        assertEquals(3, pc.in(SMB_DATA0));
        pc.in(SMB_CONTROL);
        for (int b : new int[] {0xaa, 0xbb, 0xcc}) {
            assertEquals(b, pc.in(SMB_BLOCK));
        }
        store(0xa0, 0x80, 33);
        assertEquals(DONE, transact(0xa0 | READ, 0x80, BLOCK));
        assertEquals(0, pc.in(SMB_DATA0), "more than a block holds");
        pc.out(SMB_AUX, 0xff);
        assertEquals(0x03, pc.in(SMB_AUX));
    }

    @Test
    void goesOnElsewhere() throws Exception {
        enable(TIMER | BUTTON);
        pc.advance(2 * S);
        pc.powerButton();
        pc.out(GPE + 2, 0xf0);
        pc.out(APM_STATUS, 0x5a);
        pc.out(SMB_ADDRESS, 0xa0);
        pc.out(SMB_COMMAND, 0x55);
        pc.out(SMB_CONTROL, 0x40 | BYTE << 2);
        byte[] state = pc.save(SECTION);
        Bench other = new Bench();
        other.advance(2 * S);
        other.load(SECTION, state);
        assertArrayEquals(state, other.save(SECTION));
        pc = other;
        assertTrue(pc.irq(SCI));
        assertEquals(BUTTON, pc.in(PM1_STATUS, 2), "mapped as it was");
        pc.outSized(PM1_STATUS, 2, BUTTON);
        assertFalse(pc.irq(SCI));
        pc.advance(400 * MS);
        assertTrue(pc.irq(SCI), "the timer's alarm");
        assertEquals(0xf0, pc.in(GPE + 2));
        assertEquals(0x5a, pc.in(APM_STATUS));
        assertEquals(BUSY, pc.in(SMB_STATUS));
        assertEquals(DONE, pc.in(SMB_STATUS), "what was started is done here");
    }

    @Test
    void eepromsTravelOnceTheyWereUsed() throws Exception {
        assertFalse(pc.travels(EEPROM, 3));
        store(0xa6, 0x10, 0x77);
        assertTrue(pc.travels(EEPROM, 3));
        assertFalse(pc.travels(EEPROM, 0));
        byte[] state = pc.save(EEPROM, 3);
        pc.reset();
        assertEquals(0, fetch(0xa6, 0x10));
        pc.load(EEPROM, 3, state);
        assertArrayEquals(state, pc.save(EEPROM, 3));
        assertEquals(0x77, fetch(0xa6, 0x10));
    }

    /** As a guest does that began on QEMU, whose tables use the newer registers. */
    @Test
    void processorsAreABitmapUntilTheGuestWantsMore() throws Exception {
        int cpus = PowerManagement.CPU_HOTPLUG_BASE;
        int legacy = pc.save(SECTION).length;
        assertEquals(1, pc.in(cpus, 4));
        pc.out(cpus, 1);
        assertEquals(1, pc.in(cpus), "the bitmap cannot be written");
        pc.outSized(cpus, 4, 0);
        assertEquals(0, pc.in(cpus, 4));
        assertEquals(1, pc.in(cpus + 4), "enabled, and nothing happened");
        pc.out(cpus + 5, 1);
        pc.outSized(cpus + 8, 4, 0x103);
        pc.out(cpus + 5, 2);
        pc.outSized(cpus + 8, 4, 0x84);
        byte[] state = pc.save(SECTION);
        assertEquals(0x103, ByteBuffer.wrap(state).getInt(state.length - 8));
        assertEquals(0x84, ByteBuffer.wrap(state).getInt(state.length - 4));
        pc.outSized(cpus, 4, 1);
        assertEquals(0, pc.in(cpus + 4), "there is no second one");
        Bench other = new Bench();
        other.load(SECTION, state);
        assertArrayEquals(state, other.save(SECTION));
        assertEquals(1, other.in(cpus + 4));
        other.load(SECTION, Arrays.copyOf(state, legacy));
        assertEquals(1, other.in(cpus, 4), "a guest that uses the bitmap");
        other.close();
    }

    @Test
    void badSections() throws Exception {
        enable(TIMER | BUTTON);
        byte[] eeprom = pc.save(EEPROM);
        pc.refuses(EEPROM, Bench.with(eeprom, 5, 0, 0, 0, 35));
        pc.refuses(EEPROM, Bench.with(eeprom, 5, 0xff, 0xff, 0xff, 0xff));
        pc.survivesDamage(EEPROM, () -> fetch(0xa0, 0xff));
        pc.survivesDamage(
                SECTION,
                () -> {
                    pc.advance(MS);
                    pc.in(PM1_STATUS, 4);
                    pc.in(PM_TIMER, 4);
                    pc.in(SMB_BLOCK);
                    pc.in(0xae00, 4);
                    pc.in(PowerManagement.CPU_HOTPLUG_BASE + 4);
                });
        pc.powerButton();
        assertTrue(pc.irq(SCI));
    }
}
