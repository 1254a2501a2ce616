package lockstep.block.drive;

import lockstep.api.DriveOptions;
import lockstep.api.ThrottleLimits;
import lockstep.block.Backends;
import lockstep.block.BlockBackend;
import lockstep.block.BlockHost;
import lockstep.block.BlockLayer;
import lockstep.block.DriveInfo;
import lockstep.block.export.Exports;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.Names;
import lockstep.block.open.NodeOpener;
import lockstep.block.open.NodeOpener.Inherited;
import lockstep.block.quorum.QuorumEvents;
import lockstep.block.replication.ReplicationManager;
import lockstep.block.throttle.Limits;
import lockstep.block.throttle.ThrottleGroup;
import lockstep.block.throttle.ThrottleGroups;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/** What the monitors and the command line do to drives, nodes and exports. Machine lock held. */
public final class BlockManager implements BlockLayer {
    /** How long a command waits for what ends by itself as a rule. */
    private static final long MOMENT = TimeUnit.MILLISECONDS.toNanos(100);

    private final Backends backends;
    private final BlockGraph graph;
    private final ReplicationManager replication = new ReplicationManager();
    private final ThrottleGroups throttles = new ThrottleGroups();
    private final NodeOpener opener;
    private final NodeChanger nodes;
    private final MediaChanger media;
    private final Exports exports;
    private final List<DriveInfo> drives = new ArrayList<>();
    private final List<DriveInfo> claimed = new ArrayList<>();
    private final Consumer<String> warn;
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
        this.backends = new Backends(host);
        this.graph = backends.graph();
        this.opener =
                new NodeOpener(
                        graph,
                        replication,
                        throttles,
                        quorumEvents,
                        startInactive,
                        warn,
                        host.tlsEnds(),
                        host.secrets(),
                        false);
        this.warn = warn;
        this.nodes = new NodeChanger(graph, opener);
        this.media = new MediaChanger(this, opener);
        this.exports = new Exports(backends, host.tlsEnds(), warn, exportDeleted);
    }

    private static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    @Override
    public Backends backends() {
        return backends;
    }

    /** The nodes. */
    public BlockGraph graph() {
        return graph;
    }

    /** Nodes. */
    public NodeChanger nodes() {
        return nodes;
    }

    /** Exports. */
    public Exports exports() {
        return exports;
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
        BlockBackend backend = backends.find(drive);
        if (backend != null) {
            return backend;
        }
        BlockNode node = graph.names().findNode(drive);
        if (node == null) {
            throw new BlockException(Errno.ENOENT, "can't find value '" + drive + "'");
        }
        BlockBackend made = backends.add("");
        try {
            made.insert(node);
        } catch (BlockException e) {
            made.close();
            throw e;
        }
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
        } else if (!Names.wellFormed(id)) {
            throw bad("Parameter 'id' expects an identifier");
        }
        BlockBackend backend = backends.add(id);
        backend.setHasDriveInfo(true);
        backend.setReadOnlyWhenEmpty(cdrom);
        backend.errors().set(read, write);
        backend.setWritethrough(drive.writethrough());
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
            backend.close();
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
        if (id != null && backends.find(id) != null) {
            return "Duplicate ID '" + id + "' for drive\n";
        }
        if (type != DriveText.Interface.NONE) {
            return "Can't hot-add drive to type " + type.ordinal() + "\n";
        }
        addDrive(drive, "none");
        return "OK\n";
    }

    /** HMP drive_del. */
    public void deleteDrive(String name) throws BlockException {
        if (graph.names().findNode(name) != null) {
            nodes.delete(name);
            return;
        }
        BlockBackend backend = backends.find(name);
        if (backend == null) {
            throw bad("Device '" + name + "' not found");
        }
        if (!backend.hasDriveInfo()) {
            throw bad("Deleting device added with blockdev-add is not supported");
        }
        BlockNode root = backend.root();
        if (root != null) {
            release(backend, root);
        }
        drives.removeIf(drive -> drive.backend() == backend);
        backend.forgetName();
        if (backend.device() == null) {
            backend.close();
        } else {
            backend.errors()
                    .set(lockstep.block.ErrorAction.REPORT, lockstep.block.ErrorAction.REPORT);
        }
    }

    /** Takes the medium out of a drive; its exports end with it. */
    void release(BlockBackend backend, BlockNode medium) throws BlockException {
        medium.refuseIfBlocked();
        nodes.clear(medium, medium);
        if (!backend.drain(MOMENT)) {
            throw graph.drain().busy(List.of(medium));
        }
        exports.removeAllOf(backend);
        backend.eject();
    }

    /** The machine runs again: requests that a full disk held up are tried again. */
    public void machineResumed() {
        for (BlockBackend backend : backends) {
            backend.errors().machineResumed();
            try {
                backend.machineResumed();
            } catch (BlockException e) {
                warn.accept(String.valueOf(e.getMessage()));
            }
        }
    }

    /**
     * The machine has stopped: what the guest wrote is completed and made durable. Drives that do not get there in time
     * are told and left: their requests stay in flight.
     *
     * @param patience nanoseconds for all together
     * @return whether all have got there
     */
    public boolean machineStopped(long patience) {
        long end = System.nanoTime() + patience;
        boolean settled = true;
        for (BlockBackend backend : backends) {
            if (!settle(backend, end)) {
                settled = false;
                int requests = backend.underWay();
                warn.accept(
                        "stopped without waiting any longer for "
                                + backend.describe()
                                + (requests == 0
                                        ? " to flush"
                                        : ": " + BlockBackend.inFlight(requests)));
            }
        }
        return settled;
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
        exports.close();
        backends.close();
    }
}
