package lockstep.runtime.jvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.LongRange;

class TimestampTest {
    private static final long YEAR = 365L * 24 * 3600 * 1_000_000_000;

    @Property
    void countsAtItsRateFromItsBeginning(
            @ForAll @LongRange(min = 1_000, max = 6_000_000) long kilohertz,
            @ForAll long value,
            @ForAll @LongRange(min = 0, max = YEAR) long begin,
            @ForAll @LongRange(min = 0, max = YEAR) long later) {
        Timestamp t = Timestamp.of(kilohertz, value, begin);
        assertEquals(value, t.at(begin));
        double expected = (double) later * kilohertz / 1e6;
        assertEquals(expected, t.at(begin + later) - value, 2 + expected * 1e-6);
    }

    @Property
    void knowsWhenItShowsAValue(
            @ForAll @LongRange(min = 500_000, max = 6_000_000) long kilohertz,
            @ForAll @LongRange(min = 0, max = YEAR) long begin,
            @ForAll @LongRange(min = 1, max = 1L << 50) long ticks) {
        Timestamp t = Timestamp.of(kilohertz, 1L << 40, begin);
        long value = (1L << 40) + ticks;
        long time = t.timeOf(value);
        assertTrue(t.at(time) >= value, "too early");
        assertTrue(t.at(time - 3) <= value, "too late");
    }
}
