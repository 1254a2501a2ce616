package lockstep.block.open;

import lockstep.api.BlockDirtyBitmap;
import lockstep.api.BlockPermission;
import lockstep.api.BlockdevAioOptions;
import lockstep.api.BlockdevCacheOptions;
import lockstep.api.BlockdevDetectZeroesOptions;
import lockstep.api.BlockdevDiscardOptions;
import lockstep.api.BlockdevOptions;
import lockstep.api.BlockdevOptionsBlkdebug;
import lockstep.api.BlockdevOptionsCbw;
import lockstep.api.BlockdevOptionsFile;
import lockstep.api.BlockdevOptionsNbd;
import lockstep.api.BlockdevOptionsNull;
import lockstep.api.BlockdevOptionsQuorum;
import lockstep.api.BlockdevOptionsRaw;
import lockstep.api.BlockdevRef;
import lockstep.api.OnCbwError;
import lockstep.api.OnOffAuto;
import lockstep.api.QuorumReadPattern;
import lockstep.api.ReplicationMode;
import lockstep.api.SocketAddress;
import lockstep.block.ReplicationControl.Mode;
import lockstep.block.backup.CopyBeforeWrite;
import lockstep.block.backup.SnapshotAccess;
import lockstep.block.blkdebug.BlkdebugNode;
import lockstep.block.blkdebug.Rules;
import lockstep.block.copyonread.CopyOnReadNode;
import lockstep.block.file.FileNode;
import lockstep.block.luks.LuksNode;
import lockstep.block.luks.Secrets;
import lockstep.block.nbd.Nbd;
import lockstep.block.nbd.NbdAddress;
import lockstep.block.nbd.NbdNode;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.DirtyBitmap;
import lockstep.block.node.FilterNode;
import lockstep.block.node.NodeInfo;
import lockstep.block.node.OpeningLimit;
import lockstep.block.nullco.NullNode;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.block.quorum.QuorumEvents;
import lockstep.block.quorum.QuorumNode;
import lockstep.block.raw.FormatProbe;
import lockstep.block.raw.RawNode;
import lockstep.block.replication.ReplicationManager;
import lockstep.block.replication.ReplicationNode;
import lockstep.block.throttle.ThrottleGroup;
import lockstep.block.throttle.ThrottleGroups;
import lockstep.block.throttle.ThrottleNode;
import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonInputVisitor;
import lockstep.qmp.JsonNull;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonOutputVisitor;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpException;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.tls.TlsEnd;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/**
 * Opens trees of nodes. Every returned node comes with one reference for the caller. Machine lock
 * held.
 */
public final class NodeOpener {
    /**
     * What a node takes from its parent, or a root from the way it was asked for, when it does not
     * say itself.
     */
    public record Inherited(
            boolean readOnly,
            boolean autoReadOnly,
            boolean direct,
            boolean noFlush,
            boolean forceShare,
            boolean discard,
            int depth) {
        /** The root of blockdev-add and -blockdev. */
        public static final Inherited BLOCKDEV =
                new Inherited(false, false, false, false, false, false, 0);

        /** The root of -drive. */
        public static final Inherited DRIVE =
                new Inherited(false, true, false, false, false, false, 0);

        /** The image under a temporary overlay. */
        public static final Inherited SNAPSHOT =
                new Inherited(true, false, false, false, false, false, 0);

        /** The root of an image that is to take a node's place: its cache and discards are the node's. */
        public static Inherited inPlaceOf(BlockNode node) {
            NodeInfo info = node.info();
            return new Inherited(
                    false,
                    false,
                    info.cacheDirect(),
                    info.cacheNoFlush(),
                    false,
                    info.discardUnmap(),
                    0);
        }
    }

    /** The longest image: 2^63 less 1 GiB, so that no rounding overflows. */
    private static final long LONGEST = Long.MAX_VALUE - (1 << 30) + 1;

