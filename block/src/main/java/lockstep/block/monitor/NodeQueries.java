package lockstep.block.monitor;

import static java.util.Objects.requireNonNull;

import lockstep.api.BlockDeviceInfo;
import lockstep.api.BlockDeviceIoStatus;
import lockstep.api.BlockDeviceStats;
import lockstep.api.BlockDirtyInfo;
import lockstep.api.BlockInfo;
import lockstep.api.BlockLatencyHistogramInfo;
import lockstep.api.BlockLimitsInfo;
import lockstep.api.BlockStats;
import lockstep.api.BlockStatsSpecific;
import lockstep.api.BlockStatsSpecificFile;
import lockstep.api.BlockdevCacheInfo;
import lockstep.api.BlockdevChild;
import lockstep.api.ImageInfo;
import lockstep.api.ImageInfoSpecific;
import lockstep.api.ImageInfoSpecificFile;
import lockstep.api.ImageInfoSpecificFileWrapper;
import lockstep.api.ImageInfoSpecificLUKSWrapper;
import lockstep.api.ImageInfoSpecificQCow2;
import lockstep.api.ImageInfoSpecificQCow2Encryption;
import lockstep.api.ImageInfoSpecificQCow2Wrapper;
import lockstep.api.QCryptoBlockInfoLUKS;
import lockstep.api.QCryptoBlockInfoLUKSSlot;
import lockstep.api.QCryptoCipherAlgo;
import lockstep.api.QCryptoCipherMode;
import lockstep.api.QCryptoHashAlgo;
import lockstep.api.QCryptoIVGenAlgo;
import lockstep.api.Qcow2BitmapInfo;
import lockstep.api.Qcow2BitmapInfoFlags;
import lockstep.api.Qcow2CompressionType;
import lockstep.api.ThrottleLimits;
import lockstep.block.BackendStats;
import lockstep.block.Backends;
import lockstep.block.BlockBackend;
import lockstep.block.LatencyHistogram;
import lockstep.block.Tray;
import lockstep.block.file.FileNode;
import lockstep.block.luks.LuksHeader;
import lockstep.block.luks.LuksNode;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.DirtyBitmap;
import lockstep.block.node.Role;
import lockstep.block.qcow2.Encryption;
import lockstep.block.qcow2.Qcow2Header;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.block.quorum.QuorumNode;
import lockstep.block.throttle.Limits;
import lockstep.block.throttle.ThrottleGroup;
import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonPrinter;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;

/** What the graph looks like in the shapes of QMP. Machine lock held. */
final class NodeQueries {
    private final Backends backends;
    private final BlockGraph graph;

    NodeQueries(Backends backends) {
        this.backends = backends;
        this.graph = backends.graph();
    }

    /**
     * The text that names a node's data: a plain file name, or all significant options as {@code
     * json:{...}}.
     */
    static String filename(BlockNode node) {
        String plain = node.plainFilename();
        return plain.isEmpty() ? "json:" + JsonPrinter.compact(fullOptions(node)) : plain;
    }

    private static JsonObject fullOptions(BlockNode node) {
        JsonObject options = new JsonObject();
        node.info().options().members().forEach(options::put);
        options.put("driver", node.driver());
        if (node instanceof QuorumNode) {
            JsonArray children = new JsonArray();
            node.children().forEach(edge -> children.add(fullOptions(edge.node())));
            options.put("children", children);
            return options;
        }
        for (ChildEdge edge : node.children()) {
            if (edge.role() != Role.BACKING || node.info().backingOverridden()) {
                options.put(edge.name(), fullOptions(edge.node()));
            }
        }
        return options;
    }

    /** The node below that has the data this one does not have itself: filtered or backing. */
    private static @Nullable BlockNode below(BlockNode node) {
        BlockNode backing = node.backing();
        if (backing != null) {
            return backing;
        }
        if (node.driver().equals("raw")) {
            return null;
        }
        for (ChildEdge edge : node.children()) {
            if (edge.role() == Role.FILTERED) {
                return edge.node();
            }
        }
        return null;
    }

