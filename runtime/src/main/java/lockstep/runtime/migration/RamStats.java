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
}
