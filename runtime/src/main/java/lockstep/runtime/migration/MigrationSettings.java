package lockstep.runtime.migration;

import lockstep.api.MigrationCapability;

import java.util.EnumSet;
import java.util.Set;

/** The capabilities and parameters of migrations. Any thread. */
public final class MigrationSettings {
    private final EnumSet<MigrationCapability> capabilities =
            EnumSet.noneOf(MigrationCapability.class);

    /** Bytes per second that the source sends at most; 0 is no limit. */
    volatile long maxBandwidth = 128L << 20;

    /** Bytes per second to expect while the guest is stopped; 0 is what was measured. */
    volatile long switchoverBandwidth;

    /** Milliseconds that the guest may be stopped. */
    volatile long downtimeLimit = 300;

    /** Milliseconds between two COLO checkpoints. */
    volatile long checkpointDelay = 20_000;

    /** Whether all-zero pages are sent as such. */
    volatile boolean detectZeroPages = true;

    /** Whether a capability is on. */
    public synchronized boolean has(MigrationCapability capability) {
        return capabilities.contains(capability);
    }

    /** The capabilities that are on. */
    synchronized Set<MigrationCapability> enabled() {
        return EnumSet.copyOf(capabilities);
    }

    /** Replaces all capabilities by those. */
    synchronized void enable(Set<MigrationCapability> on) {
        capabilities.clear();
        capabilities.addAll(on);
    }

    /** Milliseconds from one checkpoint's trigger to the next by time. */
    public long checkpointDelay() {
        return checkpointDelay;
    }
}