    private static final int DEPTH_MAX = 500;
    private static final Set<String> CHILDREN =
            Set.of("file", "backing", "children", "image", "target");
    private static final Set<String> COMMON =
            Set.of(
                    "driver",
                    "node-name",
                    "discard",
                    "cache",
                    "active",
                    "read-only",
                    "auto-read-only",
                    "force-share",
                    "detect-zeroes");
    private static final Map<String, Set<String>> SIGNIFICANT =
            Map.of(
                    "file", Set.of("filename"),
                    "raw", Set.of("offset", "size"),
                    "qcow2", Set.of("encrypt"),
                    "luks", Set.of("key-secret"),
                    "nbd", Set.of("server", "export", "tls-creds", "tls-hostname"));

    private final BlockGraph graph;
    private final ReplicationManager replication;
    private final ThrottleGroups throttles;
    private final QuorumEvents quorumEvents;
    private final BooleanSupplier startInactive;
    private final Consumer<String> warn;
    private final TlsEnd.Source tlsEnds;
    private final Secrets secrets;
    private final boolean legacyKeys;
    private boolean keyless;
    private final LegacyTree legacy = new LegacyTree(this::probe);
    private final NbdServers servers;
    private boolean probedRaw;
    private @Nullable BlockdevAioOptions engine;

    /**
     * An opener.
     *
     * @param startInactive true while the machine waits for an incoming migration
     * @param warn shows the user a warning
     * @param tlsEnds where connections with TLS have their credentials from
     * @param secrets where the passwords of encrypted images are
     * @param legacyKeys whether images with AES-CBC of old are opened: no guest runs on them
     */
    public NodeOpener(
            BlockGraph graph,
            ReplicationManager replication,
            ThrottleGroups throttles,
            QuorumEvents quorumEvents,
            BooleanSupplier startInactive,
            Consumer<String> warn,
            TlsEnd.Source tlsEnds,
            Secrets secrets,
            boolean legacyKeys) {
        this.secrets = secrets;
        this.legacyKeys = legacyKeys;
        this.graph = graph;
        this.replication = replication;
        this.throttles = throttles;
        this.quorumEvents = quorumEvents;
        this.startInactive = startInactive;
        this.warn = warn;
        this.tlsEnds = tlsEnds;
        this.servers = new NbdServers(graph, this::nbd);
    }

    static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    /** Opens from typed options, as blockdev-add gives them. */
    public BlockNode open(BlockdevOptions options, Inherited inherited) throws BlockException {
        JsonObject given = (JsonObject) JsonOutputVisitor.toJson(options, BlockdevOptions::write);
        return limited(() -> open(options, given, inherited));
    }

    /** Opens a node for the monitor, whose command is run again as long as a server has not answered. */
    public void openForMonitor(BlockdevOptions options) throws BlockException {
        servers.connected(options, () -> graph.giveToMonitor(open(options, Inherited.BLOCKDEV)));
    }

    /** Likewise, from a tree of texts; {@code options} are what it says. */
    public void openForMonitor(BlockdevOptions options, JsonObject tree) throws BlockException {
        servers.connected(options, () -> graph.giveToMonitor(openLegacy(tree, Inherited.BLOCKDEV)));
    }

    private interface Opening {
        BlockNode open() throws BlockException;
    }

    private BlockNode limited(Opening opening) throws BlockException {
        try (OpeningLimit limit = graph.limitOpening()) {
            try {
                return opening.open();
            } catch (BlockException e) {
                throw limit.explain(e);
            }
        }
    }

    /**
     * Opens from a tree of texts in which drivers may be missing, as -drive gives it. The tree is
     * completed in place.
     */
    public BlockNode openLegacy(JsonObject tree, Inherited inherited) throws BlockException {
        probedRaw = false;
        return limited(() -> open(legacy.read(tree), tree, inherited));
    }

    /** Likewise, without what the image itself says that is below it. */
    public BlockNode openTop(JsonObject tree, Inherited inherited) throws BlockException {
        probedRaw = false;
        return limited(
                () -> {
                    BlockdevOptions options = legacy.read(tree);
                    if (!(options instanceof BlockdevOptions.Qcow2)) {
                        return open(options, tree, inherited);
                    }
                    JsonObject alone =
                            (JsonObject) JsonOutputVisitor.toJson(options, BlockdevOptions::write);
                    alone.put("backing", JsonNull.NULL);
                    try {
                        options = BlockdevOptions.read(new JsonInputVisitor(alone), null);
                    } catch (QmpException e) {
                        throw new BlockException(Errno.EINVAL, e.description(), e);
                    }
                    BlockNode node = open(options, alone, inherited);
                    NodeInfo info = node.info();
                    node.setInfo(
                            new NodeInfo(
                                    info.options(),
                                    info.discardUnmap(),
                                    info.cacheDirect(),
                                    info.cacheNoFlush(),
                                    info.detectZeroes(),
                                    false)); // what comes below it later is what it names
                    return node;
                });
    }

