package lockstep.block.drive;

import lockstep.api.BlockdevOptions;
import lockstep.api.BlockdevRefOrNull;
import lockstep.api.DriveOptions;
import lockstep.api.ThrottleLimits;
import lockstep.block.BlockBackend;
import lockstep.block.BlockException;
import lockstep.block.BlockHost;
import lockstep.block.BlockLayer;
import lockstep.block.DriveInfo;
import lockstep.block.Errno;
import lockstep.block.Permission;
import lockstep.block.export.NbdExport;
import lockstep.block.export.NbdServer;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.NodeUser;
import lockstep.block.node.Role;
import lockstep.block.open.LegacyTree;
import lockstep.block.open.NodeOpener;
import lockstep.block.open.NodeOpener.Inherited;
import lockstep.block.qcow2.OverlapChecks;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.block.quorum.QuorumEvents;
import lockstep.block.quorum.QuorumNode;
import lockstep.block.replication.ReplicationManager;
import lockstep.block.throttle.Limits;
import lockstep.block.throttle.ThrottleGroup;
import lockstep.block.throttle.ThrottleGroups;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonOutputVisitor;
import lockstep.qmp.OptionText;
import lockstep.qmp.QmpException;
import lockstep.qmp.TryLater;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/** What the monitors and the command line do to drives, nodes and exports. Machine lock held. */
public final class BlockManager implements BlockLayer {
    /** The longest node, in bytes. */
    private static final long LENGTH_MAX = Long.MAX_VALUE & -(1L << 30);

    /** Drivers whose own options stay as they were opened with. */
    private static final Set<String> FIXED = Set.of("file", "nbd", "null-co", "null-aio");

    /** How long the guest's drives may take to come to rest when it stops, all together. */
    private static final long STOP_PATIENCE = TimeUnit.SECONDS.toNanos(10);

    /** How long a command waits for what ends by itself as a rule. */
    private static final long MOMENT = TimeUnit.MILLISECONDS.toNanos(100);

    /** How long a command waits for what may not end at all. */
    private static final long PATIENCE = TimeUnit.SECONDS.toNanos(5);

    /** How long requests may take to end when their connections were cut. */
    private static final long GRACE = TimeUnit.SECONDS.toNanos(1);

    private final BlockGraph graph;
    private final ReplicationManager replication = new ReplicationManager();
    private final ThrottleGroups throttles = new ThrottleGroups();
    private final NodeOpener opener;
    private final MediaChanger media;
    private final List<DriveInfo> drives = new ArrayList<>();
    private final List<DriveInfo> claimed = new ArrayList<>();
    private final List<NbdExport> exports = new ArrayList<>();
    private final Consumer<String> warn;
    private final Consumer<String> exportDeleted;
    private @Nullable NbdServer server;
    private boolean snapshots;

    /**
     * A manager of an empty graph.
     *
     * @param startInactive true while the machine waits for an incoming migration
     * @param exportDeleted told the id of each export that is gone
     */
    public BlockManager(
            BlockHost host,
            QuorumEvents quorumEvents,
            BooleanSupplier startInactive,
            Consumer<String> warn,
            Consumer<String> exportDeleted) {
        this.graph = new BlockGraph(host);
        this.opener =
                new NodeOpener(graph, replication, throttles, quorumEvents, startInactive, warn);
        this.warn = warn;
        this.media = new MediaChanger(this, opener);
        this.exportDeleted = exportDeleted;
    }

    private static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    @Override
    public BlockGraph graph() {
        return graph;
    }

    /** Trays and media. */
    public MediaChanger media() {
        return media;
    }

    /** The throttle groups. */
    public ThrottleGroups throttles() {
        return throttles;
    }

    /** The replication nodes as one. */
    public ReplicationManager replication() {
        return replication;
    }

    // Drives

    @Override
    public List<DriveInfo> drives() {
        return List.copyOf(drives);
    }

    @Override
    public @Nullable DriveInfo claim(String type, int bus, int unit) {
        for (DriveInfo drive : drives) {
            if (drive.type().equals(type) && drive.bus() == bus && drive.unit() == unit) {
                claimed.add(drive);
                return drive;
            }
        }
        return null;
    }

