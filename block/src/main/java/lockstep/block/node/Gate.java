package lockstep.block.node;

import org.jspecify.annotations.Nullable;

import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/**
 * Keeps requests and changes of the graph apart. A request is inside with the root of its tree. A change names the nodes
 * it concerns, with all that is below them; it begins when no request is inside whose tree has one of these, and such
 * requests wait until it is over. So a disk whose storage hangs holds up changes of its own tree only. There is one
 * change at a time; its thread may nest changes and requests.
 *
 * <p>A request counts itself at its root, without a lock, and only then looks whether there is a change; a change makes
 * itself known, and only then looks at the counts. One of the two always sees the other.
 */
final class Gate {
    private final Supplier<List<BlockNode>> nodes;
    private final Rings rings;
    private final Deque<Set<BlockNode>> concerned = new ArrayDeque<>();
    private @Nullable Thread owner;
    private volatile boolean changing;

    /** For requests on some of these nodes. */
    Gate(Supplier<List<BlockNode>> nodes, Rings rings) {
        this.nodes = nodes;
        this.rings = rings;
    }

    /** A request on this root comes in. */
    void enter(BlockNode root) {
        enter(root, null);
    }

    /** A request on these roots comes in. */
    void enter(BlockNode first, @Nullable BlockNode second) {
        count(first, second, 1);
        if (changing) {
            awaitChange(first, second);
        }
    }

    /** A request on this root comes in if no change is under way. */
    boolean enterAtOnce(BlockNode root) {
        root.inside.incrementAndGet();
        if (!changing) {
            return true;
        }
        leave(root);
        return false;
    }

    private synchronized void awaitChange(BlockNode first, @Nullable BlockNode second) {
        boolean interrupted = false;
        while (keptOut(first) || second != null && keptOut(second)) {
            count(first, second, -1);
            notifyAll();
            try {
                wait();
            } catch (InterruptedException e) {
                interrupted = true;
            }
            count(first, second, 1);
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private boolean keptOut(BlockNode root) {
        return owner != null && owner != Thread.currentThread() && touches(root);
    }

    private static void count(BlockNode first, @Nullable BlockNode second, int by) {
        first.inside.addAndGet(by);
        if (second != null) {
            second.inside.addAndGet(by);
        }
    }

    /** It is over. */
    void leave(BlockNode root) {
        leave(root, null);
    }

    /** It is over. */
    void leave(BlockNode first, @Nullable BlockNode second) {
        count(first, second, -1);
        if (changing) {
            synchronized (this) {
                notifyAll();
            }
        }
    }

    /** Begins a change; false when the requests that it waits for did not end within so many nanoseconds. */
    synchronized boolean lock(Collection<BlockNode> nodes, long patience) {
        long end = System.nanoTime() + patience;
        Thread me = Thread.currentThread();
        while (owner != null && owner != me) {
            if (!await(end)) {
                return false;
            }
        }
        owner = me;
        Set<BlockNode> all = new HashSet<>();
        if (!concerned.isEmpty()) {
            all.addAll(concerned.getLast());
        }
        nodes.forEach(node -> collect(node, all));
        concerned.addLast(all);
        changing = true;
        List<Throttle> hurried = throttles(inTheWay());
        hurried.forEach(Throttle::hurry);
        rings.help();
        try {
            while (!inTheWay().isEmpty()) {
                if (!await(end)) {
                    unlock();
                    return false;
                }
            }
        } finally {
            rings.enough();
            hurried.forEach(Throttle::calm);
        }
        return true;
    }

    /** Ends the latest change. */
    synchronized void unlock() {
        concerned.removeLast();
        if (concerned.isEmpty()) {
            owner = null;
            changing = false;
        }
        notifyAll();
    }

    /** A root with requests inside now whose tree has one of these nodes, null when there is none. */
    synchronized @Nullable BlockNode inside(Collection<BlockNode> nodes) {
        Set<BlockNode> all = new HashSet<>();
        nodes.forEach(node -> collect(node, all));
        for (BlockNode root : this.nodes.get()) {
            if (root.inside.get() != 0 && touches(root, all)) {
                return root;
            }
        }
        return null;
    }

    /** Whether nobody is inside. */
    boolean quiet() {
        return nodes.get().stream().allMatch(node -> node.inside.get() == 0);
    }

    private List<BlockNode> inTheWay() {
        return nodes.get().stream().filter(n -> n.inside.get() != 0 && touches(n)).toList();
    }

    private boolean touches(BlockNode root) {
        return touches(root, concerned.getLast());
    }

    private static boolean touches(BlockNode root, Set<BlockNode> nodes) {
        if (nodes.contains(root)) {
            return true;
        }
        for (ChildEdge edge : root.children()) {
            if (touches(edge.node(), nodes)) {
                return true;
            }
        }
        return false;
    }

    private static void collect(BlockNode node, Set<BlockNode> into) {
        if (into.add(node)) {
            for (ChildEdge edge : node.children()) {
                collect(edge.node(), into);
            }
        }
    }

    /** What may hold up requests on these trees. */
    private static List<Throttle> throttles(List<BlockNode> roots) {
        Set<BlockNode> all = new HashSet<>();
        roots.forEach(root -> collect(root, all));
        return all.stream()
                .flatMap(node -> node.parents().stream())
                .map(ChildEdge::throttle)
                .filter(limit -> limit != null)
                .toList();
    }

    private boolean await(long end) {
        long left = end - System.nanoTime();
        if (left <= 0) {
            return false;
        }
        try {
            TimeUnit.NANOSECONDS.timedWait(this, left);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        }
        return true;
    }
}
