package lockstep.block.qcow2;

/**
 * A snapshot inside an image.
 *
 * @param id a number that QEMU chose, as text
 * @param name what the user calls it
 * @param seconds when it was made, since 1970
 * @param nanos the rest of that
 * @param vmClockNanos how long the guest had run
 * @param vmStateBytes length of the guest's state that is kept with the disk's
 * @param diskSize the disk's length
 * @param icount instructions that the guest had run, -1 when they were not counted
 */
public record Snapshot(
        String id,
        String name,
        long seconds,
        int nanos,
        long vmClockNanos,
        long vmStateBytes,
        long diskSize,
        long icount) {}
