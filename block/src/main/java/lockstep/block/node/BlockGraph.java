package lockstep.block.node;

import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * All nodes of one process: who uses which, with what permissions, and for how long. Changes are made
 * with the machine lock held, while no request is inside what they concern ({@link Drain}).
 */
public final class BlockGraph implements AutoCloseable {
    private final GraphHost host;
    private final ExecutorService workers;
    private final ThreadFactory workerThreads = threads("block-worker-");
    private final Names names = new Names();
    private final Rings rings;
    private final Drain drain;
    private @Nullable Observer observer;
    private @Nullable OpeningLimit opening;

    public BlockGraph(GraphHost host) {
        this.host = host;
        workers = Executors.newCachedThreadPool(threads("block-child-"));
        rings = new Rings(host.loop());
        drain = new Drain(names, host, workers, rings);
    }

    private static ThreadFactory threads(String prefix) {
        AtomicInteger number = new AtomicInteger();
        return task ->
                Thread.ofPlatform()
                        .daemon()
                        .name(prefix + number.getAndIncrement())
                        .unstarted(task);
    }

    /** Hears of nodes that come and go. Machine lock held. */
    public interface Observer {
        /** A node of that name waits for its peer; {@code cut} ends that, from any thread. */
        void connecting(String node, Runnable cut);

        /** It does so no longer. */
        void connected(String node);

        void added(BlockNode node);

        void removed(BlockNode node);
    }

    /** Sets who hears of nodes that come and go. */
    public void setObserver(Observer observer) {
        this.observer = observer;
    }

    /** Begins to open a tree. Machine lock held until the limit is closed. */
    public OpeningLimit limitOpening() {
        opening = new OpeningLimit();
        return opening;
    }

    /**
     * Tells the observer that a node waits for its peer.
     *
     * @param address the peer's
     * @param cut ends that, from any thread
     * @param limitSeconds how long the peer may take to answer what opening the tree needs
     */
    public void connecting(String node, String address, Runnable cut, int limitSeconds) {
        if (opening != null) {
            opening.server(address, cut, limitSeconds);
        }
        if (observer != null) {
            observer.connecting(node, cut);
        }
    }

    /** Tells the observer that the wait is over. */
    public void connected(String node) {
        if (observer != null) {
            observer.connected(node);
        }
    }

    /** Nodes by name. */
    public Names names() {
        return names;
    }

    /** A fresh name for a node, one that no user can choose. */
    public String autoName() {
        return names.auto();
    }

    /** How requests and changes come in. */
    public Drain drain() {
        return drain;
    }

    /** The kernel's queues for files. */
    public Rings rings() {
        return rings;
    }

    public GraphHost host() {
        return host;
    }

    /** Makes the threads that backends' requests run on. */
    public ThreadFactory workerThreads() {
        return workerThreads;
    }

    /**
     * Threads for what blocks and is no backend's request: drivers' work on several children at once, jobs. As many as
     * are needed, for a task here may wait for another one; each user bounds what it asks for.
     */
    public ExecutorService workers() {
        return workers;
    }

    /** Breaks the connections that a tree stores through, for ever; requests that wait for them fail. Any thread. */
    public static void cut(BlockNode node) {
        node.cut();
        for (ChildEdge edge : node.children()) {
            cut(edge.node());
        }
    }

    /** Enters a node; the caller holds one reference. */
    public <N extends BlockNode> N add(N node) throws BlockException {
        names.add(node);
        node.addReference(1);
        if (opening != null) {
            opening.add(node::cut);
        }
        if (observer != null) {
            observer.added(node);
        }
        return node;
    }

    /** Makes {@code child} a child of {@code user}; the edge holds its own reference. */
    public ChildEdge attach(NodeUser user, String edgeName, Role role, BlockNode child)
            throws BlockException {
        return attach(user, edgeName, role, child, 0, Permission.ALL);
    }

    /**
     * Like the short form, for users that are no nodes and so say themselves what they need and
     * share.
     */
    public ChildEdge attach(
            NodeUser user, String edgeName, Role role, BlockNode child, int permissions, int shared)
            throws BlockException {
        ChildEdge[] made = new ChildEdge[1];
        drain.drained(
                concerned(user, child),
                () -> made[0] = attachDrained(user, edgeName, role, child, permissions, shared));
        return made[0];
    }

    private static List<BlockNode> concerned(NodeUser user, BlockNode child) {
        return user instanceof BlockNode parent ? List.of(parent, child) : List.of(child);
    }

