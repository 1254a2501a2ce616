package lockstep.runtime.linux;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/**
 * A function of the C library that takes up to six integers or pointers; errno is captured right behind the call.
 *
 * <p>All functions share two method handles, because the linker spends several milliseconds on every further
 * signature, which a start would feel. In the C calling conventions of Linux each integer and pointer argument has a
 * 64-bit register of its own, a callee looks at as many bits as its parameter has and at as many registers as it has
 * parameters, and functions with variable argument lists take theirs the same way. So six numbers of 64 bits fit every
 * such function, and only the result has to be cut to its width.
 */
@SuppressWarnings("restricted")
final class CFunction {
    private static final Linker LINKER = Linker.nativeLinker();
    private static final Linker.Option CAPTURE_ERRNO = Linker.Option.captureCallState("errno");

    private static final MethodHandle NUMBERS =
            LINKER.downcallHandle(
                    FunctionDescriptor.of(
                            JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG,
                            JAVA_LONG),
                    CAPTURE_ERRNO);

    /**
     * For memory that its owner may close meanwhile: it stays open until the call is over. So does the last, which no
     * function looks at, because the others point into it.
     */
    private static final MethodHandle BUFFER =
            LINKER.downcallHandle(
                    FunctionDescriptor.of(
                            JAVA_LONG, JAVA_LONG, ADDRESS, JAVA_LONG, JAVA_LONG, JAVA_LONG,
                            JAVA_LONG, ADDRESS),
                    CAPTURE_ERRNO);

    private final String name;
    private final boolean wide;
    private @Nullable MemorySegment symbol; // found anew when two threads come at once

    private CFunction(String name, boolean wide) {
        this.name = name;
        this.wide = wide;
    }

    /** A function that returns an int. */
    static CFunction ofInt(String name) {
        return new CFunction(name, false);
    }

    /** A function that returns a long or a pointer. */
    static CFunction ofLong(String name) {
        return new CFunction(name, true);
    }

    /** A function that is no part of the library and returns a long. */
    static CFunction at(String name, MemorySegment address) {
        CFunction function = new CFunction(name, true);
        function.symbol = address;
        return function;
    }

    private MemorySegment symbol() {
        MemorySegment found = symbol;
        if (found == null) {
            found =
                    LINKER.defaultLookup()
                            .find(name)
                            .orElseThrow(
                                    () ->
                                            new UnsatisfiedLinkError(
                                                    "the C library has no function "
                                                            + name
                                                            + "; glibc 2.32 or newer is needed"));
            symbol = found;
        }
        return found;
    }

    /** Calls it: the result, or the negated errno where the result is -1. */
    long call(long a, long b, long c, long d, long e, long f) {
        MemorySegment state = Native.callState();
        try {
            return result((long) NUMBERS.invokeExact(symbol(), state, a, b, c, d, e, f), state);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    long call(long a, long b, long c, long d, long e) {
        return call(a, b, c, d, e, 0);
    }

    long call(long a, long b, long c, long d) {
        return call(a, b, c, d, 0, 0);
    }

    long call(long a, long b, long c) {
        return call(a, b, c, 0, 0, 0);
    }

    long call(long a, long b) {
        return call(a, b, 0, 0, 0, 0);
    }

    long call(long a) {
        return call(a, 0, 0, 0, 0, 0);
    }

    long call() {
        return call(0, 0, 0, 0, 0, 0);
    }

    /** Calls it with memory for the second argument; closing that memory fails during the call. */
    long call(long a, MemorySegment buffer, long c, long d, long e, long f) {
        return call(a, buffer, c, d, e, f, MemorySegment.NULL);
    }

    /** Likewise, while the memory stays open that {@code pointedTo} is part of. */
    long callWith(MemorySegment pointedTo, long a, MemorySegment buffer, long c, long d) {
        return call(a, buffer, c, d, 0, 0, pointedTo);
    }

    private long call(
            long a, MemorySegment buffer, long c, long d, long e, long f, MemorySegment pointedTo) {
        MemorySegment state = Native.callState();
        try {
            return result(
                    (long) BUFFER.invokeExact(symbol(), state, a, buffer, c, d, e, f, pointedTo),
                    state);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    long call(long a, MemorySegment buffer, long c, long d) {
        return call(a, buffer, c, d, 0, 0);
    }

    long call(long a, MemorySegment buffer, long c) {
        return call(a, buffer, c, 0, 0, 0);
    }

    long call(long a, MemorySegment buffer) {
        return call(a, buffer, 0, 0, 0, 0);
    }

    /**
     * The address of a structure for a call in another place than the second. The caller keeps the structure
     * reachable until the call is over.
     *
     * @throws IllegalArgumentException if the structure is on the heap
     * @throws IllegalStateException if it is closed
     */
    static long address(MemorySegment structure) {
        if (!structure.isNative()) {
            throw new IllegalArgumentException("not native memory: " + structure);
        }
        if (!structure.scope().isAlive()) {
            throw new IllegalStateException("closed memory: " + structure);
        }
        return structure.address();
    }

    private long result(long value, MemorySegment state) {
        long result = wide ? value : (int) value;
        return result != -1 ? result : -Native.errno(state);
    }

    /** What a method handle that cannot throw threw: an error of ours. */
    private static RuntimeException unexpected(Throwable t) {
        if (t instanceof RuntimeException e) {
            throw e;
        }
        if (t instanceof Error e) {
            throw e;
        }
        return new IllegalStateException(t);
    }
}
