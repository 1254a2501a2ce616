package lockstep.runtime.migration;

import lockstep.api.MigMode;
import lockstep.api.MigrationCapability;
import lockstep.api.MigrationParameters;
import lockstep.api.MultiFDCompression;
import lockstep.api.ZeroPageDetection;

import org.jspecify.annotations.Nullable;

import java.util.EnumSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;

/** The capabilities and parameters of migrations. Any thread. */
public final class MigrationSettings {
    private final EnumSet<MigrationCapability> capabilities =
            EnumSet.noneOf(MigrationCapability.class);

    private volatile MigrationParameters parameters = DEFAULTS;
    private boolean exposed;

    private static final MigrationParameters DEFAULTS =
            MigrationParameters.builder()
                    .announceInitial(50L)
                    .announceMax(550L)
                    .announceRounds(5L)
                    .announceStep(100L)
                    .throttleTriggerThreshold(50)
                    .cpuThrottleInitial(20)
                    .cpuThrottleIncrement(10)
                    .cpuThrottleTailslow(false)
                    .maxCpuThrottle(99)
                    .tlsCreds("")
                    .tlsHostname("")
                    .tlsAuthz("")
                    .maxBandwidth(128L << 20)
                    .availSwitchoverBandwidth(0L)
                    .downtimeLimit(300L)
                    .xCheckpointDelay(20_000L)
                    .xCheckpointPause(0L)
                    .xColoTimeout(20_000L)
                    .multifdChannels(2)
                    .multifdCompression(MultiFDCompression.NONE)
                    .multifdZlibLevel(1)
                    .multifdZstdLevel(1)
                    .multifdQatzipLevel(1)
                    .xbzrleCacheSize(64L << 20)
                    .maxPostcopyBandwidth(0L)
                    .xVcpuDirtyLimitPeriod(1000L)
                    .vcpuDirtyLimit(1L)
                    .mode(MigMode.NORMAL)
                    .zeroPageDetection(ZeroPageDetection.MULTIFD)
                    .directIo(false)
                    .cprExecCommand(List.of())
                    .build();

    /** All parameters. */
    public MigrationParameters parameters() {
        return parameters;
    }

    /** Replaces all parameters. */
    void parameters(MigrationParameters all) {
        parameters = all;
    }

    /** Bytes per second that the source sends at most; 0 is no limit. */
    long maxBandwidth() {
        return value(parameters.maxBandwidth(), 128L << 20);
    }

    /** Bytes per second to expect while the guest is stopped; 0 is what was measured. */
    long switchoverBandwidth() {
        return value(parameters.availSwitchoverBandwidth(), 0);
    }

    /** Milliseconds that the guest may be stopped. */
    long downtimeLimit() {
        return value(parameters.downtimeLimit(), 300);
    }

    /** Whether all-zero pages are sent as such. */
    boolean detectZeroPages() {
        return parameters.zeroPageDetection() != ZeroPageDetection.NONE;
    }

    /** A parameter's value; the set that holds it is complete, whatever its type says. */
    static long value(@Nullable Long parameter, long otherwise) {
        return parameter == null ? otherwise : parameter;
    }

    /** Whether a capability is on. */
    public synchronized boolean has(MigrationCapability capability) {
        return capabilities.contains(capability);
    }

    /** The capabilities that are on. */
    synchronized Set<MigrationCapability> enabled() {
        EnumSet<MigrationCapability> copy = EnumSet.noneOf(MigrationCapability.class);
        copy.addAll(capabilities);
        return copy;
    }

    /** Replaces all capabilities by those. */
    synchronized void enable(Set<MigrationCapability> on) {
        capabilities.clear();
        capabilities.addAll(on);
    }

    /** Milliseconds from one checkpoint's trigger to the next by time. */
    public long checkpointDelay() {
        return value(parameters.xCheckpointDelay(), 20_000);
    }

    /** Milliseconds that the guest should stand at most in a checkpoint; 0 for no wish. */
    public long checkpointPause() {
        return value(parameters.xCheckpointPause(), 0);
    }

    /** Milliseconds that a side of a COLO pair waits for the other one at most; 0 for ever. */
    public long coloTimeout() {
        return value(parameters.xColoTimeout(), 20_000);
    }

    /** Whether this is the first time that COLO is seen to go over a network unprotected. */
    synchronized boolean firstExposure() {
        boolean first = !exposed;
        exposed = true;
        return first;
    }

    /** The object with the TLS credentials; empty for no TLS. */
    String tlsCredentials() {
        return Objects.requireNonNullElse(parameters.tlsCreds(), "");
    }

    /** The object that knows which clients may connect; empty for all. */
    String tlsAuthorization() {
        return Objects.requireNonNullElse(parameters.tlsAuthz(), "");
    }

    /** The name that the server's certificate must be for; empty for that of the address. */
    String tlsHostname() {
        return Objects.requireNonNullElse(parameters.tlsHostname(), "");
    }
}
