package lockstep.block.qcow2;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.block.node.DirtyBitmap;
import lockstep.runtime.linux.Errno;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * The bitmaps that an image keeps, on their way between it and its node. Nobody else is in the image, and what was changed
 * before is in the file; it is opened again after a change.
 *
 * <p>While a program writes the image, its list says that all of them are in use: their bits there count no more, and after
 * a crash they are inconsistent. They are stored when the image is left. Each change is one write to the header: a crash
 * before it leaves what was there, one behind it leaves leaks.
 */
final class PersistentBitmaps {
    /** Bits that are held in memory, together: QEMU takes what there is. */
    private static final long BITS_BYTES_MAX = Runtime.getRuntime().maxMemory() / 4;

    private final BlockNode node;
    private final Guard file;
    private final Qcow2Header header;
    private final Mapping map;
    private final Refcounts refcounts;
    private final int clusterBits;
    private final List<Refcounts.Run> taken = new ArrayList<>();

    PersistentBitmaps(BlockNode node, Guard file, Qcow2Header header, Mapping map) {
        this.node = node;
        this.file = file;
        this.header = header;
        this.map = map;
        this.refcounts = map.refcounts();
        this.clusterBits = header.clusterBits();
    }

    private static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    /**
     * Has the image's bitmaps follow the node. Those that do already are the newer ones.
     *
     * @param writable whether the image will be written
     */
    void load(boolean writable) throws BlockException {
        List<DirtyBitmap> made = new ArrayList<>();
        boolean mark = false;
        try {
            long left = BITS_BYTES_MAX;
            for (BitmapDirectory.Entry entry : map.bitmaps().entries()) {
                DirtyBitmap bitmap = node.bitmap(entry.name());
                if (bitmap != null && entry.inUse()) {
                    bitmap.setLeaving(false);
                    continue;
                }
                if (bitmap == null) {
                    bitmap =
                            new DirtyBitmap(
                                    entry.name(), 1L << entry.granularityBits(), header.size());
                    left -= fill(bitmap, entry, left);
                    made.add(bitmap);
                    node.follow(bitmap);
                } else if (!bitmap.readOnly()) {
                    throw bad("Bitmap already exists: " + entry.name());
                }
                mark |= !entry.inUse();
                bitmap.setReadOnly(!writable);
            }
            if (mark && writable) {
                map.bitmaps(map.bitmaps().markInUse(file, header));
            }
        } catch (BlockException e) {
            made.forEach(node::forget);
            throw e;
        }
    }

    /** Makes a bitmap what the image has of it; answers how many bytes its bits take in memory. */
    private long fill(DirtyBitmap bitmap, BitmapDirectory.Entry entry, long most)
            throws BlockException {
        bitmap.persist(true);
        bitmap.record((entry.flags() & BitmapDirectory.AUTO) != 0);
        if (entry.inUse()) {
            bitmap.setInconsistent();
            return 0;
        }
        DirtyBitmap.checkHolds(header.size(), bitmap.granule());
        long[] table = entry.table().read(file);
        int used = table.length;
        while (used > 0 && table[used - 1] == 0) {
            used--;
        }
        long bytes =
                Math.min(
                        (long) used << clusterBits,
                        BitmapDirectory.bytesNeeded(header.size(), entry.granularityBits()));
        if (bytes > most) {
            throw new BlockException(
                    Errno.ENOMEM, "The image's bitmaps are too large for this program's memory");
        }
        MemorySegment bits = MemorySegment.ofArray(new byte[(int) header.clusterSize()]);
        for (int i = 0; i < used; i++) {
            if (table[i] == 0) {
                continue;
            }
            bits.fill((byte) (table[i] == BitmapDirectory.ALL_ONES ? -1 : 0));
            if (table[i] != BitmapDirectory.ALL_ONES) {
                readBits(table[i] & Mapping.OFFSET_MASK, bits, entry.name());
            }
            bitmap.addBits(first(i), (byte[]) bits.heapBase().orElseThrow());
        }
        return bytes;
    }

