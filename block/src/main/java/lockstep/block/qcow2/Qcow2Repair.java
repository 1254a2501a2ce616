package lockstep.block.qcow2;

import lockstep.block.BlockException;
import lockstep.block.Errno;
import lockstep.block.node.BlockNode;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * Counts the references to every cluster from scratch. Used for images whose last writer postponed
 * refcount updates (the dirty bit): every refcount that is wrong is set right. Snapshots' tables
 * count as well.
 */
final class Qcow2Repair {
    private static final long OFFSET_MASK = 0x00fffffffffffe00L;
    private static final long COPIED = 1L << 63;
    private static final long COMPRESSED = 1L << 62;
    private static final long CLUSTERS_MAX = 1L << 30;

    private final BlockNode file;
    private final Qcow2Header header;
    private final long[] l1;
    private final long clusterSize;
    private final int clusterBits;
    private final int[] counts;

    Qcow2Repair(BlockNode file, Qcow2Header header, long[] l1) throws BlockException {
        this.file = file;
        this.header = header;
        this.l1 = l1;
        this.clusterSize = header.clusterSize();
        this.clusterBits = header.clusterBits();
        long clusters = (file.length() + clusterSize - 1 >>> clusterBits) + 1;
        if (clusters > CLUSTERS_MAX) {
            throw new BlockException(Errno.EFBIG, "qcow2: image too large to repair");
        }
        counts = new int[(int) clusters];
    }

    private void count(long offset, long length) throws BlockException {
        if (length == 0) {
            return;
        }
        long first = offset >>> clusterBits;
        long last = offset + length - 1 >>> clusterBits;
        if (last < first || last >= counts.length) {
            throw new BlockException(
                    Errno.EIO,
                    "qcow2: cannot repair: a reference points beyond the end of the image (0x"
                            + Long.toHexString(offset)
                            + "); run qemu-img check");
        }
        for (long cluster = first; cluster <= last; cluster++) {
            counts[(int) cluster]++;
        }
    }

    private void countTable(long l1Entry) throws BlockException {
        long offset = l1Entry & OFFSET_MASK;
        if (offset == 0) {
            return;
        }
        count(offset, clusterSize);
        MemorySegment table = MemorySegment.ofArray(new byte[(int) clusterSize]);
        Qcow2Header.readUpTo(file, offset, table, file.length());
        for (long at = 0; at < clusterSize; at += 8) {
            long entry = table.get(Qcow2Header.BE64, at);
            if ((entry & COMPRESSED) != 0) {
                count(
                        Decompressor.start(entry, clusterBits),
                        Decompressor.length(entry, clusterBits));
            } else if ((entry & OFFSET_MASK) != 0) {
                count(entry & OFFSET_MASK, clusterSize);
            }
        }
    }

    private void countSnapshots() throws BlockException {
        long at = header.snapshotsOffset();
        for (int i = 0; i < header.snapshots(); i++) {
            MemorySegment fixed = MemorySegment.ofArray(new byte[40]);
            Qcow2Header.readUpTo(file, at, fixed, file.length());
            long offset = fixed.get(Qcow2Header.BE64, 0);
            long entries = Integer.toUnsignedLong(fixed.get(Qcow2Header.BE32, 8));
            int ids = fixed.get(Qcow2Header.BE32, 12);
            long extra = Integer.toUnsignedLong(fixed.get(Qcow2Header.BE32, 36));
            if (entries * 8 > 32L << 20 || extra > 1024) {
                throw new BlockException(Errno.EIO, "qcow2: damaged snapshot table");
            }
            count(offset, entries * 8);
            MemorySegment table = MemorySegment.ofArray(new byte[(int) entries * 8]);
            Qcow2Header.readUpTo(file, offset, table, file.length());
            for (int j = 0; j < entries; j++) {
                countTable(table.get(Qcow2Header.BE64, j * 8L));
            }
            at += 40 + extra + (ids >>> 16) + (ids & 0xffff) + 7 & ~7L;
        }
        if (header.snapshots() != 0) {
            count(header.snapshotsOffset(), at - header.snapshotsOffset());
        }
    }

    /** Sets every refcount to the number of references found. COPIED flags follow. */
    void rebuildRefcounts() throws BlockException {
        if (header.bitmaps()) {
            throw new BlockException(
                    Errno.ENOTSUP,
                    "qcow2: cannot repair an image with persistent bitmaps; run qemu-img check -r"
                            + " all");
        }
        Arrays.fill(counts, 0);
        Refcounts refcounts = new Refcounts(file, header);
        count(0, clusterSize);
        count(header.l1Offset(), l1.length * 8L);
        for (long entry : l1) {
            countTable(entry);
        }
        countSnapshots();
        count(header.refcountTableOffset(), (long) header.refcountTableClusters() << clusterBits);
        for (long block : refcounts.blocks()) {
            if (block != 0) {
                count(block, clusterSize);
            }
        }
        long most = refcounts.entriesPerBlock();
        for (int cluster = 0; cluster < counts.length; cluster++) {
            if (refcounts.get(cluster) == counts[cluster]) {
                continue;
            }
            if (refcounts.blocks().length <= cluster / most
                    || refcounts.blocks()[(int) (cluster / most)] == 0) {
                throw new BlockException(
                        Errno.ENOTSUP,
                        "qcow2: cannot repair: refcount blocks are missing; run qemu-img check -r"
                                + " all");
            }
            refcounts.force(cluster, counts[cluster]);
        }
        refcounts.write();
        file.flush();
        fixCopied();
        file.flush();
    }

    private boolean alone(long offset) {
        return counts[(int) (offset >>> clusterBits)] == 1;
    }

    private void fixCopied() throws BlockException {
        for (int i = 0; i < l1.length; i++) {
            long offset = l1[i] & OFFSET_MASK;
            if (offset == 0) {
                continue;
            }
            MemorySegment table = MemorySegment.ofArray(new byte[(int) clusterSize]);
            Qcow2Header.readUpTo(file, offset, table, file.length());
            boolean changed = false;
            for (long at = 0; at < clusterSize; at += 8) {
                long entry = table.get(Qcow2Header.BE64, at);
                if ((entry & COMPRESSED) == 0 && (entry & OFFSET_MASK) != 0) {
                    long right = entry & ~COPIED | (alone(entry & OFFSET_MASK) ? COPIED : 0);
                    if (right != entry) {
                        table.set(Qcow2Header.BE64, at, right);
                        changed = true;
                    }
                }
            }
            if (changed) {
                file.write(offset, table);
            }
            long right = l1[i] & ~COPIED | (alone(offset) ? COPIED : 0);
            if (right != l1[i]) {
                l1[i] = right;
                MemorySegment field = MemorySegment.ofArray(new byte[8]);
                field.set(Qcow2Header.BE64, 0, right);
                file.write(header.l1Offset() + i * 8L, field);
            }
        }
    }
}
