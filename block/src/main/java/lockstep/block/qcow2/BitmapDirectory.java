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
 * The list of an image's persistent bitmaps. Checked as QEMU checks it, so that an image is not opened here that is
 * refused there.
 *
 * @param entries the bitmaps in the order of the list
 */
record BitmapDirectory(List<Entry> entries) {
    /** No bitmaps. */
    static final BitmapDirectory NONE = new BitmapDirectory(List.of());

    /** Most bitmaps of an image. */
    static final int COUNT_MAX = 65535;

    /** Most bytes of a list. */
    static final long LENGTH_MAX = COUNT_MAX * 1024L;

    /** A program writes the image, so that the bits there are not up to date. */
    static final int IN_USE = 1;

    /** Changes are recorded. */
    static final int AUTO = 2;

    /** In an entry of a table without an offset: all bits of the cluster are set. */
    static final long ALL_ONES = 1;

    static final int GRANULARITY_BITS_MIN = 9;
    static final int GRANULARITY_BITS_MAX = 31;
    static final int NAME_MAX = 1023;
    private static final int FIXED = 24;
    private static final int FLAGS_AT = 12;

    /** Tables that are read when an image is opened, together: QEMU reads any number of them. */
    private static final long TABLES_BYTES_MAX = 256L << 20;

    private static final int ENTRIES_MAX = 0x8000000;
    private static final long BYTES_MAX = 512L << 20;
    private static final int KNOWN_FLAGS = IN_USE | AUTO;
    private static final int DIRTY_TRACKING = 1;
    private static final long RESERVED = 0xff000000000001feL;

    /** The table of a bitmap, which names the clusters of its bits. */
    record Table(long offset, int entries) {
        long bytes() {
            return entries * 8L;
        }

        /** Whether each entry is one. */
        boolean isSound(Guard file, Qcow2Header header) throws BlockException {
            if (offset < 0) {
                return false;
            }
            for (long entry : read(file)) {
                long at = entry & Mapping.OFFSET_MASK;
                if ((entry & RESERVED) != 0
                        || at != 0
                                && ((entry & ALL_ONES) != 0
                                        || (at & header.clusterSize() - 1) != 0)) {
                    return false;
                }
            }
            return true;
        }

        /** What the file has of the entries; the rest are zeroes. */
        long[] read(Guard file) throws BlockException {
            MemorySegment bytes = MemorySegment.ofArray(new byte[Math.toIntExact(bytes())]);
            file.readUpTo(offset, bytes);
            long[] read = new long[entries];
            for (int i = 0; i < entries; i++) {
                read[i] = bytes.get(Qcow2Header.BE64, i * 8L);
            }
            return read;
        }
    }

    /**
     * A bitmap as the list has it.
     *
     * @param flags {@link #IN_USE} and {@link #AUTO}
     */
    record Entry(String name, Table table, int flags, int granularityBits) {
        boolean inUse() {
            return (flags & IN_USE) != 0;
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
        List<Entry> entries = new ArrayList<>();
        long tableBytes = 0;
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
            int flags = entry.get(Qcow2Header.BE32, FLAGS_AT);
            int granularity = entry.get(ValueLayout.JAVA_BYTE, 17);
            if ((flags & IN_USE) == 0) {
                contents.add(() -> checkTable(file, header, table, granularity, name));
            }
            tableBytes += table.bytes();
            if (tableBytes > TABLES_BYTES_MAX) {
                throw bad("The tables of the image's bitmaps are too large");
            }
            if (!names.add(name)) {
                throw bad("Bitmap already exists: " + name);
            }
            entries.add(new Entry(name, table, flags, granularity));
            at = end;
        }
        if (found < header.bitmapCount()) {
            throw bad("Less bitmaps found than specified in header extension");
        }
        for (Content content : contents) {
            content.check();
        }
        return new BitmapDirectory(List.copyOf(entries));
    }

