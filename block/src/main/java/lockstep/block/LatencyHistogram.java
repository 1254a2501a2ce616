package lockstep.block;

import org.jspecify.annotations.Nullable;

import java.util.Arrays;
import java.util.List;

/** How often requests took how long. Not thread-safe. */
public final class LatencyHistogram {
    private final long[] boundaries;
    private final long[] bins;

    private LatencyHistogram(long[] boundaries, long[] bins) {
        this.boundaries = boundaries;
        this.bins = bins;
    }

    /**
     * Nothing counted.
     *
     * @param boundaries between the classes, in nanoseconds, unsigned; one that is equal belongs to the class above
     * @return null when they do not ascend from above zero
     */
    public static @Nullable LatencyHistogram of(List<Long> boundaries) {
        long before = 0;
        for (long boundary : boundaries) {
            if (Long.compareUnsigned(boundary, before) <= 0) {
                return null;
            }
            before = boundary;
        }
        return new LatencyHistogram(
                boundaries.stream().mapToLong(Long::longValue).toArray(),
                new long[boundaries.size() + 1]);
    }

    /** Counts a request that took so many nanoseconds. */
    void count(long nanos) {
        int bin = 0;
        while (bin < boundaries.length && Long.compareUnsigned(nanos, boundaries[bin]) >= 0) {
            bin++;
        }
        bins[bin]++;
    }

    LatencyHistogram copy() {
        return new LatencyHistogram(boundaries, bins.clone());
    }

    /** The limits between the classes. */
    public List<Long> boundaries() {
        return Arrays.stream(boundaries).boxed().toList();
    }

    /** The number of requests in each class, one more than limits. */
    public List<Long> bins() {
        return Arrays.stream(bins).boxed().toList();
    }
}
