package lockstep.block.qcow2;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Which clusters of an image's file hold metadata, and of what kind. Asked before every write, so
 * an answer costs a search among the few contiguous structures and one hash look-up for each
 * cluster. Any thread; changed only with the image's exclusive lock held.
 */
final class MetadataMap {
    static final int HEADER = 1;
    static final int ACTIVE_L1 = 1 << 1;
    static final int ACTIVE_L2 = 1 << 2;
    static final int REFCOUNT_TABLE = 1 << 3;
    static final int REFCOUNT_BLOCK = 1 << 4;
    static final int SNAPSHOT_TABLE = 1 << 5;
    static final int INACTIVE_L1 = 1 << 6;
    static final int INACTIVE_L2 = 1 << 7;
    static final int BITMAP_DIRECTORY = 1 << 8;
    static final int ALL = (1 << 9) - 1;

    /** The names of the parts by bit, as they stand in QEMU's messages. */
    private static final String[] NAMES = {
        "qcow2_header",
        "active L1 table",
        "active L2 table",
        "refcount table",
        "refcount block",
        "snapshot table",
        "inactive L1 table",
        "inactive L2 table",
        "bitmap directory"
    };

    /** Above the bits of the parts: how many entries point to the cluster. */
    private static final int USERS_SHIFT = 9;

    private static final int USERS_MAX = Integer.MAX_VALUE >>> USERS_SHIFT;

    private record Range(int part, long first, long end) {}

    private final int clusterBits;
    private final List<Range> ranges = new ArrayList<>();

    // The ranges cut at each other's ends: disjoint, in order, in clusters.
    private long[] firsts = {};
    private long[] ends = {};
    private int[] masks = {};

    // Single clusters: open addressing; a key is a cluster number plus 1.
    private long[] keys = new long[64];
    private int[] values = new int[64];
    private int taken;

    MetadataMap(int clusterBits) {
        this.clusterBits = clusterBits;
        setRange(HEADER, 0, 1);
    }

    /** The name of the lowest part in a set. */
    static String name(int parts) {
        return NAMES[Integer.numberOfTrailingZeros(parts)];
    }

    private long clusterEnd(long offset, long length) {
        return (offset + length - 1 >>> clusterBits) + 1;
    }

    /** Adds a structure of contiguous bytes; callers add many and then {@link #index} once. */
    synchronized void addRange(int part, long offset, long length) {
        if (length > 0) {
            ranges.add(new Range(part, offset >>> clusterBits, clusterEnd(offset, length)));
        }
    }

    /** A structure of contiguous bytes is here now, and nowhere else. */
    synchronized void setRange(int part, long offset, long length) {
        ranges.removeIf(range -> range.part == part);
        addRange(part, offset, length);
        index();
    }

    /** Makes the added ranges known. */
    synchronized void index() {
        long[] cuts =
                ranges.stream()
                        .flatMapToLong(r -> java.util.stream.LongStream.of(r.first, r.end))
                        .sorted()
                        .distinct()
                        .toArray();
        int[] covered = new int[cuts.length];
        for (int part = HEADER; part <= ALL; part <<= 1) {
            cover(part, cuts, covered);
        }
        int pieces = 0;
        firsts = new long[cuts.length];
        ends = new long[cuts.length];
        masks = new int[cuts.length];
        for (int i = 0; i + 1 < cuts.length; i++) {
            if (covered[i] != 0) {
                firsts[pieces] = cuts[i];
                ends[pieces] = cuts[i + 1];
                masks[pieces++] = covered[i];
            }
        }
        firsts = Arrays.copyOf(firsts, pieces);
        ends = Arrays.copyOf(ends, pieces);
        masks = Arrays.copyOf(masks, pieces);
    }

    /** Marks the pieces that one part covers: a sum over where its ranges begin and end. */
    private void cover(int part, long[] cuts, int[] covered) {
        int[] change = new int[cuts.length];
        for (Range range : ranges) {
            if (range.part == part) {
                change[Arrays.binarySearch(cuts, range.first)]++;
                change[Arrays.binarySearch(cuts, range.end)]--;
            }
        }
        int depth = 0;
        for (int i = 0; i < cuts.length; i++) {
            depth += change[i];
            if (depth > 0) {
                covered[i] |= part;
            }
        }
    }

