package lockstep.devices.fdc;

import static lockstep.devices.pc.Bench.MS;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.devices.pc.Bench;

import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/** The 82077AA and 82078 at ports 0x3f1 to 0x3f7 with one drive, which is empty. */
final class FloppyControllerTest {
    private static final int SRB = 0x3f1;
    private static final int DOR = 0x3f2;
    private static final int TDR = 0x3f3;
    private static final int MSR = 0x3f4;
    private static final int DSR = 0x3f4;
    private static final int FIFO = 0x3f5;
    private static final int DIR = 0x3f7;
    private static final int CCR = 0x3f7;

    private static final int RQM = 0x80;
    private static final int TO_HOST = 0x40;
    private static final int BUSY = 0x10;

    private static final int SENSE_INTERRUPT = 0x08;
    private static final int DUMPREG = 0x0e;

    private static final String SECTION = "fdc";

    /** Where the fields lie in the section. */
    private static final int AT_POSITION = 9 + 512;

    private static final int AT_LENGTH = AT_POSITION + 4;

    @AutoClose private Bench pc;

    @BeforeEach
    void powerOn() throws Exception {
        pc = Bench.withDrives();
    }

    /** Gives a command and its parameters, and reads the result phase if there is one. */
    private List<Integer> command(int... bytes) {
        for (int b : bytes) {
            assertEquals(RQM, pc.in(MSR) & (RQM | TO_HOST), "it takes the next byte");
            pc.out(FIFO, b);
        }
        return result();
    }

    private List<Integer> result() {
        List<Integer> bytes = new ArrayList<>();
        while ((pc.in(MSR) & (RQM | TO_HOST)) == (RQM | TO_HOST)) {
            bytes.add(pc.in(FIFO));
        }
        assertEquals(RQM, pc.in(MSR), "ready for a command");
        return bytes;
    }

    /** Resets by the DOR, with drive 0's motor on, and hears the four reports. */
    private void start() {
        pc.out(DOR, 0x00, 0x1c);
        for (int i = 0; i < 4; i++) {
            command(SENSE_INTERRUPT);
        }
    }

    @Test
    void registersWhenPowerComesOn() {
        assertEquals(0xc0, pc.in(SRB));
        assertEquals(0x0c, pc.in(DOR));
        assertEquals(0x00, pc.in(TDR));
        assertEquals(RQM, pc.in(MSR));
        assertEquals(0x80, pc.in(DIR) & 0x80, "disk changed: there is none");
        assertFalse(pc.irq(6));
    }

    @Test
    void resetByTheDigitalOutputRegister() {
        pc.out(DOR, 0x08);
        assertEquals(0x08, pc.in(DOR));
        assertFalse(pc.irq(6), "held in reset");
        pc.out(DOR, 0x0c);
        assertTrue(pc.irq(6), "polling finds four drives whose ready line changed");
        for (int drive = 0; drive < 4; drive++) {
            assertEquals(List.of(0xc0 | drive, 0), command(SENSE_INTERRUPT));
            assertFalse(pc.irq(6));
        }
        assertEquals(List.of(0x80), command(SENSE_INTERRUPT), "nothing more to sense");
    }

    @Test
    void commandsAreIgnoredInReset() {
        pc.out(DOR, 0x08);
        pc.out(FIFO, 0x10);
        assertEquals(0, pc.in(FIFO));
        pc.out(DSR, 0x80);
        assertFalse(pc.irq(6));
    }

    @Test
    void resetByTheDataRateSelectRegister() {
        start();
        pc.out(DSR, 0x80);
        assertTrue(pc.irq(6));
        assertEquals(List.of(0xc0, 0), command(SENSE_INTERRUPT));
    }

    @Test
    void statusRegisterBSeesMotorsAndTheSelection() {
        int[][] seen = {{0x0c, 0xc0}, {0x1c, 0xc1}, {0x1d, 0xe1}, {0x2d, 0xe2}, {0x3c, 0xc3}};
        for (int[] s : seen) {
            pc.out(DOR, s[0]);
            assertEquals(s[1], pc.in(SRB), "DOR " + s[0]);
            assertEquals(s[0], pc.in(DOR));
        }
        pc.out(SRB, 0xff);
        assertEquals(0xc3, pc.in(SRB), "read only");
    }

    @Test
    void theDiskChangeLineStaysUp() {
        pc.out(CCR, 0x02);
        assertEquals(0x80, pc.in(DIR) & 0x80);
        start();
        command(0x0f, 0, 5);
        assertEquals(0x80, pc.in(DIR) & 0x80, "steps do not help without a disk");
    }

