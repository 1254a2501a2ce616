package lockstep.runtime.linux;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;

/** Links C library functions, with errno captured right behind the call. */
@SuppressWarnings("restricted")
final class Native {
    /** Bytes of the per-thread scratch buffer: one chardev or packet read. */
    static final int SCRATCH = 64 * 1024 + 512;

    private static final Linker LINKER = Linker.nativeLinker();
    private static final StructLayout CAPTURE = Linker.Option.captureStateLayout();
    private static final VarHandle ERRNO =
            CAPTURE.varHandle(MemoryLayout.PathElement.groupElement("errno"));
    private static final Linker.Option CAPTURE_ERRNO = Linker.Option.captureCallState("errno");

    /** What a thread needs for its calls; freed with the thread. */
    private static final class PerThread {
        private final Arena arena = Arena.ofAuto();
        private final MemorySegment state = arena.allocate(CAPTURE);
        private MemorySegment scratch = MemorySegment.NULL;
        private MemorySegment small = MemorySegment.NULL;
    }

    private static final ThreadLocal<PerThread> THREAD = ThreadLocal.withInitial(PerThread::new);

    private Native() {}

    /** Links {@code name}; the handle's first parameter is {@link #callState}. */
    static MethodHandle link(String name, MemoryLayout result, MemoryLayout... parameters) {
        return LINKER.downcallHandle(
                symbol(name), FunctionDescriptor.of(result, parameters), CAPTURE_ERRNO);
    }

    /** Links a function with a variable argument list that begins at parameter {@code first}. */
    static MethodHandle linkVariadic(
            int first, String name, MemoryLayout result, MemoryLayout... parameters) {
        return LINKER.downcallHandle(
                symbol(name),
                FunctionDescriptor.of(result, parameters),
                CAPTURE_ERRNO,
                Linker.Option.firstVariadicArg(first));
    }

    private static MemorySegment symbol(String name) {
        return LINKER.defaultLookup()
                .find(name)
                .orElseThrow(
                        () ->
                                new UnsatisfiedLinkError(
                                        "the C library has no function "
                                                + name
                                                + "; glibc 2.32 or newer is needed"));
    }

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

    /** What a method handle that cannot throw threw: an error of ours. */
    static RuntimeException unexpected(Throwable t) {
        if (t instanceof RuntimeException e) {
            throw e;
        }
        if (t instanceof Error e) {
            throw e;
        }
        return new IllegalStateException(t);
    }

    private static final class Mmap {
        static final MethodHandle CALL =
                link(
                        "mmap", JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT,
                        JAVA_LONG);
    }

    /** mmap(2): the address, or the negated errno. */
    static long mmap(long address, long length, int protection, int flags, int fd, long offset) {
        MemorySegment state = callState();
        try {
            long result =
                    (long)
                            Mmap.CALL.invokeExact(
                                    state, address, length, protection, flags, fd, offset);
            return result != -1 ? result : -errno(state);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class Strerror {
        static final MethodHandle CALL =
                LINKER.downcallHandle(
                        symbol("strerrordesc_np"), FunctionDescriptor.of(ADDRESS, JAVA_INT));
    }

    /** The C library's untranslated text for an error number. */
    static String strerror(int errno) {
        try {
            MemorySegment text = (MemorySegment) Strerror.CALL.invokeExact(errno);
            return text.address() == 0 ? "Unknown error " + errno : text(text);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class Gettid {
        static final MethodHandle CALL =
                LINKER.downcallHandle(symbol("gettid"), FunctionDescriptor.of(JAVA_INT));
    }

    static int gettid() {
        try {
            return (int) Gettid.CALL.invokeExact();
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class Signal {
        static final MethodHandle CALL =
                LINKER.downcallHandle(
                        symbol("signal"), FunctionDescriptor.of(JAVA_LONG, JAVA_INT, JAVA_LONG));
    }

    /** signal(2) with one of the constant dispositions, which are small numbers for addresses. */
    static void signal(int number, long disposition) {
        try {
            long unused = (long) Signal.CALL.invokeExact(number, disposition);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class PthreadSigmask {
        // Returns an error number; does not set errno.
        static final MethodHandle CALL =
                LINKER.downcallHandle(
                        symbol("pthread_sigmask"),
                        FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS, ADDRESS));
    }

    static int pthreadSigmask(int how, MemorySegment set, MemorySegment old) {
        try {
            return -(int) PthreadSigmask.CALL.invokeExact(how, set, old);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class PtsnameR {
        static final MethodHandle CALL =
                LINKER.downcallHandle(
                        symbol("ptsname_r"),
                        FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS, JAVA_LONG));
    }

    static int ptsname(int fd, MemorySegment buffer) {
        try {
            return -(int) PtsnameR.CALL.invokeExact(fd, buffer, buffer.byteSize());
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }
}
