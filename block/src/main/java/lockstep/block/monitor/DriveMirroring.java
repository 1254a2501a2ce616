package lockstep.block.monitor;

import lockstep.api.BlockdevDriver;
import lockstep.api.BlockdevMirrorArguments;
import lockstep.api.DriveMirror;
import lockstep.api.MirrorSyncMode;
import lockstep.api.NewImageMode;
import lockstep.block.drive.BlockManager;
import lockstep.block.job.Jobs;
import lockstep.block.job.MirrorEnding;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.FilterNode;
import lockstep.block.node.NodeUser;
import lockstep.block.node.Permission;
import lockstep.block.node.Role;
import lockstep.block.open.LegacyTree;
import lockstep.block.open.NodeOpener;
import lockstep.block.qcow2.Qcow2Creator;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonString;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.ImageFile;

import org.jspecify.annotations.Nullable;

import java.nio.file.Files;
import java.nio.file.Path;

/**
 * drive-mirror: copies a disk to an image that is opened for it, and made before if need be. The image is opened
 * without what is below it, which is the source's until the copy takes its place. Main loop, machine lock held.
 */
final class DriveMirroring {
    private final BlockGraph graph;
    private final NodeOpener opener;
    private final Jobs jobs;

    DriveMirroring(BlockManager manager, Jobs jobs) {
        graph = manager.graph();
        opener = manager.nodes().opener();
        this.jobs = jobs;
    }

    private static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    /** Begins a job. An image that was made stays if that fails. */
    void start(DriveMirror a) throws BlockException {
        BlockNode source = source(a.device());
        NodeUser reader = () -> "drive-mirror";
        // What the source is made of is in use, even if nobody else reads it yet.
        ChildEdge use =
                graph.attach(
                        reader,
                        "source",
                        Role.ROOT,
                        source,
                        Permission.CONSISTENT_READ,
                        Permission.ALL);
        try {
            start(a, source);
        } finally {
            graph.detach(use);
        }
    }

    private void start(DriveMirror a, BlockNode source) throws BlockException {
        MirrorSyncMode sync = a.sync();
        if (sync == MirrorSyncMode.INCREMENTAL || sync == MirrorSyncMode.BITMAP) {
            throw bad("Sync mode '" + sync.wireName() + "' not supported");
        }
        BlockNode below = underFilters(source).backing();
        if (sync == MirrorSyncMode.TOP && below == null) {
            sync = MirrorSyncMode.FULL;
        }
        checkReplaced(a, source);
        boolean existing = a.mode() == NewImageMode.EXISTING;
        String format = a.format();
        if (format == null && !existing) {
            format = source.driver();
        }
        if (!existing && format != null) {
            BlockNode named =
                    switch (sync) {
                        case TOP -> below;
                        case NONE -> source;
                        default -> null;
                    };
            make(a.target(), format, ChildEdge.look(source).length(), named);
        }
        BlockNode target = open(a, format, source);
        try {
            // An existing image may hold anything.
            boolean blank = !existing && sync == MirrorSyncMode.FULL;
            jobs.mirror(
                    arguments(a, sync, target, blank),
                    !Boolean.FALSE.equals(a.unmap()),
                    existing ? new OwnChain(target) : new SourcesChain(target, sync, source));
        } finally {
            graph.release(target);
        }
    }

    private BlockNode source(String device) throws BlockException {
        BlockNode source = graph.names().lookup(device);
        for (ChildEdge parent : source.parents()) {
            if (graph.names().findDrive(device) == null && parent.role() != Role.ROOT) {
                throw bad("Need a root block node");
            }
        }
        String reason = source.blockedBecause();
        if (reason != null) {
            throw new BlockException(Errno.EBUSY, "Node '" + device + "' is busy: " + reason);
        }
        return source;
    }

    private static BlockNode underFilters(BlockNode node) {
        BlockNode at = node;
        while (at instanceof FilterNode filter && filter.primaryChild() != null) {
            ChildEdge edge = filter.primaryChild();
            at = edge == null ? at : edge.node();
        }
        return at;
    }

