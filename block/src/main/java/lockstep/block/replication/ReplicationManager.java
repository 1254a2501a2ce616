package lockstep.block.replication;

import lockstep.block.ReplicationControl;
import lockstep.block.node.BlockException;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

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
        due.getFirst()
                .graph()
                .drain()
                .drained(
                        List.copyOf(due),
                        () -> {
                            try {
                                for (ReplicationNode node : due) {
                                    node.emptyDisks();
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
            node.stop(failover);
        }
    }
}