    /** Opens what an image says that is below it. */
    public BlockNode openBacking(Qcow2Node image) throws BlockException {
        Inherited inherited =
                new Inherited(
                        true,
                        false,
                        image.info().cacheDirect(),
                        image.info().cacheNoFlush(),
                        false,
                        false,
                        1);
        return openLegacy(Qcow2Opening.below(image), inherited);
    }

    /** From now on opens images of which nothing of the guest's will be read or written, without their keys. */
    public void withoutKeys() {
        keyless = true;
    }

    /** Where the passwords of encrypted images are. */
    public Secrets passwords() {
        return secrets;
    }

    @Nullable Secrets secrets() {
        return keyless ? null : secrets;
    }

    boolean legacyKeys() {
        return legacyKeys;
    }

    /** The options of a tree of texts, which is completed in place. */
    public BlockdevOptions legacy(JsonObject tree) throws BlockException {
        return legacy.read(tree);
    }

    private static boolean or(@Nullable Boolean value, boolean fallback) {
        return value == null ? fallback : value;
    }

    BlockNode open(BlockdevOptions options, JsonObject given, Inherited inherited)
            throws BlockException {
        if (inherited.depth() > DEPTH_MAX) {
            throw bad("The chain of backing files is too long, or refers to itself");
        }
        String name = options.nodeName();
        if (name != null) {
            graph.names().checkNodeName(name);
        }
        BlockdevCacheOptions cache = options.cache();
        BlockdevDiscardOptions discard = options.discard();
        boolean unmap =
                discard == null ? inherited.discard() : discard == BlockdevDiscardOptions.UNMAP;
        BlockdevDetectZeroesOptions detect = detectZeroes(options, unmap);
        Settings settings =
                new Settings(
                        graph,
                        name,
                        or(options.readOnly(), inherited.readOnly()),
                        or(options.autoReadOnly(), inherited.autoReadOnly()),
                        cache == null ? inherited.direct() : or(cache.direct(), inherited.direct()),
                        cache == null
                                ? inherited.noFlush()
                                : or(cache.noFlush(), inherited.noFlush()),
                        or(options.forceShare(), inherited.forceShare()),
                        unmap,
                        or(options.active(), !startInactive.getAsBoolean()),
                        detect,
                        inherited.depth());
        if (settings.forceShare() && !settings.readOnly()) {
            throw bad("force-share=on can only be used with read-only images");
        }
        boolean overridden = false;
        BlockNode node =
                switch (options) {
                    case BlockdevOptions.Unrecognized u -> throw new AssertionError(u);
                    case BlockdevOptions.File file -> file(file.data(), settings);
                    case BlockdevOptions.Nbd nbd -> nbd(nbd.data(), settings);
                    case BlockdevOptions.NullCo nul -> nullNode("null-co", nul.data(), settings);
                    case BlockdevOptions.NullAio nul -> nullNode("null-aio", nul.data(), settings);
                    case BlockdevOptions.Raw raw -> raw(raw.data(), given, settings);
                    case BlockdevOptions.Qcow2 qcow2 -> {
                        overridden = qcow2.data().backing() != null;
                        yield new Qcow2Opening(this, graph).open(qcow2.data(), given, settings);
                    }
                    case BlockdevOptions.Luks luks -> {
                        BlockNode file =
                                child(luks.data().file(), given.get("file"), settings.child());
                        try {
                            yield LuksNode.open(
                                    graph,
                                    settings.name(),
                                    settings.readOnly(),
                                    settings.active(),
                                    file,
                                    secrets(),
                                    luks.data().keySecret());
                        } finally {
                            graph.release(file);
                        }
                    }
                    case BlockdevOptions.Quorum quorum -> quorum(quorum.data(), given, settings);
                    case BlockdevOptions.Replication r -> {
                        BlockNode file =
                                child(r.data().file(), given.get("file"), settings.child());
                        try {
                            yield ReplicationNode.open(
                                    graph,
                                    settings.name(),
                                    settings.readOnly(),
                                    r.data().mode() == ReplicationMode.PRIMARY
                                            ? Mode.PRIMARY
                                            : Mode.SECONDARY,
                                    r.data().topId(),
                                    file,
                                    settings.active(),
                                    replication);
                        } finally {
                            graph.release(file);
                        }
                    }
                    case BlockdevOptions.Throttle t -> {
                        ThrottleGroup group = throttles.find(t.data().throttleGroup());
                        if (group == null) {
                            throw bad(
                                    "Throttle group '"
                                            + t.data().throttleGroup()
                                            + "' does not exist");
                        }
                        BlockNode file =
                                child(t.data().file(), given.get("file"), settings.child());
                        try {
                            yield ThrottleNode.open(
                                    graph,
                                    settings.name(),
                                    settings.readOnly(),
                                    settings.active(),
                                    group,
                                    file);
                        } finally {
                            graph.release(file);
                        }
                    }
                    case BlockdevOptions.Blkdebug b -> blkdebug(b.data(), given, settings);
                    case BlockdevOptions.CopyBeforeWrite cbw ->
                            copyBeforeWrite(cbw.data(), given, settings);
                    case BlockdevOptions.SnapshotAccess access -> {
                        BlockNode file =
                                child(access.data().file(), given.get("file"), settings.child());
                        try {
                            yield SnapshotAccess.open(
                                    graph,
                                    settings.name(),
                                    settings.readOnly(),
                                    settings.active(),
                                    file);
                        } finally {
                            graph.release(file);
                        }
                    }
                    case BlockdevOptions.CopyOnRead cor -> {
                        BlockNode file =
                                child(cor.data().file(), given.get("file"), settings.child());
                        try {
                            yield CopyOnReadNode.open(
                                    graph,
                                    settings.name(),
                                    settings.readOnly(),
                                    settings.active(),
                                    file,
                                    bottom(cor.data().bottom()));
                        } finally {
                            graph.release(file);
                        }
                    }
                };
        node.setInfo(
                new NodeInfo(
                        significant(node.driver(), given),
                        settings.discard(),
                        settings.direct(),
                        settings.noFlush(),
                        settings.detectZeroes(),
                        overridden));
        return node;
    }

