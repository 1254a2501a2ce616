package lockstep.runtime.jvm;

import lockstep.runtime.loop.Timer;

/**
 * What a vCPU's time stamp counter shows: guest time, counted at a rate, from some beginning. A guest measures the rate
 * when it boots, so it goes along wherever the guest goes.
 */
final class Timestamp {
    private static final long MILLISECOND = 1_000_000;

    private final long kilohertz;

    /** Ticks of a nanosecond, in units of 2 to the power of -32. */
    private final long perNanosecond;

    private final long offset;

    private Timestamp(long kilohertz, long offset) {
        this.kilohertz = kilohertz;
        perNanosecond = (kilohertz << 32) / MILLISECOND;
        this.offset = offset;
    }

    /** A counter that shows {@code value} at the guest time {@code now}; {@code kilohertz} is below 2 to the power of 31. */
    static Timestamp of(long kilohertz, long value, long now) {
        Timestamp fromZero = new Timestamp(kilohertz, 0);
        return new Timestamp(kilohertz, value - fromZero.at(now));
    }

    long kilohertz() {
        return kilohertz;
    }

    /** What it shows at a guest time in nanoseconds. */
    long at(long time) {
        long high = Math.multiplyHigh(time, perNanosecond);
        return offset + (high << 32 | time * perNanosecond >>> 32);
    }

    /** The guest time from which on it shows at least {@code value}. */
    long timeOf(long value) {
        long ticks = value - offset;
        long whole = ticks / kilohertz;
        if (ticks <= 0) {
            return 0;
        } else if (whole >= Long.MAX_VALUE / MILLISECOND / 2) {
            return Timer.NEVER;
        }
        long time = whole * MILLISECOND + ticks % kilohertz * MILLISECOND / kilohertz;
        // The parts of a tick that were cut off add up.
        long missing = value - at(time);
        return missing <= 0 ? time : time + missing * MILLISECOND / kilohertz + 1;
    }
}
