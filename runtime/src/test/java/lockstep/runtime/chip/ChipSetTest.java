package lockstep.runtime.chip;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.runtime.accelerator.IntervalTimer;
import lockstep.runtime.cpu.LocalApic;
import lockstep.runtime.loop.EpollLoop;
import lockstep.runtime.loop.VmClocks;
import lockstep.runtime.memory.RegionMap;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.util.stream.IntStream;

/** The chips as the datasheets and the Intel SDM, volume 3, chapter 11, have them; three processors, stepped time. */
final class ChipSetTest {
    private static final int TPR = 0x80;
    private static final int EOI = 0xb0;
    private static final int LDR = 0xd0;
    private static final int DFR = 0xe0;
    private static final int SVR = 0xf0;
    private static final int TMR = 0x180;
    private static final int ESR = 0x280;
    private static final int ICR = 0x300;
    private static final int ICR_HIGH = 0x310;
    private static final int LVT_TIMER = 0x320;
    private static final int LVT_LINT0 = 0x350;
    private static final int LVT_ERROR = 0x370;
    private static final int INITIAL = 0x380;
    private static final int CURRENT = 0x390;
    private static final int DIVIDE = 0x3e0;

    private static final int MASKED = 1 << 16;
    private static final int EXTERNAL = 7 << 8;
    private static final long IOAPIC = 0xfec00000L;

    private final VmClocks clocks = new VmClocks();
    private final RegionMap memory = RegionMap.memory(null);
    private final RegionMap ports = RegionMap.ports();
    private EpollLoop loop;
    private ChipSet chips;
    private IntervalTimer timer;
    private final LocalApic[] states = new LocalApic[3];
    private final Apic[] apics = new Apic[3];
    private final int[] changes = new int[3];

    private final class Target implements InterruptTarget {
        private final int index;

        Target(int index) {
            this.index = index;
        }

        @Override
        public void changed() {
            changes[index]++;
        }

        @Override
        public boolean current() {
            return false;
        }

        @Override
        public long timeOf(long tsc) {
            return tsc / 2;
        }
    }

    @BeforeEach
    void make() throws Exception {
        loop =
                new EpollLoop(
                        "test",
                        clocks,
                        null,
                        (name, failure) -> {
                            throw new AssertionError(name, failure);
                        });
        clocks.step();
        clocks.startVirtual();
        chips = new ChipSet(loop);
        timer = chips.timer();
        chips.map(memory, ports);
        for (int i = 0; i < 3; i++) {
            states[i] = new LocalApic(i);
            apics[i] = chips.newApic(states[i], new Target(i));
            states[i].reset(i == 0);
            apics[i].loaded();
        }
        chips.reset();
        timer.reset();
        timer.replaced(true); // silent, but for tests of it
    }

    @AfterEach
    void close() {
        loop.close();
    }

    private void enable(int... numbers) {
        for (int i : numbers) {
            apics[i].write(SVR, 0x1ff);
            apics[i].write(LDR, 1 << i + 24);
        }
    }

    private void pics() {
        for (int port : new int[] {0x20, 0xa0}) {
            ports.write(port, 1, 0x11);
            ports.write(port + 1, 1, port == 0x20 ? 0x30 : 0x38);
            ports.write(port + 1, 1, port == 0x20 ? 4 : 2);
            ports.write(port + 1, 1, 1);
        }
    }

    private void redirect(int pin, long entry) {
        memory.write(IOAPIC, 4, 0x11 + 2 * pin);
        memory.write(IOAPIC + 0x10, 4, entry >>> 32);
        memory.write(IOAPIC, 4, 0x10 + 2 * pin);
        memory.write(IOAPIC + 0x10, 4, entry & 0xffffffffL);
    }

    private long redirection(int pin) {
        memory.write(IOAPIC, 4, 0x10 + 2 * pin);
        return memory.read(IOAPIC + 0x10, 4);
    }

    private int message(int destination, boolean logical, int data) {
        chips.signalMsi(0xfee00000L | destination << 12 | (logical ? 4 : 0), data);
        return IntStream.range(0, 3)
                .filter(i -> apics[i].pendingVector() == (data & 0xff))
                .map(i -> 1 << i)
                .sum();
    }

    private boolean pending(int cpu) {
        return (apics[cpu].requests() & Apic.INTERRUPT) != 0;
    }

    // ---- the PIC, and the way from it

    @Test
    void thePicReachesTheFirstProcessorAfterReset() {
        pics();
        chips.gsi(1).set(true);
        assertTrue(pending(0));
        assertFalse(pending(1));
        assertEquals(256, apics[0].pendingVector());
        assertEquals(0x31, apics[0].acknowledge());
        assertFalse(pending(0));
        assertEquals(-1, apics[0].acknowledge());
    }

