package lockstep.runtime.linux;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * The rate of the host's time stamp counter, which the Java platform does not tell: measured against the monotonic
 * clock, between the first use of this class and the first question. Any thread.
 */
public final class HostTicks {
    /** What is said of a host that has no such counter, or does not let it be read: nanoseconds. */
    private static final long NANOSECONDS = 1_000_000;

    /** Both ends are read within some 100 ns of each other, so that this gives a few millionths. */
    private static final long LONG_ENOUGH = TimeUnit.MILLISECONDS.toNanos(25);

    private static final int TRIES = 5;

    /** RDTSC; SHL RDX, 32; OR RAX, RDX; RET. */
    private static final byte[] CODE = {
        0x0f, 0x31, 0x48, (byte) 0xc1, (byte) 0xe2, 0x20, 0x48, 0x09, (byte) 0xd0, (byte) 0xc3
    };

    private static final long COUNTER = HostCode.load(CODE);
    private static final Moment BEGIN = Moment.now();

    /** Both at once. */
    private record Moment(long ticks, long nanoseconds) {
        static Moment now() {
            if (COUNTER == 0) {
                return new Moment(0, 0);
            }
            CFunction read = CFunction.at("rdtsc", MemorySegment.ofAddress(COUNTER));
            Moment best = new Moment(0, 0);
            long least = Long.MAX_VALUE;
            for (int i = 0; i < TRIES; i++) {
                long before = System.nanoTime();
                long ticks = read.call();
                long took = System.nanoTime() - before;
                if (took < least) {
                    least = took;
                    best = new Moment(ticks, before + took / 2);
                }
            }
            return best;
        }
    }

    /** Measured when somebody asks. */
    private static final class Rate {
        static final long KILOHERTZ = measure();

        private static long measure() {
            if (COUNTER == 0) {
                return NANOSECONDS;
            }
            Moment now = Moment.now();
            while (now.nanoseconds - BEGIN.nanoseconds < LONG_ENOUGH) {
                LockSupport.parkNanos(LONG_ENOUGH - (now.nanoseconds - BEGIN.nanoseconds));
                now = Moment.now();
            }
            double nanoseconds = now.nanoseconds - BEGIN.nanoseconds;
            long rate = Math.round((now.ticks - BEGIN.ticks) / nanoseconds * NANOSECONDS);
            return rate > 0 ? rate : NANOSECONDS; // it may have been set back meanwhile
        }
    }

    private HostTicks() {}

    /** Begins to measure, so that the question is answered sooner. */
    public static void begin() {
        // Initialises the class.
    }

    /** Ticks in a millisecond; at the first time it may take some 25 ms. */
    public static long kilohertz() {
        return Rate.KILOHERTZ;
    }
}
