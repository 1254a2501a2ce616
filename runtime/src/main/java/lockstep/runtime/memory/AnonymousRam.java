package lockstep.runtime.memory;

import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.Mapping;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * A RAM block on host memory, with the bitmap of pages that the VMM itself changed. Marking and
 * draining are safe from any thread, the rest runs under the machine lock.
 */
public final class AnonymousRam implements RamBlock, AutoCloseable {
    private static final int PAGE_SHIFT = 12;
    private static final VarHandle WORDS = MethodHandles.arrayElementVarHandle(long[].class);

    private final String name;
    private final Mapping mapping;
    private final boolean owner;
    private final MemorySegment memory;
    private final long maxLength;
    private volatile long usedLength;
    private volatile long @Nullable [] dirty;
    private volatile Watcher watcher = UNWATCHED;

    /** Is told of what the VMM writes to a block; on any thread. */
    @FunctionalInterface
    public interface Watcher {
        /** Those bytes changed. */
        void written(long offset, long length);
    }

    /** Nobody is told. */
    public static final Watcher UNWATCHED = (offset, length) -> {};

    /** Maps {@code maxLength} bytes. Both lengths are multiples of {@link #PAGE}. */
    public AnonymousRam(String name, long usedLength, long maxLength) throws LinuxException {
        this(name, usedLength, checked(name, usedLength, maxLength), true);
    }

    /** A block of fixed size on memory that somebody else unmaps. */
    public AnonymousRam(String name, Mapping mapping) {
        this(name, mapping.memory().byteSize(), mapping, false);
    }

    private AnonymousRam(String name, long usedLength, Mapping mapping, boolean owner) {
        this.name = name;
        this.usedLength = usedLength;
        this.mapping = mapping;
        this.owner = owner;
        memory = mapping.memory();
        maxLength = memory.byteSize();
    }

    private static Mapping checked(String name, long usedLength, long maxLength)
            throws LinuxException {
        // Lengths of 2^63 and more are for the host to refuse.
        if (Long.compareUnsigned(usedLength, maxLength) > 0
                || maxLength == 0
                || ((usedLength | maxLength) & (PAGE - 1)) != 0) {
            throw new IllegalArgumentException(
                    "length of RAM block " + name + ": " + usedLength + " of " + maxLength);
        }
        return Mapping.anonymous(maxLength, "cannot set up guest memory '" + name + "'");
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public MemorySegment memory() {
        return memory;
    }

    /** The host mapping, for advice to the kernel. */
    public Mapping mapping() {
        return mapping;
    }

    @Override
    public long usedLength() {
        return usedLength;
    }

    @Override
    public long maxLength() {
        return maxLength;
    }

    @Override
    public void resize(long length) {
        if (length < 0 || length > maxLength || (length & (PAGE - 1)) != 0) {
            throw new IllegalArgumentException(
                    "Size too large: "
                            + name
                            + ": 0x"
                            + Long.toHexString(length)
                            + " > 0x"
                            + Long.toHexString(maxLength));
        }
        usedLength = length;
    }

    /** Has somebody told of the VMM's writes; replaces who was before. */
    public void watch(Watcher next) {
        watcher = next;
    }

    @Override
    public void markDirty(long offset, long length) {
        watcher.written(offset, length);
        long[] words = dirty;
        if (words == null || length <= 0) {
            return;
        }
        long last = (offset + length - 1) >>> PAGE_SHIFT;
        for (long page = offset >>> PAGE_SHIFT; page <= last; page++) {
            int word = (int) (page >>> 6);
            long bit = 1L << page;
            if (((long) WORDS.getOpaque(words, word) & bit) == 0) {
                WORDS.getAndBitwiseOr(words, word, bit);
            }
        }
    }

    /** Starts a new, empty bitmap. */
    void startDirty() {
        dirty = new long[(int) ((maxLength / PAGE + 63) >>> 6)];
    }

    /** Drops the bitmap. */
    void stopDirty() {
        dirty = null;
    }

    /**
     * Adds the accelerator's bitmap of {@code pages} pages, the first of which is {@code firstPage} of
     * this block; bit 0 of the first word is that page. Words are 64 bits.
     */
    public void mergeDirty(MemorySegment bitmap, long firstPage, long pages) {
        long[] words = dirty;
        if (words == null) {
            return;
        }
        int shift = (int) (firstPage & 63);
        int target = (int) (firstPage >>> 6);
        int count = (int) ((pages + 63) >>> 6);
        for (int i = 0; i < count; i++) {
            long value = bitmap.getAtIndex(ValueLayout.JAVA_LONG, i);
            if (value == 0) {
                continue;
            }
            WORDS.getAndBitwiseOr(words, target + i, value << shift);
            if (shift != 0 && value >>> (64 - shift) != 0) {
                WORDS.getAndBitwiseOr(words, target + i + 1, value >>> (64 - shift));
            }
        }
    }

    /** Moves the bitmap into {@code target} by OR; returns how many bits were new there. */
    long drainDirty(long[] target) {
        long[] words = dirty;
        if (words == null) {
            return 0;
        }
        long fresh = 0;
        int count = Math.min(words.length, target.length);
        for (int i = 0; i < count; i++) {
            if ((long) WORDS.getOpaque(words, i) != 0) {
                long value = (long) WORDS.getAndSet(words, i, 0L);
                fresh += Long.bitCount(value & ~target[i]);
                target[i] |= value;
            }
        }
        return fresh;
    }

    /** {@linkplain #close Unmaps} the memory, unless a system call uses it: then false, and all is as it was. */
    public boolean tryClose() {
        try {
            close();
            return true;
        } catch (IllegalStateException e) {
            return false;
        }
    }

    /** Unmaps the memory; no vCPU may use it any more. */
    @Override
    public void close() {
        if (owner) {
            mapping.close();
        }
    }
}
