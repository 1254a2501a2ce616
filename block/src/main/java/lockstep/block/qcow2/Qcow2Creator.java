package lockstep.block.qcow2;

import lockstep.block.node.BlockException;
import lockstep.block.node.ChildEdge;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.ImageFile;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;

/**
 * Makes fresh images: header, refcount table, refcount blocks (one but for very large disks) and the L1 table, one after
 * the other.
 */
public final class Qcow2Creator {
    private static final int FEATURE_TABLE = 0x6803f857;
    private static final int BACKING_FORMAT = 0xe2792aca;
    private static final int HEADER_LENGTH = 112;
    private static final int COMPRESSION_AT = 104;

    private Qcow2Creator() {}

    /**
     * What to make.
     *
     * @param size the disk's size in bytes, a multiple of 512
     * @param clusterBits 9 to 21; 16 is the default of all tools
     * @param backingFile the backing file's name as it goes into the header
     * @param version 2 or 3
     * @param refcountBits 1 to 64, a power of two; 16 is the default of all tools and the only one of version 2
     * @param lazyRefcounts writers may postpone refcount updates (ours do not)
     * @param encryption 0 for none, 1 for AES-CBC of old, 2 for LUKS
     * @param luks all of the LUKS header, null when there is none
     * @param zstd compressed clusters are Zstandard frames instead of deflate streams
     */
    public record Options(
            long size,
            int clusterBits,
            @Nullable String backingFile,
            @Nullable String backingFormat,
            int version,
            int refcountBits,
            boolean lazyRefcounts,
            boolean zstd,
            int encryption,
            @Nullable MemorySegment luks) {
        /** Version 3 with refcounts as all tools have them. */
        public Options(
                long size,
                int clusterBits,
                @Nullable String backingFile,
                @Nullable String backingFormat) {
            this(size, clusterBits, backingFile, backingFormat, 3, 16, false, false, 0, null);
        }

        /** An image without backing file, of 64 KiB clusters. */
        public static Options of(long size) {
            return new Options(size, 16, null, null);
        }

        /** Likewise, encrypted. */
        public Options encrypted(int how, @Nullable MemorySegment header) {
            return new Options(
                    size,
                    clusterBits,
                    backingFile,
                    backingFormat,
                    version,
                    refcountBits,
                    lazyRefcounts,
                    zstd,
                    how,
                    header);
        }

        long luksBytes() {
            return luks == null ? 0 : luks.byteSize();
        }

        /** Errors when such an image cannot be. */
        public void check() throws BlockException {
            if (size < 0 || size % 512 != 0) {
                throw bad("Image size must be a multiple of 512 bytes");
            }
            if (clusterBits < 9 || clusterBits > 21) {
                throw bad("Cluster size must be a power of two between 512 and 2048k");
            }
            if (backingFormat != null && backingFile == null) {
                throw bad("Backing format cannot be used without backing file");
            }
            if (version < 3 && lazyRefcounts) {
                throw bad(
                        "Lazy refcounts only supported with compatibility level 1.1 and above"
                                + " (use version=v3 or greater)");
            }
            if (version < 3 && zstd) {
                throw bad(
                        "Non-zlib compression type is only supported with compatibility level 1.1"
                                + " and above (use version=v3 or greater)");
            }
            if (refcountBits < 1 || refcountBits > 64 || Integer.bitCount(refcountBits) != 1) {
                throw bad("Refcount width must be a power of two and may not exceed 64 bits");
            }
            if (version < 3 && refcountBits != 16) {
                throw bad(
                        "Different refcount widths than 16 bits require compatibility level 1.1 or"
                                + " above (use version=v3 or greater)");
            }
        }
    }

    private static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    /** How a fresh image's clusters are used. */
    private record Layout(
            int tableClusters, int blocks, int l1Clusters, int luksClusters, int entriesPerBlock) {
        static Layout of(Options options, long l1Entries) {
            long clusterSize = 1L << options.clusterBits;
            int entries = (int) (clusterSize * 8 / options.refcountBits);
            int l1Clusters = clusters(l1Entries * 8, clusterSize);
            int luks = clusters(options.luksBytes(), clusterSize);
            int blocks = 1;
            int table = 1;
            while ((long) blocks * entries < 1L + table + blocks + l1Clusters + luks) {
                blocks++;
                table = clusters(blocks * 8L, clusterSize);
            }
            return new Layout(table, blocks, l1Clusters, luks, entries);
        }

        private static int clusters(long bytes, long clusterSize) {
            return (int) ((bytes + clusterSize - 1) / clusterSize);
        }

        int firstBlock() {
            return 1 + tableClusters;
        }

        int l1() {
            return firstBlock() + blocks;
        }

        int luks() {
            return l1() + l1Clusters;
        }

        int used() {
            return luks() + luksClusters;
        }
    }

    /** A fresh image: what it begins with, and how long it is. */
    private record Content(MemorySegment bytes, long length) {}

