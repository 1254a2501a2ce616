package lockstep.block.replication;

import lockstep.block.ReplicationControl;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.Drain;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Knows every replication node of a graph, newest first. Machine lock held unless said otherwise. */
public final class ReplicationManager implements ReplicationControl {
    private static final long KEEP_SECONDS = 10;

    private final List<ReplicationNode> nodes = new CopyOnWriteArrayList<>();
    private final ScheduledThreadPoolExecutor watch;
    private final Object hold = new Object();
    private boolean held;
    private volatile @Nullable Supervisor supervisor;

    /** Without nodes. */
    public ReplicationManager() {
        watch =
                new ScheduledThreadPoolExecutor(
                        1, Thread.ofPlatform().daemon().name("replication watch").factory());
        watch.setRemoveOnCancelPolicy(true);
        watch.setKeepAliveTime(KEEP_SECONDS, TimeUnit.SECONDS);
        watch.allowCoreThreadTimeOut(true);
    }

    @Override
    public void supervise(@Nullable Supervisor newSupervisor) {
        supervisor = newSupervisor;
    }

    @Override
    public void holdAll() {
        synchronized (hold) {
            held = true;
        }
    }

    @Override
    public void releaseAll() {
        synchronized (hold) {
            held = false;
            hold.notifyAll();
        }
    }

    /** Waits until a primary's writes may go to the secondary. Any thread. */
    void awaitRelease() throws BlockException {
        try {
            synchronized (hold) {
                while (held) {
                    hold.wait();
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new BlockException(Errno.EINTR);
        }
    }

    @Override
    public void cutAll() {
        nodes.forEach(ReplicationNode::cutPrimary);
        releaseAll();
    }

    /** The secondary's disk may lack a write. Any thread. */
    void failed(String reason, boolean silent) {
        Supervisor s = supervisor;
        if (s != null) {
            s.failed(reason, silent);
        }
    }

    /** A request of a primary. */
    interface Request {
        /** Does it. */
        void run() throws BlockException;
    }

    /** Runs a request, whose node's connections are cut when it takes too long. Any thread. */
    void watched(ReplicationNode node, Request request) throws BlockException {
        Supervisor s = supervisor;
        long patience = s == null ? 0 : s.patienceMillis();
        if (patience == 0) {
            request.run();
            return;
        }
        ScheduledFuture<?> end =
                watch.schedule(
                        () -> {
                            failed(
                                    "no answer from the disk behind '%s' within %d ms"
                                            .formatted(node.name(), patience),
                                    true);
                            node.cutPrimary();
                        },
                        patience,
                        TimeUnit.MILLISECONDS);
        try {
            request.run();
        } finally {
            end.cancel(false);
        }
    }

    private long patienceMillis() {
        Supervisor s = supervisor;
        return s == null ? 0 : s.patienceMillis();
    }

    /** Runs a change while nobody is inside a node's tree; errors with EBUSY, nothing changed, when requests do not end. */
    void drained(List<ReplicationNode> those, Drain.Change change) throws BlockException {
        long patience = patienceMillis();
        those.getFirst()
                .graph()
                .drain()
                .drained(
                        List.copyOf(those),
                        patience == 0 ? Drain.PATIENCE : TimeUnit.MILLISECONDS.toNanos(patience),
                        change);
    }

    /**
     * Has a secondary's disks do something for as long as the supervisor allows, so that nobody waits for ever for one that
     * hangs. Errors with ETIMEDOUT when that is over; then it may still be done later.
     */
    void within(ReplicationNode node, Drain.Change work) throws BlockException {
        long patience = patienceMillis();
        if (patience == 0) {
            work.apply();
            return;
        }
        Future<?> done =
                node.graph()
                        .workers()
                        .submit(
                                () -> {
                                    work.apply();
                                    return null;
                                });
        try {
            done.get(patience, TimeUnit.MILLISECONDS);
        } catch (ExecutionException e) {
            throw e.getCause() instanceof BlockException failure
                    ? failure
                    : new BlockException(Errno.EIO, String.valueOf(e.getCause()), e);
        } catch (TimeoutException e) {
            throw new BlockException(
                    Errno.ETIMEDOUT,
                    "the disks under '%s' do not answer within %d ms"
                            .formatted(node.topId(), patience));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new BlockException(Errno.EINTR);
        }
    }

    void register(ReplicationNode node) {
        nodes.add(0, node);
    }

    void unregister(ReplicationNode node) {
        nodes.remove(node);
    }

    @Override
    public void startAll(Mode mode) throws BlockException {
        for (ReplicationNode node : nodes) {
            node.start(mode);
        }
    }

    @Override
    public void checkpointAll() throws BlockException {
        List<ReplicationNode> due = new ArrayList<>();
        for (ReplicationNode node : nodes) {
            if (node.takesCheckpoints()) {
                due.add(node);
            }
        }
        if (due.isEmpty()) {
            return;
        }
        drained(
                due,
                () -> {
                    try {
                        for (ReplicationNode node : due) {
                            within(node, node::emptyDisks);
                        }
                    } catch (BlockException e) {
                        due.forEach(ReplicationNode::fail);
                        throw e;
                    }
                });
    }

    @Override
    public void confirmAll() {
        nodes.forEach(ReplicationNode::confirm);
    }

    @Override
    public void getErrorAll() throws BlockException {
        for (ReplicationNode node : nodes) {
            node.getError();
        }
    }

    @Override
    public void stopAll(boolean failover) throws BlockException {
        for (ReplicationNode node : nodes) {
            try {
                node.stop(failover);
            } catch (BlockException e) {
                if (failover && hangs(e)) {
                    stopLater(node);
                }
                throw e;
            }
        }
    }

    private static boolean hangs(BlockException e) {
        return e.errno() == Errno.EBUSY || e.errno() == Errno.ETIMEDOUT;
    }

    /** Ends a node's replication when its disks, which hang, do what they are told again. Nobody waits for that. */
    private void stopLater(ReplicationNode node) {
        BlockGraph graph = node.graph();
        graph.workers()
                .execute(
                        () -> {
                            node.awaitDisks();
                            graph.host().post(() -> stopNow(node));
                        });
    }

    private void stopNow(ReplicationNode node) {
        if (!nodes.contains(node)) {
            return;
        }
        try {
            node.stop(true);
        } catch (BlockException e) {
            if (hangs(e)) {
                stopLater(node);
            } else {
                System.getLogger("lockstep.block")
                        .log(
                                System.Logger.Level.WARNING,
                                "ending a replication: " + e.getMessage());
            }
        }
    }
}
