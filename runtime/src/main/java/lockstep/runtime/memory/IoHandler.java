package lockstep.runtime.memory;

/**
 * What answers guest accesses to a range of ports or memory. Runs under the machine lock. The address
 * space splits wider accesses to {@link #maxAccess} and combines narrower ones to {@link #minAccess}.
 */
public interface IoHandler {
    /** The value at {@code offset} into the range; only the low {@code size} bytes count. */
    long read(long offset, int size);

    /** Stores the low {@code size} bytes of {@code value} at {@code offset}; the rest is zero. */
    void write(long offset, int size, long value);

    /** Widest access in bytes the handler takes: 1, 2, 4 or 8. */
    default int maxAccess() {
        return 4;
    }

    /** Narrowest access in bytes the handler takes; a narrower one is widened (write: zero-padded). */
    default int minAccess() {
        return 1;
    }
}
