package lockstep.runtime.linux;

import static lockstep.linux.abi.LinuxAbi.*;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import lockstep.linux.abi.iovec;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import java.util.List;

/**
 * Reads and writes of files that the kernel works on while nobody waits for them (io_uring(7)). Any thread submits, with a
 * system call for each request or for several that were gathered; any thread takes results. Numbers and offsets are those of {@code
 * linux/io_uring.h}, an interface of the kernel that does not change.
 */
public final class IoUring implements AutoCloseable {
    /** Hears of the end of a request. */
    @FunctionalInterface
    public interface Completion {
        /** With the number of bytes that were moved, or the negated errno. On the thread that takes results. */
        void completed(int result);
    }

    private static final CFunction SYSCALL = CFunction.ofLong("syscall");
    private static final long SETUP = 425;
    private static final long ENTER = 426;
    private static final int GET_EVENTS = 1;

    private static final long PARAMETERS = 120;
    private static final long SQ_ENTRIES = 0;
    private static final long CQ_ENTRIES = 4;
    private static final long FEATURES = 20;
    private static final long SQ_OFFSETS = 40;
    private static final long CQ_OFFSETS = 80;
    private static final long TAIL = 4;
    private static final long MASK = 8;
    private static final long ARRAY = 24;
    private static final long CQES = 20;

    /** IORING_FEAT_SINGLE_MMAP and IORING_FEAT_RW_CUR_POS: the latter came with READ and WRITE (Linux 5.6). */
    private static final int NEEDED = 1 | 1 << 3;

    private static final long SQE = 64;
    private static final long SQES_AT = 0x1000_0000;
    private static final long CQE = 16;
    private static final byte READV = 1;
    private static final byte WRITEV = 2;
    private static final byte READ = 22;
    private static final byte WRITE = 23;

    private static final VarHandle INT = JAVA_INT.varHandle();
    private static final long VECTOR = iovec.sizeof();

    /** The pieces of memory that one request can have. */
    private static final int PIECES = 64;

    private final Fd fd;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment rings;
    private final MemorySegment sqes;
    private final long sqTail;
    private final int sqMask;
    private final long sqArray;
    private final long cqHead;
    private final long cqTail;
    private final int cqMask;
    private final long cqes;

    /** One for each request under way: who hears of its end, the memory that has to stay, its vectors. */
    private final @Nullable Completion[] completions;

    private final @Nullable Object[] memory;
    private final MemorySegment vectors;
    private final int[] free;
    private int freeCount;

    /** Entries that the kernel has not been told of. */
    private int queued;

    private int gathering;
    private final Object submission = new Object();
    private final Object reaping = new Object();

    private IoUring(Fd fd, MemorySegment parameters) throws LinuxException {
        this.fd = fd;
        int entries = parameters.get(JAVA_INT, SQ_ENTRIES);
        int results = parameters.get(JAVA_INT, CQ_ENTRIES);
        long array = unsigned(parameters, SQ_OFFSETS + ARRAY);
        cqes = unsigned(parameters, CQ_OFFSETS + CQES);
        long size = Math.max(array + entries * 4L, cqes + results * CQE);
        try {
            rings = map(size, 0);
            sqes = map(entries * SQE, SQES_AT);
        } catch (LinuxException e) {
            arena.close();
            throw e;
        }
        sqTail = unsigned(parameters, SQ_OFFSETS + TAIL);
        sqMask = rings.get(JAVA_INT, unsigned(parameters, SQ_OFFSETS + MASK));
        sqArray = array;
        cqHead = unsigned(parameters, CQ_OFFSETS);
        cqTail = unsigned(parameters, CQ_OFFSETS + TAIL);
        cqMask = rings.get(JAVA_INT, unsigned(parameters, CQ_OFFSETS + MASK));
        // There is a place for the result of each, so none is ever lost.
        completions = new Completion[entries];
        memory = new Object[entries];
        free = new int[entries];
        for (int i = 0; i < entries; i++) {
            free[i] = i;
        }
        freeCount = entries;
        vectors = arena.allocate(entries * PIECES * VECTOR, 8);
    }

    private static long unsigned(MemorySegment parameters, long at) {
        return Integer.toUnsignedLong(parameters.get(JAVA_INT, at));
    }

    private MemorySegment map(long size, long offset) throws LinuxException {
        long address =
                Errno.check(
                        Native.mmap(
                                0,
                                size,
                                PROT_READ() | PROT_WRITE(),
                                MAP_SHARED(),
                                fd.number(),
                                offset),
                        "mmap of an io_uring");
        return Native.mapping(address, size, arena);
    }

    /**
     * A ring for at most so many requests at once, a power of two.
     *
     * @return null where the kernel has none, or not for this process
     */
    public static @Nullable IoUring open(int entries) {
        try (Arena scratch = Arena.ofConfined()) {
            MemorySegment parameters = scratch.allocate(PARAMETERS, 8);
            long fd = SYSCALL.call(SETUP, entries, parameters.address());
            if (fd < 0) {
                return null;
            }
            Fd owned = new Fd((int) fd);
            if ((parameters.get(JAVA_INT, FEATURES) & NEEDED) != NEEDED) {
                owned.close();
                return null;
            }
            try {
                return new IoUring(owned, parameters);
            } catch (LinuxException e) {
                owned.close();
                return null;
            }
        }
    }

    /** The ring's descriptor, which has input while there are results. */
    public int number() {
        return fd.number();
    }

