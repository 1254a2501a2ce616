package lockstep.block.qcow2;

import lockstep.block.BlockException;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * How many references to each cluster an image's tables really hold, counted once before the first
 * cluster is given away or let go, and kept up from then on. Refcounts that are lower than that
 * would make two things share a cluster; so what is referred to is neither allocated nor freed,
 * whatever its refcount says.
 */
final class Census {
    private static final long TABLE_BYTES_MAX = 64L << 20;
    private static final int TABLES_MAX = 16384;
    private static final long CLUSTERS_MAX = 1L << 26;
    private static final int TOO_MANY = 255;

    private final Guard file;
    private final TableCache tables;
    private final int clusterBits;
    private final MemorySegment counts;
    private final MemorySegment scratch;
    private long tablesLeft;

    private Census(Guard file, Qcow2Header header, TableCache tables, long clusters) {
        this.file = file;
        this.tables = tables;
        this.clusterBits = header.clusterBits();
        this.counts = Arena.ofAuto().allocate(clusters);
        this.scratch = Arena.ofAuto().allocate(header.clusterSize());
        this.tablesLeft = Math.min(TABLES_MAX, TABLE_BYTES_MAX >>> clusterBits);
    }

    /** Counts; null where that would take too long or cannot be done. */
    static @Nullable Census take(Guard file, Qcow2Header header, Mapping map, TableCache tables) {
        try {
            long clusters = (file.length() >>> header.clusterBits()) + 1;
            if (clusters > CLUSTERS_MAX) {
                return null;
            }
            Census census = new Census(file, header, tables, clusters);
            return census.countAll(header, map) ? census : null;
        } catch (BlockException e) {
            System.getLogger("lockstep.block")
                    .log(System.Logger.Level.DEBUG, "no census of an image", e);
            return null;
        }
    }

    private boolean countAll(Qcow2Header header, Mapping map) throws BlockException {
        add(0, 1);
        add(map.l1Offset(), map.l1().length * 8L);
        add(map.refcounts().tableOffset(), map.refcounts().blocks().length * 8L);
        for (long block : map.refcounts().blocks()) {
            if (block != 0) {
                add(block, 1);
            }
        }
        for (long entry : map.l1()) {
            if (!countTable(entry)) {
                return false;
            }
        }
        add(header.snapshotsOffset(), map.snapshots().length());
        for (SnapshotTable.L1 l1 : map.snapshots().tables()) {
            if (l1.offset() > 0 && !countSnapshot(l1)) {
                return false;
            }
        }
        return true;
    }

    private boolean countSnapshot(SnapshotTable.L1 l1) throws BlockException {
        add(l1.offset(), l1.bytes());
        MemorySegment entries = Arena.ofAuto().allocate(Math.max(8, l1.bytes()));
        file.readUpTo(l1.offset(), entries);
        for (int i = 0; i < l1.entries(); i++) {
            if (!countTable(entries.get(Qcow2Header.BE64, i * 8L))) {
                return false;
            }
        }
        return true;
    }

    private boolean countTable(long l1Entry) throws BlockException {
        long offset = l1Entry & Mapping.OFFSET_MASK;
        if (offset == 0 || (offset & scratch.byteSize() - 1) != 0) {
            return true;
        }
        if (tablesLeft-- == 0) {
            return false;
        }
        add(offset, 1);
        MemorySegment table = tables.peek(offset, scratch);
        for (long at = 0; at < table.byteSize(); at += 8) {
            long entry = table.get(Qcow2Header.BE64, at);
            if (Mapping.isCompressed(entry)) {
                add(
                        Decompressor.start(entry, clusterBits),
                        Decompressor.length(entry, clusterBits));
            } else if ((entry & Mapping.OFFSET_MASK) != 0) {
                add(entry & Mapping.OFFSET_MASK, 1);
            }
        }
        return true;
    }

    private void add(long offset, long length) {
        if (length <= 0) {
            return;
        }
        long end = Math.min(counts.byteSize() - 1, offset + length - 1 >>> clusterBits);
        for (long cluster = offset >>> clusterBits; cluster <= end; cluster++) {
            int count = at(cluster);
            put(cluster, Math.min(TOO_MANY, count + 1));
        }
    }

    private int at(long cluster) {
        return counts.get(ValueLayout.JAVA_BYTE, cluster) & 0xff;
    }

    private void put(long cluster, int count) {
        counts.set(ValueLayout.JAVA_BYTE, cluster, (byte) count);
    }

    /** How many references there are at least. */
    int references(long cluster) {
        int count = cluster < counts.byteSize() ? at(cluster) : 0;
        return count == TOO_MANY ? 0 : count;
    }

    /** A cluster was taken, or taken back. */
    void set(long cluster, int references) {
        if (cluster < counts.byteSize()) {
            put(cluster, references);
        }
    }

    /** A reference went away. */
    void drop(long cluster) {
        int count = references(cluster);
        if (count > 0) {
            put(cluster, count - 1);
        }
    }
}
