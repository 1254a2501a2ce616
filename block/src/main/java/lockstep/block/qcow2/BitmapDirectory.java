package lockstep.block.qcow2;

import lockstep.block.node.BlockException;
import lockstep.runtime.linux.Errno;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * The list of an image's persistent bitmaps, as far as it says which clusters they use. Checked as
 * QEMU checks it, so that an image is not opened here that is refused there.
 *
 * @param tables the table of each bitmap, which names the clusters of its bits
 */
record BitmapDirectory(List<Table> tables) {
    /** No bitmaps. */
    static final BitmapDirectory NONE = new BitmapDirectory(List.of());

    private static final int FIXED = 24;
    private static final int ENTRIES_MAX = 0x8000000;
    private static final long BYTES_MAX = 512L << 20;
    private static final int GRANULARITY_BITS_MIN = 9;
    private static final int GRANULARITY_BITS_MAX = 31;
    private static final int NAME_MAX = 1023;
    private static final int IN_USE = 1;
    private static final int KNOWN_FLAGS = 3;
    private static final int DIRTY_TRACKING = 1;
    private static final long RESERVED = 0xff000000000001feL;
    private static final long ALL_ONES = 1;

    /** The table of a bitmap. */
    record Table(long offset, int entries) {
        long bytes() {
            return entries * 8L;
        }
    }

    /** The bits of one bitmap. */
    private interface Content {
        void check() throws BlockException;
    }

    private static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    /** Reads and checks the list that a header names. */
    static BitmapDirectory read(Guard file, Qcow2Header header) throws BlockException {
        if (header.bitmapCount() == 0) {
            return NONE;
        }
        long size = header.bitmapDirectoryBytes();
        if (size == 0) {
            throw bad("Requested bitmap directory size is zero");
        }
        MemorySegment bytes = Arena.ofAuto().allocate(size);
        file.readUpTo(header.bitmapDirectoryOffset(), bytes);
        List<Table> tables = new ArrayList<>();
        // The list as a whole is looked at before what it names, as in QEMU.
        List<Content> contents = new ArrayList<>();
        Set<String> names = new HashSet<>();
        int found = 0;
        for (long at = 0; at < size; ) {
            if (size - at < FIXED) {
                throw bad("Broken bitmap directory");
            }
            if (++found > header.bitmapCount()) {
                throw bad("More bitmaps found than specified in header extension");
            }
            long extra = Integer.toUnsignedLong(bytes.get(Qcow2Header.BE32, at + 20));
            int nameLength = Short.toUnsignedInt(bytes.get(Qcow2Header.BE16, at + 18));
            long end = at + (FIXED + extra + nameLength + 7 & ~7L);
            if (end > size && extra <= Integer.MAX_VALUE) {
                throw bad("Broken bitmap directory");
            }
            if (extra != 0) {
                throw bad("Bitmap extra data is not supported");
            }
            MemorySegment nameBytes = bytes.asSlice(at + FIXED, nameLength);
            String name =
                    new String(nameBytes.toArray(ValueLayout.JAVA_BYTE), StandardCharsets.UTF_8);
            Table table =
                    new Table(bytes.get(Qcow2Header.BE64, at), bytes.get(Qcow2Header.BE32, at + 8));
            MemorySegment entry = bytes.asSlice(at, FIXED);
            if (!isSound(entry, table, nameLength, header)) {
                throw bad("Bitmap '" + name + "' doesn't satisfy the constraints");
            }
            if ((entry.get(Qcow2Header.BE32, 12) & IN_USE) == 0) {
                int granularity = entry.get(ValueLayout.JAVA_BYTE, 17);
                contents.add(() -> checkTable(file, header, table, granularity, name));
            }
            if (!names.add(name)) {
                throw bad("Bitmap already exists: " + name);
            }
            tables.add(table);
            at = end;
        }
        if (found < header.bitmapCount()) {
            throw bad("Less bitmaps found than specified in header extension");
        }
        for (Content content : contents) {
            content.check();
        }
        return new BitmapDirectory(List.copyOf(tables));
    }

    private static boolean isSound(
            MemorySegment entry, Table table, int nameLength, Qcow2Header header) {
        int flags = entry.get(Qcow2Header.BE32, 12);
        int type = entry.get(ValueLayout.JAVA_BYTE, 16);
        int granularity = entry.get(ValueLayout.JAVA_BYTE, 17);
        long bytes = (long) table.entries << header.clusterBits();
        return table.entries > 0
                && table.entries <= ENTRIES_MAX
                && table.offset != 0
                && (table.offset & header.clusterSize() - 1) == 0
                && granularity >= GRANULARITY_BITS_MIN
                && granularity <= GRANULARITY_BITS_MAX
                && (flags & ~KNOWN_FLAGS) == 0
                && nameLength <= NAME_MAX
                && type == DIRTY_TRACKING
                && bytes <= BYTES_MAX
                && ((flags & IN_USE) != 0 || header.size() <= bytes * 8 << granularity);
    }

    /** What QEMU finds out while it reads the bits. */
    private static void checkTable(
            Guard file, Qcow2Header header, Table table, int granularity, String name)
            throws BlockException {
        String what = "bitmap_table table from image for bitmap '" + name + "'";
        MemorySegment entries = Arena.ofAuto().allocate(table.bytes());
        if (table.offset < 0) {
            throw unreadable(Errno.EIO, what);
        }
        file.readUpTo(table.offset, entries);
        for (long at = 0; at < table.bytes(); at += 8) {
            long entry = entries.get(Qcow2Header.BE64, at);
            long offset = entry & Mapping.OFFSET_MASK;
            if ((entry & RESERVED) != 0
                    || offset != 0
                            && ((entry & ALL_ONES) != 0
                                    || (offset & header.clusterSize() - 1) != 0)) {
                throw unreadable(Errno.EINVAL, what);
            }
        }
        long bits = header.size() + (1L << granularity) - 1 >>> granularity;
        long bytes = (bits + 63) / 64 * 8;
        if (table.entries != bytes + header.clusterSize() - 1 >>> header.clusterBits()) {
            throw unreadable(Errno.EINVAL, "bitmap '" + name + "' from image");
        }
    }

    private static BlockException unreadable(int errno, String what) {
        return new BlockException(errno, "Could not read " + what + ": " + Errno.text(errno));
    }
}
