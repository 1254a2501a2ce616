package lockstep.block.monitor;

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
import lockstep.block.qcow2.Qcow2Node;
import lockstep.qmp.JsonObject;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

/**
 * drive-mirror: copies a disk to an image that is opened for it, and made before if need be. The image is opened
 * without what is below it, which is the source's until the copy takes its place. Main loop, machine lock held.
 */
final class DriveMirroring {
    private final BlockGraph graph;
    private final NodeOpener opener;
    private final NewImages images;
    private final Jobs jobs;

    DriveMirroring(BlockManager manager, Jobs jobs) {
        graph = manager.graph();
        opener = manager.nodes().opener();
        images = new NewImages(graph, opener);
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
        sync = NewImages.sync(sync, below);
        checkReplaced(a, source);
        boolean existing = a.mode() == NewImageMode.EXISTING;
        String format = images.makeFor(source, sync, below, a.mode(), a.target(), a.format());
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
        source.refuseIfBlocked();
        return source;
    }

    static BlockNode underFilters(BlockNode node) {
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
        return opener.openTop(tree, NodeOpener.Inherited.inPlaceOf(source));
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