    private static boolean isSound(
            MemorySegment entry, Table table, int nameLength, Qcow2Header header) {
        int flags = entry.get(Qcow2Header.BE32, FLAGS_AT);
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
        if (table.offset < 0) {
            throw unreadable(Errno.EIO, what);
        }
        if (!table.isSound(file, header)) {
            throw unreadable(Errno.EINVAL, what);
        }
        if (table.entries != entriesNeeded(header, granularity)) {
            throw unreadable(Errno.EINVAL, "bitmap '" + name + "' from image");
        }
    }

    /** Bytes that the bits of a bitmap take. */
    static long bytesNeeded(long diskSize, int granularityBits) {
        long bits = diskSize + (1L << granularityBits) - 1 >>> granularityBits;
        return (bits + 63) / 64 * 8;
    }

    /** Entries that the table of a bitmap has. */
    static long entriesNeeded(Qcow2Header header, int granularityBits) {
        long bytes = bytesNeeded(header.size(), granularityBits);
        return bytes + header.clusterSize() - 1 >>> header.clusterBits();
    }

    /** Says of all bitmaps in the file that a program writes the image; a list where only some are marked is as good. */
    BitmapDirectory markInUse(Guard file, Qcow2Header header) throws BlockException {
        MemorySegment list = Arena.ofAuto().allocate(header.bitmapDirectoryBytes());
        file.readUpTo(header.bitmapDirectoryOffset(), list);
        for (long at = 0; at < list.byteSize(); ) {
            int flags = list.get(Qcow2Header.BE32, at + FLAGS_AT);
            list.set(Qcow2Header.BE32, at + FLAGS_AT, flags | IN_USE);
            at += entryBytes(Short.toUnsignedInt(list.get(Qcow2Header.BE16, at + 18)));
        }
        file.write(MetadataMap.BITMAP_DIRECTORY, header.bitmapDirectoryOffset(), list);
        file.flush();
        return new BitmapDirectory(
                entries.stream()
                        .map(e -> new Entry(e.name, e.table, e.flags | IN_USE, e.granularityBits))
                        .toList());
    }

    /** Whether so many bytes of bits can be kept. */
    static boolean fits(Qcow2Header header, long bytes) {
        return bytes <= BYTES_MAX && bytes <= (long) ENTRIES_MAX << header.clusterBits();
    }

    /** Bytes of an entry with a name of that many. */
    static long entryBytes(int nameLength) {
        return FIXED + nameLength + 7 & ~7L;
    }

    /** The bytes of a list. */
    static MemorySegment list(List<Entry> entries) throws BlockException {
        long length = 0;
        for (Entry entry : entries) {
            length += entryBytes(entry.name.getBytes(StandardCharsets.UTF_8).length);
        }
        if (entries.size() > COUNT_MAX) {
            throw bad("Too many persistent bitmaps");
        }
        if (length > LENGTH_MAX) {
            throw bad("Bitmap directory is too large");
        }
        MemorySegment bytes = Arena.ofAuto().allocate(length, Long.BYTES);
        long at = 0;
        for (Entry entry : entries) {
            byte[] name = entry.name.getBytes(StandardCharsets.UTF_8);
            bytes.set(Qcow2Header.BE64, at, entry.table.offset);
            bytes.set(Qcow2Header.BE32, at + 8, entry.table.entries);
            bytes.set(Qcow2Header.BE32, at + FLAGS_AT, entry.flags);
            bytes.set(ValueLayout.JAVA_BYTE, at + 16, (byte) DIRTY_TRACKING);
            bytes.set(ValueLayout.JAVA_BYTE, at + 17, (byte) entry.granularityBits);
            bytes.set(Qcow2Header.BE16, at + 18, (short) name.length);
            MemorySegment.copy(MemorySegment.ofArray(name), 0, bytes, at + FIXED, name.length);
            at += entryBytes(name.length);
        }
        return bytes;
    }

    private static BlockException unreadable(int errno, String what) {
        return new BlockException(errno, "Could not read " + what + ": " + Errno.text(errno));
    }
}
