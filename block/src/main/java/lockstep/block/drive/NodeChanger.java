package lockstep.block.drive;

import lockstep.api.BlockdevCacheOptions;
import lockstep.api.BlockdevDetectZeroesOptions;
import lockstep.api.BlockdevDiscardOptions;
import lockstep.api.BlockdevOptions;
import lockstep.api.BlockdevOptionsFile;
import lockstep.api.BlockdevRef;
import lockstep.api.BlockdevRefOrNull;
import lockstep.block.BlockBackend;
import lockstep.block.file.FileNode;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.NodeUser;
import lockstep.block.node.Permission;
import lockstep.block.node.Role;
import lockstep.block.open.LegacyTree;
import lockstep.block.open.NodeOpener;
import lockstep.block.qcow2.OverlapChecks;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.block.quorum.QuorumNode;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonOutputVisitor;
import lockstep.qmp.OptionText;
import lockstep.qmp.QmpException;
import lockstep.qmp.TryLater;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/** What users do to nodes. Main loop, machine lock held. */
public final class NodeChanger {
    /** The longest node, in bytes. */
    private static final long LENGTH_MAX = Long.MAX_VALUE & -(1L << 30);

    /** Drivers whose own options stay as they were opened with. */
    private static final Set<String> FIXED = Set.of("file", "nbd", "null-co", "null-aio");

    /** How long a command waits for what ends by itself as a rule. */
    private static final long MOMENT = TimeUnit.MILLISECONDS.toNanos(100);

    /** How long a command waits for what may not end at all. */
    private static final long PATIENCE = TimeUnit.SECONDS.toNanos(5);

    /** How long requests may take to end when their connections were cut. */
    private static final long GRACE = TimeUnit.SECONDS.toNanos(1);

    private final BlockGraph graph;
    private final NodeOpener opener;

    NodeChanger(BlockGraph graph, NodeOpener opener) {
        this.graph = graph;
        this.opener = opener;
    }

    /** Opens nodes. */
    public NodeOpener opener() {
        return opener;
    }

    private static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    /** QMP blockdev-add. */
    public void add(BlockdevOptions options) throws BlockException {
        if (options.nodeName() == null) {
            throw bad("'node-name' must be specified for the root node");
        }
        opener.openForMonitor(options);
    }

    /** HMP drive_add -n: a node and nothing on top. */
    public void addFromText(String text) throws BlockException {
        JsonObject tree = tree(text);
        if (!tree.has("node-name")) {
            throw bad("'node-name' needs to be specified");
        }
        opener.openForMonitor(opener.legacy(tree(text)), tree);
    }

    private static JsonObject tree(String text) throws BlockException {
        try {
            return LegacyTree.tree(OptionText.parse(text, null).toMap());
        } catch (QmpException e) {
            throw new BlockException(Errno.EINVAL, e.description(), e);
        }
    }

    /**
     * One element of QMP blockdev-reopen: read-only, cache, discard, detect-zeroes, the backing node and
     * what an image protects may change.
     */
    public void reopen(BlockdevOptions options) throws BlockException {
        String name = options.nodeName();
        if (name == null) {
            throw bad("node-name not specified");
        }
        BlockNode node = graph.names().findNode(name);
        if (node == null) {
            throw bad("Failed to find node with node-name='" + name + "'");
        }
        String driver = options.driver().wireName();
        if (!driver.equals(node.driver())) {
            throw bad("Cannot change the option 'driver'");
        }
        switch (options) {
            case BlockdevOptions.Quorum ignored -> throw noReopen(node);
            case BlockdevOptions.Replication ignored -> throw noReopen(node);
            case BlockdevOptions.Qcow2 qcow2 -> reopenBacking(node, qcow2);
            default -> {}
        }
        refuseChanges(node, options);
        switch (options) {
            case BlockdevOptions.Qcow2 qcow2 -> refuseChangesBelow(node, qcow2.data().file());
            case BlockdevOptions.Raw raw -> refuseChangesBelow(node, raw.data().file());
            default -> {}
        }
        boolean unmap =
                options.discard() == null
                        ? node.info().discardUnmap()
                        : options.discard() == BlockdevDiscardOptions.UNMAP;
        BlockdevDetectZeroesOptions zeroes = NodeOpener.detectZeroes(options, unmap);
        BlockdevCacheOptions cache = options.cache();
        cache(
                node,
                cache != null && Boolean.TRUE.equals(cache.direct()),
                cache != null && Boolean.TRUE.equals(cache.noFlush()));
        graph.reopen(node, Boolean.TRUE.equals(options.readOnly()));
        if (options instanceof BlockdevOptions.Qcow2 qcow2 && node instanceof Qcow2Node image) {
            image.protect(OverlapChecks.of(qcow2.data().overlapCheck()));
        }
        node.setInfo(node.info().sparing(unmap, zeroes));
    }

