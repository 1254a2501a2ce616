package lockstep.block.monitor;

import lockstep.api.BlockDirtyBitmapAdd;
import lockstep.api.BlockDirtyBitmapMerge;
import lockstep.api.BlockDirtyBitmapOrStr;
import lockstep.api.TransactionAction;
import lockstep.block.BlockBackend;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.DirtyBitmap;
import lockstep.block.node.Role;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

/**
 * What clients do with dirty bitmaps. Each change is a {@link Step}, so that a transaction can take it back. Main loop,
 * machine lock held.
 */
public final class BitmapQmp {
    private static final int NAME_MAX = 1023;
    private static final long GRANULE_MIN = 512;
    private static final long GRANULE_MAX = 1L << 31;
    private static final long CLUSTER_MIN = 4 << 10;
    private static final long DEFAULT_GRANULE = 64 << 10;

    private final BlockGraph graph;

    /** Of the nodes of a graph. */
    public BitmapQmp(BlockGraph graph) {
        this.graph = graph;
    }

    private static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    private BlockNode node(String name) throws BlockException {
        try {
            return graph.names().lookup(name);
        } catch (BlockException e) {
            throw new BlockException(e.errno(), "Node '" + name + "' not found", e);
        }
    }

    private static DirtyBitmap bitmap(BlockNode node, String name) throws BlockException {
        DirtyBitmap bitmap = node.bitmap(name);
        if (bitmap == null) {
            throw new BlockException(Errno.ENOENT, "Dirty bitmap '" + name + "' not found");
        }
        return bitmap;
    }

    /** One that the client may use; {@code change} when it is to be another afterwards. */
    private DirtyBitmap usable(String node, String name, boolean change) throws BlockException {
        DirtyBitmap bitmap = bitmap(node(node), name);
        bitmap.checkUsable(change);
        return bitmap;
    }

    /** What the user knows a node by: the drive that it is in, or its name. */
    private static String shown(BlockNode node) {
        for (ChildEdge edge : node.parents()) {
            if (edge.user() instanceof BlockBackend backend && !backend.name().isEmpty()) {
                return backend.name();
            }
        }
        return node.name();
    }

    private static long granularity(BlockNode node, @Nullable Long given) throws BlockException {
        if (given == null) {
            long unit = node.allocationUnit();
            return unit == 1 ? DEFAULT_GRANULE : Math.clamp(unit, CLUSTER_MIN, DEFAULT_GRANULE);
        }
        if (given < GRANULE_MIN || given > GRANULE_MAX || Long.bitCount(given) != 1) {
            throw bad("Granularity must be power of 2 and at least 512");
        }
        return given;
    }

    /** block-dirty-bitmap-add. */
    public Step add(BlockDirtyBitmapAdd a) throws BlockException {
        BlockNode node = graph.names().lookup(a.node());
        String name = a.name();
        if (name.isEmpty()) {
            throw bad("Bitmap name cannot be empty");
        }
        long granule = granularity(node, a.granularity());
        boolean persistent = Boolean.TRUE.equals(a.persistent());
        if (persistent) {
            node.checkKeeps(shown(node), name, granule);
        }
        if (node.bitmap(name) != null) {
            throw bad("Bitmap already exists: " + name);
        }
        if (name.getBytes(StandardCharsets.UTF_8).length > NAME_MAX) {
            throw bad("Bitmap name too long: " + name);
        }
        long length = ChildEdge.look(node).length();
        DirtyBitmap.checkHolds(length, granule);
        DirtyBitmap bitmap = new DirtyBitmap(name, granule, length);
        bitmap.record(!Boolean.TRUE.equals(a.disabled()));
        bitmap.persist(persistent);
        node.follow(bitmap);
        return () -> node.forget(bitmap);
    }

    /** block-dirty-bitmap-remove. */
    public Step remove(String nodeName, String name) throws BlockException {
        BlockNode node = node(nodeName);
        DirtyBitmap bitmap = bitmap(node, name);
        bitmap.checkRemovable();
        if (bitmap.persistent()) {
            // One that is to stay after all is stored again when the image is left.
            graph.drain().drained(List.of(node), () -> node.removeKept(name));
        }
        bitmap.use(true);
        return new Step() {
            @Override
            public void commit() {
                node.forget(bitmap);
            }

            @Override
            public void takeBack() {
                bitmap.use(false);
            }
        };
    }

