package lockstep.block.monitor;

import lockstep.api.BlockdevBackup;
import lockstep.api.DriveBackup;
import lockstep.api.MirrorSyncMode;
import lockstep.api.TransactionAction;
import lockstep.block.job.JobGroup;
import lockstep.block.job.Jobs;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.open.LegacyTree;
import lockstep.block.open.NodeOpener;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.qmp.JsonObject;

import org.jspecify.annotations.Nullable;

/** blockdev-backup and drive-backup, which opens the image that it copies to. Main loop, machine lock held. */
final class Backups {
    private final BlockGraph graph;
    private final NodeOpener opener;
    private final NewImages images;
    private final Jobs jobs;

    Backups(NodeOpener opener, Jobs jobs) {
        graph = jobs.graph();
        this.opener = opener;
        images = new NewImages(graph, opener);
        this.jobs = jobs;
    }

    /** The action of a transaction; null when it is about something else. */
    @Nullable Step act(TransactionAction action, JobGroup group) throws BlockException {
        return switch (action) {
            case TransactionAction.BlockdevBackup a -> start(a.data().data(), group);
            case TransactionAction.DriveBackup a -> start(a.data().data(), group);
            default -> null;
        };
    }

    /** blockdev-backup. */
    Step start(BlockdevBackup a, JobGroup group) throws BlockException {
        Jobs.Prepared job = jobs.backup(a, group);
        return new Step() {
            @Override
            public void commit() {
                job.begin();
            }

            @Override
            public void takeBack() {
                job.withdraw();
            }
        };
    }

    /** drive-backup. An image that was made stays if that fails. */
    Step start(DriveBackup a, JobGroup group) throws BlockException {
        BlockNode source = graph.names().lookup(a.device());
        source.refuseIfBlocked();
        BlockNode below = DriveMirroring.underFilters(source).backing();
        MirrorSyncMode sync = NewImages.sync(a.sync(), below);
        String format = images.makeFor(source, sync, below, a.mode(), a.target(), a.format());
        JsonObject tree = new JsonObject();
        if (format != null) {
            tree.put("driver", format);
        }
        tree.put("file", LegacyTree.fileNamed(a.target()));
        NodeOpener.Inherited inherited = NodeOpener.Inherited.inPlaceOf(source);
        boolean aside = sync == MirrorSyncMode.NONE;
        BlockNode target =
                aside ? opener.openTop(tree, inherited) : opener.openLegacy(tree, inherited);
        try {
            if (aside && target instanceof Qcow2Node image) {
                image.attachBacking(source);
            }
            return start(arguments(a, sync, target), group);
        } finally {
            graph.release(target);
        }
    }

    private static BlockdevBackup arguments(DriveBackup a, MirrorSyncMode sync, BlockNode target) {
        return BlockdevBackup.builder()
                .jobId(a.jobId())
                .device(a.device())
                .target(target.name())
                .sync(sync)
                .speed(a.speed())
                .bitmap(a.bitmap())
                .bitmapMode(a.bitmapMode())
                .compress(a.compress())
                .onSourceError(a.onSourceError())
                .onTargetError(a.onTargetError())
                .onCbwError(a.onCbwError())
                .autoFinalize(a.autoFinalize())
                .autoDismiss(a.autoDismiss())
                .filterNodeName(a.filterNodeName())
                .discardSource(a.discardSource())
                .xPerf(a.xPerf())
                .build();
    }
}
