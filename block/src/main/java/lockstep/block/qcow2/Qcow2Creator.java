package lockstep.block.qcow2;

import lockstep.block.node.BlockException;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.ImageFile;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;

/**
 * Makes fresh version 3 images: header, refcount table, one refcount block and the L1 table, one
 * after the other.
 */
public final class Qcow2Creator {
    private static final int FEATURE_TABLE = 0x6803f857;
    private static final int BACKING_FORMAT = 0xe2792aca;
    private static final int HEADER_LENGTH = 112;

    private Qcow2Creator() {}

    /**
     * What to make.
     *
     * @param size the disk's size in bytes, a multiple of 512
     * @param clusterBits 9 to 21; 16 is the default of all tools
     * @param backingFile the backing file's name as it goes into the header
     */
    public record Options(
            long size,
            int clusterBits,
            @Nullable String backingFile,
            @Nullable String backingFormat) {
        /** An image without backing file, of 64 KiB clusters. */
        public static Options of(long size) {
            return new Options(size, 16, null, null);
        }
    }

    /** Writes a new image, replacing what is at the path. */
    public static void create(String path, Options options) throws BlockException {
        if (options.size() < 0 || options.size() % 512 != 0) {
            throw new BlockException(Errno.EINVAL, "Image size must be a multiple of 512 bytes");
        }
        if (options.clusterBits() < 9 || options.clusterBits() > 21) {
            throw new BlockException(
                    Errno.EINVAL, "Cluster size must be a power of two between 512 and 2048k");
        }
        if (options.backingFormat() != null && options.backingFile() == null) {
            throw new BlockException(
                    Errno.EINVAL, "Backing format cannot be used without backing file");
        }
        long clusterSize = 1L << options.clusterBits();
        long l1Entries = Qcow2Header.l1Needed(options.size(), options.clusterBits());
        if (l1Entries * 8 > 32L << 20) {
            throw new BlockException(Errno.EFBIG, "Image is too big");
        }
        int l1Clusters = (int) (l1Entries * 8 + clusterSize - 1 >>> options.clusterBits());
        int used = 3 + l1Clusters;
        if (used > clusterSize / 2) {
            throw new BlockException(
                    Errno.EFBIG, "The image size is too large for file format 'qcow2'");
        }
        MemorySegment bytes = Arena.ofAuto().allocate(3 * clusterSize);
        header(bytes, options, clusterSize, (int) l1Entries);
        bytes.set(Qcow2Header.BE64, clusterSize, 2 * clusterSize);
        for (int i = 0; i < used; i++) {
            bytes.set(ValueLayout.JAVA_BYTE, 2 * clusterSize + i * 2L + 1, (byte) 1);
        }
        try (ImageFile file = ImageFile.create(path)) {
            file.write(0, bytes);
            file.truncate(3 * clusterSize + Math.max(8, l1Entries * 8));
        } catch (ImageFile.Failure e) {
            throw new BlockException(
                    e.errno(), "Could not create '" + path + "': " + Errno.text(e.errno()), e);
        }
    }

    private static void header(MemorySegment h, Options options, long clusterSize, int l1Entries)
            throws BlockException {
        h.set(Qcow2Header.BE32, 0, Qcow2Header.MAGIC);
        h.set(Qcow2Header.BE32, 4, 3);
        h.set(Qcow2Header.BE32, 20, options.clusterBits());
        h.set(Qcow2Header.BE64, Qcow2Header.SIZE_AT, options.size());
        h.set(Qcow2Header.BE32, Qcow2Header.L1_SIZE_AT, l1Entries);
        h.set(Qcow2Header.BE64, 40, 3 * clusterSize);
        h.set(Qcow2Header.BE64, Qcow2Header.REFCOUNT_TABLE_AT, clusterSize);
        h.set(Qcow2Header.BE32, 56, 1);
        h.set(Qcow2Header.BE32, 96, 4);
        h.set(Qcow2Header.BE32, 100, HEADER_LENGTH);
        long at = HEADER_LENGTH;
        String format = options.backingFormat();
        if (format != null) {
            at = extension(h, at, BACKING_FORMAT, format.getBytes(StandardCharsets.US_ASCII));
        }
        if (clusterSize > 4096) {
            at = extension(h, at, FEATURE_TABLE, features());
        }
        at += 8;
        String backing = options.backingFile();
        if (backing != null) {
            byte[] name = backing.getBytes(StandardCharsets.UTF_8);
            if (name.length > 1023 || at + name.length > clusterSize) {
                throw new BlockException(Errno.EINVAL, "Backing file name too long");
            }
            MemorySegment.copy(MemorySegment.ofArray(name), 0, h, at, name.length);
            h.set(Qcow2Header.BE64, 8, at);
            h.set(Qcow2Header.BE32, 16, name.length);
        }
    }

    private static long extension(MemorySegment h, long at, int type, byte[] data) {
        h.set(Qcow2Header.BE32, at, type);
        h.set(Qcow2Header.BE32, at + 4, data.length);
        MemorySegment.copy(MemorySegment.ofArray(data), 0, h, at + 8, data.length);
        return at + 8 + data.length + 7 & ~7L;
    }

    private static byte[] features() {
        String[][] names = {
            {"0", "0", "dirty bit"},
            {"0", "1", "corrupt bit"},
            {"0", "2", "external data file"},
            {"0", "3", "compression type"},
            {"0", "4", "extended L2 entries"},
            {"1", "0", "lazy refcounts"},
            {"2", "0", "bitmaps"},
            {"2", "1", "raw external data"},
        };
        byte[] table = new byte[names.length * 48];
        for (int i = 0; i < names.length; i++) {
            table[i * 48] = Byte.parseByte(names[i][0]);
            table[i * 48 + 1] = Byte.parseByte(names[i][1]);
            byte[] text = names[i][2].getBytes(StandardCharsets.US_ASCII);
            System.arraycopy(text, 0, table, i * 48 + 2, text.length);
        }
        return table;
    }
}
