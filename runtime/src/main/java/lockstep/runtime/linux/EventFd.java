package lockstep.runtime.linux;

import static lockstep.linux.abi.LinuxAbi.EFD_CLOEXEC;
import static lockstep.linux.abi.LinuxAbi.EFD_NONBLOCK;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** A counter one can wait for: wakes a loop, carries an interrupt into the kernel. Any thread. */
public final class EventFd implements AutoCloseable {
    private final Fd fd;

    /** Makes a non-blocking counter at zero. */
    public EventFd() throws LinuxException {
        fd = new Fd(Errno.check(FileCalls.eventfd(0, EFD_CLOEXEC() | EFD_NONBLOCK()), "eventfd"));
    }

    /** The descriptor, readable while the counter is not zero. */
    public int number() {
        return fd.number();
    }

    /** Adds one. */
    public void signal() {
        MemorySegment value = Native.small();
        value.set(ValueLayout.JAVA_LONG, 0, 1);
        // EAGAIN means that the counter is full, which wakes the reader as well.
        FileCalls.write(fd.number(), value, Long.BYTES);
    }

    /** Sets the counter to zero and returns what it was. */
    public long drain() {
        MemorySegment value = Native.small();
        return FileCalls.read(fd.number(), value, Long.BYTES) == Long.BYTES
                ? value.get(ValueLayout.JAVA_LONG, 0)
                : 0;
    }

    @Override
    public void close() {
        fd.close();
    }
}
