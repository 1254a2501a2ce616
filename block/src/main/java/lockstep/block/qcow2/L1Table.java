package lockstep.block.qcow2;

import lockstep.block.node.BlockException;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * The active table that points to the L2 tables. It is in memory as a whole; what was changed is
 * written without the image's lock, as with {@link TableCache}.
 */
final class L1Table {
    private static final long[] NONE = {};

    private final Guard file;
    private long offset;
    private long[] entries;
    private int dirtyFrom = Integer.MAX_VALUE;
    private int dirtyTo;

    /** Reads a table; what is behind the end of the file is empty. */
    L1Table(Guard file, long offset, int size) throws BlockException {
        this.file = file;
        this.offset = offset;
        this.entries = new long[size];
        MemorySegment bytes = Arena.ofAuto().allocate(Math.max(8, size * 8L));
        file.readUpTo(offset, bytes);
        for (int i = 0; i < size; i++) {
            entries[i] = bytes.get(Qcow2Header.BE64, i * 8L);
        }
    }

    /** Where it is in the file. */
    long offset() {
        return offset;
    }

    long bytes() {
        return entries.length * 8L;
    }

    long[] entries() {
        return entries;
    }

    void set(int index, long entry) {
        entries[index] = entry;
        dirty(index, index + 1);
    }

    private void dirty(int from, int to) {
        dirtyFrom = Math.min(dirtyFrom, from);
        dirtyTo = Math.max(dirtyTo, to);
    }

    private void clean() {
        dirtyFrom = Integer.MAX_VALUE;
        dirtyTo = 0;
    }

    /** Changed entries as they were at one moment, on their way to the file. */
    final class Batch implements AutoCloseable {
        private final int from;
        private long[] changed;

        private Batch() {
            from = dirtyFrom;
            changed = dirtyTo == 0 ? NONE : Arrays.copyOfRange(entries, from, dirtyTo);
            clean();
        }

        boolean isEmpty() {
            return changed.length == 0;
        }

        void write() throws BlockException {
            L1Table.this.write(offset + from * 8L, changed, changed.length);
            changed = NONE;
        }

        /** What was not written counts as changed again. */
        @Override
        public void close() {
            if (!isEmpty()) {
                dirty(from, from + changed.length);
            }
        }
    }

    /** Takes what was changed since the last time. */
    Batch batch() {
        return new Batch();
    }

    private void write(long at, long[] values, int room) throws BlockException {
        MemorySegment bytes = Arena.ofAuto().allocate(Math.max(8, room * 8L));
        for (int i = 0; i < values.length; i++) {
            bytes.set(Qcow2Header.BE64, i * 8L, values[i]);
        }
        file.write(MetadataMap.ACTIVE_L1, at, bytes);
    }

    /** Writes a longer copy to another place, with {@code room} for entries there. */
    long[] copyTo(long place, int size, int room) throws BlockException {
        long[] grown = Arrays.copyOf(entries, size);
        write(place, grown, room);
        return grown;
    }

    /** The copy is the table now. */
    void moved(long place, long[] grown) {
        offset = place;
        entries = grown;
    }

    /** Clears all entries, in the file too. */
    void clear() throws BlockException {
        Arrays.fill(entries, 0);
        write(offset, entries, entries.length);
        clean();
    }
}
