package lockstep.runtime.linux;

import static lockstep.linux.abi.LinuxAbi.CLOCK_MONOTONIC;
import static lockstep.linux.abi.LinuxAbi.TFD_CLOEXEC;
import static lockstep.linux.abi.LinuxAbi.TFD_NONBLOCK;

import lockstep.linux.abi.itimerspec;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** A timerfd on the monotonic clock: an epoll wait with nanosecond resolution. One thread at a time. */
public final class AlarmFd implements AutoCloseable {
    private static final long SECOND = 1_000_000_000L;
    // struct itimerspec is two struct timespec of two 64-bit words: interval, then value.
    private static final long VALUE = itimerspec.it_value$offset();

    private final Fd fd;

    /** Makes a disarmed alarm. */
    public AlarmFd() throws LinuxException {
        fd =
                new Fd(
                        Errno.check(
                                FileCalls.timerfdCreate(
                                        CLOCK_MONOTONIC(), TFD_CLOEXEC() | TFD_NONBLOCK()),
                                "timerfd_create"));
    }

    /** The descriptor, readable once the alarm has gone off. */
    public int number() {
        return fd.number();
    }

    /** Goes off {@code nanoseconds} from now, at least one; a value below 0 disarms. */
    public void set(long nanoseconds) {
        MemorySegment spec = Native.small();
        long delay = nanoseconds < 0 ? 0 : Math.max(1, nanoseconds);
        spec.set(ValueLayout.JAVA_LONG, 0, 0);
        spec.set(ValueLayout.JAVA_LONG, 8, 0);
        spec.set(ValueLayout.JAVA_LONG, VALUE, delay / SECOND);
        spec.set(ValueLayout.JAVA_LONG, VALUE + 8, delay % SECOND);
        FileCalls.timerfdSettime(fd.number(), 0, spec, MemorySegment.NULL);
    }

    /** Takes note of expiries, so that the descriptor is no longer readable. */
    public void drain() {
        FileCalls.read(fd.number(), Native.small(), Long.BYTES);
    }

    @Override
    public void close() {
        fd.close();
    }
}