    @Override
    public List<DriveInfo> unclaimed() {
        List<DriveInfo> left = new ArrayList<>();
        for (DriveInfo drive : drives) {
            boolean free =
                    drive.type().equals("none")
                            || drive.type().equals("virtio")
                            || drive.type().equals("xen");
            if (!free && !claimed.contains(drive) && drive.backend().device() == null) {
                left.add(drive);
            }
        }
        return left;
    }

    @Override
    public BlockBackend forDevice(String drive) throws BlockException {
        BlockBackend backend = graph.findBackend(drive);
        if (backend != null) {
            return backend;
        }
        BlockNode node = graph.findNode(drive);
        if (node == null) {
            throw new BlockException(Errno.ENOENT, "can't find value '" + drive + "'");
        }
        BlockBackend made = new BlockBackend(graph, "");
        graph.addBackend(made);
        made.insert(node);
        return made;
    }

    /**
     * A drive of the command line; the machine's own interface is used when the text names none.
     */
    public DriveInfo addDrive(String text, Map<String, String> defaults, String defaultInterface)
            throws BlockException {
        return addDrive(DriveText.parse(text, defaults), defaultInterface);
    }

    private DriveInfo addDrive(DriveText drive, String defaultInterface) throws BlockException {
        DriveOptions options = drive.options();
        DriveText.Interface type =
                DriveText.Interface.find(options.if_() == null ? defaultInterface : options.if_());
        String media = options.media();
        if (media != null && !media.equals("disk") && !media.equals("cdrom")) {
            throw bad("'" + media + "' invalid media");
        }
        boolean cdrom = "cdrom".equals(media);
        int[] place = place(options, type);
        if (options.werror() != null && !takesErrorPolicy(type)) {
            throw bad("werror is not supported by this bus type");
        }
        if (options.rerror() != null && !takesErrorPolicy(type)) {
            throw bad("rerror is not supported by this bus type");
        }
        var write = DriveText.action(options.werror(), false);
        var read = DriveText.action(options.rerror(), true);
        String id = options.id();
        if (id == null) {
            id = defaultId(type, place, cdrom);
        } else if (!BlockGraph.wellFormed(id)) {
            throw bad("Parameter 'id' expects an identifier");
        }
        BlockBackend backend = new BlockBackend(graph, id);
        backend.setHasDriveInfo(true);
        backend.setReadOnlyWhenEmpty(cdrom);
        backend.setErrorActions(read, write);
        backend.setWritethrough(drive.writethrough());
        graph.addBackend(backend);
        try {
            if (!drive.tree().isEmpty()) {
                boolean snapshot = options.snapshot() == null ? snapshots : options.snapshot();
                BlockNode root =
                        snapshot
                                ? TemporaryOverlay.over(
                                        opener.openLegacy(drive.tree(), Inherited.SNAPSHOT))
                                : opener.openLegacy(drive.tree(), Inherited.DRIVE);
                try {
                    backend.insert(root);
                } finally {
                    graph.release(root);
                }
            }
        } catch (BlockException e) {
            graph.removeBackend(backend);
            throw e;
        }
        limit(backend, drive.limits(), drive.group(), id);
        DriveInfo info = new DriveInfo(type.text(), place[0], place[1], cdrom, "", backend);
        drives.add(info);
        return info;
    }

    /**
     * Limits a drive's requests.
     *
     * @param group whose limits they are, null for the present group or one named after the drive
     */
    private void limit(
            BlockBackend backend, Limits limits, @Nullable String group, String fallback) {
        ThrottleGroup.Member member = backend.throttle();
        if (!limits.any()) {
            backend.setThrottle(null);
            return;
        }
        if (member == null || group != null && !member.group().name().equals(group)) {
            member = throttles.forDrive(group == null ? fallback : group).join();
            backend.setThrottle(member);
        }
        member.group().limits(limits);
    }

    /** QMP block_set_io_throttle. */
    public void limit(
            @Nullable String device,
            @Nullable String id,
            ThrottleLimits limits,
            @Nullable String group)
            throws BlockException {
        BlockBackend backend = media.backend(device, id);
        if (backend.root() == null) {
            throw bad("Device has no medium");
        }
        limit(
                backend,
                Limits.NONE.with(limits),
                group,
                device == null ? String.valueOf(id) : device);
    }

