package lockstep.devices.hpet;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.runtime.loop.Timer;
import lockstep.runtime.machine.Irq;

import org.junit.jupiter.api.Test;

import java.util.Arrays;

/** The block without a board, on a clock that goes on between two looks at it, as real ones do. */
final class HpetChipTest {
    private static final int CONFIG = 0x10;
    private static final int COUNTER = 0xf0;
    private static final int T0 = 0x100;
    private static final int COMPARATOR = 8;

    private static final int ENABLE = 1;
    private static final int LEGACY = 2;
    private static final int ON = 0x0004;
    private static final int PERIODIC = 0x0008;
    private static final int SET_VALUE = 0x0040;
    private static final int ROUTE = 2 << 9;

    /** Nanoseconds of a tick. */
    private static final int TICK = 10;

    /** Nanoseconds that pass with each look at the clock. */
    private static final int LOOK = 7;

    private long now = 1_000_003;
    private boolean replaced;
    private final long[] alarms = {Timer.NEVER, Timer.NEVER, Timer.NEVER};
    private final boolean[] levels = new boolean[24];
    private final int[] rises = new int[24];

    private final HpetChip chip =
            new HpetChip(
                    new HpetChip.Board() {
                        @Override
                        public long now() {
                            return now += LOOK;
                        }

                        @Override
                        public Irq input(int n) {
                            return level -> {
                                if (level && !levels[n]) {
                                    rises[n]++;
                                }
                                levels[n] = level;
                            };
                        }

                        @Override
                        public void legacyMode(boolean on) {
                            replaced = on;
                        }

                        @Override
                        public void alarm(int timer, long deadline) {
                            alarms[timer] = deadline;
                        }
                    },
                    0x8086a201,
                    3,
                    1 << 2);

    private void write(int register, long value) {
        chip.write(register, value & 0xffff_ffffL);
        chip.write(register + 4, value >>> 32);
    }

    private long counter() {
        return chip.read(COUNTER) | chip.read(COUNTER + 4) << 32;
    }

    private void expire() {
        now = Math.max(now, alarms[0]);
        alarms[0] = Timer.NEVER;
        chip.expired(0);
    }

    @Test
    void noTimerIsEarly() {
        chip.reset();
        for (long ticks = 1; ticks < 200; ticks++) {
            chip.write(CONFIG, 0);
            write(COUNTER, 0);
            write(T0, ROUTE | ON);
            write(T0 + COMPARATOR, ticks);
            int before = rises[2];
            chip.write(CONFIG, ENABLE);
            expire();
            assertEquals(before + 1, rises[2]);
            assertTrue(counter() >= ticks, "at " + ticks);
            assertEquals(Timer.NEVER, alarms[0], "once");
        }
    }

    private void periodic(int period) {
        chip.reset();
        chip.write(T0, ROUTE | PERIODIC | SET_VALUE);
        chip.write(T0 + COMPARATOR, period);
        chip.write(T0, ROUTE | PERIODIC | SET_VALUE);
        chip.write(T0 + COMPARATOR + 4, 0);
        chip.write(T0, ROUTE | PERIODIC | ON);
    }

    @Test
    void periodsDoNotDrift() {
        int period = 100;
        periodic(period);
        long began = now;
        chip.write(CONFIG, ENABLE);
        for (int i = 0; i < 10_000; i++) {
            expire();
        }
        assertEquals(10_000, rises[2]);
        long late = now - began - 10_000L * period * TICK;
        assertTrue(late >= 0 && late < 10 * LOOK + TICK, "late by " + late + " ns");
    }

    @Test
    void whatABusyBoardMissedIsNotMadeUpFor() {
        int period = 100;
        periodic(period);
        chip.write(CONFIG, ENABLE);
        now += 12 * period * TICK + 5 * TICK;
        chip.expired(0);
        assertEquals(1, rises[2]);
        assertEquals(13 * period, chip.read(T0 + COMPARATOR));
        assertTrue(alarms[0] - now <= period * TICK, "the next one is in its place");
    }

    @Test
    void aTimeThatNeverComesIsNotInThePast() {
        chip.reset();
        write(T0, ROUTE | ON);
        for (long compare : new long[] {Long.MAX_VALUE, Long.MAX_VALUE / TICK, 1L << 60}) {
            write(T0 + COMPARATOR, compare);
            chip.write(CONFIG, ENABLE);
            assertTrue(alarms[0] > now, "for " + compare);
            chip.write(CONFIG, 0);
            assertEquals(Timer.NEVER, alarms[0]);
        }
    }

    @Test
    void theClocksInterruptWaitsUntilItMayPass() {
        chip.reset();
        Irq clock = chip.rtcInput();
        clock.set(true);
        assertEquals(1, rises[8]);
        chip.write(CONFIG, LEGACY);
        assertTrue(replaced);
        assertFalse(levels[8]);
        clock.set(false);
        clock.set(true);
        assertEquals(1, rises[8], "cut off");
        chip.write(CONFIG, 0);
        assertEquals(2, rises[8]);
        boolean[] only = new boolean[24];
        only[8] = true;
        assertTrue(Arrays.equals(only, levels));
    }
}