    /** What a node is to do with written zeroes; {@code unmap} says that its discards go through. */
    public static BlockdevDetectZeroesOptions detectZeroes(BlockdevOptions options, boolean unmap)
            throws BlockException {
        BlockdevDetectZeroesOptions detect = options.detectZeroes();
        if (detect == BlockdevDetectZeroesOptions.UNMAP && !unmap) {
            throw bad(
                    "setting detect-zeroes to unmap is not allowed without setting discard"
                            + " operation to unmap");
        }
        return detect == null ? BlockdevDetectZeroesOptions.OFF : detect;
    }

    /** The options that another open would need to reach the same data. */
    public static JsonObject significant(String driver, JsonObject given) {
        JsonObject kept = new JsonObject();
        Set<String> wanted = SIGNIFICANT.get(driver);
        given.members()
                .forEach(
                        (key, value) -> {
                            boolean own = !CHILDREN.contains(key) && !COMMON.contains(key);
                            if (own && (wanted == null || wanted.contains(key))) {
                                kept.put(key, value);
                            }
                        });
        return kept;
    }

    private BlockNode enter(BlockNode node, boolean active) throws BlockException {
        if (!active) {
            BlockGraph.startInactive(node);
        }
        return graph.add(node);
    }

    /** Opens or finds what a client refers to; the caller gets a reference either way. */
    public BlockNode child(BlockdevRef ref) throws BlockException {
        return limited(() -> child(ref, null, Inherited.BLOCKDEV));
    }