    private long length(BlockNode node) {
        ChildEdge look = ChildEdge.look(node);
        graph.drain().enter(look);
        try {
            // In whole sectors, as everything that counts disks does.
            return look.length();
        } catch (BlockException e) {
            return 0;
        } finally {
            graph.drain().leave(look);
        }
    }

    /**
     * Bytes in the host's files below a node, without backing chains; null when that is not known.
     */
    private static @Nullable Long actualSize(BlockNode node) {
        if (node instanceof FileNode file) {
            try {
                return file.allocatedBytes();
            } catch (BlockException e) {
                return null;
            }
        }
        Long sum = null;
        for (ChildEdge edge : node.children()) {
            if (edge.role() != Role.BACKING) {
                Long one = actualSize(edge.node());
                if (one == null) {
                    return null;
                }
                sum = sum == null ? one : Long.valueOf(sum + one);
            }
        }
        return sum;
    }

    ImageInfo image(BlockNode node, boolean withBacking) {
        ImageInfo.Builder image =
                ImageInfo.builder()
                        .filename(filename(node))
                        .format(node.driver())
                        .virtualSize(length(node))
                        .actualSize(actualSize(node));
        BlockLimitsInfo.Builder limits =
                BlockLimitsInfo.builder()
                        .requestAlignment(1)
                        .maxIov(1024)
                        .minMemAlignment(512)
                        .optMemAlignment(4096);
        if (node instanceof Qcow2Node qcow2) {
            Qcow2Header header = qcow2.header();
            long cluster = 1L << header.clusterBits();
            image.clusterSize(cluster).dirtyFlag(false).formatSpecific(specific(qcow2));
            if (header.encryption() != 0) {
                image.encrypted(true);
            }
            limits.discardAlignment(cluster).writeZeroesAlignment(cluster);
            if (!qcow2.snapshots().isEmpty()) {
                image.snapshots(qcow2.snapshots().stream().map(InternalSnapshots::info).toList());
            }
            if (header.backingFile() != null) {
                image.backingFilename(header.backingFile())
                        .backingFilenameFormat(header.backingFormat());
                BlockNode backing = node.backing();
                image.fullBackingFilename(
                        backing == null ? header.backingFile() : filename(backing));
            }
        } else if (node instanceof FileNode) {
            image.dirtyFlag(false)
                    .formatSpecific(
                            new ImageInfoSpecific.File(
                                    new ImageInfoSpecificFileWrapper(
                                            new ImageInfoSpecificFile(null))));
        } else if (node instanceof LuksNode luks) {
            image.dirtyFlag(false)
                    .encrypted(true)
                    .formatSpecific(
                            new ImageInfoSpecific.Luks(
                                    new ImageInfoSpecificLUKSWrapper(volume(luks.header()))));
        } else if (node.driver().equals("raw")) {
            image.dirtyFlag(false);
        }
        image.limits(limits.build());
        BlockNode below = withBacking ? below(node) : null;
        if (below != null) {
            image.backingImage(image(below, true));
        }
        return image.build();
    }

    private static ImageInfoSpecific specific(Qcow2Node node) {
        Qcow2Header header = node.header();
        boolean v3 = header.version() >= 3;
        return new ImageInfoSpecific.Qcow2(
                new ImageInfoSpecificQCow2Wrapper(
                        new ImageInfoSpecificQCow2(
                                v3 ? "1.1" : "0.10",
                                null,
                                null,
                                v3 ? Boolean.FALSE : null,
                                v3 ? Boolean.valueOf((header.compatible() & 1) != 0) : null,
                                v3 ? Boolean.valueOf(node.corrupt()) : null,
                                1L << header.refcountOrder(),
                                encryption(node.encryption()),
                                kept(node),
                                header.compressionType() == 0
                                        ? Qcow2CompressionType.ZLIB
                                        : Qcow2CompressionType.ZSTD)));
    }

    private static boolean isEncrypted(BlockNode node) {
        return node instanceof LuksNode
                || node instanceof Qcow2Node qcow2 && qcow2.header().encryption() != 0;
    }

