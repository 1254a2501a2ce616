package lockstep.block;

import lockstep.runtime.linux.Errno;

/**
 * What happens when a guest's request fails: one drive has one such policy for reads and one for
 * writes.
 */
public enum ErrorAction {
    /** The guest sees success. */
    IGNORE,
    /** The guest sees the error. */
    REPORT,
    /** The VM stops with run state io-error and the request is tried again on cont. */
    STOP,
    /** {@link #STOP} when the host has no space left, else {@link #REPORT}. */
    ENOSPC,
    /** A device leaves the choice to its drive. */
    AUTO;

    /** The decision for one failed request: {@link #IGNORE}, {@link #REPORT} or {@link #STOP}. */
    public ErrorAction decide(int errno) {
        return switch (this) {
            case IGNORE -> IGNORE;
            case STOP -> STOP;
            case ENOSPC -> errno == Errno.ENOSPC ? STOP : REPORT;
            case REPORT, AUTO -> REPORT;
        };
    }
}
