package lockstep.block.throttle;

import lockstep.api.ThrottleLimits;
import lockstep.block.node.BlockException;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * What a group allows in a second. Immutable.
 *
 * @param all one for each {@link Measure}, in its order
 * @param unit bytes that count as one request, without sign; 0: requests of any length count the same
 */
public record Limits(List<Limit> all, long unit) {
    /** The highest value of a limit. */
    private static final long MOST = 1_000_000_000_000_000L;

    private static final long MOST_SECONDS = 0xffff_ffffL;

    /**
     * One limit.
     *
     * @param average units in a second in the long run; 0: no limit
     * @param burst units in a second of a burst; 0: no bursts but of a tenth of a second
     * @param seconds how long a burst may last
     */
    record Limit(long average, long burst, long seconds) {
        static final Limit NONE = new Limit(0, 0, 1);

        private boolean within() {
            return average >= 0 && average <= MOST && burst >= 0 && burst <= MOST;
        }
    }

    /** No limits. */
    public static final Limits NONE =
            new Limits(Collections.nCopies(Measure.values().length, Limit.NONE), 0);

    Limit of(Measure measure) {
        return all.get(measure.ordinal());
    }

    /** Whether anything is limited. */
    public boolean any() {
        return all.stream().anyMatch(l -> l.average != 0);
    }

    /**
     * These with some of them changed.
     *
     * @param changes what to change; null is what stays
     */
    public Limits with(ThrottleLimits changes) throws BlockException {
        List<Limit> changed = new ArrayList<>();
        for (Measure m : Measure.values()) {
            Limit old = of(m);
            long seconds = or(m.burstSeconds.apply(changes), old.seconds);
            if (seconds > MOST_SECONDS) {
                throw bad(
                        m.option()
                                + "-max-length value must be in the range [0, "
                                + MOST_SECONDS
                                + "]");
            }
            changed.add(
                    new Limit(
                            or(m.average.apply(changes), old.average),
                            or(m.burst.apply(changes), old.burst),
                            seconds));
        }
        return new Limits(List.copyOf(changed), or(changes.iopsSize(), unit)).checked();
    }

    private static long or(@Nullable Long value, long fallback) {
        return value == null ? fallback : value;
    }

    private static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    private boolean set(Measure measure) {
        return of(measure).average != 0;
    }

    private boolean bursts(Measure measure) {
        return of(measure).burst != 0;
    }

    private Limits checked() throws BlockException {
        if (both(Measure.BPS_TOTAL, Measure.BPS_READ, Measure.BPS_WRITE)
                || both(Measure.IOPS_TOTAL, Measure.IOPS_READ, Measure.IOPS_WRITE)) {
            throw bad(
                    "bps/iops/max total values and read/write values cannot be used at the same"
                            + " time");
        }
        if (unit != 0
                && !set(Measure.IOPS_TOTAL)
                && !set(Measure.IOPS_READ)
                && !set(Measure.IOPS_WRITE)) {
            throw bad("iops size requires an iops value to be set");
        }
        for (Limit l : all) {
            if (!l.within()) {
                throw bad("bps/iops/max values must be within [0, " + MOST + "]");
            }
            if (l.seconds == 0) {
                throw bad("the burst length cannot be 0");
            }
            if (l.seconds != 1 && l.burst == 0) {
                throw bad("burst length set without burst rate");
            }
            if (l.burst != 0 && Long.compareUnsigned(l.seconds, MOST / l.burst) > 0) {
                throw bad("burst length too high for this burst rate");
            }
            if (l.burst != 0 && l.average == 0) {
                throw bad("bps_max/iops_max require corresponding bps/iops values");
            }
            if (l.burst != 0 && l.burst < l.average) {
                throw bad("bps_max/iops_max cannot be lower than bps/iops");
            }
        }
        return this;
    }

    private boolean both(Measure total, Measure read, Measure write) {
        return set(total) && (set(read) || set(write))
                || bursts(total) && (bursts(read) || bursts(write));
    }

    /** These as a client sees them, all of them. */
    public ThrottleLimits shown() {
        Limit bps = of(Measure.BPS_TOTAL);
        Limit bpsRead = of(Measure.BPS_READ);
        Limit bpsWrite = of(Measure.BPS_WRITE);
        Limit iops = of(Measure.IOPS_TOTAL);
        Limit iopsRead = of(Measure.IOPS_READ);
        Limit iopsWrite = of(Measure.IOPS_WRITE);
        return ThrottleLimits.builder()
                .bpsTotal(bps.average)
                .bpsTotalMax(bps.burst)
                .bpsTotalMaxLength(bps.seconds)
                .bpsRead(bpsRead.average)
                .bpsReadMax(bpsRead.burst)
                .bpsReadMaxLength(bpsRead.seconds)
                .bpsWrite(bpsWrite.average)
                .bpsWriteMax(bpsWrite.burst)
                .bpsWriteMaxLength(bpsWrite.seconds)
                .iopsTotal(iops.average)
                .iopsTotalMax(iops.burst)
                .iopsTotalMaxLength(iops.seconds)
                .iopsRead(iopsRead.average)
                .iopsReadMax(iopsRead.burst)
                .iopsReadMaxLength(iopsRead.seconds)
                .iopsWrite(iopsWrite.average)
                .iopsWriteMax(iopsWrite.burst)
                .iopsWriteMaxLength(iopsWrite.seconds)
                .iopsSize(unit)
                .build();
    }
}
