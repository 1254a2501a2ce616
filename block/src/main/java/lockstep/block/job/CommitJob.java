package lockstep.block.job;

import lockstep.api.BlockCommitArguments;
import lockstep.api.BlockJobInfo;
import lockstep.api.JobType;
import lockstep.block.ErrorAction;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.Buffers;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.NodeUser;
import lockstep.block.node.Permission;
import lockstep.block.node.Role;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;

/**
 * Writes what images in the middle of a chain have into the one below them, which then takes their place. Nobody writes
 * to them meanwhile. That the topmost image of a disk goes into one below it is a {@link MirrorJob}'s work.
 */
final class CommitJob extends CopyJob implements NodeUser {
    private static final String BLOCKED = "block device is in use by block job: commit";
    private static final long PIECE = 512 << 10;

    private final BlockGraph graph;
    private final BlockNode top;
    private final BlockNode base;
    private final String baseName;
    private final ErrorAction onError;
    private final boolean baseWasReadOnly;
    private final Chain chain;
    private final CommitFilter filter;
    private final ChildEdge copy;
    private final List<BlockNode> concerned = new ArrayList<>();
    private final long length;

    private CommitJob(Jobs jobs, Terms terms, Request r, ErrorAction onError)
            throws BlockException {
        super(jobs, JobType.COMMIT, terms);
        graph = jobs.graph();
        top = r.top;
        base = r.base;
        baseName = r.baseName;
        this.onError = onError;
        chain = new Chain(top, base);
        length = ChildEdge.look(top).length();
        baseWasReadOnly = base.readOnly();
        if (baseWasReadOnly) {
            graph.reopen(base, false);
        }
        try {
            String name = r.filterName;
            filter = CommitFilter.insert(graph, top, name == null ? graph.autoName() : name);
        } catch (BlockException e) {
            baseReadOnlyAgain();
            throw e;
        }
        try {
            copy =
                    graph.attach(
                            this,
                            "root",
                            Role.ROOT,
                            base,
                            Permission.CONSISTENT_READ | Permission.WRITE | Permission.RESIZE,
                            Permission.CONSISTENT_READ | Permission.WRITE_UNCHANGED);
        } catch (BlockException e) {
            filter.remove(top);
            baseReadOnlyAgain();
            throw e;
        }
        concerned.add(r.disk);
        concerned.add(filter);
        concerned.addAll(chain.nodes());
        concerned.add(base);
        concerned.forEach(node -> node.block(describe(), BLOCKED));
    }

    /** What a client asked for, checked. */
    private record Request(
            BlockNode disk,
            BlockNode top,
            BlockNode base,
            String baseName,
            @Nullable String filterName) {}

    /** Checks what the client asked for. */
    static CopyJob prepare(Jobs jobs, BlockCommitArguments a, Jobs.FileNames names)
            throws BlockException {
        BlockGraph graph = jobs.graph();
        BlockNode disk = jobs.root(a.device());
        Chain whole = new Chain(disk, null);
        BlockNode top = disk;
        if (a.topNode() != null && a.top() != null) {
            throw bad("'top-node' and 'top' are mutually exclusive");
        }
        if (a.topNode() != null) {
            top = below(graph.names().lookup("", a.topNode()), whole);
        } else if (a.top() != null) {
            top = whole.find(a.top());
            if (top == null) {
                throw bad("Top image file " + a.top() + " not found");
            }
        }
        BlockNode base = base(graph, a, top);
        for (BlockNode node : new Chain(top, base).nodes()) {
            node.refuseIfBlocked();
        }
        base.refuseIfBlocked();
        if (base == top) {
            throw bad("cannot commit an image into itself");
        }
        String filterName = a.filterNodeName();
        if (Chain.image(disk) == Chain.image(top)) {
            if (a.backingFile() != null) {
                throw bad("'backing-file' specified, but 'top' is the active layer");
            }
            Terms terms = terms(jobs, a);
            checkName(graph, filterName);
            return MirrorJob.commit(jobs, terms, top, base, filterName, action(a.onError()));
        }
        BlockNode overlay = whole.over(top);
        if (overlay != null) {
            overlay.refuseIfBlocked();
        }
        Terms terms = terms(jobs, a);
        checkName(graph, filterName);
        String baseName = a.backingFile() == null ? names.of(base) : a.backingFile();
        return new CommitJob(
                jobs,
                terms,
                new Request(disk, top, base, baseName, filterName),
                action(a.onError()));
    }

    private static void checkName(BlockGraph graph, @Nullable String name) throws BlockException {
        if (name != null) {
            graph.names().checkNodeName(name);
        }
    }