    /** How an image is encrypted; null for not at all. */
    private static @Nullable ImageInfoSpecificQCow2Encryption encryption(Encryption encryption) {
        LuksHeader luks = encryption.luks();
        if (luks != null) {
            return new ImageInfoSpecificQCow2Encryption.Luks(volume(luks));
        }
        return encryption.format() == null ? null : new ImageInfoSpecificQCow2Encryption.Aes();
    }

    /** What a LUKS header says. */
    private static QCryptoBlockInfoLUKS volume(LuksHeader header) {
        LuksHeader.Kind kind = header.kind();
        String vectorHash = kind.vectorHash();
        return new QCryptoBlockInfoLUKS(
                requireNonNull(QCryptoCipherAlgo.find(kind.cipher())),
                requireNonNull(QCryptoCipherMode.find(kind.mode())),
                requireNonNull(QCryptoIVGenAlgo.find(kind.vector())),
                vectorHash == null ? null : QCryptoHashAlgo.find(vectorHash),
                requireNonNull(QCryptoHashAlgo.find(kind.hash())),
                header.payloadOffset(),
                header.rounds(),
                header.uuid(),
                header.slots().stream()
                        .map(
                                slot ->
                                        new QCryptoBlockInfoLUKSSlot(
                                                slot.active(),
                                                slot.active() ? Long.valueOf(slot.rounds()) : null,
                                                slot.active() ? Long.valueOf(slot.stripes()) : null,
                                                slot.keyOffset()))
                        .toList());
    }

    private static @Nullable List<Qcow2BitmapInfo> kept(Qcow2Node node) {
        List<Qcow2BitmapInfo> list = new ArrayList<>();
        for (Qcow2Node.KeptBitmap bitmap : node.keptBitmaps()) {
            List<Qcow2BitmapInfoFlags> flags = new ArrayList<>();
            if (bitmap.inUse()) {
                flags.add(Qcow2BitmapInfoFlags.IN_USE);
            }
            if (bitmap.recording()) {
                flags.add(Qcow2BitmapInfoFlags.AUTO);
            }
            list.add(new Qcow2BitmapInfo(bitmap.name(), bitmap.granularity(), flags));
        }
        return list.isEmpty() ? null : list;
    }

    BlockDeviceInfo device(BlockNode node, @Nullable BlockBackend backend, boolean flat) {
        List<BlockdevChild> children = new ArrayList<>();
        for (ChildEdge edge : node.children().reversed()) {
            children.add(new BlockdevChild(edge.name(), edge.node().name()));
        }
        int depth = 0;
        for (BlockNode at = flat ? null : below(node); at != null; at = below(at)) {
            depth++;
        }
        BlockNode backing = node.backing();
        BlockDeviceInfo.Builder info =
                BlockDeviceInfo.builder()
                        .file(filename(node))
                        .nodeName(node.name())
                        .ro(node.readOnly())
                        .drv(node.driver())
                        .backingFile(backing == null ? null : filename(backing))
                        .backingFileDepth(depth)
                        .children(children)
                        .active(node.active())
                        .encrypted(isEncrypted(node))
                        .detectZeroes(node.info().detectZeroes())
                        .image(image(node, !flat))
                        .cache(
                                new BlockdevCacheInfo(
                                        backend == null || !backend.writethrough(),
                                        node.info().cacheDirect(),
                                        node.info().cacheNoFlush()))
                        .writeThreshold(node.writeThreshold());
        limits(info, backend == null ? null : backend.throttle());
        List<BlockDirtyInfo> bitmaps = node.bitmaps().stream().map(NodeQueries::bitmap).toList();
        if (!bitmaps.isEmpty()) {
            info.dirtyBitmaps(bitmaps);
        }
        return info.build();
    }

    private static BlockDirtyInfo bitmap(DirtyBitmap b) {
        return BlockDirtyInfo.builder()
                .name(b.name())
                .count(b.count() * b.granule())
                .granularity(b.granule())
                .recording(b.recording())
                .busy(b.busy())
                .persistent(b.persistent())
                .inconsistent(b.inconsistent() ? Boolean.TRUE : null)
                .build();
    }

