package lockstep.block.replication;

import lockstep.block.ReplicationControl.Mode;
import lockstep.block.backup.CopyBeforeWrite;
import lockstep.block.job.MirrorFilter;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.Buffers;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.DirtyBitmap;
import lockstep.block.node.NodeUser;
import lockstep.block.node.Permission;
import lockstep.block.node.Pieces;
import lockstep.block.node.Role;
import lockstep.block.node.RootUser;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.List;

/**
 * Driver {@code replication}; the package's text says what it is for. Control calls come with the
 * machine lock held.
 */
public final class ReplicationNode extends BlockNode {
    /** How far this node's replication has come. */
    public enum Stage {
        NONE,
        RUNNING,
        FAILOVER,
        FAILOVER_FAILED,
        DONE
    }

    private static final long COMMIT_GRANULE = 1 << 20;
    private static final String BLOCKER = "Block device is in use by internal backup job";

    private final ReplicationManager manager;
    private final Mode mode;
    private final @Nullable String topId;
    private volatile Stage stage = Stage.NONE;
    private volatile int error;
    private @Nullable CopyBeforeWrite copyBeforeWrite;
    private @Nullable MirrorFilter commit;
    private @Nullable BlockNode top;
    private boolean hiddenWasReadOnly;
    private boolean secondaryWasReadOnly;
    private volatile boolean cancelCommit;

    /** Where the other side's disk may differ; null when that is not followed. */
    private @Nullable PeerMarks peer;

    /** Whether a write of the guest's, before or after replication, was not sent. */
    private volatile boolean missed;

    private boolean confirming;

    private ReplicationNode(
            BlockGraph graph,
            String name,
            boolean readOnly,
            Mode mode,
            @Nullable String topId,
            ReplicationManager manager) {
        super(graph, "replication", name, readOnly);
        this.mode = mode;
        this.topId = topId;
        this.manager = manager;
    }

    /**
     * Makes a node and enters it.
     *
     * @param topId on the secondary: the drive or node at the top of the guest's disk
     */
    public static ReplicationNode open(
            BlockGraph graph,
            String name,
            boolean readOnly,
            Mode mode,
            @Nullable String topId,
            BlockNode file,
            boolean active,
            ReplicationManager manager)
            throws BlockException {
        if (mode == Mode.PRIMARY && topId != null) {
            throw new BlockException(
                    Errno.EINVAL, "The primary side does not support option top-id");
        }
        if (mode == Mode.SECONDARY && topId == null) {
            throw new BlockException(Errno.EINVAL, "Missing the option top-id");
        }
        ReplicationNode node = new ReplicationNode(graph, name, readOnly, mode, topId, manager);
        if (!active) {
            BlockGraph.startInactive(node);
        }
        graph.add(node);
        try {
            graph.attach(node, "file", Role.FILTERED, file);
        } catch (BlockException e) {
            graph.release(node);
            throw e;
        }
        manager.register(node);
        return node;
    }

    public Mode mode() {
        return mode;
    }

    public @Nullable String topId() {
        return topId;
    }

    public Stage stage() {
        return stage;
    }

    private ChildEdge file() {
        ChildEdge edge = child("file");
        if (edge == null) {
            throw new IllegalStateException(name() + " has no file");
        }
        return edge;
    }

    @Override
    protected int childPermissions(ChildEdge edge, int needed, int shared) {
        if (edge.role() != Role.FILTERED) {
            return Permission.WRITE;
        }
        return Permission.CONSISTENT_READ | (readOnly() || !active() ? 0 : Permission.WRITE);
    }

    @Override
    protected int childShared(ChildEdge edge, int needed, int shared) {
        return Permission.CONSISTENT_READ | Permission.WRITE | Permission.WRITE_UNCHANGED;
    }

    // I/O

    @Override
    protected void read(long offset, Pieces destination) throws BlockException {
        if (mode == Mode.PRIMARY || stage == Stage.NONE) {
            throw new BlockException(Errno.EIO);
        }
        file().read(offset, destination);
    }

