package lockstep.devices.rtc;

import static lockstep.devices.pc.Bench.MS;
import static lockstep.devices.pc.Bench.S;
import static lockstep.devices.pc.Bench.US;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.devices.pc.Bench;

import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;

/** The MC146818A behind ports 0x70 and 0x71. Sections are those of Motorola's data sheet. */
final class RtcTest {
    private static final int SECONDS = 0;
    private static final int SECONDS_ALARM = 1;
    private static final int MINUTES = 2;
    private static final int MINUTES_ALARM = 3;
    private static final int HOURS = 4;
    private static final int HOURS_ALARM = 5;
    private static final int DAY_OF_WEEK = 6;
    private static final int DAY = 7;
    private static final int MONTH = 8;
    private static final int YEAR = 9;
    private static final int A = 10;
    private static final int B = 11;
    private static final int C = 12;
    private static final int D = 13;
    private static final int CENTURY = 0x32;

    private static final int UIP = 0x80;
    private static final int SET = 0x80;
    private static final int PIE = 0x40;
    private static final int AIE = 0x20;
    private static final int UIE = 0x10;
    private static final int BINARY = 0x04;
    private static final int H24 = 0x02;
    private static final int IRQF = 0x80;
    private static final int PF = 0x40;
    private static final int AF = 0x20;
    private static final int UF = 0x10;

    private static final String SECTION = "mc146818rtc";

    /** Where things lie in the section. */
    private static final int AT_NEXT_PERIODIC = 128 + 1 + 28 + 8;

    private static final int AT_BASE = AT_NEXT_PERIODIC + 8 + 24 + 4 + 4;

    @AutoClose private Bench pc;

    @BeforeEach
    void powerOn() throws Exception {
        pc = new Bench();
        // The board's BIOS cells are not looked at; the clock starts on a full second.
        write(B, H24);
        read(C);
    }

    private int read(int cell) {
        pc.out(0x70, cell);
        return pc.in(0x71);
    }

    private void write(int cell, int value) {
        pc.out(0x70, cell);
        pc.out(0x71, value);
    }

    /** Sets the clock as drivers do, with updates held back; the values are written as they are. */
    private void set(int format, String time) {
        String[] fields = time.split("[- :]");
        write(B, SET | format);
        for (int i = 0; i < fields.length; i++) {
            int v = Integer.parseInt(fields[i], (format & BINARY) != 0 ? 10 : 16);
            int[] cells = {CENTURY, YEAR, MONTH, DAY, HOURS, MINUTES, SECONDS};
            write(cells[i], v);
        }
        write(B, format);
    }

    /** The time in BCD and 24 hours: "20 24-02-29 23:59:59". */
    private String time() {
        return "%02x %02x-%02x-%02x %02x:%02x:%02x"
                .formatted(
                        read(CENTURY),
                        read(YEAR),
                        read(MONTH),
                        read(DAY),
                        read(HOURS),
                        read(MINUTES),
                        read(SECONDS));
    }

    /** Stops the divider chain and lets it go, after which the next update comes in half a second. */
    private void synchronize() {
        write(A, 0x66);
        write(A, 0x26);
        read(C);
    }

    @Test
    void registersWhenPowerComesOn() {
        assertEquals(0x26, read(A), "32768 Hz time base, 1024 Hz rate");
        assertEquals(H24, read(B), "BCD, 24 hours, nothing enabled");
        assertEquals(0x80, read(D), "VRT: the battery was never empty");
        assertEquals(0xff, pc.in(0x70), "the index cannot be read");
        assertEquals("20 26-11-18 11:06:40", time(), "the host's time in UTC");
        assertEquals(4, read(DAY_OF_WEEK), "a Wednesday, as 1 is Sunday");
    }

    @Test
    void cellsBeyondTheClockAreMemory() {
        for (int cell : new int[] {0x0e, 0x40, 0x7f}) {
            write(cell, 0xa5);
            assertEquals(0xa5, read(cell));
        }
        write(0xc0, 0x11);
        assertEquals(0x11, read(0x40), "bit 7 of the index gates the NMI and selects nothing");
        write(CENTURY, 0x19);
        assertEquals(0x19, read(0x37), "the PS/2 has its century here");
        write(0x37, 0x21);
        assertEquals(0x21, read(CENTURY));
    }

