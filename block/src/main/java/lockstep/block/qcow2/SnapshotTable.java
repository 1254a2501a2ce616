package lockstep.block.qcow2;

import lockstep.block.node.BlockException;
import lockstep.runtime.linux.Errno;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * The list of an image's internal snapshots, as far as it says which clusters they use.
 *
 * @param length bytes of the list
 * @param tables the first-level table of each snapshot
 */
record SnapshotTable(long length, List<L1> tables) {
    private static final int FIXED = 40;
    private static final long EXTRA_MAX = 1024;
    private static final long BYTES_MAX = 64L << 20;
    private static final long L1_BYTES_MAX = 32L << 20;

    /** A snapshot's first-level table. */
    record L1(long offset, int entries) {
        long bytes() {
            return entries * 8L;
        }
    }

    /** Reads and checks the list that a header names. */
    static SnapshotTable read(Guard file, Qcow2Header header) throws BlockException {
        List<L1> tables = new ArrayList<>();
        long start = header.snapshotsOffset();
        long at = start;
        long end = file.length();
        for (int i = 0; i < header.snapshots(); i++) {
            at = at + 7 & ~7L;
            MemorySegment fixed = MemorySegment.ofArray(new byte[FIXED]);
            file.readUpTo(at, fixed);
            long offset = fixed.get(Qcow2Header.BE64, 0);
            long entries = Integer.toUnsignedLong(fixed.get(Qcow2Header.BE32, 8));
            int names = fixed.get(Qcow2Header.BE32, 12);
            long extra = Integer.toUnsignedLong(fixed.get(Qcow2Header.BE32, 36));
            if (extra > EXTRA_MAX) {
                throw new BlockException(
                        Errno.EINVAL,
                        "Too much extra metadata in snapshot table entry " + i,
                        "You can force-remove this extra metadata with qemu-img check -r all");
            }
            at += FIXED + extra + (names >>> 16) + (names & 0xffff);
            if (at - start > BYTES_MAX) {
                throw new BlockException(Errno.EFBIG, "Snapshot table is too big");
            }
            if (entries * 8 <= L1_BYTES_MAX && offset > 0 && offset < end) {
                tables.add(new L1(offset, (int) entries));
            } else if (entries != 0) {
                tables.add(new L1(-1, (int) Math.min(entries, Integer.MAX_VALUE)));
            }
        }
        return new SnapshotTable(at - start, List.copyOf(tables));
    }

    /** Makes the list and the tables that it names known to the guard. */
    void enter(MetadataMap metadata, long offset) {
        metadata.addRange(MetadataMap.SNAPSHOT_TABLE, offset, length);
        for (L1 table : tables) {
            if (table.offset() > 0) {
                metadata.addRange(MetadataMap.INACTIVE_L1, table.offset(), table.bytes());
            }
        }
    }

    /** Makes the second-level tables known to the guard as well. */
    void enterTables(Guard file) throws BlockException {
        for (L1 table : tables) {
            if (table.offset() <= 0) {
                continue;
            }
            MemorySegment entries = Arena.ofAuto().allocate(Math.max(8, table.bytes()));
            file.readUpTo(table.offset(), entries);
            for (int i = 0; i < table.entries(); i++) {
                long offset = entries.get(Qcow2Header.BE64, i * 8L) & Mapping.OFFSET_MASK;
                if (offset != 0) {
                    file.metadata().addInactive(offset);
                }
            }
        }
    }
}