    /**
     * Begins to read from a file into memory in pieces, or to write it there.
     *
     * @param from bytes of the memory in front of those that are meant
     * @param length how many are meant
     * @return false when this ring cannot take it now: it is full, or the memory in too many pieces or on the heap
     */
    boolean submit(
            boolean write,
            int file,
            long offset,
            List<MemorySegment> pieces,
            long from,
            long length,
            Completion completion) {
        int first = 0;
        long skip = from;
        while (first < pieces.size() && skip >= pieces.get(first).byteSize()) {
            skip -= pieces.get(first++).byteSize();
        }
        int count = 0;
        for (long left = length + skip; left > 0; count++) {
            if (count == PIECES || !pieces.get(first + count).isNative()) {
                return false;
            }
            left -= pieces.get(first + count).byteSize();
        }
        if (count == 0) {
            return false;
        }
        synchronized (submission) {
            if (freeCount == 0) {
                return false;
            }
            int slot = free[freeCount - 1];
            int tail = (int) INT.get(rings, sqTail);
            int index = tail & sqMask;
            long at = index * SQE;
            for (long word = 0; word < SQE; word += 8) {
                sqes.set(JAVA_LONG, at + word, 0);
            }
            if (count == 1) {
                long address = pieces.get(first).address() + skip;
                entry(at, write ? WRITE : READ, file, offset, address, length);
            } else {
                long start = slot * PIECES * VECTOR;
                long left = length;
                for (int i = 0; i < count; i++) {
                    MemorySegment piece = pieces.get(first + i);
                    long run = Math.min(left, piece.byteSize() - skip);
                    vectors.set(JAVA_LONG, start + i * VECTOR, piece.address() + skip);
                    vectors.set(JAVA_LONG, start + i * VECTOR + 8, run);
                    left -= run;
                    skip = 0;
                }
                entry(at, write ? WRITEV : READV, file, offset, vectors.address() + start, count);
            }
            sqes.set(JAVA_LONG, at + 32, slot);
            rings.set(JAVA_INT, sqArray + index * 4L, index);
            completions[slot] = completion;
            memory[slot] = pieces;
            freeCount--;
            INT.setRelease(rings, sqTail, tail + 1);
            queued++;
            if (gathering > 0 || enterQueued()) {
                return true;
            }
            takeBack();
            return false;
        }
    }

    /** Hands over what is queued; false when the kernel does not take the last. Under the submission's lock. */
    private boolean enterQueued() {
        while (queued > 0) {
            long taken = enter(queued, 0, 0);
            if (taken <= 0) {
                return false;
            }
            queued -= (int) taken;
        }
        return true;
    }

    /** From here to {@link #handOver} requests are gathered, so that one system call does for all. Any thread. */
    public void gather() {
        synchronized (submission) {
            gathering++;
        }
    }

    /** Hands over what was gathered; what the kernel does not take is told of as EAGAIN. */
    public void handOver() {
        synchronized (submission) {
            gathering--;
        }
        while (true) {
            Completion completion;
            synchronized (submission) {
                if (queued == 0 || enterQueued()) {
                    return;
                }
                completion = takeBack();
            }
            if (completion != null) {
                completion.completed(-Errno.EAGAIN);
            }
        }
    }

    /** Takes the last request back, which the kernel has not looked at and will not before it is called again. */
    private @Nullable Completion takeBack() {
        int tail = (int) INT.get(rings, sqTail) - 1;
        int slot = (int) sqes.get(JAVA_LONG, (tail & sqMask) * SQE + 32);
        INT.setRelease(rings, sqTail, tail);
        queued--;
        return release(slot);
    }

    private @Nullable Completion release(int slot) {
        Completion completion = completions[slot];
        completions[slot] = null;
        memory[slot] = null;
        free[freeCount++] = slot;
        return completion;
    }

    private void entry(long at, byte code, int file, long offset, long address, long length) {
        sqes.set(JAVA_BYTE, at, code);
        sqes.set(JAVA_INT, at + 4, file);
        sqes.set(JAVA_LONG, at + 8, offset);
        sqes.set(JAVA_LONG, at + 16, address);
        sqes.set(JAVA_INT, at + 24, (int) length);
    }

    private long enter(int submit, int least, int flags) {
        long done;
        do {
            done = SYSCALL.call(ENTER, fd.number(), submit, least, flags, 0);
        } while (done == -Errno.EINTR);
        return done;
    }

    /** Waits until there is a result, or somebody else has taken it. Any thread. */
    public void await() {
        enter(0, 1, GET_EVENTS);
    }

    /** Tells of the results that there are. Any thread, several at once too. */
    public void reap() {
        while (true) {
            Completion completion;
            int result;
            synchronized (reaping) {
                int head = (int) INT.get(rings, cqHead);
                if (head == (int) INT.getAcquire(rings, cqTail)) {
                    return;
                }
                long at = cqes + (head & cqMask) * CQE;
                int slot = (int) rings.get(JAVA_LONG, at);
                result = rings.get(JAVA_INT, at + 8);
                INT.setRelease(rings, cqHead, head + 1);
                synchronized (submission) {
                    completion = release(slot);
                }
            }
            if (completion != null) {
                completion.completed(result);
            }
        }
    }

    /** How many requests are under way, or over and not yet told of. Any thread. */
    public int underWay() {
        synchronized (submission) {
            return completions.length - freeCount;
        }
    }

    /** Gives the ring back; nothing is under way, and nobody waits. */
    @Override
    public void close() {
        fd.close();
        arena.close();
    }
}