    /** Sets the cache mode of a node, and of what it is stored in where nobody else named that. */
    private static void cache(BlockNode node, boolean direct, boolean noFlush)
            throws BlockException {
        if (node instanceof FileNode file) {
            node.graph().drain().drained(List.of(node), () -> file.goDirect(direct));
        }
        node.setInfo(node.info().cached(direct, noFlush));
        for (ChildEdge edge : node.children()) {
            if (edge.node().name().startsWith("#") && edge.role() != Role.BACKING) {
                cache(edge.node(), direct, noFlush);
            }
        }
    }

    /** Options of the driver itself stay as they are. */
    private static void refuseChanges(BlockNode node, BlockdevOptions options)
            throws BlockException {
        if (!FIXED.contains(node.driver())) {
            return;
        }
        JsonObject before = node.info().options();
        JsonObject given = (JsonObject) JsonOutputVisitor.toJson(options, BlockdevOptions::write);
        for (String key : NodeOpener.significant(node.driver(), given).members().keySet()) {
            if (!Objects.equals(before.get(key), given.get(key))) {
                throw bad("Cannot change the option '" + key + "'");
            }
        }
        if (node instanceof FileNode file
                && file.asked() instanceof BlockdevOptionsFile asked
                && options instanceof BlockdevOptions.File wanted) {
            refuseChange("locking", asked.locking(), wanted.data().locking());
            refuseChange("aio", asked.aio(), wanted.data().aio());
        }
    }

    private static void refuseChange(String option, @Nullable Object asked, @Nullable Object wanted)
            throws BlockException {
        if (wanted == null && asked != null) {
            throw bad("Option '" + option + "' cannot be reset to its default value");
        }
        if (!Objects.equals(asked, wanted)) {
            throw bad("Cannot change the option '" + option + "'");
        }
    }

    /** Nor do those of the file that a format's options open, which is its own. */
    private static void refuseChangesBelow(BlockNode node, BlockdevRef given)
            throws BlockException {
        ChildEdge edge = node.child("file");
        if (edge != null
                && edge.node().name().startsWith("#")
                && given instanceof BlockdevRef.Definition definition) {
            refuseChanges(edge.node(), definition.value());
        }
    }

    private static BlockException noReopen(BlockNode node) {
        return new BlockException(
                Errno.ENOTSUP,
                "Block format '"
                        + node.driver()
                        + "' used by node '"
                        + node.name()
                        + "' does not support reopening files");
    }

    private void reopenBacking(BlockNode node, BlockdevOptions.Qcow2 options)
            throws BlockException {
        ChildEdge edge = node.child("backing");
        switch (options.data().backing()) {
            case BlockdevRefOrNull.Unrecognized u -> throw new AssertionError(u);
            case null -> {
                if (edge != null) {
                    throw bad("backing is missing for '" + node.name() + "'");
                }
            }
            case BlockdevRefOrNull.Null ignored -> {
                if (edge != null) {
                    graph.detach(edge);
                }
            }
            case BlockdevRefOrNull.Reference reference -> {
                BlockNode wanted = graph.names().lookup(reference.value());
                if (edge == null) {
                    graph.attach(node, "backing", Role.BACKING, wanted);
                } else if (BlockGraph.reaches(wanted, node)) {
                    throw bad(
                            "Making '"
                                    + wanted.name()
                                    + "' a backing child of '"
                                    + node.name()
                                    + "' would create a cycle");
                } else {
                    graph.replaceChild(edge, wanted);
                }
            }
            case BlockdevRefOrNull.Definition ignored ->
                    throw bad("Cannot change the option 'backing'");
        }
    }

