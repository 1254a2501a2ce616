package lockstep.block.monitor;

import lockstep.api.BlockdevCreateOptions;
import lockstep.api.BlockdevCreateOptionsFile;
import lockstep.api.BlockdevCreateOptionsLUKS;
import lockstep.api.BlockdevCreateOptionsQcow2;
import lockstep.api.BlockdevDriver;
import lockstep.api.BlockdevQcow2Version;
import lockstep.api.BlockdevRef;
import lockstep.api.MirrorSyncMode;
import lockstep.api.NewImageMode;
import lockstep.api.PreallocMode;
import lockstep.api.QCryptoBlockCreateOptions;
import lockstep.api.QCryptoBlockCreateOptionsLUKS;
import lockstep.api.Qcow2CompressionType;
import lockstep.block.luks.LuksHeader;
import lockstep.block.luks.Secrets;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.NodeUser;
import lockstep.block.node.Permission;
import lockstep.block.node.Role;
import lockstep.block.node.Zeroes;
import lockstep.block.open.LegacyTree;
import lockstep.block.open.NodeOpener;
import lockstep.block.qcow2.Qcow2Creator;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonString;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.ImageFile;

import org.jspecify.annotations.Nullable;

import java.nio.file.Files;
import java.nio.file.Path;

/** Images that commands have made. Main loop, machine lock held. */
final class NewImages {
    private final BlockGraph graph;
    private final NodeOpener opener;
    private final Secrets secrets;

    NewImages(BlockGraph graph, NodeOpener opener) {
        this.secrets = opener.passwords();
        this.graph = graph;
        this.opener = opener;
    }

    private static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    /**
     * Makes an image, or makes an existing one anew.
     *
     * @param below what it names as its backing file; null for nothing
     */
    void make(String filename, String format, long size, @Nullable BlockNode below)
            throws BlockException {
        if (BlockdevDriver.find(format) == null) {
            throw bad("Unknown file format '" + format + "'");
        }
        boolean qcow2 = format.equals("qcow2");
        if (!qcow2 && !format.equals("raw") && !format.equals("file")) {
            throw bad("Format driver '" + format + "' does not support image creation");
        }
        JsonObject file = LegacyTree.fileNamed(filename);
        if (file.get("driver") instanceof JsonString driver && !driver.value().equals("file")) {
            throw bad("Protocol driver '" + driver.value() + "' does not support image creation");
        }
        if (below != null && !qcow2) {
            throw bad("Backing file not supported for file format '" + format + "'");
        }
        String path =
                file.get("filename") instanceof JsonString text ? plain(text.value()) : filename;
        Qcow2Creator.Options image = qcow2 ? qcow2(size, below) : null;
        System.out.println("Formatting '" + filename + "', fmt=" + format + told(size, image));
        createMissing(path);
        file.put("driver", "file");
        BlockNode node = opener.openLegacy(file, NodeOpener.Inherited.BLOCKDEV);
        try {
            // Nobody else may use what is about to be lost.
            NodeUser maker = () -> "the maker of '" + filename + "'";
            int wanted = Permission.WRITE | Permission.RESIZE;
            ChildEdge edge = graph.attach(maker, "root", Role.ROOT, node, wanted, 0);
            try {
                edge.truncate(0);
                if (image != null) {
                    Qcow2Creator.create(path, image);
                } else {
                    edge.truncate(size);
                }
            } finally {
                graph.detach(edge);
            }
        } finally {
            graph.release(node);
        }
    }

    /** What is made, in the words in which the image tool tells it too. */
    private static String told(long size, Qcow2Creator.@Nullable Options image) {
        if (image == null) {
            return " size=" + size;
        }
        String backing =
                image.backingFile() == null
                        ? ""
                        : " backing_file="
                                + image.backingFile().replace(",", ",,")
                                + " backing_fmt="
                                + image.backingFormat();
        return " cluster_size=%d extended_l2=off compression_type=%s size=%d%s lazy_refcounts=%s"
                        .formatted(
                                1L << image.clusterBits(),
                                image.zstd() ? "zstd" : "zlib",
                                size,
                                backing,
                                image.lazyRefcounts() ? "on" : "off")
                + " refcount_bits="
                + image.refcountBits();
    }