    private static Terms terms(Jobs jobs, BlockCommitArguments a) throws BlockException {
        return new Terms(
                jobs.identifier(a.jobId(), a.device()),
                notNegative("speed", a.speed()),
                !Boolean.FALSE.equals(a.autoFinalize()),
                !Boolean.FALSE.equals(a.autoDismiss()));
    }

    private static BlockNode below(BlockNode node, Chain chain) throws BlockException {
        if (!chain.nodes().contains(node)) {
            throw bad("'" + node.name() + "' is not in this backing file chain");
        }
        return node;
    }

    private static BlockNode base(BlockGraph graph, BlockCommitArguments a, BlockNode top)
            throws BlockException {
        Chain chain = new Chain(top, null);
        if (a.baseNode() != null && a.base() != null) {
            throw bad("'base-node' and 'base' are mutually exclusive");
        }
        if (a.baseNode() != null) {
            return below(graph.names().lookup("", a.baseNode()), chain);
        }
        String name = a.base();
        if (name == null) {
            return Chain.image(chain.nodes().getLast());
        }
        BlockNode below = Chain.below(Chain.image(top));
        BlockNode base = chain.find(name);
        if (below == null || base == null || !new Chain(below, null).nodes().contains(base)) {
            throw bad("Can't find '" + name + "' in the backing chain");
        }
        return base;
    }

    @Override
    public String describe() {
        return "block job '" + id() + "'";
    }

    // On the job's thread

    private void enter() {
        graph.drain().enter(filter.image(), copy);
    }

    private void leave() {
        graph.drain().leave(filter.image(), copy);
    }

    @Override
    void work() throws BlockException, InterruptedException {
        makeRoom();
        long offset = 0;
        while (offset < length) {
            pausePoint();
            BlockException failure = null;
            long moved = 0;
            boolean reading = true;
            enter();
            try {
                if (filter.closed()) {
                    throw new BlockException(Errno.ECANCELED);
                }
                BlockStatus status = chain.status(offset, Math.min(PIECE, length - offset));
                if (status.allocated() && status.zero()) {
                    reading = false;
                    copy.writeZeroes(offset, status.length(), true);
                } else if (status.allocated()) {
                    moved = status.length();
                    try (Buffers.Lease lease = Buffers.take(moved)) {
                        filter.image().read(offset, lease.segment());
                        reading = false;
                        copy.write(offset, lease.segment());
                    }
                }
                offset += status.length();
                progress(status.length());
            } catch (BlockException e) {
                failure = e;
                moved = 0;
            } finally {
                leave();
            }
            if (failure != null) {
                if (failure.errno() == Errno.ECANCELED) {
                    throw failure;
                }
                failed(reading, failure, onError);
            } else {
                limit(moved);
            }
        }
    }

    /** The image that is left is as long as the one that was read. */
    private void makeRoom() throws BlockException {
        enter();
        try {
            if (!filter.closed() && copy.length() < length) {
                copy.truncate(length);
            }
        } finally {
            leave();
        }
    }

    // On the main loop

    @Override
    void cutOff() {
        BlockGraph.cut(base);
    }

    @Override
    void endWithoutResult() {}

    @Override
    long remaining() {
        return length - offset();
    }

    @Override
    void commit() throws BlockException {
        graph.drain().drained(List.of(filter, base), this::takePlace);
    }

    private void takePlace() throws BlockException {
        copy.flush();
        for (ChildEdge user : List.copyOf(filter.parents())) {
            if (user.role() == Role.BACKING && user.user() instanceof Qcow2Node overlay) {
                name(overlay);
            }
        }
        BlockNode holder = graph.retain(base);
        try {
            unblock();
            graph.detach(copy);
            filter.remove(base);
            baseReadOnlyAgain();
        } finally {
            graph.release(holder);
        }
    }

    private void name(Qcow2Node overlay) throws BlockException {
        boolean readOnly = overlay.readOnly();
        if (readOnly) {
            graph.reopen(overlay, false);
        }
        try {
            overlay.nameBacking(baseName, base.driver());
        } finally {
            if (readOnly) {
                graph.reopen(overlay, true);
            }
        }
    }

    private void unblock() {
        concerned.forEach(node -> node.unblock(describe()));
    }

    @Override
    void abandon() {
        unblock();
        if (base.parents().contains(copy)) {
            graph.detach(copy);
        }
        if (!filter.closed()) {
            try {
                filter.remove(top);
            } catch (BlockException e) {
                warn("ending " + describe(), e);
            }
            baseReadOnlyAgain();
        }
    }

    private void baseReadOnlyAgain() {
        if (baseWasReadOnly && !base.closed()) {
            try {
                graph.reopen(base, true);
            } catch (BlockException e) {
                warn(base + " stays writable", e);
            }
        }
    }

    @Override
    BlockJobInfo blockInfo(JobState s) {
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
}