    /** QMP block-set-write-threshold. */
    public void setWriteThreshold(String name, long offset) throws BlockException {
        BlockNode node = graph.names().findNode(name);
        if (node == null) {
            throw bad("Device '" + name + "' not found");
        }
        node.setWriteThreshold(offset);
    }

    /** QMP blockdev-del. */
    public void delete(String name) throws BlockException {
        BlockNode node = graph.names().findNode(name);
        if (node == null) {
            throw bad("Failed to find node with node-name='" + name + "'");
        }
        if (node.parents().stream().anyMatch(edge -> edge.user() instanceof BlockBackend)) {
            throw bad("Node " + name + " is in use");
        }
        node.refuseIfBlocked();
        if (!node.monitorOwned()) {
            throw bad("Node " + name + " is not owned by the monitor");
        }
        if (node.references() > 1) {
            throw bad("Block device " + name + " is in use");
        }
        clear(node, null);
        graph.takeFromMonitor(node);
    }

    /**
     * Waits until no request is inside a tree with {@code node}; the monitors are served meanwhile where that is
     * possible.
     *
     * @param leaving what goes away: if its requests do not end, its connections are cut; null when others use it
     */
    void clear(BlockNode node, @Nullable BlockNode leaving) throws BlockException {
        if (graph.drain().clear(node, TryLater.possible() ? MOMENT : PATIENCE)) {
            return;
        }
        TryLater.within(PATIENCE);
        if (leaving != null) {
            BlockGraph.cut(leaving);
        }
        if (leaving == null || !graph.drain().clear(node, GRACE)) {
            throw graph.drain().busy(List.of(node));
        }
    }

    /** QMP x-blockdev-change. */
    public void change(String parent, @Nullable String child, @Nullable String node)
            throws BlockException {
        BlockNode above = graph.names().lookup(parent);
        if (child != null && node != null) {
            throw bad("The parameters child and node are in conflict");
        }
        if (child != null) {
            ChildEdge edge = above.child(child);
            if (edge == null) {
                throw bad("Node '" + parent + "' does not have child '" + child + "'");
            }
            if (!(above instanceof QuorumNode quorum)) {
                throw new BlockException(
                        Errno.ENOTSUP,
                        "The node " + above.name() + " does not support removing a child");
            }
            clear(above, edge.node());
            quorum.removeChild(edge);
            return;
        }
        if (node == null) {
            throw bad("Either child or node must be specified");
        }
        BlockNode added = graph.names().findNode(node);
        if (added == null) {
            throw bad("Node '" + node + "' not found");
        }
        if (!(above instanceof QuorumNode quorum)) {
            throw new BlockException(
                    Errno.ENOTSUP, "The node " + above.name() + " does not support adding a child");
        }
        if (!added.parents().isEmpty()) {
            throw bad("The node " + added.name() + " already has a parent");
        }
        quorum.addChild(added);
    }

    /** QMP block_resize. */
    public void resize(@Nullable String device, @Nullable String nodeName, long size)
            throws BlockException {
        BlockNode node =
                graph.names()
                        .lookup(device == null ? "" : device, nodeName == null ? "" : nodeName);
        if (size < 0) {
            throw bad("Parameter 'size' expects a >0 size");
        }
        if (size > LENGTH_MAX) {
            throw bad("offset(%d) exceeds maximum(%d)".formatted(size, LENGTH_MAX));
        }
        node.refuseIfBlocked();
        if (node.readOnly()) {
            throw new BlockException(Errno.EACCES, "Image is read-only");
        }
        graph.drain()
                .drained(
                        List.of(node),
                        () -> {
                            NodeUser user = () -> "block_resize";
                            ChildEdge edge =
                                    graph.attach(
                                            user,
                                            "root",
                                            Role.ROOT,
                                            node,
                                            Permission.RESIZE,
                                            Permission.ALL);
                            try {
                                edge.truncate(size);
                            } finally {
                                graph.detach(edge);
                            }
                        });
    }
}
