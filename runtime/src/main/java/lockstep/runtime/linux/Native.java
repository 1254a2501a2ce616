package lockstep.runtime.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.invoke.VarHandle;
import java.lang.ref.Reference;

/** What every call into the C library needs: a place for errno, scratch memory, pointers that came back. */
@SuppressWarnings("restricted")
final class Native {
    /** Bytes of the per-thread scratch buffer: one chardev or packet read. */
    static final int SCRATCH = 64 * 1024 + 512;

    private static final StructLayout CAPTURE = Linker.Option.captureStateLayout();
    private static final VarHandle ERRNO =
            CAPTURE.varHandle(MemoryLayout.PathElement.groupElement("errno"));

    private static final CFunction MMAP = CFunction.ofLong("mmap");
    private static final CFunction STRERRORDESC_NP = CFunction.ofLong("strerrordesc_np");
    private static final CFunction GETTID = CFunction.ofInt("gettid");
    private static final CFunction SIGNAL = CFunction.ofLong("signal");
    private static final CFunction PTHREAD_SIGMASK = CFunction.ofInt("pthread_sigmask");
    private static final CFunction PTSNAME_R = CFunction.ofInt("ptsname_r");

    /** What a thread needs for its calls; freed with the thread. */
    private static final class PerThread {
        private final Arena arena = Arena.ofAuto();
        private final MemorySegment state = arena.allocate(CAPTURE);
        private MemorySegment scratch = MemorySegment.NULL;
        private MemorySegment small = MemorySegment.NULL;
    }

    private static final ThreadLocal<PerThread> THREAD = ThreadLocal.withInitial(PerThread::new);

    private Native() {}

    /** The calling thread's place for errno. */
    static MemorySegment callState() {
        return THREAD.get().state;
    }

    /** The errno that the last call with this state left. */
    static int errno(MemorySegment state) {
        return (int) ERRNO.get(state, 0L);
    }

    /** A buffer of {@link #SCRATCH} bytes that is the calling thread's until it calls again. */
    static MemorySegment scratch() {
        PerThread mine = THREAD.get();
        if (mine.scratch.byteSize() == 0) {
            mine.scratch = mine.arena.allocate(SCRATCH, 16);
        }
        return mine.scratch;
    }

    /** A buffer of 512 bytes, apart from {@link #scratch}, for small structures. */
    static MemorySegment small() {
        PerThread mine = THREAD.get();
        if (mine.small.byteSize() == 0) {
            mine.small = mine.arena.allocate(512, 16);
        }
        return mine.small;
    }

    /** A pointer the C library returned, with the given size. Not freed. */
    static MemorySegment at(long address, long size) {
        return MemorySegment.ofAddress(address).reinterpret(size);
    }

    /** A mapping at {@code address} that is unmapped when {@code arena} closes. */
    static MemorySegment mapping(long address, long size, Arena arena) {
        return MemorySegment.ofAddress(address)
                .reinterpret(size, arena, s -> FileCalls.munmap(s.address(), s.byteSize()));
    }

    /** A zero-terminated text returned by the C library. */
    static String text(MemorySegment pointer) {
        return pointer.reinterpret(Long.MAX_VALUE).getString(0);
    }

    /** mmap(2): the address, or the negated errno. */
    static long mmap(long address, long length, int protection, int flags, int fd, long offset) {
        return MMAP.call(address, length, protection, flags, fd, offset);
    }

    /** The C library's untranslated text for an error number. */
    static String strerror(int errno) {
        long text = STRERRORDESC_NP.call(errno);
        return text == 0 ? "Unknown error " + errno : text(MemorySegment.ofAddress(text));
    }

    static int gettid() {
        return (int) GETTID.call();
    }

    /** signal(2) with one of the constant dispositions, which are small numbers for addresses. */
    static void signal(int number, long disposition) {
        SIGNAL.call(number, disposition);
    }

    /** pthread_sigmask(3), which returns its error number and does not set errno: 0, or that number negated. */
    static int pthreadSigmask(int how, MemorySegment set, MemorySegment old) {
        int error = (int) PTHREAD_SIGMASK.call(how, set, CFunction.address(old));
        Reference.reachabilityFence(old);
        return -error;
    }

    /** ptsname_r(3), which returns its error number: 0, or that number negated. */
    static int ptsname(int fd, MemorySegment buffer) {
        return -(int) PTSNAME_R.call(fd, buffer, buffer.byteSize());
    }
}
