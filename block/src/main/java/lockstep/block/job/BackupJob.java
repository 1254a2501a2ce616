package lockstep.block.job;

import lockstep.api.BitmapSyncMode;
import lockstep.api.BlockJobInfo;
import lockstep.api.BlockdevBackup;
import lockstep.api.JobType;
import lockstep.api.MirrorSyncMode;
import lockstep.api.OnCbwError;
import lockstep.block.ErrorAction;
import lockstep.block.backup.CopyBeforeWrite;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.DirtyBitmap;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.List;

/**
 * Copies a disk as it is when the job is made, while the guest goes on: a {@link CopyBeforeWrite} above the disk copies
 * what the guest is about to overwrite, the job all else.
 */
final class BackupJob extends CopyJob {
    private static final String BLOCKED = "block device is in use by block job: backup";

    private final BlockGraph graph;
    private final MirrorSyncMode sync;
    private final ErrorAction onSourceError;
    private final ErrorAction onTargetError;
    private final BlockNode source;
    private final BlockNode target;
    private final CopyBeforeWrite filter;
    private final @Nullable DirtyBitmap bitmap;
    private final BitmapSyncMode bitmapMode;

    private BackupJob(
            Jobs jobs,
            Terms terms,
            BlockdevBackup a,
            BlockNode source,
            BlockNode target,
            @Nullable DirtyBitmap bitmap)
            throws BlockException {
        super(jobs, JobType.BACKUP, terms);
        graph = jobs.graph();
        sync = a.sync();
        onSourceError = action(a.onSourceError());
        onTargetError = action(a.onTargetError());
        this.source = source;
        this.target = target;
        this.bitmap = bitmap;
        BitmapSyncMode mode = a.bitmapMode();
        bitmapMode =
                mode == null || sync == MirrorSyncMode.INCREMENTAL
                        ? BitmapSyncMode.ON_SUCCESS
                        : mode;
        String name = a.filterNodeName();
        CopyBeforeWrite made = null;
        try {
            made =
                    CopyBeforeWrite.open(
                            graph,
                            name == null ? graph.autoName() : name,
                            false,
                            true,
                            source,
                            target,
                            new CopyBeforeWrite.Options(
                                    a.onCbwError() == OnCbwError.BREAK_SNAPSHOT,
                                    0,
                                    Boolean.TRUE.equals(a.compress()),
                                    0,
                                    this::progress));
            CopyBeforeWrite inserted = made;
            graph.drain()
                    .drained(
                            List.of(source, target),
                            () -> {
                                inserted.insert();
                                if (marksWhatToCopy(sync) && bitmap != null) {
                                    inserted.beginEpoch(bitmap);
                                } else {
                                    inserted.beginEpoch();
                                }
                            });
        } catch (BlockException e) {
            if (made != null) {
                graph.release(made);
            }
            throw new BlockException(e.errno(), "Could not create node: " + e.getMessage(), e);
        }
        filter = made;
        if (bitmap != null) {
            bitmap.use(true);
            bitmap.startAnew();
        }
        filter.block(describe(), BLOCKED);
        target.block(describe(), BLOCKED);
    }

    private static boolean marksWhatToCopy(MirrorSyncMode sync) {
        return sync == MirrorSyncMode.BITMAP || sync == MirrorSyncMode.INCREMENTAL;
    }

    /** Checks what the client asked for and puts the filter in place. */
    static BackupJob prepare(Jobs jobs, BlockdevBackup a) throws BlockException {
        BlockGraph graph = jobs.graph();
        BlockNode source = graph.names().lookup(a.device());
        BlockNode target = graph.names().lookup(a.target());
        DirtyBitmap bitmap = bitmap(a, source);
        if (source == target) {
            throw bad("Source and target cannot be the same");
        }
        if (Boolean.TRUE.equals(a.compress()) && !(target instanceof Qcow2Node)) {
            throw new BlockException(
                    Errno.ENOTSUP,
                    "Compression is not supported for this drive " + target.device());
        }
        source.refuseIfBlocked();
        target.refuseIfBlocked();
        if (bitmap != null) {
            bitmap.checkUsable(false);
        }
        checkTuning(a, Math.max(64 << 10, target.allocationUnit()));
        if (ChildEdge.look(source).length() != ChildEdge.look(target).length()) {
            throw bad("Source and target image have different sizes");
        }
        Terms terms =
                new Terms(
                        jobs.identifier(a.jobId(), a.device()),
                        notNegative("speed", a.speed()),
                        !Boolean.FALSE.equals(a.autoFinalize()),
                        !Boolean.FALSE.equals(a.autoDismiss()));
        return new BackupJob(jobs, terms, a, source, target, bitmap);
    }

    private static void checkTuning(BlockdevBackup a, long granule) throws BlockException {
        if (a.xPerf() == null) {
            return;
        }
        Long workers = a.xPerf().maxWorkers();
        if (workers != null && (workers < 1 || workers > Integer.MAX_VALUE)) {
            throw bad("max-workers must be between 1 and " + Integer.MAX_VALUE);
        }
        Long chunk = a.xPerf().maxChunk();
        if (chunk != null && chunk < 0) {
            throw bad("max-chunk must be zero (which means no limit) or positive");
        }
        if (chunk != null && chunk > 0 && chunk < granule) {
            throw bad(
                    "Required max-chunk (%d) is less than backup cluster size (%d)"
                            .formatted(chunk, granule));
        }
    }

