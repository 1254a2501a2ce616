package lockstep.runtime.memory;

/**
 * The record of which guest pages changed, by vCPUs (the accelerator's log) and by the VMM's own writes.
 * One user at a time: the migration source, or the COLO secondary. Called under the machine lock.
 */
public interface DirtyLog {
    /** Starts recording; what was recorded before is forgotten. */
    void start();

    /** Stops recording. */
    void stop();

    /** Whether changes are being recorded. */
    boolean recording();

    /**
     * Moves what was recorded for {@code block} since the last call into {@code bitmap} by OR: bit
     * {@code n % 64} of word {@code n / 64} is page {@code n} of the block.
     *
     * @return how many bits of {@code bitmap} this call newly set
     */
    long collect(RamBlock block, long[] bitmap);
}
