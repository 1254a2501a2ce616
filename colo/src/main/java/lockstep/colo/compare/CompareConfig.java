package lockstep.colo.compare;

import lockstep.api.ColoComparePolicy;

import org.jspecify.annotations.Nullable;

/**
 * What a user says about a comparison.
 *
 * @param id the object's id
 * @param primaryIn chardev that brings the primary guest's packets
 * @param secondaryIn chardev that brings the secondary guest's packets
 * @param outdev chardev that released packets go to
 * @param iothread id of the I/O thread that does the work
 * @param notifyDev chardev on which a Xen host is told of differences, or null
 * @param compareTimeout milliseconds a packet may wait before a checkpoint is requested, unsigned
 * @param expiredScanCycle milliseconds between two looks at the waiting packets, unsigned 32 bits
 * @param maxQueueSize packets per queue or null for what is set for the process
 * @param policy by which rules
 * @param settleTime milliseconds that packets which differ may wait for their likes, unsigned 32 bits
 * @param vnetHeader whether frames carry the length of a virtio header
 */
public record CompareConfig(
        String id,
        String primaryIn,
        String secondaryIn,
        String outdev,
        String iothread,
        @Nullable String notifyDev,
        long compareTimeout,
        long expiredScanCycle,
        @Nullable Long maxQueueSize,
        ColoComparePolicy policy,
        long settleTime,
        boolean vnetHeader) {
    /** QEMU: DEFAULT_TIME_OUT_MS. */
    public static final long DEFAULT_TIMEOUT = 3000;

    /** QEMU: REGULAR_PACKET_CHECK_MS. */
    public static final long DEFAULT_SCAN = 1000;

    /** How long datagrams may be out of order. */
    public static final long DEFAULT_SETTLE = 10;

    void check() throws CompareException {
        if (primaryIn.equals(outdev)
                || secondaryIn.equals(outdev)
                || primaryIn.equals(secondaryIn)) {
            throw new CompareException("'indev' and 'outdev' could not be same for compare module");
        }
        positive("compare_timeout", compareTimeout);
        positive("expired_scan_cycle", expiredScanCycle);
        if (maxQueueSize != null) {
            positive("max_queue_size", maxQueueSize);
        }
    }

    static void positive(String property, long value) throws CompareException {
        if (value == 0) {
            throw new CompareException(
                    "Property 'colo-compare." + property + "' requires a positive value");
        }
    }
}