    @Override
    protected void write(long offset, Pieces source) throws BlockException {
        if (mode == Mode.PRIMARY) {
            if (stage != Stage.RUNNING) {
                missed = true;
                throw new BlockException(Errno.EIO);
            }
            try {
                manager.awaitRelease();
                manager.watched(this, () -> file().write(offset, source));
            } catch (BlockException e) {
                // The guest must go on when the secondary is gone; whoever watches asks for the
                // error.
                error = e.errno();
                manager.failed(
                        "a write to the disk behind '%s' failed: %s"
                                .formatted(name(), Errno.text(e.errno())),
                        false);
            }
            return;
        }
        switch (stage) {
            case NONE -> throw new BlockException(Errno.EIO);
            case RUNNING, FAILOVER, DONE -> file().write(offset, source);
            case FAILOVER_FAILED -> writeAfterFailure(offset, source);
        }
    }

    private void writeAfterFailure(long offset, Pieces source) throws BlockException {
        ChildEdge active = file();
        BlockNode backing = active.node().backing();
        ChildEdge secondary = child("secondary disk");
        if (backing == null || secondary == null) {
            throw new BlockException(Errno.EIO);
        }
        ChildEdge hidden = ChildEdge.look(backing);
        long done = 0;
        long total = source.byteSize();
        while (done < total) {
            BlockStatus upper = active.status(offset + done, total - done);
            BlockStatus lower = hidden.status(offset + done, upper.length());
            long run = Math.min(upper.length(), lower.length());
            ChildEdge target = upper.allocated() || lower.allocated() ? active : secondary;
            target.write(offset + done, source.slice(done, run));
            done += run;
        }
    }

