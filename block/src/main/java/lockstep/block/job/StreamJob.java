package lockstep.block.job;

import lockstep.api.BlockJobInfo;
import lockstep.api.BlockStreamArguments;
import lockstep.api.JobType;
import lockstep.block.ErrorAction;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
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
 * Brings into an image what it reads from those below it, down to a base, which is directly below it then; or from all
 * of them, and nothing is. The guest goes on meanwhile, and reads the same at every moment.
 */
final class StreamJob extends CopyJob implements NodeUser {
    private static final String BLOCKED = "block device is in use by block job: stream";
    private static final long PIECE = 1 << 20;

    private final BlockGraph graph;
    private final BlockNode top;
    private final @Nullable BlockNode base;
    private final @Nullable String baseName;
    private final ErrorAction onError;
    private final boolean wasReadOnly;
    private final ChildEdge disk;

    /** The image and those between it and the base. */
    private final List<BlockNode> concerned;

    private final long length;

    private StreamJob(
            Jobs jobs,
            Terms terms,
            BlockNode top,
            @Nullable BlockNode base,
            @Nullable String baseName,
            ErrorAction onError)
            throws BlockException {
        super(jobs, JobType.STREAM, terms);
        this.graph = jobs.graph();
        this.top = top;
        this.base = base;
        this.baseName = baseName;
        this.onError = onError;
        concerned = chain(top, base);
        length = top.backing() == base ? 0 : ChildEdge.look(top).length();
        wasReadOnly = top.readOnly();
        if (wasReadOnly) {
            graph.reopen(top, false);
        }
        try {
            disk =
                    graph.attach(
                            this,
                            "main node",
                            Role.ROOT,
                            top,
                            Permission.CONSISTENT_READ | Permission.WRITE_UNCHANGED,
                            Permission.ALL);
        } catch (BlockException e) {
            readOnlyAgain();
            throw e;
        }
        concerned.forEach(node -> node.block(describe(), BLOCKED));
    }

    /** Checks what the client asked for. */
    static StreamJob prepare(Jobs jobs, BlockStreamArguments a) throws BlockException {
        BlockGraph graph = jobs.graph();
        if (a.base() != null && a.baseNode() != null) {
            throw bad("'base' and 'base-node' cannot be specified at the same time");
        }
        if (a.base() != null && a.bottom() != null) {
            throw bad("'bottom' and 'base' cannot be specified at the same time");
        }
        if (a.bottom() != null && a.baseNode() != null) {
            throw bad("'bottom' and 'base-node' cannot be specified at the same time");
        }
        if (a.filterNodeName() != null) {
            throw new BlockException(
                    Errno.ENOTSUP,
                    "Parameter 'filter-node-name' is not supported: there is no filter");
        }
        BlockNode top = graph.names().lookup(a.device());
        BlockNode base = base(graph, a, top);
        if (base == null && a.backingFile() != null) {
            throw bad("backing file specified, but streaming the entire chain");
        }
        for (BlockNode node : chain(top, base)) {
            node.refuseIfBlocked();
        }
        Terms terms =
                new Terms(
                        jobs.identifier(a.jobId(), a.device()),
                        notNegative("speed", a.speed()),
                        !Boolean.FALSE.equals(a.autoFinalize()),
                        !Boolean.FALSE.equals(a.autoDismiss()));
        String name = a.backingFile();
        if (name == null && base != null) {
            name = base.plainFilename();
        }
        return new StreamJob(jobs, terms, top, base, name, action(a.onError()));
    }

    private static @Nullable BlockNode base(BlockGraph graph, BlockStreamArguments a, BlockNode top)
            throws BlockException {
        if (a.base() != null) {
            for (BlockNode node = top.backing(); node != null; node = node.backing()) {
                if (node.plainFilename().equals(a.base())) {
                    return node;
                }
            }
            throw bad("Can't find '" + a.base() + "' in the backing chain");
        }
        String named = a.baseNode() != null ? a.baseNode() : a.bottom();
        if (named == null) {
            return null;
        }
        BlockNode node = graph.names().lookup("", named);
        boolean below = node != top || a.bottom() != null;
        if (!below || !chain(top, null).contains(node)) {
            throw bad("Node '" + node.name() + "' is not a backing image of '" + top.name() + "'");
        }
        return a.bottom() != null ? node.backing() : node;
    }