    private ChildEdge attachDrained(
            NodeUser user, String edgeName, Role role, BlockNode child, int permissions, int shared)
            throws BlockException {
        if (user instanceof BlockNode parent && reaches(child, parent)) {
            throw new BlockException(
                    Errno.EINVAL,
                    "Making '"
                            + child.name()
                            + "' a "
                            + edgeName
                            + " child of '"
                            + parent.name()
                            + "' would create a cycle");
        }
        ChildEdge edge = new ChildEdge(user, edgeName, role, child);
        edge.permissions = permissions;
        edge.shared = shared;
        edge.attached = true;
        child.parents().add(edge);
        child.addReference(1);
        if (user instanceof BlockNode parent) {
            parent.children().add(edge);
        }
        try {
            Grants.refreshFrom(user, child);
        } catch (BlockException e) {
            unlink(edge);
            Grants.refreshQuietly(user, child);
            child.addReference(-1);
            throw e;
        }
        return edge;
    }

    /** Takes a further reference, to be given back by {@link #release}. */
    public <N extends BlockNode> N retain(N node) {
        node.addReference(1);
        return node;
    }

    /** Lets a child go; the child is closed when nobody else holds it. */
    public void detach(ChildEdge edge) {
        drain.drainedOrLater(
                concerned(edge.user(), edge.node()),
                () -> {
                    BlockNode child = edge.node();
                    unlink(edge);
                    Grants.refreshQuietly(edge.user(), child);
                    release(child);
                });
    }

    private static void unlink(ChildEdge edge) {
        edge.attached = false;
        edge.node().parents().remove(edge);
        if (edge.user() instanceof BlockNode parent) {
            parent.children().remove(edge);
        }
    }

    /** Lets an edge point to another node. */
    public void replaceChild(ChildEdge edge, BlockNode replacement) throws BlockException {
        NodeUser user = edge.user();
        drain.drained(
                user instanceof BlockNode parent
                        ? List.of(parent, edge.node(), replacement)
                        : List.of(edge.node(), replacement),
                () -> {
                    BlockNode old = edge.node();
                    if (old == replacement) {
                        return;
                    }
                    move(edge, replacement);
                    try {
                        Grants.refreshFrom(edge.user(), replacement);
                        Grants.refresh(old);
                    } catch (BlockException e) {
                        move(edge, old);
                        Grants.refreshQuietly(edge.user(), old);
                        throw e;
                    }
                    edge.user().childChanged(edge);
                    if (old.references() == 0) {
                        old.addReference(1);
                        release(old);
                    }
                });
    }

    private static void move(ChildEdge edge, BlockNode target) {
        BlockNode old = edge.node();
        old.parents().remove(edge);
        old.addReference(-1);
        edge.node = target;
        target.parents().add(edge);
        target.addReference(1);
        edge.moved();
    }

    /**
     * Lets all users of {@code old} use {@code replacement} instead, except the replacement itself
     * and those the filter refuses. The caller keeps a reference to both.
     */
    public void replaceNode(
            BlockNode old, BlockNode replacement, java.util.function.Predicate<ChildEdge> which)
            throws BlockException {
        drain.drained(
                List.of(old, replacement),
                () -> {
                    List<ChildEdge> moved = new ArrayList<>();
                    for (ChildEdge edge : List.copyOf(old.parents())) {
                        if (edge.user() != replacement && which.test(edge)) {
                            moved.add(edge);
                        }
                    }
                    moved.forEach(edge -> move(edge, replacement));
                    try {
                        // A filter that is taken out must no longer need on the node below it
                        // what its users, who are there now, do not share.
                        boolean above = reaches(old, replacement);
                        Grants.refresh(above ? old : replacement);
                        Grants.refresh(above ? replacement : old);
                        for (ChildEdge edge : moved) {
                            edge.user().childChanged(edge);
                        }
                    } catch (BlockException e) {
                        moved.forEach(edge -> move(edge, old));
                        throw e;
                    }
                });
    }

    /** Sets what a user that is no node needs and shares. */
    public void setPermissions(ChildEdge edge, int permissions, int shared) throws BlockException {
        drain.drained(
                List.of(edge.node()),
                () -> {
                    int oldPermissions = edge.permissions;
                    int oldShared = edge.shared;
                    edge.permissions = permissions;
                    edge.shared = shared;
                    try {
                        Grants.refresh(edge.node());
                    } catch (BlockException e) {
                        edge.permissions = oldPermissions;
                        edge.shared = oldShared;
                        Grants.refreshQuietly(edge.user(), edge.node());
                        throw e;
                    }
                });
    }

    /** The monitor takes its reference, in place of the opener's. */
    public void giveToMonitor(BlockNode node) {
        node.setMonitorOwned(true);
    }

    /** Takes the monitor's reference away. */
    public void takeFromMonitor(BlockNode node) {
        if (node.monitorOwned()) {
            node.setMonitorOwned(false);
            release(node);
        }
    }

    /** Gives a reference back; the last one closes the node and lets its children go. */
    public void release(BlockNode node) {
        if (node.references() > 1) {
            node.addReference(-1);
            return;
        }
        drain.drainedOrLater(
                List.of(node),
                () -> {
                    node.addReference(-1);
                    if (node.references() == 0 && !node.closed()) {
                        close(node);
                    }
                });
    }

