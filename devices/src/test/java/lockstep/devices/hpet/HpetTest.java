package lockstep.devices.hpet;

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

/** The timer block, by Intel's IA-PC HPET specification 1.0a. */
final class HpetTest {
    private static final int CONFIG = 0x10;
    private static final int STATUS = 0x20;
    private static final int COUNTER = 0xf0;
    private static final int T0 = 0x100;
    private static final int T1 = 0x120;
    private static final int COMPARATOR = 8;

    private static final int ENABLE = 1;
    private static final int LEGACY = 2;

    private static final int LEVEL = 0x0002;
    private static final int ON = 0x0004;
    private static final int PERIODIC = 0x0008;
    private static final int SET_VALUE = 0x0040;
    private static final int NARROW = 0x0100;

    /** Routed to I/O APIC input 2. */
    private static final int ROUTE = 2 << 9;

    /** Ticks of 10 ns. */
    private static final int TICKS_PER_MS = 100_000;

    private static final String SECTION = "hpet";
    private static final int AT_TIMERS = 3 * 8;

    @AutoClose private Bench pc;

    @BeforeEach
    void powerOn() throws Exception {
        pc = new Bench();
    }

    private int read(int register) {
        return pc.peek(Hpet.BASE + register);
    }

    private void write(int register, int... words) {
        for (int i = 0; i < words.length; i++) {
            pc.poke(Hpet.BASE + register + 4L * i, words[i]);
        }
    }

    private long counter() {
        return read(COUNTER) & 0xffff_ffffL | (long) read(COUNTER + 4) << 32;
    }

    private void oneShot(int timer, int config, long ticks) {
        write(timer, config);
        write(timer + COMPARATOR, (int) ticks, (int) (ticks >> 32));
        write(timer, config | ON);
    }

    private void periodic(int config, int ticks) {
        // The high half first: a write of the low one ends the setting.
        write(T0, config);
        write(T0 + COMPARATOR + 4, 0);
        write(T0, config | PERIODIC | SET_VALUE);
        write(T0 + COMPARATOR, ticks);
        write(T0 + COMPARATOR, ticks);
        write(T0, config | PERIODIC | ON);
    }

    @Test
    void identity() {
        assertEquals(0x8086_a201, read(0), "Intel; legacy capable, 64 bits, three timers, rev. 1");
        assertEquals(10_000_000, read(4), "femtoseconds in a tick");
        write(0, 0, 0);
        assertEquals(0x8086_a201, read(0), "read only");
        assertEquals(0, read(CONFIG));
        assertEquals(0, read(STATUS));
        assertEquals(0, counter());
        for (int timer = 0; timer < 3; timer++) {
            int at = T0 + 0x20 * timer;
            assertEquals(0x30, read(at), "periodic and 64-bit capable");
            assertEquals(1 << 2, read(at + 4), "may be routed to input 2");
            assertEquals(-1, read(at + COMPARATOR));
            assertEquals(-1, read(at + COMPARATOR + 4));
        }
        assertEquals(0, read(T0 + 0x60), "no fourth timer");
    }

    @Test
    void reservedAndReadOnlyBits() {
        write(CONFIG, -1, -1);
        assertEquals(ENABLE | LEGACY, read(CONFIG));
        assertEquals(0, read(CONFIG + 4));
        write(CONFIG, 0);
        write(T0, -1, -1);
        assertEquals(0x3f7e, read(T0), "no FSB delivery, as that is not offered");
        assertEquals(1 << 2, read(T0 + 4));
    }

    @Test
    void theCounterRunsWhileEnabled() {
        pc.advance(MS);
        assertEquals(0, counter());
        write(COUNTER, 0xffff_fff0, 7);
        assertEquals(0x7_ffff_fff0L, counter());
        write(CONFIG, ENABLE);
        pc.advance(MS);
        assertEquals(0x7_ffff_fff0L + TICKS_PER_MS, counter());
        write(COUNTER, 0, 0);
        assertEquals(0x7_ffff_fff0L + TICKS_PER_MS, counter(), "written only when halted");
        write(CONFIG, 0);
        pc.advance(MS);
        assertEquals(0x7_ffff_fff0L + TICKS_PER_MS, counter());
        write(CONFIG, ENABLE);
        pc.advance(10);
        assertEquals(0x7_ffff_fff0L + TICKS_PER_MS + 1, counter(), "goes on from there");
    }

