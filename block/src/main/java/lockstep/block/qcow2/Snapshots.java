package lockstep.block.qcow2;

import lockstep.block.node.BlockException;
import lockstep.runtime.linux.Errno;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Changes of an image's internal snapshots. Nobody else is in the image, and what was changed before is in the file; the
 * image is opened again afterwards.
 *
 * <p>Each change is one write to the header. What becomes in use is counted before it, what is no longer in use is
 * counted down behind it, and marks of clusters that are one table's alone are taken away first and given last: a crash in
 * between leaves leaks and clusters that are copied without need.
 */
final class Snapshots {
    private final Guard file;
    private final Qcow2Header header;
    private final Mapping map;
    private final Refcounts refcounts;
    private final int clusterBits;

    Snapshots(Guard file, Qcow2Header header, Mapping map) {
        this.file = file;
        this.header = header;
        this.map = map;
        this.refcounts = map.refcounts();
        this.clusterBits = header.clusterBits();
    }

    private static BlockException missing() {
        return new BlockException(Errno.ENOENT, "Can't find snapshot");
    }

    /** Keeps the disk as it is; answers the id. */
    String create(
            String name, long seconds, int nanos, long vmClockNanos, long icount, long stateBytes)
            throws BlockException {
        map.countAll();
        long[] active = map.l1();
        checkRoom(active);
        shareActive();
        changeCounts(active, 1);
        long place =
                active.length == 0 ? 0 : refcounts.allocateExactly(clusters(active.length * 8L));
        refcounts.write();
        file.flush();
        if (place != 0) {
            file.write(0, place, bytes(active));
        }
        long last = 0;
        for (SnapshotTable.Entry entry : map.snapshots().entries()) {
            last = Math.max(last, number(entry.snapshot().id()));
        }
        Snapshot made =
                new Snapshot(
                        Long.toString(last + 1),
                        name,
                        seconds,
                        nanos,
                        vmClockNanos,
                        stateBytes,
                        header.size(),
                        icount);
        List<SnapshotTable.Entry> entries = new ArrayList<>(map.snapshots().entries());
        entries.add(SnapshotTable.of(new SnapshotTable.L1(place, active.length), made));
        replaceList(entries);
        return made.id();
    }

    private static long number(String id) {
        return id.matches("[0-9]{1,18}") ? Long.parseLong(id) : 0;
    }

    /** Makes the disk what it was. */
    void apply(String name) throws BlockException {
        SnapshotTable.Entry entry = find(name, true);
        map.countAll();
        long[] kept = table(entry.l1());
        long diskSize = entry.snapshot().diskSize();
        if (diskSize < 0 || kept.length < Qcow2Header.l1Needed(diskSize, clusterBits)) {
            throw new BlockException(Errno.EINVAL, "Snapshot L1 table too small");
        }
        long[] old = map.l1().clone();
        checkRoom(kept);
        changeCounts(kept, 1);
        long length = Math.max(kept.length, 1) * 8L;
        long place = refcounts.allocateExactly(clusters(length));
        refcounts.write();
        file.flush();
        for (int i = 0; i < kept.length; i++) {
            kept[i] &= ~Mapping.COPIED;
        }
        file.write(0, place, bytes(Arrays.copyOf(kept, Math.max(1, kept.length))));
        file.flush();
        // Size, encryption, length and place of the table stand in a row, so that one write changes
        // them.
        MemorySegment fields = MemorySegment.ofArray(new byte[24]);
        fields.set(Qcow2Header.BE64, 0, diskSize);
        fields.set(Qcow2Header.BE32, 8, header.encryption());
        fields.set(Qcow2Header.BE32, 12, kept.length);
        fields.set(Qcow2Header.BE64, 16, place);
        file.write(MetadataMap.HEADER, Qcow2Header.SIZE_AT, fields);
        file.flush();
        changeCounts(old, -1);
        if (map.l1().length > 0) {
            lower(map.l1Offset(), map.l1().length * 8L);
        }
        refcounts.write();
        file.flush();
        own(kept, place);
    }