    /** Bursts are shown where there are some. */
    private static void limits(
            BlockDeviceInfo.Builder info, ThrottleGroup.@Nullable Member member) {
        ThrottleLimits l = (member == null ? Limits.NONE : member.group().limits()).shown();
        info.bps(or0(l.bpsTotal()))
                .bpsRd(or0(l.bpsRead()))
                .bpsWr(or0(l.bpsWrite()))
                .iops(or0(l.iopsTotal()))
                .iopsRd(or0(l.iopsRead()))
                .iopsWr(or0(l.iopsWrite()));
        if (member == null) {
            return;
        }
        info.group(member.group().name())
                .bpsMax(some(l.bpsTotalMax()))
                .bpsMaxLength(burst(l.bpsTotalMax(), l.bpsTotalMaxLength()))
                .bpsRdMax(some(l.bpsReadMax()))
                .bpsRdMaxLength(burst(l.bpsReadMax(), l.bpsReadMaxLength()))
                .bpsWrMax(some(l.bpsWriteMax()))
                .bpsWrMaxLength(burst(l.bpsWriteMax(), l.bpsWriteMaxLength()))
                .iopsMax(some(l.iopsTotalMax()))
                .iopsMaxLength(burst(l.iopsTotalMax(), l.iopsTotalMaxLength()))
                .iopsRdMax(some(l.iopsReadMax()))
                .iopsRdMaxLength(burst(l.iopsReadMax(), l.iopsReadMaxLength()))
                .iopsWrMax(some(l.iopsWriteMax()))
                .iopsWrMaxLength(burst(l.iopsWriteMax(), l.iopsWriteMaxLength()))
                .iopsSize(some(l.iopsSize()));
    }

    private static long or0(@Nullable Long value) {
        return value == null ? 0 : value;
    }

    private static @Nullable Long some(@Nullable Long value) {
        return or0(value) == 0 ? null : value;
    }

    private static @Nullable Long burst(@Nullable Long rate, @Nullable Long seconds) {
        return some(rate) == null ? null : seconds;
    }

    private static boolean shown(BlockBackend backend) {
        return !backend.name().isEmpty() || backend.device() != null;
    }

    /** The path of a device in the object tree. */
    static @Nullable String qdev(BlockBackend backend) {
        return backend.device();
    }

    List<BlockInfo> blocks() {
        List<BlockInfo> list = new ArrayList<>();
        for (BlockBackend backend : backends) {
            if (shown(backend)) {
                list.add(block(backend));
            }
        }
        return list;
    }

    private BlockInfo block(BlockBackend backend) {
        BlockNode root = backend.root();
        Tray tray = backend.tray();
        BlockInfo.Builder info =
                BlockInfo.builder()
                        .device(backend.name())
                        .qdev(qdev(backend))
                        .type("unknown")
                        .removable(backend.removable())
                        .locked(tray != null && tray.locked());
        if (tray != null) {
            info.trayOpen(tray.open());
        }
        if (backend.errors().hasStatus()) {
            info.ioStatus(
                    switch (backend.errors().status()) {
                        case OK -> BlockDeviceIoStatus.OK;
                        case FAILED -> BlockDeviceIoStatus.FAILED;
                        case NOSPACE -> BlockDeviceIoStatus.NOSPACE;
                    });
        }
        if (root != null) {
            info.inserted(device(root, backend, false));
        }
        return info.build();
    }

    List<BlockDeviceInfo> named(boolean flat) {
        List<BlockDeviceInfo> list = new ArrayList<>();
        for (BlockNode node : graph.names().nodes().reversed()) {
            list.add(device(node, null, flat));
        }
        return list;
    }

