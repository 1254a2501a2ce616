package lockstep.colo.measure;

/**
 * How long something took, many times: a count in each quarter of a power of two of nanoseconds. Takes no memory per
 * value. One thread.
 */
public final class Durations {
    private static final int BUCKETS = 256;

    private final long[] counts = new long[BUCKETS];
    private long count;
    private long last;
    private long longest;

    /** Nothing yet. */
    public Durations() {}

    /** Adds one, in nanoseconds; a negative one counts as 0. */
    public void add(long nanos) {
        counts[bucket(nanos)]++;
        count++;
        last = nanos;
        longest = Math.max(longest, nanos);
    }

    private static int bucket(long nanos) {
        if (nanos < 4) {
            return (int) Math.max(nanos, 0);
        }
        int power = 63 - Long.numberOfLeadingZeros(nanos);
        return power * 4 + (int) (nanos >> power - 2 & 3);
    }

    /** How many there were. */
    public long count() {
        return count;
    }

    /** The last one in nanoseconds, or 0. */
    public long last() {
        return last;
    }

    /** The longest in nanoseconds, or 0. */
    public long longest() {
        return longest;
    }

    /**
     * How many nanoseconds a share of them took at most: too high by a quarter at most. 0 when there were none.
     *
     * @param share from 0 to 1
     */
    public long most(double share) {
        long left = (long) Math.ceil(count * share);
        for (int i = 0; i < BUCKETS && left > 0; i++) {
            left -= counts[i];
            if (left <= 0) {
                return Math.min(longest, i < 8 ? i : (5L + (i & 3) << (i >> 2) - 2) - 1);
            }
        }
        return 0;
    }

    /** A copy for other threads. */
    public Durations copy() {
        Durations d = new Durations();
        System.arraycopy(counts, 0, d.counts, 0, BUCKETS);
        d.count = count;
        d.last = last;
        d.longest = longest;
        return d;
    }
}