    private void close(BlockNode node) {
        try {
            node.close();
        } catch (BlockException e) {
            System.Logger log = System.getLogger("lockstep.block");
            log.log(System.Logger.Level.WARNING, "closing " + node.name() + ": " + e.getMessage());
        }
        node.setClosed();
        names.remove(node);
        if (observer != null) {
            observer.removed(node);
        }
        for (ChildEdge edge : List.copyOf(node.children())) {
            detach(edge);
        }
    }

    /** Whether {@code target} is {@code from} or below it. */
    public static boolean reaches(BlockNode from, BlockNode target) {
        if (from == target) {
            return true;
        }
        for (ChildEdge edge : from.children()) {
            if (reaches(edge.node(), target)) {
                return true;
            }
        }
        return false;
    }

    /**
     * Lets a tree be written: children first, then the node reads its metadata again and takes its
     * locks.
     */
    public void activate(BlockNode node) throws BlockException {
        drain.drained(
                List.of(node),
                () -> {
                    activateTree(node);
                    Grants.refresh(node);
                });
    }

    private static void activateTree(BlockNode node) throws BlockException {
        for (ChildEdge edge : node.children()) {
            activateTree(edge.node());
        }
        if (!node.active()) {
            node.setActive(true);
            try {
                Grants.refresh(node);
                node.onActivate();
            } catch (BlockException e) {
                node.setActive(false);
                throw e;
            }
        }
    }

    /** Activates every node. */
    public void activateAll() throws BlockException {
        for (BlockNode node : names.nodes()) {
            if (!node.active()) {
                activate(node);
            }
        }
    }

    /** Marks a node that was just built as inactive, before anybody uses it. */
    public static void startInactive(BlockNode node) {
        node.setActive(false);
    }

    /** Flushes everything and gives all locks back, so that another process may use the images. */
    public void inactivateAll() throws BlockException {
        drain.drained(
                () -> {
                    List<BlockNode> all = names.nodes();
                    for (BlockNode node : all) {
                        if (node.parents().stream().noneMatch(e -> e.user() instanceof BlockNode)) {
                            inactivateTree(node);
                        }
                    }
                    for (BlockNode node : all) {
                        Grants.refresh(node);
                    }
                });
    }

    private static void inactivateTree(BlockNode node) throws BlockException {
        if (node.active()) {
            node.onInactivate();
            node.setActive(false);
        }
        for (ChildEdge edge : node.children()) {
            inactivateTree(edge.node());
        }
    }

    /** Switches a node between read-only and read-write. */
    public void reopen(BlockNode node, boolean readOnly) throws BlockException {
        drain.drained(
                List.of(node),
                () -> {
                    if (node.readOnly() == readOnly) {
                        return;
                    }
                    if (readOnly) {
                        if (node.active()) {
                            // A flush that comes later is for what is written by then, and passes
                            // what cannot be written.
                            node.flush();
                        }
                        node.onReopen(true);
                        node.setReadOnly(true);
                        try {
                            Grants.refresh(node);
                        } catch (BlockException e) {
                            node.setReadOnly(false);
                            throw e;
                        }
                        reopenStorage(node, true);
                    } else {
                        reopenStorage(node, false);
                        node.setReadOnly(false);
                        try {
                            Grants.refresh(node);
                            node.onReopen(false);
                        } catch (BlockException e) {
                            node.setReadOnly(true);
                            throw e;
                        }
                    }
                });
    }

    private void reopenStorage(BlockNode node, boolean readOnly) throws BlockException {
        for (ChildEdge edge : node.children()) {
            if (edge.role() == Role.STORAGE || edge.role() == Role.FILTERED) {
                reopen(edge.node(), readOnly);
            }
        }
    }

    /** Runs tasks at once and waits for all of them; a task's own failure is in its result. */
    public <T> List<T> inParallel(List<Callable<T>> tasks) throws BlockException {
        List<T> results = new ArrayList<>(tasks.size());
        try {
            List<java.util.concurrent.Future<T>> futures = new ArrayList<>();
            for (int i = 1; i < tasks.size(); i++) {
                futures.add(workers.submit(tasks.get(i)));
            }
            results.add(tasks.getFirst().call());
            for (java.util.concurrent.Future<T> future : futures) {
                results.add(future.get());
            }
            return results;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new BlockException(Errno.EIO, "interrupted", e);
        } catch (Exception e) {
            throw new BlockException(Errno.EIO, "a child task failed: " + e, e);
        }
    }

    /** Flushes and closes every node that nobody else uses. */
    @Override
    public void close() {
        for (BlockNode node : names.nodes()) {
            takeFromMonitor(node);
        }
        workers.shutdown();
        rings.close();
    }
}