    /** What a disk's copy consists of where the disk has nothing below it: all of the disk. */
    static MirrorSyncMode sync(MirrorSyncMode wanted, @Nullable BlockNode below) {
        return wanted == MirrorSyncMode.TOP && below == null ? MirrorSyncMode.FULL : wanted;
    }

    /**
     * Makes the image of a disk's copy, unless it is there; what is not copied is read from what it names.
     *
     * @param below what is below the disk's image
     * @return the image's format, null when nobody has said one
     */
    @Nullable String makeFor(
            BlockNode source,
            MirrorSyncMode sync,
            @Nullable BlockNode below,
            @Nullable NewImageMode mode,
            String filename,
            @Nullable String wantedFormat)
            throws BlockException {
        if (mode == NewImageMode.EXISTING) {
            return wantedFormat;
        }
        String format = wantedFormat == null ? source.driver() : wantedFormat;
        BlockNode named =
                switch (sync) {
                    case TOP -> below;
                    case NONE -> source;
                    default -> null;
                };
        make(filename, format, ChildEdge.look(source).length(), named);
        return format;
    }

    /** blockdev-create. */
    void make(BlockdevCreateOptions options) throws BlockException {
        switch (options) {
            case BlockdevCreateOptions.File file -> makeFile(file.data());
            case BlockdevCreateOptions.Qcow2 qcow2 -> makeQcow2(qcow2.data());
            case BlockdevCreateOptions.Luks luks -> makeLuks(luks.data());
            default -> throw bad("Driver does not support blockdev-create");
        }
    }

    private static void makeFile(BlockdevCreateOptionsFile o) throws BlockException {
        PreallocMode mode = o.preallocation() == null ? PreallocMode.OFF : o.preallocation();
        if (mode == PreallocMode.METADATA) {
            throw bad("Unsupported preallocation mode: metadata");
        }
        try (ImageFile file = ImageFile.create(o.filename())) {
            file.truncate(0);
            file.truncate(o.size());
            if (mode != PreallocMode.OFF) {
                long piece = Zeroes.SEGMENT.byteSize();
                for (long at = 0; at < o.size(); at += piece) {
                    file.write(at, Zeroes.SEGMENT.asSlice(0, Math.min(piece, o.size() - at)));
                }
                file.sync();
            }
        } catch (ImageFile.Failure e) {
            throw new BlockException(
                    e.errno(),
                    "Could not create '" + o.filename() + "': " + Errno.text(e.errno()),
                    e);
        }
    }

    private void makeQcow2(BlockdevCreateOptionsQcow2 o) throws BlockException {
        if (o.preallocation() != null && o.preallocation() != PreallocMode.OFF) {
            throw new BlockException(
                    Errno.ENOTSUP,
                    "Preallocation of qcow2 images is not supported by this program");
        }
        long cluster = o.clusterSize() == null ? 65536 : o.clusterSize();
        if (Long.bitCount(cluster) != 1) {
            throw bad("Cluster size must be a power of two between 512 and 2048k");
        }
        long refcountBits = o.refcountBits() == null ? 16 : o.refcountBits();
        Qcow2Creator.Options image =
                new Qcow2Creator.Options(
                        o.size(),
                        Long.numberOfTrailingZeros(cluster),
                        o.backingFile(),
                        o.backingFmt() == null ? null : o.backingFmt().wireName(),
                        o.version() == BlockdevQcow2Version.V2 ? 2 : 3,
                        Math.clamp(refcountBits, 0, Integer.MAX_VALUE),
                        Boolean.TRUE.equals(o.lazyRefcounts()),
                        o.compressionType() == Qcow2CompressionType.ZSTD,
                        0,
                        null);
        image.check();
        image = encrypted(image, o.encrypt());
        Qcow2Creator.Options wanted = image;
        store(o.file(), edge -> Qcow2Creator.create(edge, wanted));
    }

