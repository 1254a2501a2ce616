package lockstep.block.qcow2;

import lockstep.block.node.BlockException;
import lockstep.block.node.Buffers;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Cluster-sized metadata tables in memory, written back on demand. Who looks one up holds the
 * image's lock; tables are changed only by a thread that holds it exclusively. They are written
 * without it: a {@link Batch} is a copy of the changes up to a moment.
 */
final class TableCache {
    /** One table; only the range that changed is written. */
    static final class Table {
        final long offset;
        final MemorySegment data;
        private long dirtyFrom = Long.MAX_VALUE;
        private long dirtyTo;

        /** In a batch, so that the file is behind. */
        private boolean leaving;

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
    @Nullable Table get(long offset) throws BlockException {
        Table there = inMemory(offset);
        if (there != null) {
            return there;
        }
        if (offset >= file.length()) {
            return null;
        }
        // Freed by the collector: a reader may still look at a table that was evicted meanwhile.
        MemorySegment data = Arena.ofAuto().allocate(clusterSize, 4096);
        file.readUpTo(offset, data);
        synchronized (this) {
            // Another reader may have been faster.
            there = tables.get(offset);
            if (there == null) {
                there = new Table(offset, data);
                enter(there);
            }
            return there;
        }
    }

    /** The table at a host offset, null when it is not in memory. */
    synchronized @Nullable Table inMemory(long offset) {
        return tables.get(offset);
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
        evict(table);
    }

    /** Makes room, but not by letting go of a table that is newer than the file, or of one more. */
    private void evict(@Nullable Table kept) {
        if (tables.size() <= capacity) {
            return;
        }
        Iterator<Map.Entry<Long, Table>> oldest = tables.entrySet().iterator();
        while (tables.size() > capacity && oldest.hasNext()) {
            Table candidate = oldest.next().getValue();
            if (!candidate.isDirty() && !candidate.leaving && candidate != kept) {
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

    /** A changed part of a table as it was at one moment. */
    private record Piece(Table table, long at, MemorySegment bytes) {}

    /**
     * What was changed up to a moment, on its way to the file. There is one at a time. Taken and
     * closed with the image's exclusive lock held, written without.
     */
    final class Batch implements AutoCloseable {
        private static final long ROOM = 64 << 10;
        private static final long PAGE = 4096;
        private static final long SECTOR = 512;

        private final ArrayDeque<Piece> pieces = new ArrayDeque<>();
        private final List<Buffers.Lease> leases = new ArrayList<>();
        private long used;

        /** Room for what was changed of a table, beside that of others, aligned as files want it. */
        private MemorySegment room(long length) {
            long alignment = length < PAGE ? SECTOR : PAGE;
            long at = used + alignment - 1 & -alignment;
            if (leases.isEmpty() || at + length > leases.getLast().segment().byteSize()) {
                leases.add(Buffers.take(Math.max(length, ROOM)));
                at = 0;
            }
            used = at + length;
            return leases.getLast().segment().asSlice(at, length);
        }

        boolean isEmpty() {
            return pieces.isEmpty();
        }

        void write() throws BlockException {
            for (Piece piece = pieces.peek(); piece != null; piece = pieces.peek()) {
                file.write(part, piece.table.offset + piece.at, piece.bytes);
                pieces.remove();
                arrived(piece.table);
            }
        }

        /** What was not written counts as changed again. */
        @Override
        public void close() {
            for (Piece piece : pieces) {
                piece.table.dirty(piece.at, piece.bytes.byteSize());
                arrived(piece.table);
                dirty = true;
            }
            pieces.clear();
            leases.forEach(Buffers.Lease::close);
            leases.clear();
        }
    }

    private synchronized void arrived(Table table) {
        table.leaving = false;
        evict(null);
    }

    /** Takes what was changed since the last time. */
    synchronized Batch batch() {
        Batch batch = new Batch();
        if (!dirty) {
            return batch;
        }
        for (Table table : tables.values()) {
            if (table.isDirty()) {
                long length = table.dirtyTo - table.dirtyFrom;
                MemorySegment copy = batch.room(length);
                MemorySegment.copy(table.data, table.dirtyFrom, copy, 0, length);
                batch.pieces.add(new Piece(table, table.dirtyFrom, copy));
                table.dirtyFrom = Long.MAX_VALUE;
                table.dirtyTo = 0;
                table.leaving = true;
            }
        }
        dirty = false;
        return batch;
    }

    /** Writes all that was changed, with the image's exclusive lock held and no batch under way. */
    void write() throws BlockException {
        try (Batch batch = batch()) {
            batch.write();
        }
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