    @Test
    void oneShotEdge() {
        oneShot(T0, ROUTE, TICKS_PER_MS);
        write(CONFIG, ENABLE);
        int before = pc.rises(2);
        pc.advance(MS - 10);
        assertEquals(before, pc.rises(2));
        pc.advance(10);
        assertEquals(before + 1, pc.rises(2));
        assertFalse(pc.irq(2), "a pulse");
        assertEquals(0, read(STATUS), "of no interest to edge mode");
        pc.advance(10 * S);
        assertEquals(before + 1, pc.rises(2), "once");
        write(T0 + COMPARATOR, (int) counter() + TICKS_PER_MS);
        pc.advance(MS);
        assertEquals(before + 2, pc.rises(2), "rearmed by a new comparator");
    }

    @Test
    void oneShotLevel() {
        oneShot(T0, ROUTE | LEVEL, TICKS_PER_MS);
        oneShot(T1, ROUTE, 2L * TICKS_PER_MS);
        write(CONFIG, ENABLE);
        pc.advance(MS);
        assertTrue(pc.irq(2));
        assertEquals(1, read(STATUS));
        write(STATUS, 6);
        assertTrue(pc.irq(2), "other timers' bits");
        write(STATUS, 1);
        assertFalse(pc.irq(2));
        assertEquals(0, read(STATUS));
    }

    @Test
    void disablingTakesALevelBack() {
        oneShot(T0, ROUTE | LEVEL, TICKS_PER_MS);
        write(CONFIG, ENABLE);
        pc.advance(MS);
        write(CONFIG, 0);
        assertFalse(pc.irq(2), "the whole block");
        write(CONFIG, ENABLE);
        pc.advance(US);
        assertTrue(pc.irq(2), "the comparator is still behind");
        write(T0, ROUTE | LEVEL);
        assertFalse(pc.irq(2), "the timer");
        assertEquals(0, read(STATUS));
        pc.advance(S);
        assertFalse(pc.irq(2));
    }

    @Test
    void aRouteToNowhereIsHarmless() {
        oneShot(T0, 31 << 9 | LEVEL, TICKS_PER_MS);
        write(CONFIG, ENABLE);
        pc.advance(MS);
        assertEquals(1, read(STATUS));
        assertFalse(pc.irq(2));
    }

    @Test
    void periodicTimer() {
        periodic(ROUTE, TICKS_PER_MS);
        write(CONFIG, ENABLE);
        int before = pc.rises(2);
        pc.advance(10 * MS + US);
        assertEquals(before + 10, pc.rises(2));
        assertEquals(11 * TICKS_PER_MS, read(T0 + COMPARATOR), "the comparator moved on");
        write(T0, ROUTE | PERIODIC);
        pc.advance(10 * MS);
        assertEquals(before + 10, pc.rises(2), "disabled");
    }

    @Test
    void setValueReachesTheComparator() {
        write(T0, PERIODIC | SET_VALUE);
        write(T0 + COMPARATOR, 5000);
        assertEquals(0, read(T0) & SET_VALUE, "clears itself");
        assertEquals(5000, read(T0 + COMPARATOR));
        write(T0 + COMPARATOR, 7000);
        assertEquals(5000, read(T0 + COMPARATOR), "the period alone");
    }

    @Test
    void aFirstTickOfItsOwn() {
        write(T0, ROUTE | PERIODIC | SET_VALUE);
        write(T0 + COMPARATOR, 5 * TICKS_PER_MS, 0);
        write(T0 + COMPARATOR, TICKS_PER_MS);
        write(T0, ROUTE | PERIODIC | SET_VALUE);
        write(T0 + COMPARATOR + 4, 0);
        write(T0, ROUTE | PERIODIC | ON);
        write(CONFIG, ENABLE);
        int before = pc.rises(2);
        pc.advance(5 * MS - 10);
        assertEquals(before, pc.rises(2));
        pc.advance(10);
        assertEquals(before + 1, pc.rises(2));
        pc.advance(3 * MS);
        assertEquals(before + 4, pc.rises(2));
    }

    @Test
    void periodsOfNextToNothingStopNothing() {
        for (int ticks : new int[] {0, 1}) {
            periodic(ROUTE, ticks);
            write(CONFIG, ENABLE);
            pc.advance(US);
            write(CONFIG, 0);
        }
        assertTrue(counter() > 0);
    }

    @Test
    void sixtyFourBits() {
        write(COUNTER, 0xffff_ff00, 0);
        oneShot(T0, ROUTE | LEVEL, 0x1_0000_0100L);
        write(CONFIG, ENABLE);
        pc.advance(0x1ff * 10);
        assertFalse(pc.irq(2), "the low half's wrap is nothing");
        pc.advance(10);
        assertTrue(pc.irq(2));
    }

