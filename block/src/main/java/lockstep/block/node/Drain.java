package lockstep.block.node;

import lockstep.runtime.linux.Errno;

import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.TimeUnit;

/**
 * Lets requests into the graph, and changes when the requests on what they concern are over. Changes are made with the
 * machine lock held, so that there is one at a time.
 */
public final class Drain {
    /** How long a change waits for requests, which may be those of a peer that hangs. */
    public static final long PATIENCE = TimeUnit.SECONDS.toNanos(5);

    private static final long RETRY_MILLIS = 100;

    private final Names names;
    private final GraphHost host;
    private final ExecutorService workers;
    private final Gate gate;

    Drain(Names names, GraphHost host, ExecutorService workers, Rings rings) {
        this.names = names;
        this.host = host;
        this.workers = workers;
        gate = new Gate(names::nodes, rings);
    }

    /**
     * Enters the graph for a request on an edge, whose node stays the same until {@link #leave}; false when the edge was
     * let go, and then there is nothing to leave.
     */
    public boolean enter(ChildEdge edge) {
        while (edge.attached) {
            BlockNode root = edge.node;
            gate.enter(root);
            if (edge.attached && edge.node == root) {
                return true;
            }
            gate.leave(root); // A change was faster.
        }
        return false;
    }

    /** Likewise if it has not to wait for a change. */
    public boolean enterAtOnce(ChildEdge edge) {
        BlockNode root = edge.node;
        if (!edge.attached || !gate.enterAtOnce(root)) {
            return false;
        }
        if (edge.attached && edge.node == root) {
            return true;
        }
        gate.leave(root); // A change was faster.
        return false;
    }

    /** The request is over. */
    public void leave(ChildEdge edge) {
        gate.leave(edge.node);
    }

    /** Enters the graph for work on two edges at once, whose nodes stay the same until they are left. */
    public void enter(ChildEdge first, ChildEdge second) {
        while (true) {
            BlockNode one = first.node;
            BlockNode other = second.node;
            gate.enter(one, other);
            if (first.node == one && second.node == other) {
                return;
            }
            gate.leave(one, other); // A change was faster.
        }
    }

    /** The work is over. */
    public void leave(ChildEdge first, ChildEdge second) {
        gate.leave(first.node, second.node);
    }

    /** A change of the graph. */
    @FunctionalInterface
    public interface Change {
        void apply() throws BlockException;
    }

    /** Runs a change that concerns all nodes. */
    public void drained(Change change) throws BlockException {
        drained(names.nodes(), change);
    }

    /**
     * Runs a change while no request is inside the trees that have one of these nodes or of those below them. Nested
     * use is fine. Errors with EBUSY, nothing changed, when such requests do not end.
     */
    public void drained(List<BlockNode> nodes, Change change) throws BlockException {
        drained(nodes, PATIENCE, change);
    }

    /** Likewise, with as many nanoseconds for the requests to end. */
    public void drained(List<BlockNode> nodes, long patience, Change change) throws BlockException {
        if (!gate.lock(nodes, patience)) {
            throw busy(nodes);
        }
        try {
            change.apply();
        } finally {
            gate.unlock();
        }
    }

    /** What a change that waited in vain for requests on these nodes ends with. */
    public BlockException busy(List<BlockNode> nodes) {
        BlockNode root = gate.inside(nodes);
        if (root != null) {
            int count = root.inside.get();
            return new BlockException(
                    Errno.EBUSY,
                    "Node '"
                            + root.name()
                            + "' is busy: "
                            + (count == 1 ? "1 request does" : count + " requests do")
                            + " not end");
        }
        return new BlockException(Errno.EBUSY, "The block graph is busy");
    }

    /**
     * Lets something go that may have requests inside: if they do not end, later, when they have. The caller does not
     * count on it any more.
     */
    void drainedOrLater(List<BlockNode> nodes, Runnable change) {
        if (!attempt(nodes, PATIENCE, change)) {
            workers.execute(() -> again(nodes, change));
        }
    }

    private boolean attempt(List<BlockNode> nodes, long patience, Runnable change) {
        if (!gate.lock(nodes, patience)) {
            return false;
        }
        try {
            change.run();
        } finally {
            gate.unlock();
        }
        return true;
    }

    private void again(List<BlockNode> nodes, Runnable change) {
        try {
            Thread.sleep(RETRY_MILLIS);
        } catch (InterruptedException e) {
            return; // The graph is closed.
        }
        host.post(
                () -> {
                    if (!attempt(nodes, 0, change)) {
                        workers.execute(() -> again(nodes, change));
                    }
                });
    }

    /** Whether no request is inside a tree with this node, or all of them leave within so many nanoseconds. */
    public boolean clear(BlockNode node, long patience) {
        return attempt(List.of(node), patience, () -> {});
    }

    /** Whether nobody is inside the graph now. */
    public boolean quiet() {
        return gate.quiet();
    }
}
