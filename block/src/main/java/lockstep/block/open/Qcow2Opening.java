package lockstep.block.open;

import lockstep.api.BlockdevOptions;
import lockstep.api.BlockdevOptionsQcow2;
import lockstep.api.BlockdevQcow2Encryption;
import lockstep.api.BlockdevRefOrNull;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.qcow2.Encryption;
import lockstep.block.qcow2.OverlapChecks;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.qmp.JsonObject;

import org.jspecify.annotations.Nullable;

/** Opens qcow2 images with the chain below them. */
final class Qcow2Opening {
    private final NodeOpener opener;
    private final BlockGraph graph;

    Qcow2Opening(NodeOpener opener, BlockGraph graph) {
        this.opener = opener;
        this.graph = graph;
    }

    BlockNode open(BlockdevOptionsQcow2 qcow2, JsonObject given, Settings settings)
            throws BlockException {
        OverlapChecks checks = OverlapChecks.of(qcow2.overlapCheck());
        BlockNode file = opener.child(qcow2.file(), given.get("file"), settings.child());
        Qcow2Node node;
        try {
            boolean readOnly = settings.readOnly() || file.readOnly() && settings.autoReadOnly();
            node =
                    Qcow2Node.open(
                            graph,
                            settings.name(),
                            readOnly,
                            file,
                            settings.active(),
                            checks,
                            key(qcow2.encrypt()));
        } finally {
            graph.release(file);
        }
        try {
            checkCaches(qcow2, node);
            BlockNode below = backing(node, qcow2.backing(), given, settings);
            if (below != null) {
                try {
                    node.attachBacking(below);
                } finally {
                    graph.release(below);
                }
            }
            return node;
        } catch (BlockException e) {
            graph.release(node);
            throw e;
        }
    }

    private Encryption.Key key(@Nullable BlockdevQcow2Encryption encrypt) throws BlockException {
        String format = encrypt == null ? null : encrypt.format().wireName();
        String secret =
                switch (encrypt) {
                    case BlockdevQcow2Encryption.Aes aes -> aes.data().keySecret();
                    case BlockdevQcow2Encryption.Luks luks -> luks.data().keySecret();
                    case BlockdevQcow2Encryption.Unrecognized u -> throw new AssertionError(u);
                    case null -> null;
                };
        return new Encryption.Key(opener.secrets(), format, secret, opener.legacyKeys());
    }

    /**
     * Refuses sizes of caches that cannot be. Ours have one size; it holds all tables of images up to 256
     * GiB with clusters of 64 KiB.
     */
    private static void checkCaches(BlockdevOptionsQcow2 qcow2, Qcow2Node node)
            throws BlockException {
        long cluster = 1L << node.header().clusterBits();
        long both = NodeOpener.bytes("cache-size", qcow2.cacheSize(), -1);
        long level2 = NodeOpener.bytes("l2-cache-size", qcow2.l2CacheSize(), -1);
        long entry = NodeOpener.bytes("l2-cache-entry-size", qcow2.l2CacheEntrySize(), cluster);
        long refcounts = NodeOpener.bytes("refcount-cache-size", qcow2.refcountCacheSize(), -1);
        if (both >= 0) {
            if (level2 >= 0 && refcounts >= 0) {
                throw NodeOpener.bad(
                        "cache-size, l2-cache-size and refcount-cache-size may not be set at the"
                                + " same time");
            }
            if (level2 > both) {
                throw NodeOpener.bad("l2-cache-size may not exceed cache-size");
            }
            if (refcounts > both) {
                throw NodeOpener.bad("refcount-cache-size may not exceed cache-size");
            }
            refcounts = refcounts >= 0 ? refcounts : both - Math.max(level2, 0);
        }
        if (entry < 512 || entry > cluster || Long.bitCount(entry) != 1) {
            throw NodeOpener.bad(
                    "L2 cache entry size must be a power of two between 512 and the cluster size ("
                            + cluster
                            + ")");
        }
        if (refcounts / cluster > Integer.MAX_VALUE) {
            throw NodeOpener.bad("Refcount cache size too big");
        }
        Long interval = qcow2.cacheCleanInterval();
        if (interval != null && interval >>> 32 != 0) {
            throw NodeOpener.bad("Cache clean interval too big");
        }
    }

    private @Nullable BlockNode backing(
            Qcow2Node node,
            @Nullable BlockdevRefOrNull backing,
            JsonObject given,
            Settings settings)
            throws BlockException {
        return switch (backing) {
            case BlockdevRefOrNull.Unrecognized u -> throw new AssertionError(u);
            case BlockdevRefOrNull.Null ignored -> null;
            case BlockdevRefOrNull.Reference reference ->
                    graph.retain(graph.names().lookup(reference.value()));
            case BlockdevRefOrNull.Definition definition ->
                    opener.open(
                            definition.value(),
                            NodeOpener.object(given.get("backing"), definition.value()),
                            settings.backing());
            case null -> {
                yield node.header().backingFile() == null ? null : fromHeader(node, settings);
            }
        };
    }

    /** The options for what an image that has a backing file names. */
    static JsonObject below(Qcow2Node node) throws BlockException {
        String filename = String.valueOf(node.header().backingFile());
        String format = node.header().backingFormat();
        node.checkBackingName();
        JsonObject file = LegacyTree.fileNamed(absolute(node, filename));
        if (format != null && format.equals("file")) {
            return file;
        }
        JsonObject tree = new JsonObject();
        if (format != null) {
            tree.put("driver", format);
        }
        tree.put("file", file);
        return tree;
    }

    private BlockNode fromHeader(Qcow2Node node, Settings settings) throws BlockException {
        try {
            JsonObject tree = below(node);
            BlockdevOptions options = opener.legacy(tree);
            return opener.open(options, tree, settings.backing());
        } catch (BlockException e) {
            throw new BlockException(
                    e.errno(), "Could not open backing file: " + e.getMessage(), e);
        }
    }

    /** A relative backing file name counts from the image's own folder. */
    private static String absolute(Qcow2Node node, String filename) {
        int colon = filename.indexOf(':');
        boolean protocol = colon > 0 && !filename.substring(0, colon).contains("/");
        String own = node.plainFilename();
        if (protocol || filename.startsWith("/") || !own.contains("/") || own.contains("://")) {
            return filename;
        }
        return own.substring(0, own.lastIndexOf('/') + 1) + filename;
    }
}
