package lockstep.runtime.migration;

/** What the source has sent so far. Written by the migration thread, read by any. */
final class RamStats {
    volatile long zeroPages;
    volatile long normalPages;
    volatile long remainingBytes;
    volatile long totalBytes;
    volatile long syncs;
    volatile long dirtyPagesRate;
    volatile double mbps;
    volatile long pagesPerSecond;
    volatile long transferred;
    volatile long precopyBytes;
    volatile long downtimeBytes;

    /** All pages so far, with data or without. */
    long pages() {
        return zeroPages + normalPages;
    }
}