    /** Before an image is made for nothing. */
    private void checkReplaced(DriveMirror a, BlockNode source) throws BlockException {
        String replaces = a.replaces();
        if (replaces == null) {
            return;
        }
        if (a.nodeName() == null) {
            throw bad("a node-name must be provided when replacing a named node of the graph");
        }
        BlockNode replaced = graph.names().findNode(replaces);
        if (replaced == null) {
            throw bad("Failed to find node with node-name='" + replaces + "'");
        }
        if (ChildEdge.look(replaced).length() != ChildEdge.look(source).length()) {
            throw bad("cannot replace image with a mirror image of different size");
        }
    }

    private static BlockdevMirrorArguments arguments(
            DriveMirror a, MirrorSyncMode sync, BlockNode target, boolean blank) {
        return BlockdevMirrorArguments.builder()
                .jobId(a.jobId())
                .device(a.device())
                .target(target.name())
                .replaces(a.replaces())
                .sync(sync)
                .speed(a.speed())
                .granularity(a.granularity())
                .bufSize(a.bufSize())
                .onSourceError(a.onSourceError())
                .onTargetError(a.onTargetError())
                .copyMode(a.copyMode())
                .autoFinalize(a.autoFinalize())
                .autoDismiss(a.autoDismiss())
                .targetIsZero(blank)
                .build();
    }

    // ---- the image

    private BlockNode open(DriveMirror a, @Nullable String format, BlockNode source)
            throws BlockException {
        JsonObject tree = new JsonObject();
        JsonObject file = LegacyTree.fileNamed(a.target());
        if (format == null || !format.equals("file")) {
            if (format != null) {
                tree.put("driver", format);
            }
            tree.put("file", file);
        } else {
            tree = file;
        }
        String name = a.nodeName();
        if (name != null) {
            tree.put("node-name", name);
        }
        NodeOpener.Inherited inherited =
                new NodeOpener.Inherited(
                        false,
                        false,
                        source.info().cacheDirect(),
                        source.info().cacheNoFlush(),
                        false,
                        source.info().discardUnmap(),
                        0);
        return opener.openTop(tree, inherited);
    }

    private void make(String filename, String format, long size, @Nullable BlockNode below)
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
        createMissing(path);
        file.put("driver", "file");
        BlockNode node = opener.openLegacy(file, NodeOpener.Inherited.BLOCKDEV);
        try {
            // Nobody else may use what is about to be lost.
            NodeUser maker = () -> "drive-mirror";
            int wanted = Permission.WRITE | Permission.RESIZE;
            ChildEdge edge = graph.attach(maker, "root", Role.ROOT, node, wanted, 0);
            try {
                edge.truncate(0);
                if (qcow2) {
                    Qcow2Creator.create(path, qcow2(size, below));
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
                : new Qcow2Creator.Options(size, 16, below.plainFilename(), below.driver());
    }

    // ---- what is below the image in the end

    /** The chain that the image names itself. */
    private final class OwnChain implements MirrorEnding {
        private final BlockNode target;

        OwnChain(BlockNode target) {
            this.target = target;
        }

        @Override
        public void before() throws BlockException {
            if (target instanceof Qcow2Node image && image.header().backingFile() != null) {
                BlockNode below = opener.openBacking(image);
                try {
                    image.attachBacking(below);
                } finally {
                    graph.release(below);
                }
            }
        }

        @Override
        public void after() {}
    }

    /** What was not copied is read from where the source reads it, or from the source. */
    private record SourcesChain(BlockNode target, MirrorSyncMode sync, BlockNode source)
            implements MirrorEnding {
        private void below(@Nullable BlockNode node) throws BlockException {
            if (target instanceof Qcow2Node image && node != null) {
                image.attachBacking(node);
            }
        }

        @Override
        public void before() throws BlockException {
            if (sync == MirrorSyncMode.TOP) {
                below(underFilters(source).backing());
            }
        }

        @Override
        public void after() throws BlockException {
            if (sync == MirrorSyncMode.NONE) {
                below(source);
            }
        }
    }
}