    /** block-dirty-bitmap-clear. */
    public Step clear(String node, String name) throws BlockException {
        DirtyBitmap bitmap = usable(node, name, true);
        DirtyBitmap before = bitmap.copy();
        bitmap.clear();
        return () -> bitmap.become(before);
    }

    /** block-dirty-bitmap-enable and block-dirty-bitmap-disable. */
    public Step record(String node, String name, boolean on) throws BlockException {
        DirtyBitmap bitmap = usable(node, name, false);
        boolean before = bitmap.recording();
        bitmap.record(on);
        return () -> bitmap.record(before);
    }

    /** block-dirty-bitmap-merge. */
    public Step merge(BlockDirtyBitmapMerge a) throws BlockException {
        DirtyBitmap target = usable(a.node(), a.target(), true);
        List<DirtyBitmap> sources = new ArrayList<>();
        for (BlockDirtyBitmapOrStr reference : a.bitmaps()) {
            DirtyBitmap source =
                    switch (reference) {
                        case BlockDirtyBitmapOrStr.Unrecognized u -> throw new AssertionError(u);
                        case BlockDirtyBitmapOrStr.Local local ->
                                usable(a.node(), local.value(), false);
                        case BlockDirtyBitmapOrStr.External external ->
                                usable(external.value().node(), external.value().name(), false);
                    };
            if (source.size() != target.size()) {
                throw bad(
                        "Bitmaps are of different sizes (destination size is %d, source size is %d)"
                                        .formatted(target.size(), source.size())
                                + " and can't be merged");
            }
            sources.add(source);
        }
        DirtyBitmap before = target.copy();
        sources.forEach(target::merge);
        return () -> target.become(before);
    }

    /** The bitmaps that an export of a node is to show; a name alone may be of what is below it. */
    List<DirtyBitmap> exported(
            BlockNode node, boolean writable, List<BlockDirtyBitmapOrStr> references)
            throws BlockException {
        List<DirtyBitmap> bitmaps = new ArrayList<>();
        for (BlockDirtyBitmapOrStr reference : references) {
            DirtyBitmap bitmap =
                    switch (reference) {
                        case BlockDirtyBitmapOrStr.Unrecognized u -> throw new AssertionError(u);
                        case BlockDirtyBitmapOrStr.Local local ->
                                inTree(node, writable, local.value());
                        case BlockDirtyBitmapOrStr.External external ->
                                bitmap(node(external.value().node()), external.value().name());
                    };
            bitmap.checkUsable(false);
            bitmaps.add(bitmap);
        }
        return bitmaps;
    }

    private static DirtyBitmap inTree(BlockNode top, boolean writable, String name)
            throws BlockException {
        for (BlockNode node = top; node != null; ) {
            DirtyBitmap bitmap = node.bitmap(name);
            if (bitmap != null && !writable && !node.readOnly() && bitmap.recording()) {
                throw bad("Enabled bitmap '" + name + "' incompatible with readonly export");
            }
            if (bitmap != null) {
                return bitmap;
            }
            BlockNode below = node.backing();
            ChildEdge filtered = node.primaryChild();
            if (below == null && filtered != null && filtered.role() == Role.FILTERED) {
                below = filtered.node();
            }
            node = below;
        }
        throw new BlockException(Errno.ENOENT, "Bitmap '" + name + "' is not found");
    }

    /** x-debug-block-dirty-bitmap-sha256. */
    String sha256(String node, String name) throws BlockException {
        return HexFormat.of().formatHex(bitmap(node(node), name).sha256());
    }

    /** The action of a transaction; null when it is about something else. */
    @Nullable Step act(TransactionAction action) throws BlockException {
        return switch (action) {
            case TransactionAction.BlockDirtyBitmapAdd a -> add(a.data().data());
            case TransactionAction.BlockDirtyBitmapRemove a ->
                    remove(a.data().data().node(), a.data().data().name());
            case TransactionAction.BlockDirtyBitmapClear a ->
                    clear(a.data().data().node(), a.data().data().name());
            case TransactionAction.BlockDirtyBitmapEnable a ->
                    record(a.data().data().node(), a.data().data().name(), true);
            case TransactionAction.BlockDirtyBitmapDisable a ->
                    record(a.data().data().node(), a.data().data().name(), false);
            case TransactionAction.BlockDirtyBitmapMerge a -> merge(a.data().data());
            default -> null;
        };
    }
}
