package lockstep.runtime.linux;

import static lockstep.linux.abi.LinuxAbi.*;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A piece of memory mapped with mmap(2), readable and writable, unmapped by {@link #close}. Any thread may
 * use the memory while it is mapped; closing throws IllegalStateException while a system call uses it.
 */
public final class Mapping implements AutoCloseable {
    private final Arena arena;
    private final MemorySegment memory;

    private Mapping(Arena arena, MemorySegment memory) {
        this.arena = arena;
        this.memory = memory;
    }

    /**
     * Zeroed memory of this process, taken from the host page by page as it is touched.
     *
     * @param length bytes, rounded up to whole pages by the kernel
     * @param what what the error says that could not be done
     */
    public static Mapping anonymous(long length, String what) throws LinuxException {
        return anonymous(length, false, true, what);
    }

    /**
     * The same.
     *
     * @param shared whether children of this process share it
     * @param reserve whether the host has to have room for all of it now
     * @param what the words of the error
     */
    public static Mapping anonymous(long length, boolean shared, boolean reserve, String what)
            throws LinuxException {
        return map(length, flags(shared, reserve) | MAP_ANONYMOUS(), -1, 0, what);
    }

    /**
     * Zeroed memory likewise, given back when nobody refers to it any more. Unlike that of an arena it has no limit in
     * the JVM.
     *
     * @param length bytes, also none
     * @param what the words of the error
     */
    public static MemorySegment collected(long length, String what) throws LinuxException {
        int flags = flags(false, true) | MAP_ANONYMOUS();
        long size = Math.max(1, length);
        return map(size, flags, -1, 0, what, Arena.ofAuto()).asSlice(0, length);
    }

    /** Memory of a file from {@code offset}. */
    static Mapping file(int fd, long offset, long length, boolean shared, boolean reserve)
            throws LinuxException {
        String what = "unable to map backing store for guest RAM";
        return map(length, flags(shared, reserve), fd, offset, what);
    }

    private static int flags(boolean shared, boolean reserve) {
        return (shared ? MAP_SHARED() : MAP_PRIVATE()) | (reserve ? 0 : MAP_NORESERVE());
    }

    /** A file's or device's memory from {@code offset}, shared with it. */
    public static Mapping shared(int fd, long offset, long length) throws LinuxException {
        return map(length, MAP_SHARED(), fd, offset, "mmap");
    }

    @SuppressWarnings("MustBeClosedChecker") // closed with the mapping
    private static Mapping map(long length, int flags, int fd, long offset, String what)
            throws LinuxException {
        Arena arena = Arena.ofShared();
        return new Mapping(arena, map(length, flags, fd, offset, what, arena));
    }

    private static MemorySegment map(
            long length, int flags, int fd, long offset, String what, Arena arena)
            throws LinuxException {
        int protection = PROT_READ() | PROT_WRITE();
        long address = Errno.check(Native.mmap(0, length, protection, flags, fd, offset), what);
        return Native.mapping(address, length, arena);
    }

    /** The memory. */
    public MemorySegment memory() {
        return memory;
    }

    /** Gives advice (MADV_*) on a part; returns 0 or the negated errno. Offsets are page aligned. */
    public int advise(long offset, long length, int advice) {
        return FileCalls.madvise(memory.asSlice(offset, length).address(), length, advice);
    }

    /** Gives pages back to the host: they read as zero afterwards. */
    public void discard(long offset, long length) {
        advise(offset, length, MADV_DONTNEED());
    }

    /** Asks for huge pages where the host has them. */
    public void preferHugePages() {
        advise(0, memory.byteSize(), MADV_HUGEPAGE());
    }

    @Override
    public void close() {
        arena.close();
    }
}