    /** Opens or finds a child; the caller gets a reference either way. */
    BlockNode child(BlockdevRef ref, @Nullable JsonValue given, Inherited inherited)
            throws BlockException {
        return switch (ref) {
            case BlockdevRef.Unrecognized u -> throw new AssertionError(u);
            case BlockdevRef.Reference reference ->
                    graph.retain(graph.names().lookup(reference.value()));
            case BlockdevRef.Definition definition ->
                    open(definition.value(), object(given, definition.value()), inherited);
        };
    }

    static JsonObject object(@Nullable JsonValue given, BlockdevOptions options) {
        return given instanceof JsonObject object
                ? object
                : (JsonObject) JsonOutputVisitor.toJson(options, BlockdevOptions::write);
    }

    /** How requests for files are handed to the kernel where their options do not say; null as is usual. */
    public void engine(@Nullable BlockdevAioOptions engine) {
        this.engine = engine;
    }

    private BlockNode file(BlockdevOptionsFile file, Settings settings) throws BlockException {
        BlockdevAioOptions aio = file.aio() == null ? engine : file.aio();
        if (aio == BlockdevAioOptions.NATIVE && !settings.direct()) {
            throw bad(
                    "aio=native was specified, but it requires cache.direct=on, which was not"
                            + " specified.");
        }
        FileNode node =
                FileNode.open(
                        graph,
                        "file",
                        settings.name(),
                        new FileNode.Options(
                                file.filename(),
                                settings.readOnly(),
                                settings.autoReadOnly(),
                                file.locking() != OnOffAuto.OFF && !settings.forceShare(),
                                settings.direct(),
                                aio == BlockdevAioOptions.THREADS));
        node.asked(file);
        return enter(node, settings.active());
    }

    /** The address for our channels of an address in options. */
    public static NbdAddress address(SocketAddress address) throws BlockException {
        return switch (address) {
            case SocketAddress.Unrecognized u -> throw new AssertionError(u);
            case SocketAddress.Inet inet -> NbdAddress.inet(inet.data());
            case SocketAddress.Unix unix -> new NbdAddress.Unix(unix.data().path());
            case SocketAddress.Vsock ignored ->
                    throw new BlockException(Errno.ENOTSUP, "vsock addresses are not supported");
            case SocketAddress.Fd ignored ->
                    throw new BlockException(
                            Errno.ENOTSUP, "file descriptor addresses are not supported here");
        };
    }

    private NbdNode.Options nbd(BlockdevOptionsNbd nbd) throws BlockException {
        String context = nbd.xDirtyBitmap();
        if (context != null && context.length() > Nbd.STRING_MAX) {
            throw bad("x-dirty-bitmap query too long to send to server");
        }
        String export = nbd.export() == null ? "" : nbd.export();
        if (export.length() > 4096) {
            throw bad("export name too long to send to server");
        }
        NbdAddress address = address(nbd.server());
        return new NbdNode.Options(
                address,
                export,
                seconds(nbd.reconnectDelay()),
                seconds(nbd.openTimeout()),
                tls(nbd, address),
                context);
    }

    private BlockNode nbd(BlockdevOptionsNbd nbd, Settings settings) throws BlockException {
        NbdNode.Options options = nbd(nbd);
        if (!settings.name().startsWith("#")) {
            graph.names()
                    .checkNodeName(settings.name()); // before the wait for the peer takes that name
        }
        return enter(
                NbdNode.open(
                        graph,
                        settings.name(),
                        settings.readOnly(),
                        settings.autoReadOnly(),
                        options,
                        servers.claim(nbd)),
                settings.active());
    }

    private @Nullable TlsEnd tls(BlockdevOptionsNbd nbd, NbdAddress address) throws BlockException {
        if (nbd.tlsCreds() == null) {
            return null;
        }
        String host = nbd.tlsHostname();
        if (host == null && address instanceof NbdAddress.Inet inet) {
            host = inet.host();
        }
        try {
            return tlsEnds.client(nbd.tlsCreds(), host);
        } catch (QmpException e) {
            throw new BlockException(Errno.EINVAL, e.description(), e);
        }
    }

    private static int seconds(@Nullable Long value) {
        return value == null ? 0 : (int) Math.min(value, Integer.MAX_VALUE);
    }