    /** Forgets what was kept. */
    void delete(String name, boolean byId) throws BlockException {
        SnapshotTable.Entry entry = find(name, byId);
        map.countAll();
        long[] kept = table(entry.l1());
        List<SnapshotTable.Entry> entries = new ArrayList<>(map.snapshots().entries());
        entries.remove(entry);
        replaceList(entries);
        changeCounts(kept, -1);
        if (kept.length > 0) {
            lower(entry.l1().offset(), entry.l1().bytes());
        }
        refcounts.write();
        file.flush();
        own(map.l1().clone(), map.l1Offset());
    }

    private SnapshotTable.Entry find(String name, boolean byId) throws BlockException {
        SnapshotTable.Entry entry = map.snapshots().find(name, byId);
        if (entry == null) {
            throw missing();
        }
        return entry;
    }

    private int clusters(long bytes) {
        return (int) (bytes + header.clusterSize() - 1 >>> clusterBits);
    }

    private static MemorySegment bytes(long[] entries) {
        MemorySegment bytes = Arena.ofAuto().allocate(Math.max(8, entries.length * 8L));
        for (int i = 0; i < entries.length; i++) {
            bytes.set(Qcow2Header.BE64, i * 8L, entries[i]);
        }
        return bytes;
    }

    private long[] table(SnapshotTable.L1 l1) throws BlockException {
        if (l1.entries() != 0 && l1.offset() <= 0) {
            throw new BlockException(Errno.EINVAL, "Snapshot L1 table offset invalid");
        }
        long[] entries = new long[l1.entries()];
        MemorySegment bytes = Arena.ofAuto().allocate(Math.max(8, l1.bytes()));
        file.readUpTo(l1.offset(), bytes);
        for (int i = 0; i < entries.length; i++) {
            entries[i] = bytes.get(Qcow2Header.BE64, i * 8L);
        }
        return entries;
    }

    /** Told of what a table refers to. */
    private interface Reference {
        void to(long offset, long length) throws BlockException;
    }

    /** Walks what a first-level table refers to: each table and each cluster, once for each reference. */
    private void walk(long[] l1, Reference reference) throws BlockException {
        MemorySegment table = MemorySegment.ofArray(new byte[(int) header.clusterSize()]);
        for (long top : l1) {
            long offset = top & Mapping.OFFSET_MASK;
            if (offset == 0) {
                continue;
            }
            checkAligned("L2 table", offset);
            table.fill((byte) 0);
            file.readUpTo(offset, table);
            for (long at = 0; at < table.byteSize(); at += 8) {
                long entry = table.get(Qcow2Header.BE64, at);
                if (Mapping.isCompressed(entry)) {
                    reference.to(
                            Decompressor.start(entry, clusterBits),
                            Decompressor.length(entry, clusterBits));
                } else if ((entry & Mapping.OFFSET_MASK) != 0) {
                    checkAligned("Cluster allocation", entry & Mapping.OFFSET_MASK);
                    reference.to(entry & Mapping.OFFSET_MASK, 1);
                }
            }
            reference.to(offset, 1);
        }
    }

    private void checkAligned(String what, long offset) throws BlockException {
        if ((offset & header.clusterSize() - 1) != 0) {
            throw file.fatal(what + " offset " + Guard.hex(offset) + " unaligned");
        }
    }

    /** Errors when a count could become too large, or is not there; before anything is changed. */
    private void checkRoom(long[] l1) throws BlockException {
        // How often the table refers to a cluster whose count it might bring over the top.
        Map<Long, Long> close = new HashMap<>();
        walk(
                l1,
                (offset, length) -> {
                    long last = offset + length - 1 >>> clusterBits;
                    for (long cluster = offset >>> clusterBits; cluster <= last; cluster++) {
                        long count = refcounts.get(cluster);
                        // Where that is several times, so often is it counted already.
                        if (Long.compareUnsigned(count, refcounts.most() >>> 1) > 0) {
                            long more = close.merge(cluster, 1L, Long::sum);
                            if (Long.compareUnsigned(count, refcounts.most() - more) > 0) {
                                throw new BlockException(Errno.EINVAL);
                            }
                        }
                        if (count == 0) {
                            throw file.damaged(
                                    "Cluster in use at "
                                            + Guard.hex(cluster << clusterBits)
                                            + " is not counted");
                        }
                    }
                });
    }

