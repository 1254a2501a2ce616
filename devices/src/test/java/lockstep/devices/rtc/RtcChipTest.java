package lockstep.devices.rtc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** The chip without a board: periodic interrupts that a slow guest loses, or is given later. */
final class RtcChipTest {
    private static final int A = 10;
    private static final int B = 11;
    private static final int C = 12;
    private static final int PIE = 0x40;
    private static final int PF_IRQF = 0xc0;

    /** The shortest period that the chip knows: 4 of 32768 Hz. */
    private static final long PERIOD = 4 * 1_000_000_000L / 32_768;

    private long now = 1_000_000_000L;
    private boolean raised;

    private RtcChip chip(boolean slew) {
        RtcChip chip =
                new RtcChip(
                        new RtcChip.Board() {
                            @Override
                            public long now() {
                                return now;
                            }

                            @Override
                            public void interrupt(boolean level) {
                                raised = level;
                            }

                            @Override
                            public void tickAt(long deadline) {}

                            @Override
                            public void updateAt(long deadline) {}

                            @Override
                            public void alarm() {}
                        },
                        0,
                        slew);
        write(chip, A, 0x23);
        write(chip, B, PIE | 0x02);
        return chip;
    }

    private static void write(RtcChip chip, int register, int value) {
        chip.select(register);
        chip.write(value);
    }

    private static int flags(RtcChip chip) {
        chip.select(C);
        return chip.read() & PF_IRQF;
    }

    private void ticks(RtcChip chip, int count) {
        for (int i = 0; i < count; i++) {
            now += PERIOD;
            chip.periodicTick();
        }
    }

    private int interrupts(RtcChip chip) {
        int count = 0;
        while (raised) {
            assertEquals(PF_IRQF, flags(chip));
            count++;
        }
        return count;
    }

    @Test
    void whatASlowGuestDoesNotSeeIsLost() {
        RtcChip chip = chip(false);
        ticks(chip, 5);
        assertEquals(1, interrupts(chip));
        assertEquals(0, flags(chip));
    }

    @Test
    void orIsMadeUpFor() {
        RtcChip chip = chip(true);
        ticks(chip, 5);
        assertEquals(5, interrupts(chip));
        assertEquals(0, flags(chip));
        now += 3 * PERIOD;
        chip.periodicTick();
        assertEquals(3, interrupts(chip), "two ticks were too late to come by themselves");
    }

    @Test
    void aFewWithEachTick() {
        RtcChip chip = chip(true);
        ticks(chip, 50);
        assertEquals(21, interrupts(chip));
        ticks(chip, 1);
        assertEquals(21, interrupts(chip));
        ticks(chip, 1);
        assertEquals(10, interrupts(chip), "52 in all");
    }

    @Test
    void nobodyIsGivenWhatNobodyWaitsFor() {
        RtcChip chip = chip(true);
        ticks(chip, 5);
        write(chip, B, 0x02);
        write(chip, B, PIE | 0x02);
        flags(chip);
        assertFalse(raised);
        ticks(chip, 1);
        assertTrue(raised);
        assertEquals(1, interrupts(chip));
    }
}