    private static List<BlockNode> chain(BlockNode top, @Nullable BlockNode base) {
        List<BlockNode> nodes = new ArrayList<>();
        for (BlockNode node = top; node != null && node != base; node = node.backing()) {
            nodes.add(node);
        }
        return nodes;
    }

    @Override
    public String describe() {
        return "block job '" + id() + "'";
    }

    // On the job's thread

    @Override
    void work() throws BlockException, InterruptedException {
        long offset = 0;
        while (offset < length) {
            pausePoint();
            BlockException failure = null;
            long moved = 0;
            if (!graph.drain().enter(disk)) {
                throw new BlockException(Errno.ECANCELED);
            }
            try {
                checkPlace();
                BlockStatus status = below(offset, Math.min(PIECE, length - offset));
                if (status.allocated() && top instanceof Qcow2Node image) {
                    image.copyUp(offset, status.length());
                    moved = status.length();
                }
                offset += status.length();
                progress(status.length());
            } catch (BlockException e) {
                failure = e;
            } finally {
                graph.drain().leave(disk);
            }
            if (failure != null) {
                if (failure.errno() == Errno.ECANCELED) {
                    throw failure;
                }
                failed(true, failure, onError);
            } else {
                limit(moved);
            }
        }
    }

    private void checkPlace() throws BlockException {
        if (top.closed()) {
            throw new BlockException(Errno.ECANCELED);
        }
        if (!top.active()) {
            throw new BlockException(Errno.EPERM, "the disk is in use elsewhere now");
        }
    }

    /** Whether a run is what an image between this one and the base has, and this one has not. */
    private BlockStatus below(long offset, long most) throws BlockException {
        long run = most;
        for (BlockNode node : concerned) {
            ChildEdge look = ChildEdge.look(node);
            if (offset >= look.length()) {
                return new BlockStatus(run, false, true, true); // Zeroes, with nothing below.
            }
            BlockStatus status = look.status(offset, Math.min(run, look.length() - offset));
            run = status.length();
            if (status.allocated()) {
                return new BlockStatus(run, status.data(), status.zero(), node != top);
            }
        }
        return new BlockStatus(run, false, false, false);
    }

    // On the main loop

    @Override
    void cutOff() {}

    @Override
    void endWithoutResult() {}

    @Override
    long remaining() {
        return length - offset();
    }

    @Override
    void commit() throws BlockException {
        graph.drain()
                .drained(
                        concerned,
                        () -> {
                            if (length > 0 && top instanceof Qcow2Node image) {
                                image.nameBacking(
                                        baseName == null || baseName.isEmpty() ? null : baseName,
                                        base == null ? null : base.driver());
                                ChildEdge old = top.child("backing");
                                BlockNode kept = base == null ? null : graph.retain(base);
                                if (old != null) {
                                    graph.detach(old);
                                }
                                if (kept != null) {
                                    image.attachBacking(kept);
                                    graph.release(kept);
                                }
                            }
                        });
        abandon();
    }

    @Override
    void abandon() {
        concerned.forEach(node -> node.unblock(describe()));
        if (top.parents().contains(disk)) {
            graph.detach(disk);
            readOnlyAgain();
        }
    }

    private void readOnlyAgain() {
        if (wasReadOnly && !top.closed()) {
            try {
                graph.reopen(top, true);
            } catch (BlockException e) {
                System.getLogger("lockstep.block")
                        .log(
                                System.Logger.Level.WARNING,
                                top + " stays writable: " + e.getMessage());
            }
        }
    }

    @Override
    BlockJobInfo blockInfo(JobState s) {
        return new BlockJobInfo.Stream(
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