    private void changeCounts(long[] l1, int by) throws BlockException {
        walk(
                l1,
                (offset, length) -> {
                    long last = offset + length - 1 >>> clusterBits;
                    for (long cluster = offset >>> clusterBits; cluster <= last; cluster++) {
                        change(cluster, by);
                    }
                });
    }

    private void change(long cluster, int by) throws BlockException {
        long count = refcounts.get(cluster);
        if (count == 0) {
            file.report("Cannot free unused cluster " + Guard.hex(cluster << clusterBits));
            return;
        }
        refcounts.correct(cluster, count + by);
        if (refcounts.crowded()) {
            refcounts.write();
        }
    }

    private void lower(long offset, long length) throws BlockException {
        long last = offset + length - 1 >>> clusterBits;
        for (long cluster = offset >>> clusterBits; cluster <= last; cluster++) {
            change(cluster, -1);
        }
    }

    /** Says of nothing in the active tables that it is theirs alone. */
    private void shareActive() throws BlockException {
        mark(map.l1(), map.l1Offset(), false);
    }

    /** Says of what only the active tables refer to that it is theirs alone. */
    private void own(long[] l1, long place) throws BlockException {
        mark(l1, place, true);
    }

    private void mark(long[] l1, long place, boolean own) throws BlockException {
        MemorySegment table = MemorySegment.ofArray(new byte[(int) header.clusterSize()]);
        MemorySegment field = MemorySegment.ofArray(new byte[8]);
        for (int i = 0; i < l1.length; i++) {
            long offset = l1[i] & Mapping.OFFSET_MASK;
            if (offset == 0) {
                continue;
            }
            boolean alone = own && refcounts.get(offset >>> clusterBits) == 1;
            if (alone || !own) {
                markTable(table, offset, own);
            }
            long right = alone ? l1[i] | Mapping.COPIED : l1[i] & ~Mapping.COPIED;
            if (right != l1[i]) {
                l1[i] = right;
                field.set(Qcow2Header.BE64, 0, right);
                // The place may be that of a table which is active only from now on.
                file.write(MetadataMap.ACTIVE_L1 | MetadataMap.INACTIVE_L1, place + i * 8L, field);
            }
        }
        file.flush();
    }

    private void markTable(MemorySegment table, long offset, boolean own) throws BlockException {
        table.fill((byte) 0);
        file.readUpTo(offset, table);
        boolean changed = false;
        for (long at = 0; at < table.byteSize(); at += 8) {
            long entry = table.get(Qcow2Header.BE64, at);
            long host = entry & Mapping.OFFSET_MASK;
            if (!Mapping.isCompressed(entry) && host != 0) {
                boolean alone = own && refcounts.get(host >>> clusterBits) == 1;
                long right = alone ? entry | Mapping.COPIED : entry & ~Mapping.COPIED;
                changed |= right != entry;
                table.set(Qcow2Header.BE64, at, right);
            }
        }
        if (changed) {
            file.write(MetadataMap.ACTIVE_L2 | MetadataMap.INACTIVE_L2, offset, table);
        }
    }

    /** Writes the list to another place, lets the header name it, and lets the old one go. */
    private void replaceList(List<SnapshotTable.Entry> entries) throws BlockException {
        long place = 0;
        if (!entries.isEmpty()) {
            MemorySegment list = SnapshotTable.list(entries);
            place = refcounts.allocateExactly(clusters(list.byteSize()));
            refcounts.write();
            file.write(0, place, list);
        }
        file.flush();
        MemorySegment fields = MemorySegment.ofArray(new byte[12]);
        fields.set(Qcow2Header.BE32, 0, entries.size());
        fields.set(Qcow2Header.BE64, 4, place);
        file.write(MetadataMap.HEADER, Qcow2Header.SNAPSHOTS_AT, fields);
        file.flush();
        if (!map.snapshots().entries().isEmpty()) {
            lower(header.snapshotsOffset(), map.snapshots().length());
        }
        refcounts.write();
        file.flush();
    }
}
