package lockstep.runtime.linux;

import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Owns one file descriptor: closes it exactly once. Any thread may close; a thread blocked in a call on
 * the descriptor is not woken by that.
 */
public final class Fd implements AutoCloseable {
    private final int number;
    private final AtomicBoolean closed = new AtomicBoolean();

    /** Takes over an open descriptor, from an inherited number or a message of another process. */
    public Fd(int number) {
        if (number < 0) {
            throw new IllegalArgumentException("not a file descriptor: " + number);
        }
        this.number = number;
    }

    /** The descriptor's number. Throws IllegalStateException once closed. */
    public int number() {
        if (closed.get()) {
            throw new IllegalStateException("file descriptor " + number + " is closed");
        }
        return number;
    }

    /** Whether {@link #close} has run. */
    public boolean isClosed() {
        return closed.get();
    }

    /** Gives the number away: this object no longer closes it. */
    public int release() {
        if (!closed.compareAndSet(false, true)) {
            throw new IllegalStateException("file descriptor " + number + " is closed");
        }
        return number;
    }

    @Override
    public void close() {
        if (closed.compareAndSet(false, true)) {
            // An error here cannot be acted on: the kernel has let go of the number in any case.
            FileCalls.close(number);
        }
    }

    @Override
    public String toString() {
        return "fd " + number + (closed.get() ? " (closed)" : "");
    }
}
