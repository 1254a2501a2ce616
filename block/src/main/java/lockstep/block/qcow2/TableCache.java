package lockstep.block.qcow2;

import lockstep.block.BlockException;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Cluster-sized metadata tables in memory, written back on demand. Lookups may come from several
 * threads; tables are changed only by a thread that holds the image's exclusive lock.
 */
final class TableCache {
    /** One table; only the range that changed is written. */
    static final class Table {
        final long offset;
        final MemorySegment data;
        private long dirtyFrom = Long.MAX_VALUE;
        private long dirtyTo;

        Table(long offset, MemorySegment data) {
            this.offset = offset;
            this.data = data;
        }

        long entry(int index) {
            return data.get(Qcow2Header.BE64, index * 8L);
        }

        void entry(int index, long value) {
            data.set(Qcow2Header.BE64, index * 8L, value);
            dirty(index * 8L, 8);
        }

        void dirty(long at, long length) {
            dirtyFrom = Math.min(dirtyFrom, at);
            dirtyTo = Math.max(dirtyTo, at + length);
        }

        boolean isDirty() {
            return dirtyTo > 0;
        }
    }

    private final Guard file;
    private final int part;
    private final long clusterSize;
    private final int capacity;
    private final LinkedHashMap<Long, Table> tables = new LinkedHashMap<>(16, 0.75f, true);
    private boolean dirty;

    /**
     * An empty cache.
     *
     * @param part the part of the metadata that its tables are
     */
    TableCache(Guard file, int part, long clusterSize, long bytes) {
        this.file = file;
        this.part = part;
        this.clusterSize = clusterSize;
        this.capacity = (int) Math.max(8, bytes / clusterSize);
    }

    /**
     * The table at a host offset, read when it is not in memory; null when it lies behind the end
     * of the file.
     */
    synchronized @Nullable Table get(long offset) throws BlockException {
        Table table = tables.get(offset);
        if (table == null) {
            if (offset >= file.length()) {
                return null;
            }
            // Freed by the collector: a reader may still look at a table that was evicted
            // meanwhile.
            MemorySegment data = Arena.ofAuto().allocate(clusterSize, 4096);
            file.readUpTo(offset, data);
            table = new Table(offset, data);
            enter(table);
        }
        return table;
    }

    /**
     * What is at a host offset as far as the file goes: the table when it is in memory, else a
     * buffer of its size with what was read. For a look at many tables.
     */
    synchronized MemorySegment peek(long offset, MemorySegment buffer) throws BlockException {
        Table table = tables.get(offset);
        if (table != null) {
            return table.data;
        }
        buffer.fill((byte) 0);
        file.readUpTo(offset, buffer);
        return buffer;
    }

    /** A table of zeroes for a new cluster, dirty as a whole. */
    synchronized Table fresh(long offset) {
        Table table = new Table(offset, Arena.ofAuto().allocate(clusterSize, 4096));
        table.dirty(0, clusterSize);
        dirty = true;
        tables.remove(offset);
        enter(table);
        return table;
    }

    private void enter(Table table) {
        tables.put(table.offset, table);
        if (tables.size() <= capacity) {
            return;
        }
        Iterator<Map.Entry<Long, Table>> oldest = tables.entrySet().iterator();
        while (tables.size() > capacity && oldest.hasNext()) {
            Table candidate = oldest.next().getValue();
            if (!candidate.isDirty() && candidate != table) {
                oldest.remove();
            }
        }
    }

    /** Whether dirty tables fill the cache so far that they should be written. */
    synchronized boolean crowded() {
        return tables.size() > capacity;
    }

    void markDirty() {
        dirty = true;
    }

    boolean isDirty() {
        return dirty;
    }

    /** Writes all changed ranges. */
    synchronized void write() throws BlockException {
        if (!dirty) {
            return;
        }
        for (Table table : tables.values()) {
            if (table.isDirty()) {
                file.write(
                        part,
                        table.offset + table.dirtyFrom,
                        table.data.asSlice(table.dirtyFrom, table.dirtyTo - table.dirtyFrom));
                table.dirtyFrom = Long.MAX_VALUE;
                table.dirtyTo = 0;
            }
        }
        dirty = false;
    }

    /** Forgets the table at a host offset, changed or not: its cluster is free. */
    synchronized void drop(long offset) {
        tables.remove(offset);
    }

    synchronized void clear() {
        tables.clear();
        dirty = false;
    }
}