    /** A number of bytes of the options. Their type is signed, as in QEMU's schema. */
    static long bytes(String name, @Nullable Long value, long fallback) throws BlockException {
        if (value != null && value < 0) {
            throw bad("Value '" + value + "' is out of range for parameter '" + name + "'");
        }
        return value == null ? fallback : value;
    }

    private BlockNode nullNode(String driver, BlockdevOptionsNull nul, Settings settings)
            throws BlockException {
        long size = bytes("size", nul.size(), NullNode.DEFAULT_SIZE);
        long latency = nul.latencyNs() == null ? 0 : nul.latencyNs();
        if (latency < 0) {
            throw bad("latency-ns is invalid");
        }
        if (size > LONGEST) {
            throw new BlockException(
                    Errno.EFBIG, "Could not refresh total sector count: File too large");
        }
        return enter(
                new NullNode(
                        graph,
                        driver,
                        settings.name(),
                        settings.readOnly(),
                        size,
                        latency,
                        or(nul.readZeroes(), false)),
                settings.active());
    }

    private BlockNode raw(BlockdevOptionsRaw raw, JsonObject given, Settings settings)
            throws BlockException {
        BlockNode file = child(raw.file(), given.get("file"), settings.child());
        try {
            boolean readOnly = settings.readOnly() || file.readOnly() && settings.autoReadOnly();
            RawNode node =
                    new RawNode(
                            graph,
                            settings.name(),
                            readOnly,
                            bytes("offset", raw.offset(), 0),
                            bytes("size", raw.size(), -1),
                            probedRaw && !readOnly && settings.depth() == 0);
            enter(node, settings.active());
            try {
                node.open(file);
            } catch (BlockException e) {
                graph.release(node);
                throw e;
            }
            return node;
        } finally {
            graph.release(file);
        }
    }

    private BlockNode quorum(BlockdevOptionsQuorum quorum, JsonObject given, Settings settings)
            throws BlockException {
        long threshold = quorum.voteThreshold();
        QuorumNode.Options options =
                new QuorumNode.Options(
                        Math.clamp(threshold, Integer.MIN_VALUE, Integer.MAX_VALUE),
                        quorum.readPattern() == QuorumReadPattern.FIFO,
                        or(quorum.blkverify(), false),
                        or(quorum.rewriteCorrupted(), false));
        QuorumNode.check(options, quorum.children().size());
        JsonValue givenChildren = given.get("children");
        QuorumNode node =
                QuorumNode.create(
                        graph,
                        settings.name(),
                        settings.readOnly(),
                        options,
                        settings.active(),
                        quorumEvents);
        try {
            for (int i = 0; i < quorum.children().size(); i++) {
                JsonValue one =
                        givenChildren instanceof JsonArray array && i < array.size()
                                ? array.get(i)
                                : null;
                BlockNode opened = child(quorum.children().get(i), one, settings.child());
                try {
                    node.attachInitial(opened);
                } finally {
                    graph.release(opened);
                }
            }
            node.checkLengths();
            return node;
        } catch (BlockException e) {
            graph.release(node);
            throw e;
        }
    }

    private BlockNode blkdebug(
            BlockdevOptionsBlkdebug blkdebug, JsonObject given, Settings settings)
            throws BlockException {
        List<BlockPermission> taken = blkdebug.takeChildPerms();
        List<BlockPermission> unshared = blkdebug.unshareChildPerms();
        Rules rules = Rules.of(blkdebug.injectError(), blkdebug.setState());
        BlkdebugNode.Options options =
                new BlkdebugNode.Options(
                        rules.and(blkdebug.config()),
                        blkdebug.config(),
                        rules.errors().isEmpty()
                                && rules.changes().isEmpty()
                                && taken == null
                                && unshared == null,
                        bits(taken),
                        bits(unshared));
        BlockNode image = child(blkdebug.image(), given.get("image"), settings.child());
        try {
            return BlkdebugNode.open(
                    graph, settings.name(), settings.readOnly(), settings.active(), options, image);
        } finally {
            graph.release(image);
        }
    }