    private Qcow2Creator.Options encrypted(
            Qcow2Creator.Options image, @Nullable QCryptoBlockCreateOptions encrypt)
            throws BlockException {
        return switch (encrypt) {
            case null -> image;
            case QCryptoBlockCreateOptions.Luks luks ->
                    image.encrypted(2, header(luks.data(), "encrypt.").bytes());
            default ->
                    throw new BlockException(
                            Errno.ENOTSUP,
                            "New images are not encrypted with AES-CBC: its keys are weak; use"
                                    + " luks");
        };
    }

    private LuksHeader.Fresh header(QCryptoBlockCreateOptionsLUKS o, String prefix)
            throws BlockException {
        String secret = o.keySecret();
        if (secret == null) {
            throw bad("Parameter '" + prefix + "key-secret' is required for cipher");
        }
        LuksHeader.Kind usual = LuksHeader.Kind.DEFAULT;
        LuksHeader.Kind kind =
                LuksHeader.Kind.of(
                        o.cipherAlg() == null ? usual.cipher() : o.cipherAlg().wireName(),
                        o.cipherMode() == null ? usual.mode() : o.cipherMode().wireName(),
                        o.ivgenAlg() == null ? usual.vector() : o.ivgenAlg().wireName(),
                        o.ivgenHashAlg() == null ? null : o.ivgenHashAlg().wireName(),
                        o.hashAlg() == null ? usual.hash() : o.hashAlg().wireName());
        long time = o.iterTime() == null ? LuksHeader.ITERATION_TIME : o.iterTime();
        return LuksHeader.create(kind, secrets.find(secret), secret, time);
    }

    private void makeLuks(BlockdevCreateOptionsLUKS o) throws BlockException {
        LuksHeader.Fresh header =
                header(
                        QCryptoBlockCreateOptionsLUKS.builder()
                                .keySecret(o.keySecret())
                                .cipherAlg(o.cipherAlg())
                                .cipherMode(o.cipherMode())
                                .ivgenAlg(o.ivgenAlg())
                                .ivgenHashAlg(o.ivgenHashAlg())
                                .hashAlg(o.hashAlg())
                                .iterTime(o.iterTime())
                                .build(),
                        "");
        store(
                o.file(),
                edge -> {
                    edge.truncate(0);
                    edge.truncate(header.bytes().byteSize() + o.size());
                    edge.write(0, header.bytes());
                    edge.flush();
                });
    }

    private interface Making {
        void in(ChildEdge edge) throws BlockException;
    }

    private void store(BlockdevRef file, Making making) throws BlockException {
        BlockNode storage = opener.child(file);
        try {
            NodeUser maker = () -> "the maker of an image in '" + storage.name() + "'";
            int wanted = Permission.WRITE | Permission.RESIZE;
            ChildEdge edge =
                    graph.attach(maker, "root", Role.ROOT, storage, wanted, Permission.ALL);
            try {
                making.in(edge);
            } finally {
                graph.detach(edge);
            }
        } finally {
            graph.release(storage);
        }
    }

    /** One that exists is kept until it is known that nobody uses it. */
    private static void createMissing(String path) throws BlockException {
        int errno;
        if (path.indexOf('\0') >= 0) {
            errno = Errno.ENOENT;
        } else if (!path.isEmpty() && Files.exists(Path.of(path))) {
            errno = Files.isDirectory(Path.of(path)) ? Errno.EISDIR : 0;
        } else {
            try {
                ImageFile.create(path).close();
                errno = 0;
            } catch (ImageFile.Failure e) {
                errno = e.errno();
            }
        }
        if (errno != 0) {
            throw new BlockException(
                    errno, "Could not create '" + path + "': " + Errno.text(errno));
        }
    }

    private static String plain(String filename) {
        return filename.startsWith("file:") ? filename.substring(5) : filename;
    }

    private static Qcow2Creator.Options qcow2(long size, @Nullable BlockNode below) {
        return below == null
                ? Qcow2Creator.Options.of(size)
                : new Qcow2Creator.Options(size, 16, NodeQueries.filename(below), below.driver());
    }
}
