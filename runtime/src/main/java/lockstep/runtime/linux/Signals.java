package lockstep.runtime.linux;

import static lockstep.linux.abi.LinuxAbi.SIG_BLOCK;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Signals between threads of this process, without handlers: a blocked signal stays pending until it is
 * taken. Signal numbers are 1 to 64; a set is a 64-bit mask whose bit {@code n - 1} is signal {@code n}.
 */
public final class Signals {
    /**
     * The signal that takes a vCPU out of the guest. A real-time signal: glibc keeps 32 and 33 for
     * itself, HotSpot uses none of them.
     */
    public static final int KICK = 36;

    // glibc's sigset_t has 1024 bits; the kernel looks at the first 64.
    private static final int SET_BYTES = 128;

    private static final long SIG_IGN = 1;

    private Signals() {}

    /**
     * Lets a signal do nothing, in the whole process, where it is not blocked. A thread that blocks it
     * still finds it pending, and so does a system call that opens it for its own length.
     */
    public static void ignore(int signal) {
        Native.signal(signal, SIG_IGN);
    }

    /** The kernel's number of the calling thread. */
    public static int currentThread() {
        return Native.gettid();
    }

    /** Blocks a signal in the calling thread; returns the mask it had before. */
    public static long block(int signal) {
        MemorySegment set = Native.small().asSlice(0, SET_BYTES);
        MemorySegment old = Native.small().asSlice(SET_BYTES, SET_BYTES);
        set.fill((byte) 0);
        old.fill((byte) 0);
        set.set(ValueLayout.JAVA_LONG, 0, 1L << (signal - 1));
        int result = Native.pthreadSigmask(SIG_BLOCK(), set, old);
        if (result < 0) {
            throw new IllegalStateException("pthread_sigmask: " + Errno.text(-result));
        }
        return old.get(ValueLayout.JAVA_LONG, 0);
    }

    /** Sends a signal to one thread of this process; returns 0 or the negated errno. */
    public static int send(int thread, int signal) {
        return FileCalls.tgkill((int) ProcessHandle.current().pid(), thread, signal);
    }

    /** Takes a pending blocked signal of the calling thread, without waiting; whether there was one. */
    public static boolean take(int signal) {
        MemorySegment area = Native.small();
        MemorySegment set = area.asSlice(0, SET_BYTES);
        set.fill((byte) 0);
        set.set(ValueLayout.JAVA_LONG, 0, 1L << (signal - 1));
        MemorySegment timeout = area.asSlice(SET_BYTES, 16);
        timeout.fill((byte) 0);
        return FileCalls.sigtimedwait(set, MemorySegment.NULL, timeout) == signal;
    }
}
