package lockstep.block;

import org.jspecify.annotations.Nullable;

/** Counters of one backend; any thread. */
public final class BackendStats {
    /** Counters of one kind of request. */
    public static final class Counter {
        private long bytes;
        private long operations;
        private long nanos;
        private long failed;
        private @Nullable LatencyHistogram histogram;

        Counter() {}

        synchronized void add(long length, long time, boolean error) {
            nanos += time;
            if (histogram != null) {
                histogram.count(time);
            }
            if (error) {
                failed++;
            } else {
                bytes += length;
                operations++;
            }
        }

        public synchronized long bytes() {
            return bytes;
        }

        public synchronized long operations() {
            return operations;
        }

        /** Sum of the times from submission to completion in nanoseconds. */
        public synchronized long nanos() {
            return nanos;
        }

        public synchronized long failed() {
            return failed;
        }

        /** Counts times from now on, or no longer, for null. */
        public synchronized void histogram(@Nullable LatencyHistogram wanted) {
            histogram = wanted;
        }

        /** How often requests took how long; null when it is not counted. */
        public synchronized @Nullable LatencyHistogram histogram() {
            return histogram == null ? null : histogram.copy();
        }
    }

    final Counter read = new Counter();
    final Counter write = new Counter();
    final Counter unmap = new Counter();
    final Counter flush = new Counter();

    /** Nothing here ever adds to it: no disk has zones. */
    private final Counter zoneAppend = new Counter();

    BackendStats() {}

    public Counter read() {
        return read;
    }

    public Counter write() {
        return write;
    }

    public Counter unmap() {
        return unmap;
    }

    public Counter flush() {
        return flush;
    }

    public Counter zoneAppend() {
        return zoneAppend;
    }
}
