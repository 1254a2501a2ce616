package lockstep.block.node;

import java.util.BitSet;

/**
 * Which granules of a disk were written, or are still to be copied. A node marks the bitmaps that follow it when a
 * change is over, before its user hears of it. Any thread.
 */
public final class DirtyBitmap {
    private final long granule;
    private final BitSet dirty = new BitSet();
    private final Runnable marked;

    /** Without anything marked; {@code granule} is a number of bytes, a power of two. */
    public DirtyBitmap(long granule) {
        this(granule, () -> {});
    }

    /** Likewise; {@code marked} runs after each change, on the thread that made it. */
    public DirtyBitmap(long granule, Runnable marked) {
        this.granule = granule;
        this.marked = marked;
    }

    /** Whether a disk of that length has few enough granules. */
    public static boolean canHold(long length, long granule) {
        return length / granule < Integer.MAX_VALUE;
    }

    /** Bytes of a granule. */
    public long granule() {
        return granule;
    }

    /** Marks the granules of a range. */
    public void mark(long offset, long length) {
        if (length > 0) {
            synchronized (dirty) {
                dirty.set((int) (offset / granule), (int) ((offset + length - 1) / granule) + 1);
            }
            marked.run();
        }
    }

    /** The first marked granule that has bytes of a range, -1 when there is none. */
    public int first(long offset, long length) {
        if (length == 0) {
            return -1;
        }
        synchronized (dirty) {
            int next = dirty.nextSetBit((int) (offset / granule));
            return next <= (offset + length - 1) / granule ? next : -1;
        }
    }

    /** Takes a granule's mark away. */
    public void clear(int index) {
        synchronized (dirty) {
            dirty.clear(index);
        }
    }

    /** Takes the mark of the next granule from {@code start} on, or from the beginning; -1 when there is none. */
    public int take(int start) {
        synchronized (dirty) {
            int next = dirty.nextSetBit(start);
            if (next < 0) {
                next = dirty.nextSetBit(0);
            }
            if (next >= 0) {
                dirty.clear(next);
            }
            return next;
        }
    }

    /** Number of marked granules. */
    public long count() {
        synchronized (dirty) {
            return dirty.cardinality();
        }
    }
}