    @Test
    void mainStatusFollowsThePhases() {
        start();
        pc.out(FIFO, 0x03);
        assertEquals(RQM | BUSY, pc.in(MSR), "a parameter is wanted");
        pc.out(FIFO, 0xdf, 0x02);
        assertEquals(RQM, pc.in(MSR), "SPECIFY has no result");
        pc.out(FIFO, DUMPREG);
        assertEquals(RQM | TO_HOST | BUSY, pc.in(MSR));
        pc.out(FIFO, 0x10);
        assertEquals(10, result().size(), "a byte written in the result phase is lost");
        assertEquals(0, pc.in(FIFO), "nothing to read");
    }

    @Test
    void recalibrate() {
        start();
        command(0x0f, 0, 10);
        command(SENSE_INTERRUPT);
        assertEquals(List.of(), command(0x07, 0));
        assertTrue(pc.irq(6));
        assertEquals(List.of(0x20, 0), command(SENSE_INTERRUPT), "seek end at track 0");
        assertFalse(pc.irq(6));
        assertEquals(List.of(0x80), command(SENSE_INTERRUPT));
    }

    @Test
    void seekCountsTracks() {
        start();
        assertEquals(List.of(), command(0x0f, 0, 10));
        assertTrue(pc.irq(6));
        assertEquals(List.of(0x20, 10), command(SENSE_INTERRUPT));
        assertEquals(0, command(0x04, 0).getFirst() & 0x10, "not at track 0");
        command(0xcf, 0, 5);
        assertEquals(List.of(0x20, 15), command(SENSE_INTERRUPT), "inwards");
        command(0x8f, 0, 7);
        assertEquals(List.of(0x20, 8), command(SENSE_INTERRUPT), "outwards");
        command(0x8f, 0, 99);
        assertEquals(List.of(0x20, 0), command(SENSE_INTERRUPT), "track 0 is the last");
        command(0xcf, 0, 255);
        command(0xcf, 0, 255);
        assertEquals(List.of(0x20, 254), command(SENSE_INTERRUPT));
    }

    @Test
    void aCommandSelectsItsDrive() {
        start();
        command(0x0f, 0, 3);
        command(SENSE_INTERRUPT);
        command(0x0f, 1, 3);
        assertEquals(0x1d, pc.in(DOR));
        assertEquals(List.of(0x21, 0), command(SENSE_INTERRUPT), "no drive, no track");
        List<Integer> registers = command(DUMPREG);
        assertEquals(List.of(3, 0), registers.subList(0, 2), "tracks of both drives");
    }

    @Test
    void senseDriveStatus() {
        start();
        assertEquals(List.of(0x78), command(0x04, 0), "two sides, ready, track 0, protected");
        assertEquals(List.of(0x7c), command(0x04, 4), "head 1");
        assertEquals(List.of(0x79), command(0x04, 1), "drive 1");
    }

    @Test
    void specifyConfigurePerpendicularAndLock() {
        start();
        command(0x03, 0xdf, 0x02);
        command(0x13, 0x00, 0x57, 0x11);
        command(0x12, 0x84);
        List<Integer> r = command(DUMPREG);
        assertEquals(List.of(0x0d, 0x03), r.subList(4, 6), "step rate, head load time, DMA");
        assertEquals(List.of(0x10, 0x57, 0x11), r.subList(7, 10));
        command(0x12, 0x02);
        assertEquals(0x10, command(DUMPREG).get(7), "without OW nothing is overwritten");
        assertEquals(List.of(0x10), command(0x94), "LOCK");
        pc.out(DSR, 0x80);
        r = command(DUMPREG);
        assertEquals(List.of(0x90, 0x57, 0x11), r.subList(7, 10), "kept over a software reset");
        assertEquals(List.of(0x00), command(0x14), "UNLOCK");
        pc.out(DSR, 0x80);
        assertEquals(List.of(0x60, 0x00), command(DUMPREG).subList(8, 10), "defaults");
    }

    @Test
    void identification() {
        start();
        assertEquals(List.of(0x90), command(0x10), "VERSION: an enhanced controller");
        assertEquals(List.of(0x41), command(0x18), "PART ID: an 82078");
    }

    @Test
    void saveAndRestore() {
        start();
        command(0x03, 0xdf, 0x02);
        command(0x13, 0x00, 0x57, 0x11);
        command(0x0f, 0, 9);
        command(SENSE_INTERRUPT);
        command(0x94);
        List<Integer> saved = command(0x2e);
        assertEquals(15, saved.size());
        pc.reset();
        start();
        int[] restore = new int[18];
        restore[0] = 0x4e;
        for (int i = 0; i < 15; i++) {
            restore[i + 1] = saved.get(i);
        }
        assertEquals(List.of(), command(restore));
        assertEquals(saved, command(0x2e));
    }

