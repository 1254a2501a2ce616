package lockstep.block.job;

import lockstep.api.BlockJobInfo;
import lockstep.api.BlockJobInfoMirror;
import lockstep.api.BlockdevMirrorArguments;
import lockstep.api.JobType;
import lockstep.api.MirrorCopyMode;
import lockstep.api.MirrorSyncMode;
import lockstep.block.ErrorAction;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.Buffers;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.DirtyBitmap;
import lockstep.block.node.NodeUser;
import lockstep.block.node.Permission;
import lockstep.block.node.Role;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.List;

/**
 * Copies a disk to another node while the guest uses it. A filter above the disk marks what is written;
 * marked granules are copied, again and again, until none is left: then the job is ready. When it is
 * completed the disk's users change over to the copy, in a moment in which none of them is inside.
 */
final class MirrorJob extends CopyJob implements NodeUser {
    private static final String BLOCKED = "block device is in use by block job: mirror";
    private static final long MIN_GRANULE = 512;
    private static final long MAX_GRANULE = 64 << 20;
    private static final long DEFAULT_GRANULE = 64 << 10;
    private static final long SECOND = 1_000_000_000;

    private final BlockGraph graph;

    /** Whether what is to be copied is not known yet. */
    private final boolean looksForWork;

    private final boolean topOnly;
    private final ErrorAction onSourceError;
    private final ErrorAction onTargetError;
    private final boolean targetIsZero;
    private final boolean unmap;
    private final MirrorEnding ending;
    private final BlockNode source;
    private final BlockNode target;
    private final @Nullable BlockNode replaces;
    private final MirrorFilter filter;
    private final ChildEdge disk;
    private final ChildEdge copy;
    private volatile boolean keepUsers;

    /** Bytes that are neither marked nor counted as copied, because that is being done. Guarded by this. */
    private long underWay;

    private MirrorJob(
            Jobs jobs,
            Terms terms,
            BlockdevMirrorArguments arguments,
            boolean unmap,
            MirrorEnding ending,
            BlockNode source,
            BlockNode target,
            @Nullable BlockNode replaces,
            long granule,
            @Nullable DirtyBitmap bitmap)
            throws BlockException {
        super(jobs, JobType.MIRROR, terms);
        graph = jobs.graph();
        looksForWork = bitmap == null && arguments.sync() != MirrorSyncMode.NONE;
        topOnly = arguments.sync() == MirrorSyncMode.TOP;
        onSourceError = action(arguments.onSourceError());
        onTargetError = action(arguments.onTargetError());
        targetIsZero = Boolean.TRUE.equals(arguments.targetIsZero());
        this.unmap = unmap;
        this.ending = ending;
        this.source = source;
        this.target = target;
        this.replaces = replaces;
        String name = arguments.filterNodeName();
        filter =
                MirrorFilter.insert(
                        graph,
                        source,
                        name == null ? graph.autoName() : name,
                        new DirtyBitmap(granule, this::wake));
        disk = filter.disk();
        try {
            copy =
                    graph.attach(
                            this,
                            "target",
                            Role.ROOT,
                            target,
                            Permission.CONSISTENT_READ | Permission.WRITE,
                            Permission.CONSISTENT_READ | Permission.WRITE_UNCHANGED);
        } catch (BlockException e) {
            filter.remove(source);
            throw e;
        }
        if (bitmap != null) {
            // What is written from now on is marked in both.
            filter.dirty().merge(bitmap);
        }
        filter.block(describe(), BLOCKED);
        source.block(describe(), BLOCKED);
        target.block(describe(), BLOCKED);
    }

