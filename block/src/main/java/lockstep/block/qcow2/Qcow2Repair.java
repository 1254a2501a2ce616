package lockstep.block.qcow2;

import lockstep.block.node.BlockException;
import lockstep.runtime.linux.Errno;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Counts the references to every cluster from scratch. Used for images whose last writer postponed
 * refcount updates (the dirty bit): every refcount that is wrong is set right. Snapshots' tables
 * count as well.
 *
 * <p>All is counted and found consistent before anything is written: an image that is damaged
 * beyond its refcounts is refused and stays as it is.
 */
final class Qcow2Repair {
    private static final long CLUSTERS_MAX = 1L << 26;
    private static final String ADVICE = "; run qemu-img check -r all";

    private final Guard file;
    private final Qcow2Header header;
    private final Mapping map;
    private final Refcounts refcounts;
    private final long clusterSize;
    private final int clusterBits;
    private final int clusters;

    Qcow2Repair(Guard file, Qcow2Header header, Mapping map) throws BlockException {
        this.file = file;
        this.header = header;
        this.map = map;
        this.refcounts = map.refcounts();
        this.clusterSize = header.clusterSize();
        this.clusterBits = header.clusterBits();
        long count = (file.length() + clusterSize - 1 >>> clusterBits) + 1;
        if (count > CLUSTERS_MAX) {
            throw refused("it is too large");
        }
        clusters = (int) count;
    }

    private static BlockException refused(String why) {
        return new BlockException(Errno.ENOTSUP, "qcow2: cannot repair the image: " + why + ADVICE);
    }

    /** Sets every refcount to the number of references found. COPIED flags follow. */
    void rebuildRefcounts() throws BlockException {
        try (Arena arena = Arena.ofConfined()) {
            Counts counts = new Counts(arena.allocate(ValueLayout.JAVA_INT, clusters), clusterSize);
            counts.all();
            check(counts);
            for (int cluster = 0; cluster < clusters; cluster++) {
                if (refcounts.get(cluster) != counts.get(cluster)) {
                    refcounts.correct(cluster, counts.get(cluster));
                }
            }
            refcounts.write();
            file.flush();
            fixCopied(counts);
            file.flush();
        }
    }

    /** Errors when what was counted cannot be written as refcounts, or contradicts itself. */
    private void check(Counts counts) throws BlockException {
        for (int cluster = 0; cluster < clusters; cluster++) {
            int count = counts.get(cluster);
            int parts = file.metadata().parts((long) cluster << clusterBits, 1);
            boolean tables = (parts & ~(MetadataMap.ACTIVE_L2 | MetadataMap.INACTIVE_L2)) == 0;
            if (Integer.bitCount(parts) > (tables ? 2 : 1) || !tables && count != 1) {
                throw refused(
                        "its "
                                + MetadataMap.name(parts)
                                + " at "
                                + Guard.hex((long) cluster << clusterBits)
                                + " is used for something else as well");
            }
            if (Long.compareUnsigned(count, refcounts.most()) > 0) {
                throw refused("its refcounts are too narrow");
            }
            if (refcounts.get(cluster) != count && !refcounts.has(cluster)) {
                throw refused("refcount blocks are missing");
            }
        }
    }

    /** How often each cluster is referred to. */
    private final class Counts {
        private final MemorySegment counts;
        private final MemorySegment table;

        Counts(MemorySegment counts, long clusterSize) {
            this.counts = counts;
            this.table = MemorySegment.ofArray(new byte[(int) clusterSize]);
        }

        int get(long cluster) {
            return counts.getAtIndex(ValueLayout.JAVA_INT, cluster);
        }

        private void count(long offset, long length) throws BlockException {
            if (length == 0) {
                return;
            }
            long first = offset >>> clusterBits;
            long last = offset + length - 1 >>> clusterBits;
            if (offset < 0 || last < first || last >= clusters) {
                throw refused(
                        "a reference points beyond the end of the image ("
                                + Guard.hex(offset)
                                + ")");
            }
            for (long cluster = first; cluster <= last; cluster++) {
                counts.setAtIndex(ValueLayout.JAVA_INT, cluster, get(cluster) + 1);
            }
        }

        private void countCluster(long offset, String what) throws BlockException {
            if ((offset & clusterSize - 1) != 0) {
                throw refused(what + " offset " + Guard.hex(offset) + " is unaligned");
            }
            count(offset, clusterSize);
        }