    @Override
    protected void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        writeZeroesByWriting(offset, length);
    }

    @Override
    protected void flush() throws BlockException {
        if (mode == Mode.PRIMARY) {
            manager.watched(this, this::flushChildren);
        } else {
            flushChildren();
        }
    }

    private void flushChildren() throws BlockException {
        for (ChildEdge edge : children()) {
            if ((edge.permissions() & Permission.WRITE) != 0) {
                edge.flush();
            }
        }
    }

    @Override
    protected long length() throws BlockException {
        return file().length();
    }

    @Override
    protected BlockStatus status(long offset, long length) throws BlockException {
        return mode == Mode.PRIMARY
                ? new BlockStatus(length, true, false, true)
                : file().status(offset, length);
    }

    // Control

    private static BlockException failed(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    void start(Mode wanted) throws BlockException {
        if (stage == Stage.DONE || stage == Stage.FAILOVER) {
            return;
        }
        if (stage != Stage.NONE) {
            throw failed("Block replication is running or done");
        }
        if (wanted != mode) {
            throw failed(
                    "The parameter mode's value is invalid, needs "
                            + mode.ordinal()
                            + ", but got "
                            + wanted.ordinal());
        }
        if (mode == Mode.SECONDARY) {
            graph().drain().drained(List.of(this), () -> startSecondary());
        } else {
            peer = PeerMarks.ofSecondary(this, file().node());
            stage = Stage.RUNNING;
        }
        error = 0;
    }

    /**
     * On the primary: has the secondary store, in the background, what it was sent. When it has, it lacks nothing that was
     * marked before, for a mark comes when its write is over on both sides.
     */
    void confirm() {
        PeerMarks marks = peer;
        if (!follows() || marks == null || confirming) {
            return;
        }
        confirming = true;
        marks.begin();
        graph().workers()
                .execute(
                        () -> {
                            boolean stored = storedThere();
                            graph().host()
                                    .post(
                                            () -> {
                                                confirming = false;
                                                if (stored && follows() && marks.flushProves()) {
                                                    marks.settle();
                                                }
                                            });
                        });
    }

    /** Whether every write of the guest's has gone to the secondary up to now. */
    private boolean follows() {
        return mode == Mode.PRIMARY
                && stage == Stage.RUNNING
                && error == 0
                && !missed
                && !parents().isEmpty();
    }

    private boolean storedThere() {
        ChildEdge edge = child("file");
        if (edge == null || !graph().drain().enter(edge)) {
            return false;
        }
        try {
            manager.watched(this, edge::flush);
            return true;
        } catch (BlockException e) {
            // The next checkpoint finds out, if the guest's own flush has not.
            return false;
        } finally {
            graph().drain().leave(edge);
        }
    }

    private void startSecondary() throws BlockException {
        BlockNode active = file().node();
        BlockNode hidden = active.backing();
        if (hidden == null) {
            throw failed("Active disk doesn't have backing file");
        }
        BlockNode secondary = hidden.backing();
        if (secondary == null) {
            throw failed("Hidden disk doesn't have backing file");
        }
        if (secondary.parents().stream().noneMatch(e -> e.user() instanceof RootUser)) {
            throw failed("The secondary disk doesn't have block backend");
        }
        long length = file().length();
        if (length != ChildEdge.look(hidden).length()
                || length != ChildEdge.look(secondary).length()) {
            throw failed("Active disk, hidden disk, secondary disk's length are not the same");
        }
        if (!active.canMakeEmpty() || !hidden.canMakeEmpty()) {
            throw failed("Active disk or hidden disk doesn't support make_empty");
        }
        hiddenWasReadOnly = hidden.readOnly();
        secondaryWasReadOnly = secondary.readOnly();
        ChildEdge hiddenEdge = null;
        ChildEdge secondaryEdge = null;
        try {
            graph().reopen(hidden, false);
            graph().reopen(secondary, false);
            hiddenEdge = graph().attach(this, "hidden disk", Role.DATA, hidden);
            secondaryEdge = graph().attach(this, "secondary disk", Role.DATA, secondary);
            BlockNode above = findTop();
            copyBeforeWrite = insertCopyBeforeWrite(secondary, hidden);
            above.block(name(), BLOCKER);
            top = above;
        } catch (BlockException e) {
            if (secondaryEdge != null) {
                graph().detach(secondaryEdge);
            }
            if (hiddenEdge != null) {
                graph().detach(hiddenEdge);
            }
            restoreReadOnly(hidden, secondary);
            throw e;
        }
        stage = Stage.RUNNING;
        manager.within(this, this::emptyDisks);
    }

    /** Called while drained; nothing counts as to be copied before the first checkpoint. */
    private CopyBeforeWrite insertCopyBeforeWrite(BlockNode secondary, BlockNode hidden)
            throws BlockException {
        CopyBeforeWrite filter =
                CopyBeforeWrite.open(
                        graph(),
                        graph().autoName(),
                        false,
                        true,
                        secondary,
                        hidden,
                        CopyBeforeWrite.Options.PLAIN);
        try {
            filter.insert();
        } catch (BlockException e) {
            graph().release(filter);
            throw e;
        }
        return filter;
    }

    private void restoreReadOnly(BlockNode hidden, BlockNode secondary) throws BlockException {
        graph().reopen(hidden, hiddenWasReadOnly);
        graph().reopen(secondary, secondaryWasReadOnly);
    }

    private BlockNode findTop() throws BlockException {
        BlockNode found = null;
        if (topId != null) {
            RootUser drive = graph().names().findDrive(topId);
            found = drive != null ? drive.root() : graph().names().findNode(topId);
        }
        if (found == null
                || found.parents().stream().anyMatch(e -> !(e.user() instanceof RootUser))
                || !BlockGraph.reaches(found, this)) {
            throw failed("No top_bs or it is invalid");
        }
        return found;
    }

    /** On the primary, breaks the connections that this node writes to. Any thread. */
    void cutPrimary() {
        ChildEdge edge = child("file");
        if (mode == Mode.PRIMARY && edge != null) {
            BlockGraph.cut(edge.node());
        }
    }

    /** Whether a checkpoint concerns this node; errors when it cannot take one. */
    boolean takesCheckpoints() throws BlockException {
        if (stage == Stage.DONE || stage == Stage.FAILOVER || mode == Mode.PRIMARY) {
            return false;
        }
        if (stage != Stage.RUNNING) {
            throw failed("Block replication is not running");
        }
        return true;
    }

    /** Remembers that a checkpoint was taken in part only. */
    void fail() {
        error = Errno.EIO;
    }

    /** Takes a checkpoint, with nobody inside. */
    void emptyDisks() throws BlockException {
        CopyBeforeWrite filter = copyBeforeWrite;
        if (filter == null) {
            throw failed("Backup job was cancelled unexpectedly");
        }
        ChildEdge active = file();
        ChildEdge hidden = child("hidden disk");
        if (hidden == null || hidden.node() != active.node().backing()) {
            throw failed("Hidden disk " + active.node().name() + " is ejected");
        }
        filter.beginEpoch();
        empty(active);
        empty(hidden);
    }

    private static void empty(ChildEdge edge) throws BlockException {
        BlockNode node = edge.node();
        try {
            edge.makeEmpty();
        } catch (BlockException e) {
            if (!node.canMakeEmpty()) {
                throw e;
            }
            throw new BlockException(
                    e.errno(),
                    "Failed to empty " + node.plainFilename() + ": " + Errno.text(e.errno()),
                    e);
        }
    }

    void getError() throws BlockException {
        if (stage == Stage.NONE) {
            throw failed("Block replication is not running");
        }
        if (error != 0) {
            throw new BlockException(error, "I/O error occurred");
        }
    }

    void stop(boolean failover) throws BlockException {
        if (stage == Stage.DONE || stage == Stage.FAILOVER) {
            return;
        }
        if (stage != Stage.RUNNING) {
            throw failed("Block replication is not running");
        }
        if (mode == Mode.PRIMARY) {
            stage = Stage.DONE;
            error = 0;
            return;
        }
        manager.drained(
                List.of(this),
                () -> {
                    // Before anything changes: a disk that hangs leaves all as it is.
                    flushHidden();
                    endBackup();
                });
        if (!failover) {
            stage = Stage.DONE;
            throw failed("Backup job was cancelled unexpectedly");
        }
        stage = Stage.FAILOVER;
        startCommit();
    }

    /** Waits, for as long as it takes, until the disks of the secondary's guest do what they are told. Worker thread. */
    void awaitDisks() {
        for (ChildEdge edge : children()) {
            if (edge.name().equals("secondary disk") || !graph().drain().enter(edge)) {
                continue;
            }
            try {
                edge.flush();
            } catch (BlockException e) {
                // It has answered.
            } finally {
                graph().drain().leave(edge);
            }
        }
    }

    private void flushHidden() throws BlockException {
        ChildEdge hidden = child("hidden disk");
        if (hidden != null) {
            manager.within(this, hidden::flush);
        }
    }

    private void endBackup() throws BlockException {
        CopyBeforeWrite filter = copyBeforeWrite;
        copyBeforeWrite = null;
        // Seen by whoever asks between here and the end of the commit, as with QEMU.
        error = Errno.EIO;
        BlockNode above = top;
        if (above != null) {
            above.unblock(name());
            top = null;
        }
        if (filter != null) {
            filter.remove();
        }
        // Only the hidden disk goes back: the commit is about to write the secondary disk.
        ChildEdge hiddenEdge = child("hidden disk");
        if (hiddenEdge != null) {
            BlockNode hidden = hiddenEdge.node();
            graph().detach(hiddenEdge);
            graph().reopen(hidden, hiddenWasReadOnly);
        }
    }

    /** The commit job's hold on the disk it writes. */
    private record CommitJob(String name) implements NodeUser {
        @Override
        public String describe() {
            return "block job '" + name + "'";
        }
    }

    private void startCommit() throws BlockException {
        BlockNode active = file().node();
        BlockNode hidden = active.backing();
        ChildEdge secondaryEdge = child("secondary disk");
        if (hidden == null || secondaryEdge == null) {
            throw failed("Active disk doesn't have backing file");
        }
        BlockNode secondary = secondaryEdge.node();
        PeerMarks marks = PeerMarks.ofPrimary(this);
        peer = marks;
        if (marks != null) {
            marks.begin();
        }
        MirrorFilter filter =
                MirrorFilter.insert(
                        graph(), active, graph().autoName(), new DirtyBitmap(COMMIT_GRANULE));
        commit = filter;
        ChildEdge target =
                graph().attach(
                                new CommitJob(name()),
                                "main node",
                                Role.ROOT,
                                secondary,
                                Permission.CONSISTENT_READ | Permission.WRITE,
                                Permission.ALL);
        filter.dirty().mark(0, filter.disk().length());
        graph().workers().execute(() -> runCommit(filter, hidden, target, marks));
    }

    private void runCommit(
            MirrorFilter filter, BlockNode hidden, ChildEdge target, @Nullable PeerMarks marks) {
        int failure = 0;
        try {
            ChildEdge active = filter.disk();
            int granule = filter.dirty().take(0);
            while (granule >= 0 && !cancelCommit) {
                graph().drain().enter(active, target);
                try {
                    if (filter.closed()) {
                        break;
                    }
                    copyGranule(filter, hidden, target, granule, marks);
                } finally {
                    graph().drain().leave(active, target);
                }
                granule = filter.dirty().take(granule + 1);
            }
            flush(target);
        } catch (BlockException e) {
            failure = e.errno();
        } catch (RuntimeException | Error e) {
            failure = Errno.EIO;
        }
        int result = failure;
        graph().host().post(() -> finishCommit(filter, hidden, target, result));
    }

    /** What takes its time happens here, with the guest running: at the end little is left to flush. */
    private void flush(ChildEdge target) throws BlockException {
        if (graph().drain().enter(target)) {
            try {
                target.flush();
            } finally {
                graph().drain().leave(target);
            }
        }
    }

    private static void copyGranule(
            MirrorFilter filter,
            BlockNode hidden,
            ChildEdge secondary,
            int granule,
            @Nullable PeerMarks marks)
            throws BlockException {
        ChildEdge active = filter.disk();
        ChildEdge below = ChildEdge.look(hidden);
        long offset = granule * COMMIT_GRANULE;
        long end = Math.min(active.length(), offset + COMMIT_GRANULE);
        while (offset < end) {
            BlockStatus upper = active.status(offset, end - offset);
            BlockStatus lower = below.status(offset, upper.length());
            long run = Math.min(upper.length(), lower.length());
            if (upper.allocated() || lower.allocated()) {
                try (Buffers.Lease lease = Buffers.take(run)) {
                    active.read(offset, lease.segment());
                    secondary.write(offset, lease.segment());
                }
                if (marks != null) {
                    marks.mark(offset, run);
                }
            }
            offset += run;
        }
    }

    private void finishCommit(
            MirrorFilter filter, BlockNode hidden, ChildEdge target, int failure) {
        if (commit != filter) {
            graph().detach(target);
            return;
        }
        BlockNode secondary = target.node();
        try {
            graph().drain()
                    .drained(
                            List.of(this, filter, secondary),
                            () -> {
                                if (failure != 0) {
                                    throw new BlockException(failure);
                                }
                                // Nothing else is inside now, so what is dirty here is the rest.
                                DirtyBitmap dirty = filter.dirty();
                                for (int rest = dirty.take(0); rest >= 0; rest = dirty.take(0)) {
                                    copyGranule(filter, hidden, target, rest, peer);
                                }
                                target.flush();
                                BlockGraph graph = graph();
                                graph.replaceChild(file(), secondary);
                                ChildEdge extra = child("secondary disk");
                                if (extra != null) {
                                    graph.detach(extra);
                                }
                                commit = null;
                                graph.detach(target);
                                graph.release(filter);
                            });
            stage = Stage.DONE;
            error = 0;
            if (peer != null) {
                peer.settle();
            }
        } catch (BlockException e) {
            stage = Stage.FAILOVER_FAILED;
            error = Errno.EIO;
            commit = null;
            graph().detach(target);
            dropFilter(filter);
        }
    }

    private void dropFilter(MirrorFilter filter) {
        try {
            graph().replaceNode(filter, filter.disk().node(), edge -> true);
            graph().release(filter);
        } catch (BlockException e) {
            System.getLogger("lockstep.block")
                    .log(System.Logger.Level.WARNING, "ending a failed commit: " + e.getMessage());
        }
    }

    @Override
    protected void close() throws BlockException {
        cancelCommit = true;
        manager.unregister(this);
        if (stage == Stage.RUNNING && mode == Mode.SECONDARY) {
            stage = Stage.DONE;
            try {
                flushHidden();
            } finally {
                endBackup();
            }
        }
        MirrorFilter filter = commit;
        if (stage == Stage.FAILOVER && filter != null) {
            commit = null;
            dropFilter(filter);
        }
    }
}
