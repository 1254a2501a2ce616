package lockstep.block.qcow2;

import lockstep.block.node.BlockException;
import lockstep.block.node.ChildEdge;
import lockstep.runtime.linux.Errno;

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
 * @param bitmaps whether there are persistent bitmaps, perhaps outdated ones
 * @param bitmapCount persistent bitmaps that are up to date; the directory is theirs
 * @param encryption 0 for none, 1 for AES-CBC of old, 2 for LUKS, whose header has a place of its own
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
        int bitmapCount,
        long bitmapDirectoryOffset,
        long bitmapDirectoryBytes,
        int encryption,
        long luksOffset,
        long luksBytes) {

    static final ValueLayout.OfShort BE16 =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
    static final ValueLayout.OfInt BE32 =
            ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
    static final ValueLayout.OfLong BE64 =
            ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);

    static final int MAGIC = 0x514649fb;
    static final int SIZE_AT = 24;
    static final int L1_SIZE_AT = 36;
    static final int REFCOUNT_TABLE_AT = 48;
    static final int L1_AT = 40;
    static final int SNAPSHOTS_AT = 60;
    static final int INCOMPATIBLE_AT = 72;
    static final int AUTOCLEAR_AT = 88;

    static final long DIRTY = 1;
    static final long CORRUPT = 2;
    static final long DATA_FILE = 4;
    static final long COMPRESSION = 8;
    static final long EXTENDED_L2 = 16;
    static final long LAZY_REFCOUNTS = 1;
    static final long BITMAPS = 1;
    private static final long RAW_DATA_FILE = 2;

    /** Compression type of Zstandard; 0 is deflate. */
    static final int ZSTD = 1;

    static final int V2_LENGTH = 72;
    private static final int V3_LENGTH = 104;
    private static final int BACKING_NAME_MAX = 1023;
    private static final long L1_BYTES_MAX = 32L << 20;
    private static final long REFCOUNT_TABLE_BYTES_MAX = 8L << 20;
    private static final int SNAPSHOTS_MAX = 65536;
    static final int CRYPT_AES = 1;
    static final int CRYPT_LUKS = 2;
    private static final long OFFSET_MAX = Long.MAX_VALUE - (1 << 30) + 1;
    static final int EXT_END = 0;
    static final int EXT_LUKS = 0x0537be77;
    private static final long LUKS_BYTES_MAX = 64L << 20;
    static final int EXT_BACKING_FORMAT = 0xe2792aca;
    private static final int EXT_FEATURES = 0x6803f857;
    static final int EXT_BITMAPS = 0x23852875;

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

    /** Likewise with another first-level table and size: a snapshot's, of which no bitmaps tell. */
    Qcow2Header withDisk(int entries, long offset, long bytes) {
        return new Qcow2Header(
                version,
                backingFile,
                backingFormat,
                clusterBits,
                bytes,
                entries,
                offset,
                refcountTableOffset,
                refcountTableClusters,
                snapshots,
                snapshotsOffset,
                incompatible,
                compatible,
                autoclear,
                refcountOrder,
                compressionType,
                bitmaps,
                0,
                0,
                0,
                encryption,
                luksOffset,
                luksBytes);
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
    static Qcow2Header read(ChildEdge file, boolean writable) throws BlockException {
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
        int crypt = h.get(BE32, 32);
        long backingOffset = h.get(BE64, 8);
        int backingLength = h.get(BE32, 16);
        if (Long.compareUnsigned(backingOffset, clusterSize) > 0) {
            throw bad("Invalid backing file offset");
        }
        MemorySegment first = MemorySegment.ofArray(new byte[(int) clusterSize]);
        readUpTo(file, 0, first, fileLength);
        long extensionsEnd = backingOffset != 0 ? backingOffset : clusterSize;
        Extensions extensions =
                Extensions.read(
                        first,
                        headerLength,
                        extensionsEnd,
                        crypt == CRYPT_LUKS,
                        (autoclear & BITMAPS) != 0);
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
        if (compression > 1) {
            throw unsupported("qcow2: unknown compression type: " + compression);
        }
        if ((incompatible & COMPRESSION) != 0 && compression == 0) {
            throw bad("qcow2: Compression type incompatible feature bit must not be set");
        }
        if ((incompatible & COMPRESSION) == 0 && compression != 0) {
            throw bad("qcow2: Compression type incompatible feature bit must be set");
        }
        if ((autoclear & RAW_DATA_FILE) != 0 && (incompatible & DATA_FILE) == 0) {
            throw bad("data-file-raw requires a data file");
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
        if (Integer.compareUnsigned(crypt, CRYPT_LUKS) > 0) {
            throw bad("Unsupported encryption method " + Integer.toUnsignedString(crypt));
        }
        if (crypt == CRYPT_LUKS && !extensions.luks) {
            throw bad("Missing CRYPTO header for crypt method 2");
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
        int snapshots = h.get(BE32, SNAPSHOTS_AT);
        long snapshotsOffset = h.get(BE64, 64);
        if (Integer.compareUnsigned(snapshots, SNAPSHOTS_MAX) > 0) {
            throw new BlockException(Errno.EFBIG, "Snapshot table too large");
        }
        if (snapshotsOffset < 0
                || (snapshotsOffset & clusterSize - 1) != 0
                || writable && snapshots != 0 && !inside(snapshotsOffset, fileLength)) {
            throw bad("Snapshot table offset invalid");
        }
        int l1Size = h.get(BE32, L1_SIZE_AT);
        long l1Offset = h.get(BE64, L1_AT);
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
        if (writable && l1Size != 0 && !inside(l1Offset, fileLength)) {
            // The disk would look empty, and be so after the first write.
            throw bad("Active L1 table offset invalid");
        }
        if (l1Offset > OFFSET_MAX - l1Size * 8L) {
            throw new BlockException(
                    Errno.EIO, "Could not read L1 table: " + Errno.text(Errno.EIO));
        }
        String backing = null;
        if (backingOffset != 0 && backingLength != 0) {
            if (Integer.compareUnsigned(backingLength, BACKING_NAME_MAX) > 0
                    || backingLength > clusterSize - backingOffset) {
                throw bad("Backing file name too long");
            }
            String name = text(first.asSlice(backingOffset, backingLength));
            backing = name.isEmpty() ? null : name;
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
                extensions.bitmapCount,
                extensions.bitmapDirectoryOffset,
                extensions.bitmapDirectoryBytes,
                crypt,
                extensions.luksOffset,
                extensions.luksBytes);
    }

    /** A text up to its end or the first NUL. */
    private static String text(MemorySegment bytes) {
        byte[] text = bytes.toArray(ValueLayout.JAVA_BYTE);
        int end = 0;
        while (end < text.length && text[end] != 0) {
            end++;
        }
        return new String(text, 0, end, StandardCharsets.UTF_8);
    }

    private static boolean inside(long offset, long fileLength) {
        return offset > 0 && offset < fileLength;
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
    static void readUpTo(ChildEdge file, long offset, MemorySegment target, long fileLength)
            throws BlockException {
        long there = Math.min(target.byteSize(), fileLength - offset);
        if (there > 0) {
            file.read(offset, target.asSlice(0, there));
        }
    }

    private static final class Extensions {
        @Nullable String backingFormat;
        @Nullable MemorySegment features;
        private final long clusterMask;
        boolean luks;
        long luksOffset;
        long luksBytes;
        boolean bitmaps;
        int bitmapCount;
        long bitmapDirectoryOffset;
        long bitmapDirectoryBytes;

        private Extensions(long clusterMask) {
            this.clusterMask = clusterMask;
        }

        static Extensions read(
                MemorySegment first, long start, long end, boolean encrypted, boolean useBitmaps)
                throws BlockException {
            Extensions found = new Extensions(first.byteSize() - 1);
            long at = start;
            while (at < end) {
                if (end - at < 8) {
                    throw bad("Header extension too large");
                }
                int type = first.get(BE32, at);
                long length = Integer.toUnsignedLong(first.get(BE32, at + 4));
                at += 8;
                if (length > end - at) {
                    throw bad("Header extension too large");
                }
                if (type == EXT_END) {
                    break;
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
                        found.backingFormat = text(data);
                    }
                    case EXT_FEATURES -> found.features = data;
                    case EXT_LUKS -> {
                        if (!encrypted) {
                            throw bad(
                                    "CRYPTO header extension only expected with LUKS encryption"
                                            + " method");
                        }
                        found.luks(data);
                    }
                    case EXT_BITMAPS -> found.bitmaps(data, useBitmaps);
                    default -> {
                        // Unknown extensions stay where they are: the header is only ever patched
                        // in place.
                    }
                }
                at += length + 7 & ~7L;
            }
            return found;
        }

        private void luks(MemorySegment data) throws BlockException {
            if (data.byteSize() != 16) {
                throw bad(
                        "CRYPTO header extension size "
                                + data.byteSize()
                                + ", but expected size 16");
            }
            luks = true;
            luksOffset = data.get(BE64, 0);
            luksBytes = data.get(BE64, 8);
            if ((luksOffset & clusterMask) != 0 || luksOffset <= 0) {
                throw bad(
                        "Encryption header offset '"
                                + Long.toUnsignedString(luksOffset)
                                + "' is not a multiple of cluster size '"
                                + (clusterMask + 1)
                                + "'");
            }
            if (luksBytes < 0 || luksBytes > LUKS_BYTES_MAX) {
                throw bad("Encryption header is too long");
            }
        }

        private void bitmaps(MemorySegment data, boolean used) throws BlockException {
            if (data.byteSize() != 24) {
                throw bad("bitmaps_ext: Invalid extension length");
            }
            bitmaps = true;
            if (!used) {
                return;
            }
            int count = data.get(BE32, 0);
            if (data.get(BE32, 4) != 0) {
                throw bad("bitmaps_ext: Reserved field is not zero");
            }
            if (Integer.compareUnsigned(count, BitmapDirectory.COUNT_MAX) > 0) {
                throw bad(
                        "bitmaps_ext: Image has "
                                + Integer.toUnsignedString(count)
                                + " bitmaps, exceeding the QEMU supported maximum of "
                                + BitmapDirectory.COUNT_MAX);
            }
            if (count == 0) {
                throw bad("found bitmaps extension with zero bitmaps");
            }
            bitmapCount = count;
            bitmapDirectoryBytes = data.get(BE64, 8);
            bitmapDirectoryOffset = data.get(BE64, 16);
            if ((bitmapDirectoryOffset & clusterMask) != 0) {
                throw bad("bitmaps_ext: invalid bitmap directory offset");
            }
            if (Long.compareUnsigned(bitmapDirectoryBytes, BitmapDirectory.LENGTH_MAX) > 0) {
                throw bad(
                        "bitmaps_ext: bitmap directory size ("
                                + Long.toUnsignedString(bitmapDirectoryBytes)
                                + ") exceeds the maximum supported size ("
                                + BitmapDirectory.LENGTH_MAX
                                + ")");
            }
            if (bitmapDirectoryOffset < 0) {
                throw bad("Failed to read bitmap directory: " + Errno.text(Errno.EIO));
            }
        }

        String featureNames(long bits) {
            StringBuilder names = new StringBuilder();
            long left = bits;
            MemorySegment table = features;
            if (table != null) {
                // The last name need not fill its place.
                for (long at = 0; at + 2 < table.byteSize(); at += 48) {
                    int bit = table.get(ValueLayout.JAVA_BYTE, at + 1) & 63;
                    if (table.get(ValueLayout.JAVA_BYTE, at) == 0 && (left & 1L << bit) != 0) {
                        names.append(names.isEmpty() ? "" : ", ")
                                .append(
                                        text(
                                                table.asSlice(
                                                        at + 2,
                                                        Math.min(46, table.byteSize() - at - 2))));
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