    private void readBits(long offset, MemorySegment bits, String name) throws BlockException {
        if (offset >= file.length()) {
            throw new BlockException(
                    Errno.EIO,
                    "Could not read bitmap '" + name + "' from image: " + Errno.text(Errno.EIO));
        }
        file.readUpTo(offset, bits);
    }

    /** The first granule that a table's entry counts. */
    private int first(int entry) {
        return (int) ((long) entry << clusterBits + 3);
    }

    /** Errors when the image cannot keep one of that granularity. */
    private void checkConstraints(long granule) throws BlockException {
        if (granule > 1L << BitmapDirectory.GRANULARITY_BITS_MAX) {
            throw bad(
                    "Granularity exceeds maximum ("
                            + (1L << BitmapDirectory.GRANULARITY_BITS_MAX)
                            + " bytes)");
        }
        if (granule < 1L << BitmapDirectory.GRANULARITY_BITS_MIN) {
            throw bad(
                    "Granularity is under minimum ("
                            + (1L << BitmapDirectory.GRANULARITY_BITS_MIN)
                            + " bytes)");
        }
        long bytes =
                BitmapDirectory.bytesNeeded(header.size(), Long.numberOfTrailingZeros(granule));
        if (!BitmapDirectory.fits(header, bytes)) {
            throw bad("Too much space will be occupied by the bitmap. Use larger granularity");
        }
    }

    /** Errors when the image cannot keep one more, of that name and granularity. */
    void checkRoom(String name, long granule) throws BlockException {
        if (header.version() < 3) {
            throw bad("Cannot store dirty bitmaps in qcow2 v2 files");
        }
        checkConstraints(granule);
        if (name.getBytes(StandardCharsets.UTF_8).length > BitmapDirectory.NAME_MAX) {
            throw bad("Name length exceeds maximum (" + BitmapDirectory.NAME_MAX + " characters)");
        }
        int count = 1;
        long bytes = entryBytes(name);
        for (DirtyBitmap bitmap : node.bitmaps()) {
            if (bitmap.persistent()) {
                count++;
                bytes += entryBytes(String.valueOf(bitmap.name()));
            }
        }
        if (count > BitmapDirectory.COUNT_MAX) {
            throw bad("Maximum number of persistent bitmaps is already reached");
        }
        if (bytes > BitmapDirectory.LENGTH_MAX) {
            throw bad("Not enough space in the bitmap directory");
        }
    }

    private static long entryBytes(String name) {
        return BitmapDirectory.entryBytes(name.getBytes(StandardCharsets.UTF_8).length);
    }

    /** The node's bitmaps that the image is to have when it is left. */
    List<DirtyBitmap> toStore() {
        return node.bitmaps().stream()
                .filter(b -> b.persistent() && !b.inconsistent() && !b.readOnly() && !b.leaving())
                .toList();
    }

    /** Brings the node's bitmaps to the image. */
    void store() throws BlockException {
        List<DirtyBitmap> bitmaps = toStore();
        List<BitmapDirectory.Entry> entries = new ArrayList<>(map.bitmaps().entries());
        List<BitmapDirectory.Table> old = new ArrayList<>();
        for (DirtyBitmap bitmap : bitmaps) {
            String name = String.valueOf(bitmap.name());
            try {
                checkConstraints(bitmap.granule());
            } catch (BlockException e) {
                throw new BlockException(
                        e.errno(),
                        "Bitmap '" + name + "' doesn't satisfy the constraints: " + e.getMessage(),
                        e);
            }
            int at = index(entries, name);
            if (at >= 0) {
                if (!entries.get(at).inUse()) {
                    throw bad("Bitmap '" + name + "' already exists in the image");
                }
                old.add(entries.get(at).table());
            }
        }
        map.countAll();
        try {
            for (DirtyBitmap bitmap : bitmaps) {
                String name = String.valueOf(bitmap.name());
                int granularityBits = Long.numberOfTrailingZeros(bitmap.granule());
                BitmapDirectory.Entry entry =
                        new BitmapDirectory.Entry(
                                name,
                                write(bitmap, granularityBits),
                                bitmap.recording() ? BitmapDirectory.AUTO : 0,
                                granularityBits);
                int at = index(entries, name);
                if (at < 0) {
                    entries.add(entry);
                } else {
                    entries.set(at, entry);
                }
            }
            replaceList(entries);
        } catch (BlockException e) {
            giveBack();
            throw e;
        }
        letGo(old);
    }