    @Test
    void theSecondPicIsBehindTheFirst() {
        pics();
        chips.gsi(12).set(true);
        assertEquals(0x3c, apics[0].acknowledge());
        chips.gsi(4).set(true);
        assertFalse(pending(0), "input 2 is being served");
        chips.gsi(1).set(true);
        assertEquals(0x31, apics[0].acknowledge(), "of higher priority");
        ports.write(0x20, 1, 0x20);
        ports.write(0x20, 1, 0x20);
        assertEquals(0x34, apics[0].acknowledge());
    }

    @Test
    void levelTriggeredInputsComeAgain() {
        pics();
        ports.write(0x4d1, 1, 1 << 3);
        chips.gsi(11).set(true);
        assertEquals(0x3b, apics[0].acknowledge());
        ports.write(0xa0, 1, 0x20);
        ports.write(0x20, 1, 0x20);
        assertTrue(pending(0));
        chips.gsi(11).set(false);
        assertEquals(0x3f, apics[0].acknowledge(), "too late: input 7 stands for none");
    }

    @Test
    void lint0DecidesWhatThePicDoes() {
        pics();
        apics[0].write(SVR, 0x1ff);
        apics[0].write(LVT_LINT0, MASKED | EXTERNAL);
        chips.gsi(1).set(true);
        assertFalse(pending(0));
        apics[0].write(LVT_LINT0, EXTERNAL);
        assertEquals(0x31, apics[0].acknowledge());
        ports.write(0x20, 1, 0x20);
        apics[0].write(LVT_LINT0, 0x55); // "through-local-APIC" wiring
        chips.gsi(3).set(true);
        assertEquals(0x55, apics[0].acknowledge());
        apics[0].write(LVT_LINT0, 4 << 8);
        ports.write(0x21, 1, 0xff);
        ports.write(0x21, 1, 0);
        assertTrue(apics[0].take(Apic.NMI));
    }

    @Test
    void withoutAnApicThePicIsConnectedDirectly() {
        pics();
        apics[0].write(LVT_LINT0, MASKED);
        assertTrue(apics[0].base(0xfee00000L, 40));
        assertFalse(apics[0].enabled());
        chips.gsi(1).set(true);
        assertEquals(0x31, apics[0].acknowledge());
        assertEquals(0, message(0, false, 0x41));
        assertFalse(apics[0].base(0xfee00c00L, 40), "x2APIC mode");
        assertFalse(apics[0].base(1L << 40, 40));
        assertTrue(apics[0].base(0xfee00800L, 40));
        assertEquals(0xfee00900L, apics[0].base());
    }

    // ---- priorities

    @Test
    void thePrioritiesOfVectorsTasksAndServices() {
        enable(0);
        chips.signalMsi(0xfee00000L, 0x41);
        chips.signalMsi(0xfee00000L, 0x52);
        assertEquals(0x52, apics[0].acknowledge());
        assertFalse(pending(0), "0x41 is of a lower class");
        assertEquals(0x50, apics[0].read(0xa0));
        chips.signalMsi(0xfee00000L, 0x5f);
        assertFalse(pending(0), "of the same class");
        apics[0].cr8(6);
        assertEquals(0x60, apics[0].read(TPR));
        apics[0].write(EOI, 0);
        assertFalse(pending(0));
        apics[0].cr8(4);
        assertEquals(0x5f, apics[0].acknowledge());
        apics[0].write(EOI, 0);
        assertFalse(pending(0));
        apics[0].write(TPR, 0);
        assertEquals(0, apics[0].cr8());
        assertEquals(0x41, apics[0].acknowledge());
    }

    @Test
    void aDisabledApicKeepsAndDeliversNothing() {
        chips.signalMsi(0xfee00000L, 0x41);
        assertFalse(pending(0));
        apics[1].write(LVT_TIMER, 0x41);
        assertEquals(MASKED | 0x41, apics[1].read(LVT_TIMER), "masked while disabled");
        enable(0);
        assertTrue(pending(0));
    }

    // ---- messages

    @Test
    void destinations() {
        enable(0, 1, 2);
        assertEquals(0b010, message(1, false, 0x40));
        assertEquals(0b111, message(0xff, false, 0x51));
        assertEquals(0b110, message(6, true, 0x62));
        for (int i = 0; i < 3; i++) {
            apics[i].write(DFR, 0x0fffffff);
            apics[i].write(LDR, (i == 2 ? 0x21 : 0x11 << i) << 24 & 0xff000000);
        }
        // Clusters now: 1 has member 1, 2 has members 2 and 1.
        assertEquals(0b001, message(0x11, true, 0x73));
        assertEquals(0b110, message(0x23, true, 0x84));
        assertEquals(0b111, message(0xff, true, 0x95));
    }