    @Test
    void flagsAndValidityAreReadOnly() {
        write(C, 0xff);
        assertEquals(0, read(C));
        write(D, 0x00);
        assertEquals(0x80, read(D));
        write(A, UIP | 0x26);
        assertEquals(0x26, read(A));
    }

    @Test
    void calendar() {
        String[][] steps = {
            {"20 24-02-28 23:59:59", "20 24-02-29 00:00:00"}, // divisible by 4
            {"20 23-02-28 23:59:59", "20 23-03-01 00:00:00"},
            {"19 00-02-28 23:59:59", "19 00-03-01 00:00:00"}, // by 100
            {"20 00-02-28 23:59:59", "20 00-02-29 00:00:00"}, // by 400
            {"21 00-02-28 23:59:59", "21 00-03-01 00:00:00"},
            {"20 24-04-30 23:59:59", "20 24-05-01 00:00:00"},
            {"19 99-12-31 23:59:59", "20 00-01-01 00:00:00"},
            {"20 24-06-15 09:59:59", "20 24-06-15 10:00:00"},
        };
        for (String[] step : steps) {
            set(H24, step[0]);
            pc.advance(S);
            assertEquals(step[1], time());
        }
    }

    @Test
    void dayOfWeekFollowsTheDate() {
        String[] dates = {"20 24-02-25", "20 24-02-26", "20 24-03-02", "19 70-01-01"};
        int[] days = {1, 2, 7, 5};
        for (int i = 0; i < dates.length; i++) {
            set(H24, dates[i] + " 12:00:00");
            assertEquals(days[i], read(DAY_OF_WEEK), dates[i]);
        }
    }

    @Test
    void twelveAndTwentyFourHoursInBothFormats() {
        // Table 3: hour, and what it is in 12 hours with bit 7 for PM.
        int[][] hours = {{0, 12, 0}, {1, 1, 0}, {11, 11, 0}, {12, 12, 0x80}, {23, 11, 0x80}};
        for (int[] h : hours) {
            for (int format : new int[] {0, BINARY}) {
                int small = h[2] | (format != 0 ? h[1] : h[1] / 10 << 4 | h[1] % 10);
                int big = format != 0 ? h[0] : h[0] / 10 << 4 | h[0] % 10;
                String text = format != 0 ? "20 24-05-05 %d:00:00" : "20 24-05-05 %x:00:00";
                set(format | H24, text.formatted(big));
                write(B, format);
                assertEquals(small, read(HOURS), h[0] + " in 12 hours");
                set(format, text.formatted(small));
                write(B, format | H24);
                assertEquals(big, read(HOURS), h[0] + " in 24 hours");
            }
        }
    }

    @Test
    void binaryFormat() {
        set(BINARY | H24, "20 99-12-31 23:59:58");
        assertEquals(99, read(YEAR));
        assertEquals(58, read(SECONDS));
        pc.advance(2 * S);
        assertEquals(21, read(CENTURY));
        assertEquals(0, read(YEAR));
        assertEquals(1, read(MONTH));
    }

    @Test
    void nonsenseInTheCellsStopsNothing() {
        set(H24, "20 24-02-30 00:00:00");
        assertEquals("20 24-03-01 00:00:00", time(), "a day too many carries over");
        write(B, SET | H24);
        for (int cell : new int[] {SECONDS, MINUTES, HOURS, DAY, MONTH, YEAR, CENTURY}) {
            write(cell, 0xff);
        }
        write(B, H24);
        pc.advance(2 * S);
        assertTrue((read(C) & UF) != 0, "it still counts");
    }

    @Test
    void setHoldsTheTimeBackButNotTheDivider() {
        synchronize();
        pc.advance(S / 2);
        pc.advance(700 * MS);
        write(B, SET | H24);
        String stopped = time();
        read(C);
        pc.advance(10 * S + 100 * MS);
        assertEquals(stopped, time());
        write(B, H24);
        pc.advance(199 * MS);
        assertEquals(stopped, time(), "0.999 s of the divider's second have passed");
        pc.advance(MS);
        assertFalse(stopped.equals(time()), "the update keeps its place in the second");
    }

    @Test
    void aTimeWrittenWhileRunningCountsOnFromThere() {
        set(H24, "20 24-05-05 05:05:05");
        synchronize();
        pc.advance(S);
        write(MINUTES, 0x30);
        assertEquals("20 24-05-05 05:30:06", time());
        pc.advance(S / 2);
        assertEquals("20 24-05-05 05:30:07", time());
    }

