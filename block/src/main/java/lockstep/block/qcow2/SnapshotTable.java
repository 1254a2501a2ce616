package lockstep.block.qcow2;

import lockstep.block.node.BlockException;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * The list of an image's internal snapshots.
 *
 * @param length bytes of the list
 * @param entries the snapshots in the order of the list
 */
record SnapshotTable(long length, List<Entry> entries) {
    private static final int FIXED = 40;
    private static final long EXTRA_MAX = 1024;

    /** Extra data as far as QEMU knows it: bytes of VM state, the disk's size, icount. */
    private static final int EXTRA = 24;

    private static final long BYTES_MAX = 64L << 20;
    private static final long L1_BYTES_MAX = 32L << 20;

    /** A snapshot's first-level table; its offset is negative when it cannot be there. */
    record L1(long offset, int entries) {
        long bytes() {
            return entries * 8L;
        }
    }

    /**
     * A snapshot and where its disk is.
     *
     * @param bytes what stands in the list, without what fills it up
     */
    record Entry(L1 l1, Snapshot snapshot, MemorySegment bytes) {}

    /** The first-level table of each snapshot that has one. */
    List<L1> tables() {
        return entries.stream().map(Entry::l1).filter(l1 -> l1.entries() != 0).toList();
    }

    /** The first snapshot of that name; where ids count, the first of that id before that. */
    @Nullable Entry find(String wanted, boolean byId) {
        if (byId) {
            for (Entry entry : entries) {
                if (entry.snapshot.id().equals(wanted)) {
                    return entry;
                }
            }
        }
        for (Entry entry : entries) {
            if (entry.snapshot.name().equals(wanted)) {
                return entry;
            }
        }
        return null;
    }

    /** Reads and checks the list that a header names. */
    static SnapshotTable read(Guard file, Qcow2Header header) throws BlockException {
        List<Entry> entries = new ArrayList<>();
        long start = header.snapshotsOffset();
        long at = start;
        long end = file.length();
        for (int i = 0; i < header.snapshots(); i++) {
            at = at + 7 & ~7L;
            MemorySegment fixed = MemorySegment.ofArray(new byte[FIXED]);
            file.readUpTo(at, fixed);
            int names = fixed.get(Qcow2Header.BE32, 12);
            long extra = Integer.toUnsignedLong(fixed.get(Qcow2Header.BE32, 36));
            if (extra > EXTRA_MAX) {
                throw new BlockException(
                        Errno.EINVAL,
                        "Too much extra metadata in snapshot table entry " + i,
                        "You can force-remove this extra metadata with qemu-img check -r all");
            }
            long length = FIXED + extra + (names >>> 16) + (names & 0xffff);
            if (at + length - start > BYTES_MAX) {
                throw new BlockException(Errno.EFBIG, "Snapshot table is too big");
            }
            MemorySegment bytes = MemorySegment.ofArray(new byte[(int) length]);
            file.readUpTo(at, bytes);
            at += length;
            entries.add(entry(bytes, (int) extra, header.size(), end));
        }
        return new SnapshotTable(at - start, List.copyOf(entries));
    }

    private static Entry entry(MemorySegment bytes, int extra, long diskSize, long fileEnd) {
        long offset = bytes.get(Qcow2Header.BE64, 0);
        long entries = Integer.toUnsignedLong(bytes.get(Qcow2Header.BE32, 8));
        boolean there = entries * 8 <= L1_BYTES_MAX && offset > 0 && offset < fileEnd;
        L1 l1 = new L1(there ? offset : -1, (int) Math.min(entries, Integer.MAX_VALUE));
        int idLength = Short.toUnsignedInt(bytes.get(Qcow2Header.BE16, 12));
        int nameLength = Short.toUnsignedInt(bytes.get(Qcow2Header.BE16, 14));
        return new Entry(
                l1,
                new Snapshot(
                        text(bytes, FIXED + extra, idLength),
                        text(bytes, FIXED + extra + idLength, nameLength),
                        Integer.toUnsignedLong(bytes.get(Qcow2Header.BE32, 16)),
                        bytes.get(Qcow2Header.BE32, 20),
                        bytes.get(Qcow2Header.BE64, 24),
                        extra >= 8
                                ? bytes.get(Qcow2Header.BE64, FIXED)
                                : Integer.toUnsignedLong(bytes.get(Qcow2Header.BE32, 32)),
                        extra >= 16 ? bytes.get(Qcow2Header.BE64, FIXED + 8) : diskSize,
                        extra >= EXTRA ? bytes.get(Qcow2Header.BE64, FIXED + 16) : -1),
                bytes);
    }

