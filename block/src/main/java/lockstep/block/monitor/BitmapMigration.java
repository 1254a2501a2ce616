package lockstep.block.monitor;

import lockstep.api.BitmapMigrationBitmapAlias;
import lockstep.api.BitmapMigrationNodeAlias;
import lockstep.block.Backends;
import lockstep.block.BlockBackend;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.DirtyBitmap;
import lockstep.qmp.QmpException;
import lockstep.runtime.spi.BitmapHandover;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/** Finds the bitmaps that move with a migration, and the names under which they do. */
final class BitmapMigration implements BitmapHandover {
    private static final int NAME_MAX = 255;

    private final Backends backends;
    private final Consumer<String> report;

    /** Of the nodes of these; {@code report} prints for the user. */
    BitmapMigration(Backends backends, Consumer<String> report) {
        this.backends = backends;
        this.report = report;
    }

    @Override
    public Receiving receive(@Nullable List<BitmapMigrationNodeAlias> names) {
        return new BitmapReceiver(backends.graph(), names, report);
    }

    @Override
    public @Nullable Sending send(@Nullable List<BitmapMigrationNodeAlias> names)
            throws QmpException {
        List<BitmapSender.Moving> all = new ArrayList<>();
        Set<BlockNode> seen = new HashSet<>();
        try {
            if (names == null) {
                for (BlockBackend backend : backends) {
                    BlockNode node = backend.name().isEmpty() ? null : unfiltered(backend.root());
                    if (node != null && seen.add(node)) {
                        addAll(node, backend.name(), null, all);
                    }
                }
            }
            for (BlockNode node : backends.graph().names().nodes()) {
                if (seen.add(node) && !node.bitmaps().isEmpty()) {
                    BitmapMigrationNodeAlias alias = alias(names, node.name());
                    if (names == null || alias != null) {
                        checkName(node);
                        addAll(node, alias == null ? node.name() : alias.alias(), alias, all);
                    }
                }
            }
        } catch (BlockException e) {
            throw new QmpException(String.valueOf(e.getMessage()));
        }
        return all.isEmpty() ? null : new BitmapSender(all);
    }

    /** The node that a drive's name stands for: not a filter, unless that has bitmaps, and then none. */
    private static @Nullable BlockNode unfiltered(@Nullable BlockNode root) {
        BlockNode node = root;
        while (node != null && BitmapStream.isFilter(node) && node.bitmaps().isEmpty()) {
            ChildEdge below = node.primaryChild();
            node = below == null ? null : below.node();
        }
        return node == null || BitmapStream.isFilter(node) ? null : node;
    }

    private static void checkName(BlockNode node) throws BlockException {
        if (node.name().startsWith("#")) {
            throw new BlockException(
                    22,
                    "Bitmap '%s' in a node with auto-generated name '%s' can't be migrated"
                            .formatted(node.bitmaps().getFirst().name(), node.name()));
        }
    }

    private static @Nullable BitmapMigrationNodeAlias alias(
            @Nullable List<BitmapMigrationNodeAlias> names, String node) {
        if (names != null) {
            for (BitmapMigrationNodeAlias one : names) {
                if (one.nodeName().equals(node)) {
                    return one;
                }
            }
        }
        return null;
    }

    private static void addAll(
            BlockNode node,
            String nodeAlias,
            @Nullable BitmapMigrationNodeAlias names,
            List<BitmapSender.Moving> all)
            throws BlockException {
        for (DirtyBitmap bitmap : node.bitmaps()) {
            bitmap.checkUsable(true);
            String name = String.valueOf(bitmap.name());
            String alias = name;
            Boolean persistent = null;
            if (names != null) {
                BitmapMigrationBitmapAlias known =
                        names.bitmaps().stream()
                                .filter(b -> b.name().equals(name))
                                .findFirst()
                                .orElse(null);
                if (known == null) {
                    continue;
                }
                alias = known.alias();
                persistent = known.transform() == null ? null : known.transform().persistent();
            } else if (BitmapStream.text(name).length > NAME_MAX) {
                throw new BlockException(
                        22,
                        "Cannot migrate bitmap '%s' on node '%s': Name is longer than %d bytes"
                                .formatted(name, node.name(), NAME_MAX));
            }
            boolean keep = persistent == null ? bitmap.persistent() : persistent;
            all.add(
                    new BitmapSender.Moving(
                            node,
                            nodeAlias,
                            bitmap,
                            alias,
                            ChildEdge.look(node).length(),
                            (bitmap.recording() ? BitmapStream.ENABLED : 0)
                                    | (keep ? BitmapStream.PERSISTENT : 0)));
        }
    }
}