    @Test
    void dividerInReset() {
        set(H24, "20 24-05-05 05:05:05");
        write(A, 0x66);
        read(C);
        pc.advance(3 * S);
        assertEquals("20 24-05-05 05:05:05", time());
        assertEquals(0, read(C), "nothing happens");
        assertEquals(0, read(A) & UIP);
        write(A, 0x26);
        pc.advance(S / 2 - US);
        assertEquals("20 24-05-05 05:05:05", time());
        pc.advance(US);
        assertEquals("20 24-05-05 05:05:06", time(), "the first update after half a second");
        write(A, 0x36);
        pc.advance(3 * S);
        assertEquals("20 24-05-05 05:05:06", time(), "a divider setting that counts nothing");
    }

    @Test
    void updateInProgressWarnsAheadOfTheUpdate() {
        synchronize();
        pc.advance(S / 2 - 245 * US);
        assertEquals(0, read(A) & UIP, "244 us at least are left to read the time");
        pc.advance(2 * US);
        assertEquals(UIP, read(A) & UIP);
        write(B, SET | H24);
        assertEquals(0, read(A) & UIP, "SET aborts the update");
        write(B, H24);
        pc.advance(250 * US);
        assertEquals(0, read(A) & UIP);
    }

    @Test
    void updateEndedInterrupt() {
        synchronize();
        pc.advance(S / 2);
        assertFalse(pc.irq(8), "not enabled");
        write(B, UIE | H24);
        assertTrue(pc.irq(8), "the flag was up already when it was enabled");
        assertEquals(IRQF | UF, read(C));
        assertFalse(pc.irq(8));
        assertEquals(0, read(C), "reading clears");
        pc.advance(S);
        assertTrue(pc.irq(8));
        write(B, H24);
        assertFalse(pc.irq(8), "no longer enabled");
        assertEquals(UF, read(C), "and so no IRQF");
        write(B, SET | UIE | H24);
        assertEquals(SET | H24, read(B), "SET clears UIE");
    }

    @Test
    void alarm() {
        set(H24, "20 24-05-05 06:59:58");
        write(HOURS_ALARM, 0x07);
        write(MINUTES_ALARM, 0x00);
        write(SECONDS_ALARM, 0x01);
        write(B, AIE | H24);
        read(C);
        pc.advance(2 * S);
        assertFalse(pc.irq(8));
        pc.advance(S);
        assertTrue(pc.irq(8), "07:00:01");
        assertEquals(IRQF | AF | UF, read(C));
        pc.advance(86_399 * S);
        assertFalse(pc.irq(8));
        pc.advance(S);
        assertTrue(pc.irq(8), "the next day again");
    }

    @Test
    void anAlarmThatNobodyEnabledIsFlagged() {
        set(H24, "20 24-05-05 06:59:58");
        write(HOURS_ALARM, 0x07);
        write(MINUTES_ALARM, 0x00);
        write(SECONDS_ALARM, 0x05);
        read(C);
        pc.advance(20 * S);
        assertFalse(pc.irq(8));
        write(B, AIE | H24);
        assertTrue(pc.irq(8), "it happened although the update flag was not read in between");
        assertEquals(IRQF | AF | UF, read(C));
    }

    @Test
    void alarmCellsThatMatchAnything() {
        set(H24, "20 24-05-05 06:59:58");
        write(HOURS_ALARM, 0xc0);
        write(MINUTES_ALARM, 0xff);
        write(SECONDS_ALARM, 0x30);
        write(B, AIE | H24);
        read(C);
        int before = pc.rises(8);
        for (int minute = 0; minute < 3; minute++) {
            pc.advance(60 * S);
            assertEquals(IRQF | AF | UF, read(C));
        }
        assertEquals(3, pc.rises(8) - before, "once a minute");
        write(SECONDS_ALARM, 0xc0);
        pc.advance(S);
        assertEquals(IRQF | AF | UF, read(C), "every second");
        write(SECONDS_ALARM, 0x75);
        pc.advance(3 * 86_400 * S);
        assertEquals(UF, read(C), "a second that never comes");
    }

    @Test
    void alarmInTwelveHours() {
        set(0, "20 24-05-05 91:59:59");
        write(HOURS_ALARM, 0x12);
        write(MINUTES_ALARM, 0x00);
        write(SECONDS_ALARM, 0x00);
        write(B, AIE);
        read(C);
        pc.advance(S);
        assertEquals(0x12, read(HOURS), "midnight");
        assertTrue(pc.irq(8));
        read(C);
        pc.advance(43_200 * S);
        assertEquals(0x92, read(HOURS));
        assertFalse(pc.irq(8), "noon is not midnight");
    }

