package lockstep.block.qcow2;

import lockstep.block.BlockException;
import lockstep.block.Errno;
import lockstep.block.node.BlockNode;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * The checked header of an image.
 *
 * @param version 2 or 3
 * @param backingFile the backing file's name, null when there is none
 * @param backingFormat the backing file's format, null when the header does not say
 * @param clusterBits 9 to 21
 * @param size the guest's disk size in bytes
 * @param l1Size entries of the active L1 table
 * @param refcountOrder a refcount has {@code 1 << order} bits
 */
public record Qcow2Header(
        int version,
        @Nullable String backingFile,
        @Nullable String backingFormat,
        int clusterBits,
        long size,
        int l1Size,
        long l1Offset,
        long refcountTableOffset,
        int refcountTableClusters,
        int snapshots,
        long snapshotsOffset,
        long incompatible,
        long compatible,
        long autoclear,
        int refcountOrder,
        int compressionType,
        boolean bitmaps,
        long bitmapDirectoryOffset,
        long bitmapDirectoryBytes) {

    static final ValueLayout.OfInt BE32 =
            ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
    static final ValueLayout.OfLong BE64 =
            ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);

    static final int MAGIC = 0x514649fb;
    static final int SIZE_AT = 24;
    static final int L1_SIZE_AT = 36;
    static final int REFCOUNT_TABLE_AT = 48;
    static final int INCOMPATIBLE_AT = 72;
    static final int AUTOCLEAR_AT = 88;

    static final long DIRTY = 1;
    static final long CORRUPT = 2;
    static final long DATA_FILE = 4;
    static final long COMPRESSION = 8;
    static final long EXTENDED_L2 = 16;
    static final long LAZY_REFCOUNTS = 1;

    private static final int V2_LENGTH = 72;
    private static final int V3_LENGTH = 104;
    private static final int BACKING_NAME_MAX = 1023;
    private static final long L1_BYTES_MAX = 32L << 20;
    private static final long REFCOUNT_TABLE_BYTES_MAX = 8L << 20;
    private static final int SNAPSHOTS_MAX = 65536;
    private static final int EXT_END = 0;
    private static final int EXT_BACKING_FORMAT = 0xe2792aca;
    private static final int EXT_FEATURES = 0x6803f857;
    private static final int EXT_BITMAPS = 0x23852875;

    long clusterSize() {
        return 1L << clusterBits;
    }

    int l2Entries() {
        return 1 << clusterBits - 3;
    }

    /** L1 entries that a disk of this size needs. */
    static long l1Needed(long size, int clusterBits) {
        int shift = clusterBits + clusterBits - 3;
        return (size >>> shift) + ((size & (1L << shift) - 1) != 0 ? 1 : 0);
    }

    boolean has(long incompatibleBit) {
        return (incompatible & incompatibleBit) != 0;
    }

    private static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    private static BlockException unsupported(String message) {
        return new BlockException(Errno.ENOTSUP, message);
    }

    /**
     * Reads and checks a header.
     *
     * @throws BlockException with the sentence a user reads when the image cannot be used
     */
    static Qcow2Header read(BlockNode file, boolean writable) throws BlockException {
        long fileLength = file.length();
        MemorySegment h = MemorySegment.ofArray(new byte[112]);
        readUpTo(file, 0, h, fileLength);
        if (h.get(BE32, 0) != MAGIC) {
            throw bad("Image is not in qcow2 format");
        }
        int version = h.get(BE32, 4);
        if (version < 2 || version > 3) {
            throw unsupported("Unsupported qcow2 version " + Integer.toUnsignedString(version));
        }
        int clusterBits = h.get(BE32, 20);
        if (clusterBits < 9 || clusterBits > 21) {
            throw bad("Unsupported cluster size: 2^" + Integer.toUnsignedString(clusterBits));
        }
        long clusterSize = 1L << clusterBits;
        long incompatible = 0;
        long compatible = 0;
        long autoclear = 0;
        int refcountOrder = 4;
        int headerLength = V2_LENGTH;
        int compression = 0;
        if (version == 3) {
            incompatible = h.get(BE64, INCOMPATIBLE_AT);
            compatible = h.get(BE64, 80);
            autoclear = h.get(BE64, AUTOCLEAR_AT);
            refcountOrder = h.get(BE32, 96);
            headerLength = h.get(BE32, 100);
            if (Integer.compareUnsigned(headerLength, V3_LENGTH) < 0) {
                throw bad("qcow2 header too short");
            }
            if (headerLength > V3_LENGTH) {
                compression = h.get(ValueLayout.JAVA_BYTE, 104) & 0xff;
            }
        }
        if (Integer.toUnsignedLong(headerLength) > clusterSize) {
            throw bad("qcow2 header exceeds cluster size");
        }
        long backingOffset = h.get(BE64, 8);
        int backingLength = h.get(BE32, 16);
        if (Long.compareUnsigned(backingOffset, clusterSize) > 0) {
            throw bad("Invalid backing file offset");
        }
        MemorySegment first = MemorySegment.ofArray(new byte[(int) clusterSize]);
        readUpTo(file, 0, first, fileLength);
        long extensionsEnd = backingOffset != 0 ? backingOffset : clusterSize;
        Extensions extensions = Extensions.read(first, headerLength, extensionsEnd);
        long known = DIRTY | CORRUPT | DATA_FILE | COMPRESSION | EXTENDED_L2;
        if ((incompatible & ~known) != 0) {
            throw unsupported(
                    "Unsupported qcow2 feature(s): "
                            + extensions.featureNames(incompatible & ~known));
        }
        if ((incompatible & CORRUPT) != 0 && writable) {
            throw new BlockException(
                    Errno.EACCES, "qcow2: Image is corrupt; cannot be opened read/write");
        }
        if ((incompatible & COMPRESSION) != 0 && compression == 0) {
            throw bad("qcow2: Compression type incompatible feature bit must not be set");
        }
        if ((incompatible & COMPRESSION) == 0 && compression != 0) {
            throw bad("qcow2: Compression type incompatible feature bit must be set");
        }
        if (compression > 1) {
            throw unsupported("qcow2: unknown compression type: " + compression);
        }
        if ((incompatible & DATA_FILE) != 0) {
            throw bad("'data-file' is required for this image");
        }
        if ((incompatible & EXTENDED_L2) != 0) {
            throw unsupported("qcow2: images with extended L2 entries are not supported");
        }
        if (Integer.compareUnsigned(refcountOrder, 6) > 0) {
            throw bad("Reference count entry width too large; may not exceed 64 bits");
        }
        int crypt = h.get(BE32, 32);
        if (crypt != 0) {
            throw unsupported("qcow2: encrypted images are not supported");
        }
        long refcountTableOffset = h.get(BE64, REFCOUNT_TABLE_AT);
        int refcountTableClusters = h.get(BE32, 56);
        if (refcountTableClusters == 0) {
            throw bad("Image does not contain a reference count table");
        }
        checkTable(
                "Reference count table",
                refcountTableOffset,
                Integer.toUnsignedLong(refcountTableClusters) << clusterBits,
                REFCOUNT_TABLE_BYTES_MAX,
                clusterSize);
        int snapshots = h.get(BE32, 60);
        long snapshotsOffset = h.get(BE64, 64);
        if (Integer.compareUnsigned(snapshots, SNAPSHOTS_MAX) > 0) {
            throw new BlockException(Errno.EFBIG, "Snapshot table too large");
        }
        int l1Size = h.get(BE32, L1_SIZE_AT);
        long l1Offset = h.get(BE64, 40);
        long size = h.get(BE64, SIZE_AT);
        if (size < 0) {
            throw new BlockException(Errno.EFBIG, "Image is too big");
        }
        if (Integer.toUnsignedLong(l1Size) * 8 > L1_BYTES_MAX) {
            throw new BlockException(Errno.EFBIG, "Active L1 table too large");
        }
        long needed = l1Needed(size, clusterBits);
        if (needed > Integer.MAX_VALUE) {
            throw new BlockException(Errno.EFBIG, "Image is too big");
        }
        if (Integer.toUnsignedLong(l1Size) < needed) {
            throw bad("L1 table is too small");
        }
        if (l1Size != 0) {
            checkTable("Active L1 table", l1Offset, l1Size * 8L, L1_BYTES_MAX, clusterSize);
        }
        String backing = null;
        if (backingOffset != 0) {
            if (Integer.compareUnsigned(backingLength, BACKING_NAME_MAX) > 0
                    || backingLength > clusterSize - backingOffset) {
                throw bad("Backing file name too long");
            }
            backing =
                    new String(
                            first.asSlice(backingOffset, backingLength)
                                    .toArray(ValueLayout.JAVA_BYTE),
                            StandardCharsets.UTF_8);
        }
        return new Qcow2Header(
                version,
                backing,
                backing == null ? null : extensions.backingFormat,
                clusterBits,
                size,
                l1Size,
                l1Offset,
                refcountTableOffset,
                refcountTableClusters,
                snapshots,
                snapshotsOffset,
                incompatible,
                compatible,
                autoclear,
                refcountOrder,
                compression,
                extensions.bitmaps,
                extensions.bitmapDirectoryOffset,
                extensions.bitmapDirectoryBytes);
    }

    private static void checkTable(
            String what, long offset, long bytes, long most, long clusterSize)
            throws BlockException {
        if (bytes > most) {
            throw new BlockException(Errno.EFBIG, what + " too large");
        }
        if ((offset & clusterSize - 1) != 0 || offset <= 0 || offset > Long.MAX_VALUE - bytes) {
            throw bad(what + " offset invalid");
        }
    }

    /** Reads what the file has; the rest of the buffer stays zero. */
    static void readUpTo(BlockNode file, long offset, MemorySegment target, long fileLength)
            throws BlockException {
        long there = Math.min(target.byteSize(), fileLength - offset);
        if (there > 0) {
            file.read(offset, target.asSlice(0, there));
        }
    }

    private static final class Extensions {
        @Nullable String backingFormat;
        @Nullable MemorySegment features;
        boolean bitmaps;
        long bitmapDirectoryOffset;
        long bitmapDirectoryBytes;

        static Extensions read(MemorySegment first, long start, long end) throws BlockException {
            Extensions found = new Extensions();
            long at = start;
            while (at + 8 <= end) {
                int type = first.get(BE32, at);
                long length = Integer.toUnsignedLong(first.get(BE32, at + 4));
                at += 8;
                if (type == EXT_END) {
                    break;
                }
                if (length > end - at) {
                    throw bad("Header extension too large");
                }
                MemorySegment data = first.asSlice(at, length);
                switch (type) {
                    case EXT_BACKING_FORMAT -> {
                        if (length >= 16) {
                            throw bad(
                                    "ERROR: ext_backing_format: len="
                                            + length
                                            + " too large (>=16)");
                        }
                        found.backingFormat =
                                new String(
                                        data.toArray(ValueLayout.JAVA_BYTE),
                                        StandardCharsets.US_ASCII);
                    }
                    case EXT_FEATURES -> found.features = data;
                    case EXT_BITMAPS -> {
                        found.bitmaps = true;
                        if (length == 24) {
                            found.bitmapDirectoryBytes = data.get(BE64, 8);
                            found.bitmapDirectoryOffset = data.get(BE64, 16);
                        }
                    }
                    default -> {
                        // Unknown extensions stay where they are: the header is only ever patched
                        // in place.
                    }
                }
                at += length + 7 & ~7L;
            }
            return found;
        }

        String featureNames(long bits) {
            StringBuilder names = new StringBuilder();
            long left = bits;
            MemorySegment table = features;
            if (table != null) {
                for (long at = 0; at + 48 <= table.byteSize(); at += 48) {
                    int bit = table.get(ValueLayout.JAVA_BYTE, at + 1) & 63;
                    if (table.get(ValueLayout.JAVA_BYTE, at) == 0 && (left & 1L << bit) != 0) {
                        byte[] name = table.asSlice(at + 2, 46).toArray(ValueLayout.JAVA_BYTE);
                        int end = 0;
                        while (end < name.length && name[end] != 0) {
                            end++;
                        }
                        names.append(names.isEmpty() ? "" : ", ")
                                .append(new String(name, 0, end, StandardCharsets.UTF_8));
                        left &= ~(1L << bit);
                    }
                }
            }
            if (left != 0) {
                names.append(names.isEmpty() ? "" : ", ")
                        .append("Unknown incompatible feature: ")
                        .append(Long.toHexString(left));
            }
            return names.toString();
        }
    }
}
