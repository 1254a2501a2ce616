package lockstep.colo.compare;

import org.jspecify.annotations.Nullable;

import java.util.Arrays;

/**
 * Flows by key. A guest can make up keys without end: a full table forgets the flow that nothing waits in and that was not
 * used for the longest time; one where something waits is never forgotten. One thread.
 */
final class FlowTable {
    /** Words of a key. */
    static final int KEY = 6;

    private static final int SLOTS = 1 << 15;

    private final @Nullable Flow[] slots = new Flow[SLOTS];
    private final int limit;
    private final PacketPool pool;
    private int size;
    private long evicted;

    /** Those in which nothing waits, from the least to the most recently used. */
    private @Nullable Flow leastRecent;

    private @Nullable Flow mostRecent;

    private @Nullable Flow unused;

    /** An empty table. */
    FlowTable(int limit, PacketPool pool) {
        this.limit = limit;
        this.pool = pool;
    }

    /** The flow of that key, new if need be. It is not idle until {@link #idle} says so. */
    Flow get(long[] key) {
        int hash = hash(key);
        int slot = hash & SLOTS - 1;
        for (Flow f = slots[slot]; f != null; f = f.chain) {
            if (f.hash == hash && Arrays.equals(f.key, key)) {
                if (isIdle(f)) {
                    unlink(f);
                }
                return f;
            }
        }
        Flow oldest = leastRecent;
        if (size >= limit && oldest != null) {
            remove(oldest);
            evicted++;
        }
        Flow f = unused;
        if (f == null) {
            f = new Flow(pool);
        } else {
            unused = f.chain;
        }
        System.arraycopy(key, 0, f.key, 0, KEY);
        f.hash = hash;
        f.chain = slots[slot];
        slots[slot] = f;
        size++;
        return f;
    }

    /** Nothing waits in a flow that {@link #get} gave. */
    void idle(Flow f) {
        f.lessRecent = mostRecent;
        f.moreRecent = null;
        if (mostRecent == null) {
            leastRecent = f;
        } else {
            mostRecent.moreRecent = f;
        }
        mostRecent = f;
    }

    /** Whether it is among those in which nothing waits. */
    boolean isIdle(Flow f) {
        return f.lessRecent != null || f == leastRecent;
    }

    private void unlink(Flow f) {
        Flow less = f.lessRecent;
        Flow more = f.moreRecent;
        if (less == null) {
            leastRecent = more;
        } else {
            less.moreRecent = more;
        }
        if (more == null) {
            mostRecent = less;
        } else {
            more.lessRecent = less;
        }
        f.lessRecent = null;
        f.moreRecent = null;
    }

    private void remove(Flow f) {
        unlink(f);
        int slot = f.hash & SLOTS - 1;
        Flow before = null;
        for (Flow g = slots[slot]; g != f; g = g.chain) {
            before = g;
            if (g == null) {
                return;
            }
        }
        if (before == null) {
            slots[slot] = f.chain;
        } else {
            before.chain = f.chain;
        }
        f.reset();
        f.chain = unused;
        unused = f;
        size--;
    }

    /** Whether there are as many flows as there should be, all of them in use. */
    boolean full() {
        return size >= limit && leastRecent == null;
    }

    /** Whether there are so many that not even those of a second sender can be all of them. */
    boolean overfull() {
        return size >= 2 * limit && leastRecent == null;
    }

    int size() {
        return size;
    }

    /** How many flows were forgotten because the table was full. */
    long evicted() {
        return evicted;
    }

    /** What is done with each flow. */
    interface Visitor {
        void visit(Flow f);
    }

    void forEach(Visitor v) {
        for (Flow first : slots) {
            for (Flow f = first; f != null; f = f.chain) {
                v.visit(f);
            }
        }
    }

    private static int hash(long[] key) {
        long h = 0;
        for (long k : key) {
            h = (h ^ k) * 0x9e3779b97f4a7c15L;
            h ^= h >>> 29;
        }
        return (int) (h ^ h >>> 32);
    }
}