    /** Writes a new image, replacing what is at the path. */
    public static void create(String path, Options options) throws BlockException {
        Content content = content(options);
        try (ImageFile file = ImageFile.create(path)) {
            file.write(0, content.bytes);
            file.truncate(content.length);
        } catch (ImageFile.Failure e) {
            throw new BlockException(
                    e.errno(), "Could not create '" + path + "': " + Errno.text(e.errno()), e);
        }
    }

    /** Writes a new image, replacing what a node holds. */
    public static void create(ChildEdge storage, Options options) throws BlockException {
        Content content = content(options);
        storage.truncate(0);
        storage.truncate(content.length);
        storage.write(0, content.bytes);
        storage.flush();
    }

    private static Content content(Options options) throws BlockException {
        options.check();
        long clusterSize = 1L << options.clusterBits();
        long l1Entries = Qcow2Header.l1Needed(options.size(), options.clusterBits());
        if (l1Entries * 8 > 32L << 20) {
            throw new BlockException(
                    Errno.EFBIG,
                    "The image size is too large for file format 'qcow2' (try using a larger"
                            + " cluster size)");
        }
        Layout layout = Layout.of(options, l1Entries);
        MemorySegment luks = options.luks();
        long length =
                luks == null
                        ? layout.l1() * clusterSize
                        : layout.luks() * clusterSize + luks.byteSize();
        MemorySegment bytes = Arena.ofAuto().allocate(length);
        if (luks != null) {
            bytes.asSlice(layout.luks() * clusterSize).copyFrom(luks);
        }
        header(bytes, options, layout, (int) l1Entries);
        for (int i = 0; i < layout.blocks; i++) {
            long block = (layout.firstBlock() + i) * clusterSize;
            bytes.set(Qcow2Header.BE64, clusterSize + i * 8L, block);
        }
        for (int i = 0; i < layout.used(); i++) {
            long block = (layout.firstBlock() + i / layout.entriesPerBlock) * clusterSize;
            setToOne(bytes.asSlice(block, clusterSize), i % layout.entriesPerBlock, options);
        }
        return new Content(
                bytes, Math.max(length, layout.l1() * clusterSize + Math.max(8, l1Entries * 8)));
    }

    /** Refcounts are big endian; those of less than a byte come lowest bits first. */
    private static void setToOne(MemorySegment block, int entry, Options options) {
        int bits = options.refcountBits();
        long at = (long) entry * bits / 8 + Math.max(0, bits / 8 - 1);
        int shift = bits < 8 ? entry * bits % 8 : 0;
        byte old = block.get(ValueLayout.JAVA_BYTE, at);
        block.set(ValueLayout.JAVA_BYTE, at, (byte) (old | 1 << shift));
    }

    private static void header(MemorySegment h, Options options, Layout layout, int l1Entries)
            throws BlockException {
        long clusterSize = 1L << options.clusterBits();
        h.set(Qcow2Header.BE32, 0, Qcow2Header.MAGIC);
        h.set(Qcow2Header.BE32, 4, options.version());
        h.set(Qcow2Header.BE32, 20, options.clusterBits());
        h.set(Qcow2Header.BE64, Qcow2Header.SIZE_AT, options.size());
        h.set(Qcow2Header.BE32, Qcow2Header.L1_SIZE_AT, l1Entries);
        h.set(Qcow2Header.BE64, Qcow2Header.L1_AT, layout.l1() * clusterSize);
        h.set(Qcow2Header.BE64, Qcow2Header.REFCOUNT_TABLE_AT, clusterSize);
        h.set(Qcow2Header.BE32, 56, layout.tableClusters);
        long at = Qcow2Header.V2_LENGTH;
        if (options.version() >= 3) {
            if (options.lazyRefcounts()) {
                h.set(Qcow2Header.BE64, 80, Qcow2Header.LAZY_REFCOUNTS);
            }
            h.set(Qcow2Header.BE32, 96, Integer.numberOfTrailingZeros(options.refcountBits()));
            h.set(Qcow2Header.BE32, 100, HEADER_LENGTH);
            if (options.zstd()) {
                h.set(Qcow2Header.BE64, Qcow2Header.INCOMPATIBLE_AT, Qcow2Header.COMPRESSION);
                h.set(ValueLayout.JAVA_BYTE, COMPRESSION_AT, (byte) Qcow2Header.ZSTD);
            }
            at = HEADER_LENGTH;
        }
        h.set(Qcow2Header.BE32, 32, options.encryption());
        if (options.luks() != null) {
            byte[] place = new byte[16];
            MemorySegment fields = MemorySegment.ofArray(place);
            fields.set(Qcow2Header.BE64, 0, layout.luks() * clusterSize);
            fields.set(Qcow2Header.BE64, 8, options.luksBytes());
            at = extension(h, at, Qcow2Header.EXT_LUKS, place);
        }
        String format = options.backingFormat();
        if (format != null) {
            at = extension(h, at, BACKING_FORMAT, format.getBytes(StandardCharsets.US_ASCII));
        }
        if (clusterSize > 4096 && options.version() >= 3) {
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