    @Test
    void lowestPriorityGoesToTheLeastBusyInTurns() {
        enable(0, 1, 2);
        apics[0].write(TPR, 0x30);
        int first = message(7, true, 1 << 8 | 0x41);
        int second = message(7, true, 1 << 8 | 0x42);
        assertEquals(0b110, first | second);
        assertEquals(1, Integer.bitCount(first));
        assertTrue((message(7, true, 1 << 8 | 0x43) & 1) == 0);
    }

    @Test
    void interprocessorInterrupts() {
        enable(0, 1, 2);
        apics[0].write(ICR_HIGH, 1 << 24);
        apics[0].write(ICR, 0x45);
        assertEquals(0x45, apics[1].pendingVector());
        apics[0].write(ICR, 1 << 18 | 0x46); // self
        assertEquals(0x46, apics[0].pendingVector());
        apics[1].write(ICR, 3 << 18 | 4 << 8); // NMI to all others
        assertTrue(apics[0].take(Apic.NMI));
        assertFalse(apics[1].take(Apic.NMI));
        assertTrue(apics[2].take(Apic.NMI));
        apics[1].write(ICR, 2 << 18 | 0x99);
        assertEquals(0x99, apics[2].pendingVector());
        assertEquals(0x99, apics[0].pendingVector());
    }

    @Test
    void processorsAreStarted() {
        enable(0);
        assertTrue(apics[1].waiting());
        assertFalse(apics[0].waiting());
        apics[0].write(ICR, 3 << 18 | 5 << 8 | 1 << 14 | 1 << 15);
        assertTrue(apics[1].take(Apic.INIT));
        apics[1].init();
        apics[0].write(ICR, 3 << 18 | 5 << 8 | 1 << 15); // the end of INIT does nothing
        assertFalse(apics[1].take(Apic.INIT));
        apics[0].write(ICR, 3 << 18 | 6 << 8 | 0x9f);
        assertTrue((apics[1].requests() & Apic.SIPI) != 0);
        assertEquals(0x9f, apics[1].start());
        assertFalse(apics[1].waiting());
        apics[0].write(ICR, 3 << 18 | 6 << 8 | 0x9f);
        assertEquals(-1, apics[1].start(), "it runs already");
        assertTrue(changes[1] > 0);
    }

    @Test
    void errorsAreTold() {
        enable(0);
        apics[0].write(LVT_ERROR, 0xfe);
        apics[0].write(ICR, 1 << 18 | 7);
        assertEquals(0xfe, apics[0].acknowledge());
        assertEquals(0, apics[0].read(ESR));
        apics[0].write(ESR, 0);
        assertEquals(0x20, apics[0].read(ESR));
        apics[0].read(0x40);
        chips.signalMsi(0xfee00000L, 3);
        apics[0].write(ESR, 0);
        assertEquals(0xc0, apics[0].read(ESR));
        apics[0].write(ESR, 0);
        assertEquals(0, apics[0].read(ESR));
    }

    // ---- the IOAPIC with local APICs

    @Test
    void levelTriggeredInterruptsWaitForTheirEnd() {
        enable(0, 1);
        redirect(17, 1L << 56 | 1 << 15 | 0x71);
        chips.gsi(17).set(true);
        assertEquals(0x71, apics[1].acknowledge());
        assertEquals(0xc071, redirection(17));
        assertEquals(1 << 17, apics[1].read(TMR + 0x30));
        apics[1].write(EOI, 0);
        assertEquals(0x71, apics[1].acknowledge(), "the input is still high");
        chips.gsi(17).set(false);
        apics[1].write(EOI, 0);
        assertFalse(pending(1));
        assertEquals(0x8071, redirection(17));
    }

    @Test
    void edgesOfMaskedInputsAreLostAndTheTimerComesAtPin2() {
        enable(0);
        apics[0].write(LVT_LINT0, MASKED);
        redirect(2, MASKED | 0x61);
        chips.gsi(0).set(true);
        redirect(2, 0x61);
        assertFalse(pending(0));
        chips.gsi(0).pulse();
        assertFalse(pending(0), "it was high already");
        chips.gsi(0).set(true);
        assertEquals(0x61, apics[0].acknowledge());
    }

    // ---- timers

    @Test
    void theLocalTimerCountsDownOnce() {
        enable(0);
        apics[0].write(DIVIDE, 0xb); // by 1
        apics[0].write(LVT_TIMER, 0x40);
        apics[0].write(INITIAL, 100_000);
        loop.advance(clocks.virtual() + 60_000);
        assertEquals(40_000, apics[0].read(CURRENT));
        assertFalse(pending(0));
        loop.advance(clocks.virtual() + 40_001);
        assertEquals(0x40, apics[0].acknowledge());
        apics[0].write(EOI, 0);
        assertEquals(0, apics[0].read(CURRENT));
        loop.advance(clocks.virtual() + 1_000_000);
        assertFalse(pending(0));
    }