    private BlockNode copyBeforeWrite(BlockdevOptionsCbw cbw, JsonObject given, Settings settings)
            throws BlockException {
        BlockNode file = child(cbw.file(), given.get("file"), settings.child());
        try {
            BlockNode target = child(cbw.target(), given.get("target"), settings.child());
            try {
                DirtyBitmap bitmap = null;
                BlockDirtyBitmap named = cbw.bitmap();
                if (named != null) {
                    BlockNode disk = graph.names().findNode(named.node());
                    if (disk == null) {
                        throw bad("Node '" + named.node() + "' not found");
                    }
                    bitmap = disk.bitmap(named.name());
                    if (bitmap == null) {
                        throw new BlockException(
                                Errno.ENOENT, "Dirty bitmap '" + named.name() + "' not found");
                    }
                    bitmap.checkUsable(false);
                }
                return CopyBeforeWrite.open(
                        graph,
                        settings.name(),
                        settings.readOnly(),
                        settings.active(),
                        file,
                        target,
                        new CopyBeforeWrite.Options(
                                cbw.onCbwError() == OnCbwError.BREAK_SNAPSHOT,
                                cbw.cbwTimeout() == null ? 0 : cbw.cbwTimeout(),
                                false,
                                leastGranule(cbw.minClusterSize()),
                                bytes -> {}),
                        bitmap);
            } finally {
                graph.release(target);
            }
        } finally {
            graph.release(file);
        }
    }

    private static long leastGranule(@Nullable Long given) throws BlockException {
        if (given == null || given == 0) {
            return 0;
        }
        if (given < 0 || given > 1 << 30 || Long.bitCount(given) != 1) {
            throw bad("min-cluster-size needs to be a power of 2");
        }
        return given;
    }

    private @Nullable BlockNode bottom(@Nullable String name) throws BlockException {
        if (name == null) {
            return null;
        }
        BlockNode bottom = graph.names().findNode(name);
        if (bottom == null) {
            throw bad("Bottom node '" + name + "' not found");
        }
        if (bottom instanceof FilterNode) {
            throw bad("Bottom node '" + name + "' is a filter");
        }
        return bottom;
    }

    /** The n-th name is bit n. */
    private static int bits(@Nullable List<BlockPermission> permissions) {
        return permissions == null
                ? 0
                : permissions.stream().mapToInt(p -> 1 << p.ordinal()).reduce(0, (a, b) -> a | b);
    }

    private String probe(JsonValue file) throws BlockException {
        BlockNode node;
        if (file instanceof JsonString reference) {
            node = graph.retain(graph.names().lookup(reference.value()));
        } else {
            JsonObject given = (JsonObject) file;
            BlockdevOptions options = LegacyTree.parse(given);
            // What is said of the cache is said of the format, and is no matter here.
            boolean direct =
                    options instanceof BlockdevOptions.File plain
                            && plain.data().aio() == BlockdevAioOptions.NATIVE;
            // Looked at without locks: the image may be in use until the guest arrives here.
            node =
                    open(
                            withoutName(options, given),
                            given,
                            new Inherited(true, false, direct, false, true, false, 0));
        }
        try {
            MemorySegment sector = MemorySegment.ofArray(new byte[512]);
            ChildEdge look = ChildEdge.look(node);
            long length = Math.min(512, look.length());
            if (length > 0) {
                look.read(0, sector.asSlice(0, length));
            }
            String format = FormatProbe.probe(sector);
            if (format.equals("raw") && length > 0) {
                probedRaw = true;
                warn.accept(
                        "Image format was not specified for '"
                                + node.plainFilename()
                                + "' and probing guessed raw.\n"
                                + "         Automatically detecting the format is dangerous for raw"
                                + " images, write operations on block 0 will be restricted.\n"
                                + "         Specify the 'raw' format explicitly to remove the"
                                + " restrictions.");
            }
            return format;
        } finally {
            graph.release(node);
        }
    }

    /**
     * The same protocol node without name and write access, for a short look at its first bytes.
     */
    private static BlockdevOptions withoutName(BlockdevOptions options, JsonObject given)
            throws BlockException {
        JsonObject copy = new JsonObject();
        given.members().forEach(copy::put);
        copy.remove("node-name");
        copy.remove("read-only");
        copy.put("read-only", "on");
        return copy.equals(given) ? options : LegacyTree.parse(copy);
    }
}
