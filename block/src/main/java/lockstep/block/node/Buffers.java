package lockstep.block.node;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.ArrayBlockingQueue;

/**
 * Native buffers for data on its way, kept for the next one. A buffer may be used by several
 * threads (a reply is read by another thread than the one that asked), so it cannot live in a
 * confined arena, and leaving it to the collector would let native memory grow while the small Java
 * heap sees no need to collect.
 */
public final class Buffers {
    private static final int SMALL_SHIFT = 16;
    private static final int CLASSES = 6;
    private static final int KEPT = 16;

    /** Free buffers of 64 KiB, 128 KiB, ... 2 MiB. */
    @SuppressWarnings({"unchecked", "rawtypes"})
    private static final ArrayBlockingQueue<MemorySegment>[] FREE = new ArrayBlockingQueue[CLASSES];

    static {
        for (int i = 0; i < CLASSES; i++) {
            FREE[i] = new ArrayBlockingQueue<>(KEPT);
        }
    }

    private Buffers() {}

    /** A buffer until it is closed. What it holds at first is undefined. */
    public static final class Lease implements AutoCloseable {
        private final MemorySegment whole;
        private final MemorySegment part;
        private final int sizeClass;

        private Lease(MemorySegment whole, long size, int sizeClass) {
            this.whole = whole;
            this.part = whole.asSlice(0, size);
            this.sizeClass = sizeClass;
        }

        /** The buffer, exactly as long as it was asked for. */
        public MemorySegment segment() {
            return part;
        }

        /** Gives the buffer back; nobody may use it any more. */
        @Override
        public void close() {
            if (sizeClass < CLASSES && !FREE[sizeClass].offer(whole)) {
                // Enough are kept; the collector takes this one.
                System.getLogger("lockstep.block")
                        .log(System.Logger.Level.TRACE, "buffer not kept");
            }
        }
    }

    private static final Lease NOTHING = new Lease(MemorySegment.NULL, 0, CLASSES);

    /** A buffer of so many bytes, aligned to pages. */
    public static Lease take(long size) {
        if (size == 0) {
            return NOTHING;
        }
        int sizeClass = 0;
        while (sizeClass < CLASSES && 1L << SMALL_SHIFT + sizeClass < size) {
            sizeClass++;
        }
        if (sizeClass == CLASSES) {
            return new Lease(Arena.ofAuto().allocate(size, 4096), size, CLASSES);
        }
        MemorySegment free = FREE[sizeClass].poll();
        if (free == null) {
            free = Arena.ofAuto().allocate(1L << SMALL_SHIFT + sizeClass, 4096);
        }
        return new Lease(free, size, sizeClass);
    }
}