    private static boolean takesErrorPolicy(DriveText.Interface type) {
        return switch (type) {
            case IDE, SCSI, VIRTIO, NONE -> true;
            default -> false;
        };
    }

    private static String defaultId(DriveText.Interface type, int[] place, boolean cdrom) {
        return type.units != 0
                ? type.text() + place[0] + (cdrom ? "-cd" : "-hd") + place[1]
                : type.text() + place[1];
    }

    private @Nullable DriveInfo at(DriveText.Interface type, int bus, int unit) {
        for (DriveInfo drive : drives) {
            if (drive.type().equals(type.text()) && drive.bus() == bus && drive.unit() == unit) {
                return drive;
            }
        }
        return null;
    }

    private int[] place(DriveOptions options, DriveText.Interface type) throws BlockException {
        int units = type.units;
        int bus = number(options.bus());
        int unit = options.unit() == null ? -1 : number(options.unit());
        if (options.index() != null) {
            if (options.bus() != null || options.unit() != null) {
                throw bad("index cannot be used with bus and unit");
            }
            int index = number(options.index());
            bus = units == 0 ? 0 : index / units;
            unit = units == 0 ? index : index % units;
        }
        if (unit < 0) {
            unit = 0;
            while (at(type, bus, unit) != null) {
                unit++;
                if (units != 0 && unit >= units) {
                    unit = 0;
                    bus++;
                }
            }
        }
        if (units != 0 && unit >= units) {
            throw bad("unit " + unit + " too big (max is " + (units - 1) + ")");
        }
        if (at(type, bus, unit) != null) {
            throw bad(
                    "drive with bus="
                            + bus
                            + ", unit="
                            + unit
                            + " (index="
                            + (units == 0 ? unit : bus * units + unit)
                            + ") exists");
        }
        return new int[] {bus, unit};
    }

    private static int number(@Nullable Long value) throws BlockException {
        if (value == null) {
            return 0;
        }
        if (value < 0 || value > 65535) {
            throw bad("Invalid drive index, bus or unit " + value);
        }
        return value.intValue();
    }

    /** All drives that follow keep their writes in temporary images, as {@code -snapshot} asks. */
    public void useSnapshots() {
        snapshots = true;
    }

    /** HMP drive_add without -n. */
    public String hotAddDrive(String text) throws BlockException {
        DriveText drive = DriveText.parse(text, Map.of());
        DriveText.Interface type =
                DriveText.Interface.find(
                        drive.options().if_() == null ? "ide" : drive.options().if_());
        String id = drive.options().id();
        if (id != null && graph.findBackend(id) != null) {
            return "Duplicate ID '" + id + "' for drive\n";
        }
        if (type != DriveText.Interface.NONE) {
            return "Can't hot-add drive to type " + type.ordinal() + "\n";
        }
        addDrive(drive, "none");
        return "OK\n";
    }

    /** HMP drive_add -n: a node and nothing on top. */
    public void hotAddNode(String text) throws BlockException {
        JsonObject tree;
        try {
            tree = LegacyTree.tree(OptionText.parse(text, null).toMap());
        } catch (QmpException e) {
            throw new BlockException(Errno.EINVAL, e.description(), e);
        }
        if (!tree.has("node-name")) {
            throw bad("'node-name' needs to be specified");
        }
        graph.giveToMonitor(opener.openLegacy(tree, Inherited.BLOCKDEV));
    }

    /** HMP drive_del. */
    public void deleteDrive(String name) throws BlockException {
        if (graph.findNode(name) != null) {
            deleteNode(name);
            return;
        }
        BlockBackend backend = graph.findBackend(name);
        if (backend == null) {
            throw bad("Device '" + name + "' not found");
        }
        if (!backend.hasDriveInfo()) {
            throw bad("Deleting device added with blockdev-add is not supported");
        }
        BlockNode root = backend.root();
        if (root != null) {
            release(backend, root, name);
        }
        drives.removeIf(drive -> drive.backend() == backend);
        backend.forgetName();
        if (backend.device() == null) {
            backend.close();
        } else {
            backend.setErrorActions(
                    lockstep.block.ErrorAction.REPORT, lockstep.block.ErrorAction.REPORT);
        }
    }