    /** Checks what the client asked for and puts the filter in place. */
    static MirrorJob prepare(
            Jobs jobs, BlockdevMirrorArguments a, boolean unmap, MirrorEnding ending)
            throws BlockException {
        BlockGraph graph = jobs.graph();
        BlockNode source = graph.names().lookup(a.device());
        BlockNode target = graph.names().lookup(a.target());
        switch (a.sync()) {
            case INCREMENTAL, BITMAP ->
                    throw bad("Sync mode '" + a.sync().wireName() + "' not supported");
            default -> {}
        }
        if (a.copyMode() == MirrorCopyMode.WRITE_BLOCKING) {
            throw bad("Copy mode 'write-blocking' is not implemented by this program");
        }
        long granularity = granule(a.granularity());
        if (source == target) {
            throw bad("Can't mirror node into itself");
        }
        source.refuseIfBlocked(a.device());
        target.refuseIfBlocked(a.target());
        if (source.readOnly() && a.sync() == MirrorSyncMode.NONE) {
            throw bad("Block node is read-only");
        }
        if (target.readOnly()) {
            throw bad("Block node is read-only");
        }
        if (ChildEdge.look(source).length() > ChildEdge.look(target).length()) {
            throw bad("Target '" + a.target() + "' is smaller than the source");
        }
        String name = a.filterNodeName();
        if (name != null) {
            graph.names().checkNodeName(name);
        }
        String replaced = a.replaces();
        BlockNode replaces = replaced == null ? null : graph.names().findNode(replaced);
        if (replaced != null && replaces == null) {
            throw bad("Failed to find node with node-name='" + replaced + "'");
        }
        if (replaces != null
                && ChildEdge.look(replaces).length() != ChildEdge.look(target).length()) {
            throw bad("cannot replace image with a mirror image of different size");
        }
        Terms terms =
                new Terms(
                        jobs.identifier(a.jobId(), a.device()),
                        notNegative("speed", a.speed()),
                        !Boolean.FALSE.equals(a.autoFinalize()),
                        !Boolean.FALSE.equals(a.autoDismiss()));
        if (a.bufSize() != null && a.bufSize() < 0) {
            throw bad("Invalid parameter 'buf-size'");
        }
        return new MirrorJob(
                jobs,
                terms,
                a,
                unmap,
                ending,
                source,
                target,
                replaces,
                granularity,
                bitmap(a, source));
    }

    /** The marks that tell where the target may differ; null when it may everywhere. */
    private static @Nullable DirtyBitmap bitmap(BlockdevMirrorArguments a, BlockNode source)
            throws BlockException {
        String name = a.xBitmap();
        if (name == null) {
            return null;
        }
        if (a.sync() != MirrorSyncMode.FULL || Boolean.TRUE.equals(a.targetIsZero())) {
            throw bad("Parameter 'x-bitmap' goes with sync 'full' and no 'target-is-zero'");
        }
        DirtyBitmap bitmap = source.bitmap(name);
        if (bitmap == null) {
            throw new BlockException(
                    Errno.ENOENT, "Dirty bitmap '" + name + "' not found on '" + a.device() + "'");
        }
        return bitmap;
    }

    private static long granule(@Nullable Long given) throws BlockException {
        if (given == null || given == 0) {
            return DEFAULT_GRANULE;
        }
        if (given < MIN_GRANULE || given > MAX_GRANULE) {
            throw bad("Parameter 'granularity' expects a value in range [512B, 64MB]");
        }
        if (Long.bitCount(given) != 1) {
            throw bad("Parameter 'granularity' expects a power of 2");
        }
        return given;
    }

    @Override
    public String describe() {
        return "block job '" + id() + "'";
    }

    // On the job's thread

    @Override
    void work() throws BlockException, InterruptedException {
        if (looksForWork) {
            markWhatIsToCopy();
        }
        int next = 0;
        while (true) {
            pausePoint();
            int granule = take(next);
            if (granule >= 0) {
                copyGranule(granule);
                next = granule + 1;
            } else if (completing()) {
                return;
            } else {
                becomeReady();
                awaitWork();
            }
        }
    }

    private synchronized int take(int from) {
        DirtyBitmap dirty = filter.dirty();
        int granule = dirty.take(from);
        underWay =
                granule < 0
                        ? 0
                        : Math.min(dirty.granule(), dirty.size() - granule * dirty.granule());
        return granule;
    }

    private synchronized void done(long bytes) {
        progress(bytes);
        underWay = 0;
    }

    private void awaitWork() throws InterruptedException {
        synchronized (this) {
            // A write that comes now waits for this monitor before it wakes.
            if (filter.dirty().count() == 0 && !completing()) {
                rest(SECOND);
            }
        }
    }

    /** With sync=top only what the topmost image holds; and no zeroes over zeroes. */
    private void markWhatIsToCopy() throws BlockException, InterruptedException {
        long offset = 0;
        long length;
        do {
            pausePoint();
            enter();
            try {
                checkPlace();
                length = disk.length();
                if (offset < length) {
                    BlockStatus status = disk.status(offset, length - offset);
                    boolean wanted = !topOnly || status.allocated();
                    if (wanted && !(targetIsZero && status.zero())) {
                        filter.dirty().mark(offset, status.length());
                    }
                    offset += status.length();
                }
            } finally {
                leave();
            }
        } while (offset < length);
    }