        private void countTable(long l1Entry) throws BlockException {
            long offset = l1Entry & Mapping.OFFSET_MASK;
            if (offset == 0) {
                return;
            }
            countCluster(offset, "L2 table");
            table.fill((byte) 0);
            file.readUpTo(offset, table);
            for (long at = 0; at < clusterSize; at += 8) {
                long entry = table.get(Qcow2Header.BE64, at);
                if (Mapping.isCompressed(entry)) {
                    count(
                            Decompressor.start(entry, clusterBits),
                            Decompressor.length(entry, clusterBits));
                } else if ((entry & Mapping.OFFSET_MASK) != 0) {
                    countData(entry & Mapping.OFFSET_MASK);
                }
            }
        }

        private void countData(long offset) throws BlockException {
            int parts = file.metadata().parts(offset, 1);
            if (parts != 0) {
                throw refused(
                        "a data cluster at "
                                + Guard.hex(offset)
                                + " is the image's "
                                + MetadataMap.name(parts));
            }
            countCluster(offset, "data cluster");
        }

        private void countSnapshots() throws BlockException {
            SnapshotTable snapshots = map.snapshots();
            count(header.snapshotsOffset(), snapshots.length());
            for (SnapshotTable.L1 l1 : snapshots.tables()) {
                count(l1.offset(), l1.bytes());
                MemorySegment entries = MemorySegment.ofArray(new byte[(int) l1.bytes()]);
                file.readUpTo(l1.offset(), entries);
                for (long at = 0; at < l1.bytes(); at += 8) {
                    countTable(entries.get(Qcow2Header.BE64, at));
                }
            }
        }

        private void countBitmaps() throws BlockException {
            count(header.bitmapDirectoryOffset(), header.bitmapDirectoryBytes());
            for (BitmapDirectory.Entry bitmap : map.bitmaps().entries()) {
                count(bitmap.table().offset(), bitmap.table().bytes());
                for (long entry : bitmap.table().read(file)) {
                    if ((entry & Mapping.OFFSET_MASK) != 0) {
                        countData(entry & Mapping.OFFSET_MASK);
                    }
                }
            }
        }

        void all() throws BlockException {
            count(0, clusterSize);
            count(header.luksOffset(), header.luksBytes());
            count(map.l1Offset(), map.l1().length * 8L);
            for (long entry : map.l1()) {
                countTable(entry);
            }
            countSnapshots();
            countBitmaps();
            count(
                    header.refcountTableOffset(),
                    (long) header.refcountTableClusters() << clusterBits);
            for (long block : refcounts.blocks()) {
                if (block != 0) {
                    countCluster(block, "refcount block");
                }
            }
        }
    }

    private static long copied(long entry, boolean alone) {
        return alone ? entry | Mapping.COPIED : entry & ~Mapping.COPIED;
    }

    private void fixCopied(Counts counts) throws BlockException {
        long[] l1 = map.l1();
        MemorySegment table = MemorySegment.ofArray(new byte[(int) clusterSize]);
        MemorySegment field = MemorySegment.ofArray(new byte[8]);
        for (int i = 0; i < l1.length; i++) {
            long offset = l1[i] & Mapping.OFFSET_MASK;
            if (offset == 0) {
                continue;
            }
            table.fill((byte) 0);
            file.readUpTo(offset, table);
            boolean changed = false;
            for (long at = 0; at < clusterSize; at += 8) {
                long entry = table.get(Qcow2Header.BE64, at);
                long host = entry & Mapping.OFFSET_MASK;
                if (!Mapping.isCompressed(entry) && host != 0) {
                    long right = copied(entry, counts.get(host >>> clusterBits) == 1);
                    changed |= right != entry;
                    table.set(Qcow2Header.BE64, at, right);
                }
            }
            if (changed) {
                file.write(MetadataMap.ACTIVE_L2, offset, table);
            }
            long right = copied(l1[i], counts.get(offset >>> clusterBits) == 1);
            if (right != l1[i]) {
                l1[i] = right;
                field.set(Qcow2Header.BE64, 0, right);
                file.write(MetadataMap.ACTIVE_L1, map.l1Offset() + i * 8L, field);
            }
        }
    }
}
