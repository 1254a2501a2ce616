package lockstep.block.job;

import lockstep.api.BlockJobChangeOptions;
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
    private static final long MIN_GRANULE = 512;
    private static final long MAX_GRANULE = 64 << 20;
    private static final long DEFAULT_GRANULE = 64 << 10;
    private static final long SECOND = 1_000_000_000;

    private final BlockGraph graph;

    /**
     * What is to be done.
     *
     * @param wanted which images' data; null for all that there is
     * @param looksForWork what is to be copied is not known yet
     * @param atOnce writes go to the copy before they are over
     * @param replaces what the copy takes the place of, if it is not the disk
     * @param bitmap what is to be copied, where that is known
     * @param intoBelow the copy goes to an image that the disk reads from
     */
    private record Plan(
            BlockNode source,
            BlockNode target,
            @Nullable Chain wanted,
            boolean looksForWork,
            ErrorAction onSourceError,
            ErrorAction onTargetError,
            boolean targetIsZero,
            boolean unmap,
            boolean atOnce,
            @Nullable BlockNode replaces,
            @Nullable String filterName,
            long granule,
            @Nullable DirtyBitmap bitmap,
            boolean intoBelow,
            MirrorEnding ending) {}

    private final Plan plan;
    private final BlockNode source;
    private final BlockNode target;
    private final boolean targetWasReadOnly;
    private final MirrorFilter filter;
    private final ChildEdge disk;
    private final ChildEdge copy;
    private volatile boolean keepUsers;

    /** Bytes that are neither marked nor counted as copied, because that is being done. Guarded by this. */
    private long underWay;

    private MirrorJob(Jobs jobs, JobType type, Terms terms, Plan plan) throws BlockException {
        super(jobs, type, terms);
        graph = jobs.graph();
        this.plan = plan;
        source = plan.source;
        target = plan.target;
        targetWasReadOnly = target.readOnly();
        if (targetWasReadOnly) {
            graph.reopen(target, false);
        }
        String name = plan.filterName;
        try {
            filter =
                    MirrorFilter.insert(
                            graph,
                            source,
                            name == null ? graph.autoName() : name,
                            new DirtyBitmap(plan.granule, this::wake),
                            plan.intoBelow);
        } catch (BlockException e) {
            targetReadOnlyAgain();
            throw e;
        }
        disk = filter.disk();
        try {
            boolean grows = ChildEdge.look(target).length() < disk.length();
            copy =
                    graph.attach(
                            this,
                            "target",
                            Role.ROOT,
                            target,
                            Permission.WRITE
                                    | (plan.intoBelow ? 0 : Permission.CONSISTENT_READ)
                                    | (grows ? Permission.RESIZE : 0),
                            Permission.CONSISTENT_READ
                                    | Permission.WRITE_UNCHANGED
                                    | (plan.intoBelow ? Permission.WRITE : 0));
        } catch (BlockException e) {
            filter.remove(source);
            targetReadOnlyAgain();
            throw e;
        }
        if (plan.bitmap != null) {
            // What is written from now on is marked in both.
            filter.dirty().merge(plan.bitmap);
        }
        if (plan.atOnce) {
            filter.copyAtOnce(copy);
        }
        String reason = "block device is in use by block job: " + type.wireName();
        filter.block(describe(), reason);
        source.block(describe(), reason);
        target.block(describe(), reason);
        if (plan.wanted != null && plan.intoBelow) {
            plan.wanted.nodes().forEach(node -> node.block(describe(), reason));
        }
    }

    /** The commit of a disk's topmost image into one below it, which takes its place in the end. */
    static MirrorJob commit(
            Jobs jobs,
            Terms terms,
            BlockNode top,
            BlockNode base,
            @Nullable String filterName,
            ErrorAction onError)
            throws BlockException {
        return new MirrorJob(
                jobs,
                JobType.COMMIT,
                terms,
                new Plan(
                        top,
                        base,
                        new Chain(top, base),
                        true,
                        onError,
                        onError,
                        false,
                        true,
                        false,
                        null,
                        filterName,
                        DEFAULT_GRANULE,
                        null,
                        true,
                        MirrorEnding.PLAIN));
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
        long granularity = granule(a.granularity());
        if (source == target) {
            throw bad("Can't mirror node into itself");
        }
        source.refuseIfBlocked();
        target.refuseIfBlocked();
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
        DirtyBitmap bitmap = bitmap(a, source);
        return new MirrorJob(
                jobs,
                JobType.MIRROR,
                terms,
                new Plan(
                        source,
                        target,
                        a.sync() == MirrorSyncMode.TOP
                                ? new Chain(source, Chain.below(Chain.image(source)))
                                : null,
                        bitmap == null && a.sync() != MirrorSyncMode.NONE,
                        action(a.onSourceError()),
                        action(a.onTargetError()),
                        Boolean.TRUE.equals(a.targetIsZero()),
                        unmap,
                        a.copyMode() == MirrorCopyMode.WRITE_BLOCKING,
                        replaces,
                        name,
                        granularity,
                        bitmap,
                        false,
                        ending));
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
        makeRoom();
        if (plan.looksForWork) {
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
                flush();
                return;
            } else {
                becomeReady();
                awaitWork();
            }
        }
    }

    /** While nobody waits for it: the target may be at the other end of a network. Then little is left for the change. */
    private void flush() throws BlockException {
        enter();
        try {
            checkPlace();
            copy.flush();
        } finally {
            leave();
        }
    }

    /** An image that the disk goes into may be shorter. */
    private void makeRoom() throws BlockException {
        if (!plan.intoBelow) {
            return;
        }
        enter();
        try {
            if (!filter.closed() && copy.length() < disk.length()) {
                copy.truncate(disk.length());
            }
        } finally {
            leave();
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
                    Chain wanted = plan.wanted;
                    BlockStatus status =
                            wanted == null
                                    ? disk.status(offset, length - offset)
                                    : wanted.status(offset, length - offset);
                    boolean due = wanted == null || status.allocated();
                    if (due && !(plan.targetIsZero && status.zero())) {
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

    /** Copies what is in a range, and counts it. */
    private final class Copying {
        long copied;
        boolean reading = true;

        void copy(long from, long end) throws BlockException {
            long offset = from;
            while (offset < end) {
                reading = true;
                BlockStatus status = disk.status(offset, end - offset);
                long run = status.length();
                if (status.zero()) {
                    reading = false;
                    copy.writeZeroes(offset, run, plan.unmap);
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
        }
    }

    private void copyGranule(int granule) throws BlockException, InterruptedException {
        Copying copying = new Copying();
        BlockException failure = null;
        enter();
        try {
            checkPlace();
            long offset = granule * filter.dirty().granule();
            long end = Math.min(disk.length(), offset + filter.dirty().granule());
            filter.whileNobodyWrites(offset, end - offset, () -> copying.copy(offset, end));
        } catch (BlockException e) {
            filter.dirty().mark(granule * filter.dirty().granule(), 1);
            copying.copied = 0;
            failure = e;
        } finally {
            leave();
        }
        long copied = copying.copied;
        boolean reading = copying.reading;
        done(copied);
        if (failure != null) {
            if (failure.errno() == Errno.ECANCELED) {
                throw failure;
            }
            failed(reading, failure, reading ? plan.onSourceError : plan.onTargetError);
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
        BlockNode former = graph.retain(plan.replaces == null ? source : plan.replaces);
        try {
            plan.ending.before();
            unblock();
            graph.detach(copy);
            boolean readOnly = former.readOnly();
            if (plan.replaces == null) {
                filter.remove(target);
            } else {
                graph.replaceNode(plan.replaces, target, edge -> true);
                filter.remove(source);
            }
            if (plan.intoBelow && readOnly) {
                targetReadOnly();
            }
            try {
                plan.ending.after();
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
        if (plan.wanted != null) {
            plan.wanted.nodes().forEach(node -> node.unblock(describe()));
        }
    }

    private void targetReadOnlyAgain() {
        if (targetWasReadOnly && !target.closed()) {
            targetReadOnly();
        }
    }

    private void targetReadOnly() {
        try {
            graph.reopen(target, true);
        } catch (BlockException e) {
            warn(target + " stays writable", e);
        }
    }

    /** block-job-change: from now on writes go to the copy before they are over. */
    @Override
    public void change(BlockJobChangeOptions options) throws BlockException {
        if (!(options instanceof BlockJobChangeOptions.Mirror mirror) || type() != JobType.MIRROR) {
            super.change(options);
            return;
        }
        boolean wanted = mirror.data().copyMode() == MirrorCopyMode.WRITE_BLOCKING;
        if (wanted == filter.copiesAtOnce()) {
            return;
        }
        if (!wanted) {
            throw bad("Change to copy mode 'background' is not implemented");
        }
        graph.drain().drained(List.of(filter, source, target), () -> filter.copyAtOnce(copy));
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
            warn("ending " + describe(), e);
        }
        if (copy.node().parents().contains(copy)) {
            graph.detach(copy);
            targetReadOnlyAgain();
        }
    }

    private synchronized boolean activelySynced() {
        return filter.copiesAtOnce() && underWay == 0 && filter.dirty().count() == 0;
    }

    @Override
    BlockJobInfo blockInfo(JobState s) {
        if (type() == JobType.COMMIT) {
            return new BlockJobInfo.Commit(
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
                new BlockJobInfoMirror(activelySynced()));
    }
}