    @Test
    void thirtyTwoBits() {
        write(T0, NARROW);
        assertEquals(0, read(T0 + COMPARATOR + 4), "the high half is gone");
        write(COUNTER, 0xffff_ff00, 0);
        oneShot(T0, ROUTE | LEVEL | NARROW, 0x4000_0000);
        write(CONFIG, ENABLE);
        pc.advance(0x100 * 10);
        assertTrue(pc.irq(2), "one-shot also interrupts when the counter wraps, section 2.3.9.2.3");
        write(STATUS, 1);
        pc.advance(0x4000_0000L * 10);
        assertTrue(pc.irq(2), "and then at the match");
        write(STATUS, 1);
        write(CONFIG, 0);
        write(COUNTER, 0xffff_ff00, 5);
        periodic(ROUTE | LEVEL | NARROW, 0x200);
        write(CONFIG, ENABLE);
        write(T0, ROUTE | LEVEL | NARROW | PERIODIC | SET_VALUE | ON);
        write(T0 + COMPARATOR, 0x100);
        pc.advance(0x1ff * 10);
        assertFalse(pc.irq(2));
        pc.advance(10);
        assertTrue(pc.irq(2), "a comparator beyond the wrap");
    }

    /** Whether the 8254's ticks come through. */
    private boolean intervalTimerInterrupts() {
        pc.out(0x43, 0x34);
        pc.out(0x40, 0x00, 0x01);
        int before = pc.rises(0);
        pc.advance(MS);
        boolean came = pc.rises(0) > before;
        pc.out(0x43, 0x30);
        return came;
    }

    @Test
    void legacyReplacement() {
        pc.out(0x70, 0x0a);
        pc.out(0x71, 0x2f);
        pc.out(0x70, 0x0b);
        pc.out(0x71, 0x42);
        pc.advance(S);
        assertTrue(pc.irq(8), "the clock's");
        assertTrue(intervalTimerInterrupts());
        oneShot(T0, LEVEL, 2L * S / 10);
        oneShot(T1, LEVEL, 4L * S / 10);
        write(CONFIG, ENABLE | LEGACY);
        assertFalse(intervalTimerInterrupts(), "it is cut off");
        assertFalse(pc.irq(8), "and so is the clock");
        pc.advance(2 * S);
        assertTrue(pc.irq(0), "timer 0, whatever its route is");
        assertFalse(pc.irq(8));
        write(STATUS, 1);
        assertFalse(pc.irq(0));
        pc.advance(2 * S);
        assertTrue(pc.irq(8), "timer 1");
        write(STATUS, 2);
        assertFalse(pc.irq(8));
        write(CONFIG, ENABLE);
        assertTrue(pc.irq(8), "what the clock still wants to say");
        assertTrue(intervalTimerInterrupts());
    }

    @Test
    void reset() {
        periodic(ROUTE | LEVEL, TICKS_PER_MS);
        write(CONFIG, ENABLE | LEGACY);
        pc.advance(MS);
        assertTrue(pc.irq(0));
        pc.reset();
        assertFalse(pc.irq(0));
        assertEquals(0, read(CONFIG));
        assertEquals(0, counter());
        assertEquals(0x30, read(T0));
        assertEquals(-1, read(T0 + COMPARATOR));
        pc.advance(S);
        assertEquals(0, read(STATUS));
        assertTrue(intervalTimerInterrupts());
    }

    @Test
    void goesOnElsewhere() throws Exception {
        periodic(ROUTE | LEVEL, TICKS_PER_MS);
        write(CONFIG, ENABLE);
        pc.advance(3 * MS / 2);
        assertTrue(pc.irq(2));
        byte[] state = pc.save(SECTION);
        Bench other = new Bench();
        other.advance(3 * MS / 2);
        other.load(SECTION, state);
        assertArrayEquals(state, other.save(SECTION));
        pc = other;
        assertEquals(3 * TICKS_PER_MS / 2, counter());
        assertEquals(1, read(STATUS));
        write(STATUS, 1);
        pc.advance(MS / 2);
        assertTrue(pc.irq(2), "the next period");
        write(STATUS, 1);
        assertFalse(pc.irq(2));
    }

    @Test
    void badSections() throws Exception {
        byte[] idle = pc.save(SECTION);
        for (int timers : new int[] {0, 2, 4, 32, 255}) {
            pc.refuses(SECTION, Bench.with(idle, AT_TIMERS, timers));
        }
        periodic(ROUTE | LEVEL, TICKS_PER_MS);
        oneShot(T1, NARROW, TICKS_PER_MS);
        write(CONFIG, ENABLE);
        pc.survivesDamage(
                SECTION,
                () -> {
                    pc.advance(20 * US);
                    for (int at = 0; at < 0x160; at += 4) {
                        read(at);
                    }
                    write(STATUS, 7);
                });
        pc.reset();
        assertEquals(0, read(CONFIG));
    }
}