    @Test
    void theLocalTimerComesAgainAndDivides() {
        enable(0);
        apics[0].write(DIVIDE, 0x1); // by 4
        apics[0].write(LVT_TIMER, 1 << 17 | 0x40);
        apics[0].write(INITIAL, 99_999);
        for (int i = 0; i < 3; i++) {
            loop.advance(clocks.virtual() + 400_000);
            assertEquals(0x40, apics[0].acknowledge());
            apics[0].write(EOI, 0);
        }
        apics[0].write(LVT_TIMER, 1 << 17 | MASKED | 0x40);
        loop.advance(clocks.virtual() + 800_000);
        assertFalse(pending(0));
    }

    @Test
    void theLocalTimerWaitsForTheTimeStampCounter() {
        enable(0);
        apics[0].deadline(5_000);
        assertEquals(0, apics[0].deadline(), "not in that mode");
        apics[0].write(LVT_TIMER, 2 << 17 | 0x40);
        apics[0].deadline(5_000);
        loop.advance(2_499);
        assertFalse(pending(0));
        assertEquals(5_000, apics[0].deadline());
        loop.advance(2_500);
        assertEquals(0x40, apics[0].acknowledge());
        assertEquals(0, apics[0].deadline());
    }

    @Test
    void aVeryShortPeriodDoesNotKeepTheLoopBusy() {
        enable(0);
        apics[0].write(DIVIDE, 0xb);
        apics[0].write(LVT_TIMER, 1 << 17 | 0x40);
        apics[0].write(INITIAL, 1);
        long before = changes[0];
        loop.advance(clocks.virtual() + 1_000_000);
        assertTrue(changes[0] - before < 100);
        timer.replaced(false);
        ports.write(0x43, 1, 0x14);
        ports.write(0x40, 1, 1);
        loop.advance(clocks.virtual() + 1_000_000);
    }

    /** Ticks of the 8254 in nanoseconds, rounded up. */
    private static long ticks(long n) {
        return (n * 1_000_000_000L + 1_193_181) / 1_193_182;
    }

    private void load(int channel, int mode, int count) {
        ports.write(0x43, 1, channel << 6 | 0x30 | mode << 1);
        ports.write(0x40 + channel, 1, count & 0xff);
        ports.write(0x40 + channel, 1, count >>> 8);
    }

    private int count(int channel) {
        ports.write(0x43, 1, channel << 6);
        return (int) (ports.read(0x40 + channel, 1) | ports.read(0x40 + channel, 1) << 8);
    }

    @Test
    void theModesOfThe8254() {
        timer.gate(2, true);
        for (int mode = 0; mode < 6; mode++) {
            long start = clocks.virtual();
            load(2, mode, 10);
            for (int tick = 0; tick < 20; tick++) {
                loop.advance(start + ticks(tick));
                boolean expected =
                        switch (mode) {
                            case 0 -> tick >= 10;
                            case 1 -> tick < 10;
                            case 3 -> tick % 10 < 5;
                            default -> tick == 10;
                        };
                assertEquals(expected, timer.output(2), "mode " + mode + " tick " + tick);
            }
        }
    }

    @Test
    void aGateStopsOrRestartsTheCount() {
        timer.gate(2, true);
        load(2, 0, 1000);
        loop.advance(clocks.virtual() + ticks(100));
        assertEquals(900, count(2));
        timer.gate(2, false);
        loop.advance(clocks.virtual() + ticks(100));
        assertEquals(900, count(2));
        timer.gate(2, true);
        loop.advance(clocks.virtual() + ticks(100));
        assertEquals(800.0, count(2), 1.0);
        load(2, 2, 1000);
        loop.advance(clocks.virtual() + ticks(100));
        timer.gate(2, false);
        timer.gate(2, true);
        assertEquals(1000, count(2), "a rising edge begins anew");
    }

    @Test
    void theTimerInterruptsAtItsRate() {
        pics();
        timer.replaced(false);
        load(0, 2, 11932); // 100 Hz
        int interrupts = 0;
        for (int i = 0; i < 1000; i++) {
            loop.advance(clocks.virtual() + 1_000_000);
            if (pending(0)) {
                assertEquals(0x30, apics[0].acknowledge());
                ports.write(0x20, 1, 0x20);
                interrupts++;
            }
        }
        assertEquals(100.0, interrupts, 1.0);
        timer.replaced(true);
        loop.advance(clocks.virtual() + 100_000_000);
        assertFalse(pending(0));
    }
}
