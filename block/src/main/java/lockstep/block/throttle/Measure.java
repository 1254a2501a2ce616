package lockstep.block.throttle;

import lockstep.api.ThrottleLimits;

import org.jspecify.annotations.Nullable;

import java.util.Locale;
import java.util.function.Function;

/** What a limit counts. */
enum Measure {
    BPS_TOTAL(
            ThrottleLimits::bpsTotal,
            ThrottleLimits::bpsTotalMax,
            ThrottleLimits::bpsTotalMaxLength),
    BPS_READ(ThrottleLimits::bpsRead, ThrottleLimits::bpsReadMax, ThrottleLimits::bpsReadMaxLength),
    BPS_WRITE(
            ThrottleLimits::bpsWrite,
            ThrottleLimits::bpsWriteMax,
            ThrottleLimits::bpsWriteMaxLength),
    IOPS_TOTAL(
            ThrottleLimits::iopsTotal,
            ThrottleLimits::iopsTotalMax,
            ThrottleLimits::iopsTotalMaxLength),
    IOPS_READ(
            ThrottleLimits::iopsRead,
            ThrottleLimits::iopsReadMax,
            ThrottleLimits::iopsReadMaxLength),
    IOPS_WRITE(
            ThrottleLimits::iopsWrite,
            ThrottleLimits::iopsWriteMax,
            ThrottleLimits::iopsWriteMaxLength);

    final Function<ThrottleLimits, @Nullable Long> average;
    final Function<ThrottleLimits, @Nullable Long> burst;
    final Function<ThrottleLimits, @Nullable Long> burstSeconds;

    Measure(
            Function<ThrottleLimits, @Nullable Long> average,
            Function<ThrottleLimits, @Nullable Long> burst,
            Function<ThrottleLimits, @Nullable Long> burstSeconds) {
        this.average = average;
        this.burst = burst;
        this.burstSeconds = burstSeconds;
    }

    /** The name of its first option; {@code -max} and {@code -max-length} are added for the others. */
    String option() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    /** Whether it counts bytes; requests else. */
    boolean bytes() {
        return this == BPS_TOTAL || this == BPS_READ || this == BPS_WRITE;
    }

    /** Whether it counts a request of that direction. */
    boolean counts(boolean write) {
        return switch (this) {
            case BPS_TOTAL, IOPS_TOTAL -> true;
            case BPS_READ, IOPS_READ -> !write;
            case BPS_WRITE, IOPS_WRITE -> write;
        };
    }
}