    private int slot(long key) {
        long hash = key * 0x9e3779b97f4a7c15L;
        int mask = keys.length - 1;
        int at = (int) (hash >>> 32) & mask;
        while (keys[at] != 0 && keys[at] != key) {
            at = at + 1 & mask;
        }
        return at;
    }

    private int value(long cluster) {
        return values[slot(cluster + 1)];
    }

    /** One more entry points to a table in the cluster at a host offset. */
    synchronized void add(int part, long offset) {
        long key = (offset >>> clusterBits) + 1;
        int at = slot(key);
        if (keys[at] == 0) {
            if (taken * 2 >= keys.length) {
                grow();
                at = slot(key);
            }
            keys[at] = key;
            taken++;
        }
        int users = values[at] >>> USERS_SHIFT;
        values[at] = values[at] & ALL | part | Math.min(users + 1, USERS_MAX) << USERS_SHIFT;
    }

    /** A snapshot's entry points to a table in the cluster at a host offset, and stays. */
    synchronized void addInactive(long offset) {
        add(INACTIVE_L2, offset);
        int at = slot((offset >>> clusterBits) + 1);
        if (values[at] >>> USERS_SHIFT < USERS_MAX) {
            values[at] -= 1 << USERS_SHIFT;
        }
    }

    /** One entry less points to a table in the cluster at a host offset. */
    synchronized void remove(long offset) {
        int at = slot((offset >>> clusterBits) + 1);
        int users = values[at] >>> USERS_SHIFT;
        if (users == 1) {
            // The key stays, so that searches go on past it; and the table is still a snapshot's.
            values[at] &= INACTIVE_L2;
        } else if (users > 1 && users < USERS_MAX) {
            values[at] -= 1 << USERS_SHIFT;
        }
    }

    private void grow() {
        long[] oldKeys = keys;
        int[] oldValues = values;
        int live = 0;
        for (int value : oldValues) {
            live += value == 0 ? 0 : 1;
        }
        int size = Integer.highestOneBit(Math.max(16, live)) << 2;
        keys = new long[size];
        values = new int[size];
        taken = 0;
        for (int i = 0; i < oldKeys.length; i++) {
            if (oldValues[i] != 0) {
                int at = slot(oldKeys[i]);
                keys[at] = oldKeys[i];
                values[at] = oldValues[i];
                taken++;
            }
        }
    }

    /** No single cluster is metadata any more. */
    synchronized void clearClusters() {
        keys = new long[64];
        values = new int[64];
        taken = 0;
    }

    /** The parts that the clusters of a byte range hold; 0 for none. */
    synchronized int parts(long offset, long length) {
        if (length <= 0) {
            return 0;
        }
        long first = offset >>> clusterBits;
        long end = clusterEnd(offset, length);
        int found = 0;
        int at = Arrays.binarySearch(ends, first + 1);
        for (int i = at < 0 ? -at - 1 : at; i < ends.length && firsts[i] < end; i++) {
            found |= masks[i];
        }
        if (end - first > keys.length) {
            for (int i = 0; i < keys.length; i++) {
                if (keys[i] > first && keys[i] <= end) {
                    found |= values[i];
                }
            }
        } else {
            for (long cluster = first; cluster < end; cluster++) {
                found |= value(cluster);
            }
        }
        return found & ALL;
    }

    /** Whether more than one entry points to the table at a host offset, or it is two tables. */
    synchronized boolean shared(long offset) {
        return value(offset >>> clusterBits) >>> USERS_SHIFT > 1;
    }

    /**
     * The first cluster from {@code first} to before {@code end} that holds metadata; -1 for none.
     */
    synchronized long firstIn(long first, long end) {
        long best = Long.MAX_VALUE;
        for (int i = 0; i < firsts.length; i++) {
            long candidate = Math.max(firsts[i], first);
            if (candidate < Math.min(ends[i], end)) {
                best = Math.min(best, candidate);
            }
        }
        for (int i = 0; i < keys.length; i++) {
            long cluster = keys[i] - 1;
            if (values[i] != 0 && cluster >= first && cluster < end) {
                best = Math.min(best, cluster);
            }
        }
        return best == Long.MAX_VALUE ? -1 : best;
    }
}