    /** Takes the medium out of a drive; its exports end with it. */
    void release(BlockBackend backend, BlockNode medium, String shown) throws BlockException {
        refuseWhenBlocked(medium, shown);
        clear(medium, medium);
        if (!backend.drain(MOMENT)) {
            throw graph.busy(List.of(medium));
        }
        removeExportsOf(backend);
        backend.eject();
    }

    private static void refuseWhenBlocked(BlockNode node, String shown) throws BlockException {
        String reason = node.blockedBecause();
        if (reason != null) {
            throw new BlockException(Errno.EBUSY, "Node '" + shown + "' is busy: " + reason);
        }
    }

    // Nodes

    /** QMP blockdev-add. */
    public void addNode(BlockdevOptions options) throws BlockException {
        if (options.nodeName() == null) {
            throw bad("'node-name' must be specified for the root node");
        }
        graph.giveToMonitor(opener.open(options, Inherited.BLOCKDEV));
    }

    /**
     * One element of QMP blockdev-reopen: read-only, the backing node and what an image protects may
     * change.
     */
    public void reopen(BlockdevOptions options) throws BlockException {
        String name = options.nodeName();
        if (name == null) {
            throw bad("node-name not specified");
        }
        BlockNode node = graph.findNode(name);
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
        graph.reopen(node, Boolean.TRUE.equals(options.readOnly()));
        if (options instanceof BlockdevOptions.Qcow2 qcow2 && node instanceof Qcow2Node image) {
            image.protect(OverlapChecks.of(qcow2.data().overlapCheck()));
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
                BlockNode wanted = graph.lookup(reference.value());
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

    /** QMP blockdev-del. */
    public void deleteNode(String name) throws BlockException {
        BlockNode node = graph.findNode(name);
        if (node == null) {
            throw bad("Failed to find node with node-name='" + name + "'");
        }
        if (node.parents().stream().anyMatch(edge -> edge.user() instanceof BlockBackend)) {
            throw bad("Node " + name + " is in use");
        }
        refuseWhenBlocked(node, name);
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
    private void clear(BlockNode node, @Nullable BlockNode leaving) throws BlockException {
        if (graph.clear(node, TryLater.possible() ? MOMENT : PATIENCE)) {
            return;
        }
        TryLater.within(PATIENCE);
        if (leaving != null) {
            BlockGraph.cut(leaving);
        }
        if (leaving == null || !graph.clear(node, GRACE)) {
            throw graph.busy(List.of(node));
        }
    }

    /** QMP x-blockdev-change. */
    public void change(String parent, @Nullable String child, @Nullable String node)
            throws BlockException {
        BlockNode above = graph.lookup(parent);
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
        BlockNode added = graph.findNode(node);
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
                graph.lookup(device == null ? "" : device, nodeName == null ? "" : nodeName);
        if (size < 0) {
            throw bad("Parameter 'size' expects a >0 size");
        }
        if (size > LENGTH_MAX) {
            throw bad("offset(%d) exceeds maximum(%d)".formatted(size, LENGTH_MAX));
        }
        refuseWhenBlocked(node, node.name());
        if (node.readOnly()) {
            throw new BlockException(Errno.EACCES, "Image is read-only");
        }
        graph.drained(
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

    // Exports

    /** QMP nbd-server-start. */
    public void startServer(
            lockstep.block.nbd.NbdAddress address, int maxConnections, int handshakeSeconds)
            throws BlockException {
        if (server != null) {
            throw bad("NBD server already running");
        }
        server = NbdServer.start(graph, address, maxConnections, handshakeSeconds);
    }

    private NbdServer server() throws BlockException {
        NbdServer running = server;
        if (running == null) {
            throw bad("NBD server not running");
        }
        return running;
    }

    /** Makes sure that there is a server to export by. */
    public void requireServer() throws BlockException {
        server();
    }

    /**
     * Exports a node.
     *
     * @param source the drive that named it, if one did
     */
    public void addExport(NbdServer.Request request, BlockNode node, @Nullable BlockBackend source)
            throws BlockException {
        checkExportId(request.id());
        exports.add(server().add(request, node, source));
    }

    /** Refuses what cannot be the id of a new export. */
    public void checkExportId(String id) throws BlockException {
        if (!BlockGraph.wellFormed(id)) {
            throw bad("Invalid block export id");
        }
        if (findExport(id) != null) {
            throw bad("Block export id '" + id + "' is already in use");
        }
    }

    private @Nullable NbdExport findExport(String id) {
        for (NbdExport export : exports) {
            if (export.id().equals(id)) {
                return export;
            }
        }
        return null;
    }

    /** QMP block-export-del; {@code hard} cuts clients off. */
    public void deleteExport(String id, boolean hard) throws BlockException {
        NbdExport export = findExport(id);
        if (export == null) {
            throw bad("Export '" + id + "' is not found");
        }
        if (export.shuttingDown()) {
            throw bad("Export '" + id + "' is already shutting down");
        }
        if (!hard && export.hasClients()) {
            throw new BlockException(Errno.EBUSY, "export '" + id + "' still in use");
        }
        shutDown(export);
        // Clients without requests are gone in no time; what others wait for may take for ever.
        finish(export, MOMENT);
    }

    private void shutDown(NbdExport export) {
        if (server != null) {
            server.shutDown(export, () -> graph.host().post(() -> finish(export, 0)));
        }
    }

    /** Forgets an export whose last request is over. */
    private boolean finish(NbdExport export, long patienceNanos) {
        if (!exports.contains(export) || !export.finish(patienceNanos)) {
            return false;
        }
        exports.remove(export);
        exportDeleted.accept(export.id());
        return true;
    }

    private void removeExportsOf(BlockBackend source) {
        for (NbdExport export : List.copyOf(exports)) {
            if (export.source() == source) {
                shutDown(export);
                finish(export, MOMENT);
            }
        }
    }

    public List<NbdExport> exports() {
        return List.copyOf(exports);
    }

    /** QMP nbd-server-stop. Exports with requests that do not end stay behind, and go when these do. */
    public void stopServer() throws BlockException {
        NbdServer running = server();
        stopExporting();
        long patience = TryLater.possible() ? MOMENT : PATIENCE;
        for (NbdExport export : List.copyOf(exports)) {
            if (!finish(export, patience) && exports.contains(export)) {
                TryLater.within(PATIENCE);
                warn.accept("gave up waiting for " + describe(export));
            }
        }
        if (server == running) {
            server = null;
        }
    }

    /** Nobody can connect any more, and those who are connected are cut off. Returns at once. */
    public void stopExporting() {
        NbdServer running = server;
        if (running != null) {
            running.stop();
            exports.forEach(this::shutDown);
        }
    }

    /** What an export is called in messages. */
    static String describe(NbdExport export) {
        return "export '" + export.id() + "' (" + inFlight(export.underWay()) + ")";
    }

    /** A number of requests in words. */
    static String inFlight(int requests) {
        return requests + (requests == 1 ? " request" : " requests") + " in flight";
    }

    /** The machine runs again: requests that a full disk held up are tried again. */
    public void machineResumed() {
        graph.backends().forEach(BlockBackend::machineResumed);
    }

    /**
     * The machine has stopped: what the guest wrote is completed and made durable. Drives that do not get there in time
     * are told and left: their requests stay in flight, which is found out by whoever must rely on it.
     */
    public void machineStopped() {
        long end = System.nanoTime() + STOP_PATIENCE;
        for (BlockBackend backend : graph.backends()) {
            if (!settle(backend, end)) {
                int requests = backend.underWay();
                warn.accept(
                        "stopped without waiting any longer for "
                                + backend.describe()
                                + (requests == 0 ? " to flush" : ": " + inFlight(requests)));
            }
        }
    }

    private boolean settle(BlockBackend backend, long end) {
        if (!backend.drain(Math.max(MOMENT, end - System.nanoTime()))) {
            return false;
        }
        BlockNode root = backend.root();
        if (root == null || backend.device() == null || root.readOnly() || !root.active()) {
            return true;
        }
        Future<?> flush =
                graph.workers()
                        .submit(
                                () -> {
                                    backend.flushBlocking();
                                    return null;
                                });
        try {
            flush.get(Math.max(MOMENT, end - System.nanoTime()), TimeUnit.NANOSECONDS);
        } catch (ExecutionException e) {
            System.getLogger("lockstep.block")
                    .log(System.Logger.Level.DEBUG, "flush at stop: " + e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (TimeoutException e) {
            return false;
        }
        return true;
    }

    /** The process ends and nothing is under way. */
    public void close() {
        exports.forEach(export -> export.finish(0));
        graph.close();
    }
}