    private static String text(MemorySegment bytes, long at, int length) {
        return new String(
                bytes.asSlice(at, length).toArray(ValueLayout.JAVA_BYTE), StandardCharsets.UTF_8);
    }

    /** A snapshot as the list has it. */
    static Entry of(L1 l1, Snapshot snapshot) throws BlockException {
        byte[] id = snapshot.id().getBytes(StandardCharsets.UTF_8);
        byte[] name = snapshot.name().getBytes(StandardCharsets.UTF_8);
        if (name.length > 0xffff) {
            throw new BlockException(Errno.EINVAL);
        }
        MemorySegment bytes =
                MemorySegment.ofArray(new byte[FIXED + EXTRA + id.length + name.length]);
        bytes.set(Qcow2Header.BE64, 0, l1.offset());
        bytes.set(Qcow2Header.BE32, 8, l1.entries());
        bytes.set(Qcow2Header.BE16, 12, (short) id.length);
        bytes.set(Qcow2Header.BE16, 14, (short) name.length);
        bytes.set(Qcow2Header.BE32, 16, (int) snapshot.seconds());
        bytes.set(Qcow2Header.BE32, 20, snapshot.nanos());
        bytes.set(Qcow2Header.BE64, 24, snapshot.vmClockNanos());
        bytes.set(Qcow2Header.BE32, 36, EXTRA);
        bytes.set(Qcow2Header.BE64, FIXED, snapshot.vmStateBytes());
        bytes.set(Qcow2Header.BE64, FIXED + 8, snapshot.diskSize());
        bytes.set(Qcow2Header.BE64, FIXED + 16, snapshot.icount());
        MemorySegment.copy(MemorySegment.ofArray(id), 0, bytes, FIXED + EXTRA, id.length);
        MemorySegment.copy(
                MemorySegment.ofArray(name), 0, bytes, FIXED + EXTRA + id.length, name.length);
        return new Entry(l1, snapshot, bytes);
    }

    /** The bytes of a list. */
    static MemorySegment list(List<Entry> entries) throws BlockException {
        long length = 0;
        for (Entry entry : entries) {
            length = (length + 7 & ~7L) + entry.bytes.byteSize();
        }
        if (length > BYTES_MAX || entries.size() > 65536) {
            throw new BlockException(Errno.EFBIG);
        }
        MemorySegment bytes = Arena.ofAuto().allocate(Math.max(1, length));
        long at = 0;
        for (Entry entry : entries) {
            at = at + 7 & ~7L;
            MemorySegment.copy(entry.bytes, 0, bytes, at, entry.bytes.byteSize());
            at += entry.bytes.byteSize();
        }
        return bytes;
    }

    /** Makes the list and the tables that it names known to the guard. */
    void enter(MetadataMap metadata, long offset) {
        metadata.addRange(MetadataMap.SNAPSHOT_TABLE, offset, length);
        for (L1 table : tables()) {
            if (table.offset() > 0) {
                metadata.addRange(MetadataMap.INACTIVE_L1, table.offset(), table.bytes());
            }
        }
    }

    /** Makes the second-level tables known to the guard as well. */
    void enterTables(Guard file) throws BlockException {
        for (L1 table : tables()) {
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
