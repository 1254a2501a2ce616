package lockstep.runtime.linux;

import static lockstep.linux.abi.LinuxAbi.*;

import lockstep.linux.abi.epoll_event;

import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * An epoll instance. {@link #add}, {@link #modify} and {@link #remove} may be called from any thread;
 * {@link #await} and the results only by one thread. Waiting allocates nothing.
 */
public final class Epoll implements AutoCloseable {
    private static final int CAPACITY = 64;
    private static final long SIZE = epoll_event.sizeof();
    private static final long EVENTS =
            epoll_event.layout().byteOffset(PathElement.groupElement("events"));
    private static final long DATA =
            epoll_event.layout().byteOffset(PathElement.groupElement("data"));

    private final Fd fd;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment events = epoll_event.allocateArray(CAPACITY, arena);

    /** Makes an instance. */
    public Epoll() throws LinuxException {
        fd = new Fd(Errno.check(FileCalls.epollCreate(EPOLL_CLOEXEC()), "epoll_create1"));
    }

    /** Watches {@code target} for {@code interest} (EPOLL* bits); {@code token} comes back with events. */
    public int add(int target, int interest, long token) {
        return control(EPOLL_CTL_ADD(), target, interest, token);
    }

    /** Changes interest and token. */
    public int modify(int target, int interest, long token) {
        return control(EPOLL_CTL_MOD(), target, interest, token);
    }

    /** Stops watching. */
    public int remove(int target) {
        return control(EPOLL_CTL_DEL(), target, 0, 0);
    }

    private int control(int operation, int target, int interest, long token) {
        // The structure is packed on x86-64, so the 64-bit member lies at offset 4.
        MemorySegment event = Native.small();
        event.set(ValueLayout.JAVA_INT, EVENTS, interest);
        event.set(ValueLayout.JAVA_LONG_UNALIGNED, DATA, token);
        return FileCalls.epollCtl(fd.number(), operation, target, event);
    }

    /**
     * Waits for events.
     *
     * @param milliseconds the longest wait; -1 for no limit, 0 for none
     * @return how many there are, or the negated errno ({@link Errno#EINTR})
     */
    public int await(int milliseconds) {
        return FileCalls.epollWait(fd.number(), events, CAPACITY, milliseconds);
    }

    /** The token of result {@code index}. */
    public long token(int index) {
        return events.get(ValueLayout.JAVA_LONG_UNALIGNED, index * SIZE + DATA);
    }

    /** The EPOLL* bits of result {@code index}. */
    public int events(int index) {
        return events.get(ValueLayout.JAVA_INT_UNALIGNED, index * SIZE + EVENTS);
    }

    @Override
    public void close() {
        fd.close();
        arena.close();
    }
}