    List<BlockStats> statistics(boolean nodes) {
        List<BlockStats> list = new ArrayList<>();
        if (nodes) {
            for (BlockNode node : graph.names().nodes().reversed()) {
                list.add(nodeStats(node, false));
            }
            return list;
        }
        for (BlockBackend backend : backends) {
            if (!shown(backend)) {
                continue;
            }
            BlockNode root = backend.root();
            BlockStats below = root == null ? null : nodeStats(root, true);
            list.add(
                    BlockStats.builder()
                            .device(backend.name())
                            .qdev(qdev(backend))
                            .nodeName(root == null ? null : root.name())
                            .stats(
                                    stats(
                                            backend.stats(),
                                            root == null ? 0 : root.highestWrite(),
                                            true))
                            .parent(below == null ? null : below.parent())
                            .backing(below == null ? null : below.backing())
                            .build());
        }
        return list;
    }

    private static BlockStats nodeStats(BlockNode node, boolean recurse) {
        BlockStats.Builder stats =
                BlockStats.builder()
                        .nodeName(node.name())
                        .stats(stats(null, node.highestWrite(), false));
        ChildEdge data = node.primaryChild();
        if (data == null && !node.children().isEmpty()) {
            data = node.children().getLast();
        }
        if (data != null) {
            stats.parent(nodeStats(data.node(), recurse));
        }
        if (node instanceof FileNode) {
            stats.driverSpecific(new BlockStatsSpecific.File(new BlockStatsSpecificFile(0, 0, 0)));
        }
        BlockNode backing = node.backing();
        if (recurse && backing != null) {
            stats.backing(nodeStats(backing, true));
        }
        return stats.build();
    }

    private static BlockDeviceStats stats(
            @Nullable BackendStats stats, long highest, boolean account) {
        BlockDeviceStats.Builder b =
                BlockDeviceStats.builder()
                        .rdBytes(0)
                        .wrBytes(0)
                        .zoneAppendBytes(0)
                        .unmapBytes(0)
                        .rdOperations(0)
                        .wrOperations(0)
                        .zoneAppendOperations(0)
                        .flushOperations(0)
                        .unmapOperations(0)
                        .rdTotalTimeNs(0)
                        .wrTotalTimeNs(0)
                        .zoneAppendTotalTimeNs(0)
                        .flushTotalTimeNs(0)
                        .unmapTotalTimeNs(0)
                        .wrHighestOffset(highest)
                        .rdMerged(0)
                        .wrMerged(0)
                        .zoneAppendMerged(0)
                        .unmapMerged(0)
                        .failedRdOperations(0)
                        .failedWrOperations(0)
                        .failedZoneAppendOperations(0)
                        .failedFlushOperations(0)
                        .failedUnmapOperations(0)
                        .invalidRdOperations(0)
                        .invalidWrOperations(0)
                        .invalidZoneAppendOperations(0)
                        .invalidFlushOperations(0)
                        .invalidUnmapOperations(0)
                        .accountInvalid(account)
                        .accountFailed(account)
                        .timedStats(List.of());
        if (stats != null) {
            b.rdBytes(stats.read().bytes())
                    .rdOperations(stats.read().operations())
                    .rdTotalTimeNs(stats.read().nanos())
                    .failedRdOperations(stats.read().failed())
                    .wrBytes(stats.write().bytes())
                    .wrOperations(stats.write().operations())
                    .wrTotalTimeNs(stats.write().nanos())
                    .failedWrOperations(stats.write().failed())
                    .unmapBytes(stats.unmap().bytes())
                    .unmapOperations(stats.unmap().operations())
                    .unmapTotalTimeNs(stats.unmap().nanos())
                    .failedUnmapOperations(stats.unmap().failed())
                    .flushOperations(stats.flush().operations())
                    .flushTotalTimeNs(stats.flush().nanos())
                    .failedFlushOperations(stats.flush().failed())
                    .rdLatencyHistogram(histogram(stats.read()))
                    .wrLatencyHistogram(histogram(stats.write()))
                    .zoneAppendLatencyHistogram(histogram(stats.zoneAppend()))
                    .flushLatencyHistogram(histogram(stats.flush()));
        }
        return b.build();
    }

    private static @Nullable BlockLatencyHistogramInfo histogram(BackendStats.Counter counter) {
        LatencyHistogram h = counter.histogram();
        return h == null ? null : new BlockLatencyHistogramInfo(h.boundaries(), h.bins());
    }
}
