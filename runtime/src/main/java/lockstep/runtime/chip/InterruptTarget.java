package lockstep.runtime.chip;

/** A vCPU in software, as its local APIC sees it. Called with the chips' guard held, from any thread: no lock is taken. */
public interface InterruptTarget {
    /** {@link Apic#requests} has something new: leave HLT, look soon. */
    void changed();

    /** Whether the caller runs on this vCPU's thread. */
    boolean current();

    /** The guest time in nanoseconds at which the vCPU's time stamp counter reads {@code tsc}. */
    default long timeOf(long tsc) {
        return tsc;
    }
}