    @Test
    void transfersFindNoTrack() {
        start();
        int[][] commands = {{0xe6, 1}, {0xc5, 1}, {0xec, 1}, {0xc9, 1}, {0x42, 1}, {0xf6, 1}};
        for (int[] c : commands) {
            List<Integer> r = command(c[0], 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
            assertEquals(7, r.size());
            assertEquals(0x40, r.get(0) & 0xc0, "abnormal termination");
            assertEquals(0x00, r.get(1));
            assertEquals(2, r.get(6), "512 bytes in a sector");
        }
        assertEquals(0x40, command(0x4d, 0, 2, 18, 0x54, 0xf6).getFirst() & 0xc0, "FORMAT TRACK");
    }

    @Test
    void readIdTakesAFraction() {
        start();
        pc.out(FIFO, 0x4a, 0x00);
        assertEquals(BUSY, pc.in(MSR));
        pc.advance(20 * MS);
        assertTrue(pc.irq(6));
        List<Integer> r = result();
        assertFalse(pc.irq(6), "reading the result acknowledges");
        assertEquals(List.of(0, 0, 0, 0, 0, 2, 2), r, "as QEMU: the rate is that of no medium");
        pc.out(CCR, 0x02);
        pc.out(FIFO, 0x4a, 0x00);
        pc.advance(20 * MS);
        assertEquals(List.of(0x40, 1), result().subList(0, 2), "another rate finds no mark");
    }

    @Test
    void theTablesTellOfTheDrive() {
        pc.out(0x70, 0x10);
        assertEquals(0x50, pc.in(0x71), "a 2.88 MB drive, and no second one");
        pc.out(0x70, 0x14);
        assertEquals(0x07, pc.in(0x71));
    }

    @Test
    void onlyTheDataSheetsCommandsAreKnown() {
        Set<Integer> known = new TreeSet<>();
        for (int c = 0; c < 256; c++) {
            start();
            pc.out(FIFO, c);
            for (int i = 0; i < 32 && (pc.in(MSR) & (BUSY | TO_HOST)) == BUSY; i++) {
                pc.out(FIFO, 0);
            }
            pc.advance(20 * MS);
            if (!result().equals(List.of(0x80))) {
                known.add(c);
            }
        }
        Set<Integer> expected = new TreeSet<>();
        for (int c = 0; c < 256; c++) {
            // MT, MFM and SK are options of the first, MT and MFM, MFM, and LOCK of the others.
            boolean options =
                    Set.of(0x05, 0x06, 0x0c, 0x11, 0x16, 0x19, 0x1d).contains(c & 0x1f)
                            || (c & 0x3f) == 0x09
                            || Set.of(0x02, 0x0a, 0x0d).contains(c & 0xbf)
                            || (c & 0x7f) == 0x14;
            boolean exact =
                    Set.of(0x03, 0x04, 0x07, 0x0e, 0x0f, 0x10, 0x12, 0x13, 0x17, 0x18).contains(c)
                            || Set.of(0x2e, 0x33, 0x4e, 0x8e, 0x8f, 0xcf).contains(c);
            // SENSE INTERRUPT STATUS without an interrupt answers like an unknown command.
            if (options || exact) {
                expected.add(c);
            }
        }
        assertEquals(expected, known);
    }

    @Test
    void goesOnElsewhere() throws Exception {
        pc.out(DOR, 0x00, 0x1c);
        command(SENSE_INTERRUPT);
        byte[] state = pc.save(SECTION);
        pc.reset();
        pc.load(SECTION, state);
        assertArrayEquals(state, pc.save(SECTION));
        assertEquals(List.of(0xc1, 0), command(SENSE_INTERRUPT), "three reports are left");

        command(0x0f, 0, 7);
        pc.out(FIFO, 0x03, 0xdf);
        state = pc.save(SECTION);
        pc.reset();
        assertFalse(pc.irq(6));
        pc.load(SECTION, state);
        assertTrue(pc.irq(6), "of the seek");
        assertEquals(RQM | BUSY, pc.in(MSR), "within SPECIFY");
        pc.out(FIFO, 0x02);
        List<Integer> r = command(DUMPREG);
        assertEquals(7, r.get(0));
        assertEquals(0x0d, r.get(4));
    }

    @Test
    void badSections() throws Exception {
        start();
        pc.out(FIFO, DUMPREG);
        pc.in(FIFO);
        byte[] state = pc.save(SECTION);
        pc.refuses(SECTION, Bench.with(state, AT_POSITION, 0, 0, 2, 0));
        pc.refuses(SECTION, Bench.with(state, AT_POSITION, 0xff, 0xff, 0xff, 0xff));
        pc.refuses(SECTION, Bench.with(state, AT_LENGTH, 0, 0, 2, 1));
        pc.survivesDamage(
                SECTION,
                () -> {
                    pc.advance(MS);
                    pc.in(FIFO);
                    pc.out(FIFO, SENSE_INTERRUPT, DUMPREG);
                    pc.in(FIFO);
                });
        assertEquals(9, result().size(), "still within DUMPREG");
        start();
        assertEquals(List.of(0x90), command(0x10));
    }
}
