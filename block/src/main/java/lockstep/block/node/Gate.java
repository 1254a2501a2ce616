package lockstep.block.node;

import org.jspecify.annotations.Nullable;

import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/**
 * Keeps requests and changes of the graph apart. A request is inside with the root of its tree. A change names the nodes
 * it concerns, with all that is below them; it begins when no request is inside whose tree has one of these, and such
 * requests wait until it is over. So a disk whose storage hangs holds up changes of its own tree only. There is one
 * change at a time; its thread may nest changes and requests.
 */
final class Gate {
    private final Map<BlockNode, Integer> inside = new HashMap<>();
    private final Deque<Set<BlockNode>> concerned = new ArrayDeque<>();
    private @Nullable Thread owner;

    /** A request on these roots comes in, one of them or both; null is a drive without medium. */
    synchronized void enter(@Nullable BlockNode first, @Nullable BlockNode second) {
        boolean interrupted = false;
        while (keptOut(first) || keptOut(second)) {
            try {
                wait();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        count(first, 1);
        count(second, 1);
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private boolean keptOut(@Nullable BlockNode root) {
        return owner != null && owner != Thread.currentThread() && root != null && touches(root);
    }

    private void count(@Nullable BlockNode root, int by) {
        if (root != null) {
            inside.merge(root, by, (before, more) -> before + more == 0 ? null : before + more);
        }
    }

    /** It is over. */
    synchronized void leave(@Nullable BlockNode first, @Nullable BlockNode second) {
        count(first, -1);
        count(second, -1);
        if (owner != null) {
            notifyAll();
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
        Set<BlockNode> hurried = new HashSet<>();
        inTheWay().forEach(root -> collect(root, hurried));
        hurried.forEach(BlockNode::hurry);
        try {
            while (!inTheWay().isEmpty()) {
                if (!await(end)) {
                    unlock();
                    return false;
                }
            }
        } finally {
            hurried.forEach(BlockNode::calm);
        }
        return true;
    }

    /** Ends the latest change. */
    synchronized void unlock() {
        concerned.removeLast();
        if (concerned.isEmpty()) {
            owner = null;
        }
        notifyAll();
    }

    /** The roots of requests that are inside now and whose trees have one of these nodes. */
    synchronized Map<BlockNode, Integer> inside(Collection<BlockNode> nodes) {
        Set<BlockNode> all = new HashSet<>();
        nodes.forEach(node -> collect(node, all));
        Map<BlockNode, Integer> found = new HashMap<>(inside);
        found.keySet().removeIf(root -> !touches(root, all));
        return found;
    }

    /** Whether nobody is inside. */
    synchronized boolean quiet() {
        return inside.isEmpty();
    }

    private List<BlockNode> inTheWay() {
        return inside.keySet().stream().filter(this::touches).toList();
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