    private static @Nullable DirtyBitmap bitmap(BlockdevBackup a, BlockNode source)
            throws BlockException {
        String name = a.bitmap();
        BitmapSyncMode mode = a.bitmapMode();
        String sync = a.sync().wireName();
        if (marksWhatToCopy(a.sync()) && name == null) {
            throw bad("must provide a valid bitmap name for '" + sync + "' sync mode");
        }
        if (a.sync() == MirrorSyncMode.INCREMENTAL) {
            if (mode != null && mode != BitmapSyncMode.ON_SUCCESS) {
                throw bad(
                        "Bitmap sync mode must be 'on-success' when using sync mode 'incremental'");
            }
            mode = BitmapSyncMode.ON_SUCCESS;
        }
        if (name == null) {
            if (mode != null) {
                throw bad("Cannot specify bitmap sync mode without a bitmap");
            }
            return null;
        }
        DirtyBitmap bitmap = source.bitmap(name);
        if (bitmap == null) {
            throw new BlockException(Errno.ENOENT, "Bitmap '" + name + "' could not be found");
        }
        if (mode == null) {
            throw bad("Bitmap sync mode must be given when providing a bitmap");
        }
        bitmap.checkUsable(false);
        if (a.sync() == MirrorSyncMode.NONE) {
            throw bad("sync mode '" + sync + "' does not produce meaningful bitmap outputs");
        }
        if (mode == BitmapSyncMode.NEVER && !marksWhatToCopy(a.sync())) {
            throw bad(
                    "Bitmap sync mode 'never' has no meaningful effect when combined with sync mode"
                            + " '"
                            + sync
                            + "'");
        }
        return bitmap;
    }

    private String describe() {
        return "block job '" + id() + "'";
    }

    // On the job's thread

    private void enter() throws BlockException {
        graph.drain().enter(filter.disk(), filter.target());
        if (filter.closed()) {
            leave();
            throw new BlockException(Errno.ECANCELED);
        }
    }

    private void leave() {
        graph.drain().leave(filter.disk(), filter.target());
    }

    @Override
    void work() throws BlockException, InterruptedException {
        if (sync == MirrorSyncMode.NONE) {
            while (true) {
                pausePoint();
                checkKept();
                rest(SECOND);
            }
        }
        if (sync == MirrorSyncMode.TOP) {
            skipWhatIsBelow();
        }
        long granule = filter.notCopied().granule();
        int index = next();
        while (index >= 0) {
            pausePoint();
            checkKept();
            long before = offset();
            CopyBeforeWrite.Failure failure;
            enter();
            try {
                failure = filter.copy(index);
            } finally {
                leave();
            }
            if (failure == null) {
                limit(Math.min(granule, offset() - before));
            } else {
                failed(
                        failure.reading(),
                        failure.why(),
                        failure.reading() ? onSourceError : onTargetError);
            }
            index = next();
        }
        checkKept();
    }

    private int next() {
        return filter.notCopied().first(0, Long.MAX_VALUE - 1);
    }

    private void checkKept() throws BlockException {
        BlockException broken = filter.broken();
        if (broken != null) {
            throw broken;
        }
    }

    /** What the topmost image does not have is not copied. */
    private void skipWhatIsBelow() throws BlockException, InterruptedException {
        BlockNode image = Chain.image(source);
        Chain top = new Chain(image, Chain.below(image));
        long granule = filter.notCopied().granule();
        long length = ChildEdge.look(image).length();
        for (long at = 0; at < length; at += granule) {
            pausePoint();
            enter();
            try {
                long end = Math.min(length, at + granule);
                boolean own = false;
                for (long offset = at; offset < end && !own; ) {
                    BlockStatus status = top.status(offset, end - offset);
                    own = status.allocated();
                    offset += status.length();
                }
                int index = (int) (at / granule);
                if (!own && filter.notCopied().first(at, 1) >= 0) {
                    filter.notCopied().clear(index);
                    progress(end - at);
                }
            } finally {
                leave();
            }
        }
    }

    // On the main loop

    @Override
    boolean idle() {
        return sync == MirrorSyncMode.NONE;
    }

    @Override
    void cutOff() {
        BlockGraph.cut(target);
    }

    @Override
    void endWithoutResult() {}

    @Override
    long remaining() {
        return filter.notCopied().bytes();
    }

    @Override
    void commit() throws BlockException {
        graph.drain()
                .drained(
                        List.of(filter, source, target),
                        () -> {
                            filter.target().flush();
                            takeOut();
                        });
        if (bitmap != null) {
            if (bitmapMode == BitmapSyncMode.NEVER) {
                bitmap.keepOlder();
            } else {
                bitmap.dropOlder();
            }
            bitmap.use(false);
        }
    }

    private void takeOut() throws BlockException {
        filter.unblock(describe());
        target.unblock(describe());
        if (!filter.closed()) {
            filter.remove();
        }
    }

    @Override
    void abandon() {
        try {
            takeOut();
        } catch (BlockException e) {
            warn("ending " + describe(), e);
        }
        if (bitmap != null && bitmap.busy()) {
            if (bitmapMode == BitmapSyncMode.ALWAYS) {
                // As far as it got.
                bitmap.dropOlder();
                bitmap.merge(filter.notCopied());
            } else {
                bitmap.keepOlder();
            }
            bitmap.use(false);
        }
    }

    @Override
    BlockJobInfo blockInfo(JobState s) {
        return new BlockJobInfo.Backup(
                s.id(),
                s.length(),
                s.offset(),
                s.busy(),
                s.paused(),
                s.speed(),
                ioStatus(),
                s.ready(),
                s.status(),
                s.autoFinalize(),
                s.autoDismiss(),
                s.error());
    }
}