    /** Takes a bitmap out of the image. */
    void remove(String name) throws BlockException {
        List<BitmapDirectory.Entry> entries = new ArrayList<>(map.bitmaps().entries());
        BitmapDirectory.Table table = entries.remove(index(entries, name)).table();
        map.countAll();
        try {
            replaceList(entries);
        } catch (BlockException e) {
            giveBack();
            throw new BlockException(
                    e.errno(), "Failed to update bitmap extension: " + Errno.text(e.errno()), e);
        }
        letGo(List.of(table));
    }

    private static int index(List<BitmapDirectory.Entry> entries, String name) {
        for (int i = 0; i < entries.size(); i++) {
            if (entries.get(i).name().equals(name)) {
                return i;
            }
        }
        return -1;
    }

    private long take(long bytes) throws BlockException {
        int clusters = (int) (bytes + header.clusterSize() - 1 >>> clusterBits);
        long place = refcounts.allocateExactly(clusters);
        taken.add(new Refcounts.Run(place, clusters));
        return place;
    }

    private void giveBack() throws BlockException {
        if (!file.stopped()) {
            for (Refcounts.Run run : taken) {
                refcounts.release(run.offset(), run.clusters());
            }
            refcounts.write();
        }
    }

    private BitmapDirectory.Table write(DirtyBitmap bitmap, int granularityBits)
            throws BlockException {
        int perEntry = (int) header.clusterSize() * Byte.SIZE;
        long granules = header.size() + bitmap.granule() - 1 >>> granularityBits;
        int entries = (int) BitmapDirectory.entriesNeeded(header, granularityBits);
        MemorySegment table = Arena.ofAuto().allocate(entries * 8L, Long.BYTES);
        MemorySegment cluster = MemorySegment.ofArray(new byte[(int) header.clusterSize()]);
        for (int i = 0; i < entries; i++) {
            int count = (int) Math.min(perEntry, granules - first(i));
            int set = bitmap.count(first(i), count);
            if (set == 0) {
                continue;
            }
            if (set == count) {
                table.set(Qcow2Header.BE64, i * 8L, BitmapDirectory.ALL_ONES);
                continue;
            }
            byte[] bits = bitmap.bits(first(i), count);
            cluster.fill((byte) 0);
            MemorySegment.copy(MemorySegment.ofArray(bits), 0, cluster, 0, bits.length);
            long place = take(header.clusterSize());
            file.write(0, place, cluster);
            table.set(Qcow2Header.BE64, i * 8L, place);
        }
        long place = take(table.byteSize());
        file.write(0, place, table);
        return new BitmapDirectory.Table(place, entries);
    }

    /** Writes the list to another place, lets the header name it, and lets the old one go. */
    private void replaceList(List<BitmapDirectory.Entry> entries) throws BlockException {
        long place = 0;
        long length = 0;
        if (!entries.isEmpty()) {
            MemorySegment list = BitmapDirectory.list(entries);
            length = list.byteSize();
            place = take(length);
            file.write(0, place, list);
        }
        refcounts.write();
        file.flush();
        HeaderCluster.nameBitmaps(file, header, entries.size(), place, length);
        file.flush();
        file.metadata().setRange(MetadataMap.BITMAP_DIRECTORY, place, length);
        if (header.bitmapDirectoryBytes() > 0) {
            refcounts.free(header.bitmapDirectoryOffset(), header.bitmapDirectoryBytes());
        }
    }

    /** The list is without these tables now. What is wrong with one leaks what it names. */
    private void letGo(List<BitmapDirectory.Table> tables) throws BlockException {
        for (BitmapDirectory.Table table : tables) {
            if (table.isSound(file, header)) {
                for (long entry : table.read(file)) {
                    if ((entry & Mapping.OFFSET_MASK) != 0) {
                        refcounts.free(entry & Mapping.OFFSET_MASK, header.clusterSize());
                    }
                }
                refcounts.free(table.offset(), table.bytes());
            }
        }
        map.writeBack();
    }
}