    @Test
    void periodicRates() {
        int[][] rates = {{3, 8192}, {6, 1024}, {13, 8}, {15, 2}, {1, 256}, {2, 128}};
        for (int[] r : rates) {
            write(A, 0x20 | r[0]);
            write(B, PIE | H24);
            read(C);
            int ticks = 0;
            for (int i = 0; i < 2 * r[1]; i++) {
                pc.advance(S / r[1]);
                ticks += (read(C) & PF) != 0 ? 1 : 0;
            }
            assertEquals(2 * r[1], ticks, 1.0, "rate " + r[0]);
        }
    }

    @Test
    void periodicInterrupt() {
        write(A, 0x2f);
        write(B, PIE | H24);
        pc.advance(S / 2);
        assertTrue(pc.irq(8));
        assertEquals(IRQF | PF, read(C) & ~UF);
        assertFalse(pc.irq(8));
        write(A, 0x20);
        pc.advance(S);
        assertFalse(pc.irq(8), "rate 0 is none");
    }

    @Test
    void resetDisablesInterruptsAndKeepsTheTime() {
        set(H24, "20 24-05-05 06:59:58");
        write(A, 0x2f);
        write(B, PIE | AIE | H24);
        write(HOURS_ALARM, 0x11);
        pc.advance(S);
        assertTrue(pc.irq(8));
        pc.reset();
        assertFalse(pc.irq(8));
        assertEquals(H24, read(B));
        assertEquals(0, read(C));
        assertEquals(0x2f, read(A));
        assertEquals("20 24-05-05 06:59:59", time());
        assertEquals(0x11, read(HOURS_ALARM));
    }

    @Test
    void goesOnElsewhere() throws Exception {
        set(H24, "20 24-05-05 06:59:58");
        write(0x40, 0xa5);
        write(HOURS_ALARM, 0x07);
        write(A, 0x2f);
        write(B, PIE | UIE | H24);
        pc.advance(S);
        byte[] state = pc.save(SECTION);
        Bench other = new Bench();
        other.advance(S);
        other.load(SECTION, state);
        assertArrayEquals(state, other.save(SECTION));
        pc = other;
        assertTrue(pc.irq(8), "the interrupt that waits");
        assertEquals("20 24-05-05 06:59:59", time());
        assertEquals(0xa5, read(0x40));
        read(C);
        pc.advance(S);
        assertEquals("20 24-05-05 07:00:00", time());
        assertEquals(IRQF | PF | AF | UF, read(C), "all timers go on");
    }

    @Test
    void theAlarmTravelsWithItsTime() throws Exception {
        set(H24, "20 24-05-05 06:59:58");
        write(HOURS_ALARM, 0x08);
        write(B, AIE | H24);
        read(C);
        byte[] state = pc.save(SECTION);
        ByteBuffer in = ByteBuffer.wrap(state);
        long update = in.getLong(state.length - 16);
        assertEquals(3601 * S, in.getLong(state.length - 8) - update, "08:00:00");
    }

    @Test
    void anotherClockDoesNotStopTheTicks() throws Exception {
        write(A, 0x2f);
        write(B, PIE | H24);
        byte[] state = pc.save(SECTION);
        for (long at : new long[] {Long.MIN_VALUE, -2, 0, Long.MAX_VALUE}) {
            ByteBuffer.wrap(state).putLong(AT_NEXT_PERIODIC, at).putLong(AT_NEXT_PERIODIC - 8, at);
            pc.load(SECTION, state);
            read(C);
            pc.advance(S / 2);
            assertEquals(IRQF | PF, read(C) & ~UF, "next tick at " + at);
        }
    }

    @Test
    void badSections() throws Exception {
        byte[] state = pc.save(SECTION);
        pc.refuses(SECTION, Bench.with(state, AT_BASE, 0x7f));
        write(B, PIE | AIE | UIE | H24);
        pc.survivesDamage(
                SECTION,
                () -> {
                    pc.advance(3 * MS);
                    time();
                    read(C);
                    write(SECONDS, 0x10);
                });
        pc.advance(S);
        assertTrue(pc.irq(8));
    }
}