    /** Inside the gate: whether the job still may do anything to its nodes. */
    private void checkPlace() throws BlockException {
        if (filter.closed()) {
            throw new BlockException(Errno.ECANCELED);
        }
        if (!source.active() || !target.active()) {
            throw new BlockException(Errno.EPERM, "the disk is in use elsewhere now");
        }
    }

    private void enter() {
        graph.drain().enter(disk, copy);
    }

    private void leave() {
        graph.drain().leave(disk, copy);
    }

    private void copyGranule(int granule) throws BlockException, InterruptedException {
        boolean reading = true;
        long copied = 0;
        BlockException failure = null;
        enter();
        try {
            checkPlace();
            long offset = granule * filter.dirty().granule();
            long end = Math.min(disk.length(), offset + filter.dirty().granule());
            while (offset < end) {
                reading = true;
                BlockStatus status = disk.status(offset, end - offset);
                long run = status.length();
                if (status.zero()) {
                    reading = false;
                    copy.writeZeroes(offset, run, unmap);
                } else {
                    try (Buffers.Lease lease = Buffers.take(run)) {
                        disk.read(offset, lease.segment());
                        reading = false;
                        copy.write(offset, lease.segment());
                    }
                }
                offset += run;
                copied += run;
            }
        } catch (BlockException e) {
            filter.dirty().mark(granule * filter.dirty().granule(), 1);
            copied = 0;
            failure = e;
        } finally {
            leave();
        }
        done(copied);
        if (failure != null) {
            if (failure.errno() == Errno.ECANCELED) {
                throw failure;
            }
            failed(reading, failure, reading ? onSourceError : onTargetError);
            return;
        }
        limit(copied);
    }

    // On the main loop

    @Override
    void cutOff() {
        BlockGraph.cut(target);
    }

    @Override
    void endWithoutResult() {
        keepUsers = true;
    }

    @Override
    synchronized long remaining() {
        return filter.dirty().bytes() + underWay;
    }

    @Override
    void commit() throws BlockException {
        graph.drain().drained(List.of(filter, source, target), this::changeOver);
    }

    /** One change from the copy of the rest to the new place of the disk's users: nobody writes in between. */
    private void changeOver() throws BlockException {
        DirtyBitmap dirty = filter.dirty();
        for (int rest = dirty.take(0); rest >= 0; rest = dirty.take(0)) {
            copyRest(rest);
        }
        copy.flush();
        if (keepUsers) {
            abandon();
            return;
        }
        BlockNode holder = graph.retain(target);
        BlockNode former = graph.retain(replaces == null ? source : replaces);
        try {
            ending.before();
            unblock();
            graph.detach(copy);
            if (replaces == null) {
                filter.remove(target);
            } else {
                graph.replaceNode(replaces, target, edge -> true);
                filter.remove(source);
            }
            try {
                ending.after();
            } catch (BlockException e) {
                graph.replaceNode(target, former, edge -> true);
                throw e;
            }
        } finally {
            graph.release(holder);
            graph.release(former);
        }
    }

    private void copyRest(int granule) throws BlockException {
        long offset = granule * filter.dirty().granule();
        long length = Math.min(disk.length() - offset, filter.dirty().granule());
        try (Buffers.Lease lease = Buffers.take(length)) {
            disk.read(offset, lease.segment());
            copy.write(offset, lease.segment());
        }
        progress(length);
    }

    private void unblock() {
        source.unblock(describe());
        target.unblock(describe());
    }

    @Override
    void abandon() {
        unblock();
        try {
            if (!filter.closed()) {
                filter.remove(source);
            }
        } catch (BlockException e) {
            // The users go back to the node they had, with what they were granted on it.
            System.getLogger("lockstep.block")
                    .log(
                            System.Logger.Level.WARNING,
                            "ending " + describe() + ": " + e.getMessage());
        }
        if (copy.node().parents().contains(copy)) {
            graph.detach(copy);
        }
    }

    @Override
    BlockJobInfo blockInfo(JobState s) {
        return new BlockJobInfo.Mirror(
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
                s.error(),
                new BlockJobInfoMirror(false));
    }
}
