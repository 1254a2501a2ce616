package lockstep.protect;

import lockstep.api.BlockDeviceInfo;
import lockstep.api.BlockDirtyInfo;
import lockstep.api.BlockExportInfo;
import lockstep.api.BlockInfo;
import lockstep.api.BlockJobCancelArguments;
import lockstep.api.BlockdevDelArguments;
import lockstep.api.BlockdevDetectZeroesOptions;
import lockstep.api.BlockdevMirrorArguments;
import lockstep.api.BlockdevOptions;
import lockstep.api.BlockdevOptionsNbd;
import lockstep.api.BlockdevOptionsReplication;
import lockstep.api.BlockdevRef;
import lockstep.api.COLOMode;
import lockstep.api.ChardevAddArguments;
import lockstep.api.ChardevBackend;
import lockstep.api.ChardevRemoveArguments;
import lockstep.api.ChardevSocket;
import lockstep.api.ChardevSocketWrapper;
import lockstep.api.Client;
import lockstep.api.ColoCompareProperties;
import lockstep.api.FilterMirrorProperties;
import lockstep.api.FilterRedirectorProperties;
import lockstep.api.InetSocketAddress;
import lockstep.api.InetSocketAddressWrapper;
import lockstep.api.IothreadProperties;
import lockstep.api.JobDismissArguments;
import lockstep.api.JobInfo;
import lockstep.api.JobStatus;
import lockstep.api.MigrateArguments;
import lockstep.api.MigrateContinueArguments;
import lockstep.api.MigrateSetCapabilitiesArguments;
import lockstep.api.MigrationCapability;
import lockstep.api.MigrationCapabilityStatus;
import lockstep.api.MigrationInfo;
import lockstep.api.MigrationStats;
import lockstep.api.MigrationStatus;
import lockstep.api.MirrorSyncMode;
import lockstep.api.NbdServerAddOptions;
import lockstep.api.NbdServerOptionsLegacy;
import lockstep.api.NetFilterDirection;
import lockstep.api.NetfilterInsert;
import lockstep.api.ObjectDelArguments;
import lockstep.api.ObjectOptions;
import lockstep.api.QomListArguments;
import lockstep.api.QomSetArguments;
import lockstep.api.QueryNamedBlockNodesArguments;
import lockstep.api.ReplicationMode;
import lockstep.api.RunState;
import lockstep.api.SocketAddress;
import lockstep.api.SocketAddressLegacy;
import lockstep.api.XBlockdevChangeArguments;
import lockstep.api.YankArguments;
import lockstep.api.YankInstance;
import lockstep.api.YankInstanceBlockNode;
import lockstep.qmp.JsonString;
import lockstep.qmp.QmpException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;

/**
 * Makes the machine that is left after a failover the primary of a new secondary, which was started with {@code
 * -incoming} and waits. Its disk is copied, or what may differ of it, and what the guest writes meanwhile, until the migration has stopped the guest:
 * only then replication takes the copy's place, because it takes no writes before COLO has begun. What was made is taken
 * away again when a step fails. It works with a QEMU on either side.
 */
final class Protection {
    private static final long POLL_NANOS = TimeUnit.MILLISECONDS.toNanos(20);

    /** The guest may stand meanwhile. */
    private static final long LONGEST_END_NANOS = TimeUnit.SECONDS.toNanos(5);

    /** How long the guest may stand in the switchover, and anything else may go without getting on. */
    private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(20);

    /** Names of bitmaps that the survivor keeps; the address and the export follow the secondary's. */
    private static final String LOST_SECONDARY_MARKS = "colo-secondary@";

    private static final String LOST_PRIMARY_MARKS = "colo-primary";

    private static final String COPY = "colo-copy";
    private static final String REPLICATION = "replication0";
    private static final String MIRROR_DEVICE = "mirror0";
    private static final String SECONDARY_DEVICE = "compare1";
    private static final String REWRITER = "rew0";

    /** They pass nothing to anybody before the guest stands: until then it has nobody to be compared with. */
    private static final List<String> FILTERS = List.of("m0", "redire0", "redire1");

    private final Client survivor;
    private final Client secondary;
    private final Map<Setting, String> settings;
    private final Extent extent;
    private final Consumer<String> progress;
    private final Deque<Step> undo = new ArrayDeque<>();

    /** Whether the target of the copy is there. */
    private boolean copying;

    /** What of the disk is copied. */
    enum Extent {
        /** All. */
        WHOLE,
        /** Where the disk of the secondary that was lost may differ; the new one has that disk. */
        LOST_SECONDARY,
        /** Likewise that of the primary, which ended in order. */
        ENDED_PRIMARY
    }

    private interface Step {
        void run() throws QmpException, IOException;
    }

    /**
     * Between these two.
     *
     * @param progress takes lines for the user
     */
    Protection(
            Client survivor,
            Client secondary,
            Map<Setting, String> settings,
            Extent extent,
            Consumer<String> progress) {
        this.survivor = survivor;
        this.secondary = secondary;
        this.settings = settings;
        this.extent = extent;
        this.progress = progress;
    }

    private String get(Setting setting) {
        return settings.getOrDefault(setting, setting.standard);
    }

    /**
     * Runs all steps; returns when the pair is in COLO.
     *
     * @return names of the disks and network backends that the secondary has not, because the user left them out
     * @throws QmpException when a step is refused or a machine is not in the state for it; what was made before is gone
     *     again
     * @throws IOException when the connection to either is lost
     */
    Set<String> run() throws QmpException, IOException {
        if (survivor.queryColoStatus().mode() != COLOMode.NONE) {
            throw new QmpException("the survivor is in COLO with another side already");
        }
        Set<String> named = new LinkedHashSet<>(List.of(get(Setting.LEAVE_OUT).split(",")));
        named.remove("");
        Set<String> leftOut =
                LeftOut.check(survivor, get(Setting.DISK), get(Setting.NETDEV), named);
        checkSecrecy();
        clearRemains();
        check();
        String bitmap = extent == Extent.WHOLE ? null : bitmap();
        try {
            openSecondary();
            addDevices();
            copyDisk(bitmap);
            addFilters();
            migrate();
        } catch (QmpException | IOException | RuntimeException e) {
            takeBack();
            throw e;
        }
        return leftOut;
    }

    /** What this program makes is in clear: where a side has credentials nobody shall find that out later. */
    private void checkSecrecy() throws QmpException, IOException {
        for (Client side : List.of(survivor, secondary)) {
            String credentials = side.queryMigrateParameters().tlsCreds();
            if (credentials != null && !credentials.isEmpty()) {
                throw new QmpException(
                        (side == survivor ? "the survivor" : "the new secondary")
                                + " moves by TLS (migration parameter tls-creds), but disk and"
                                + " packets would go in clear: this program cannot protect with"
                                + " TLS, only the commands by hand can");
            }
        }
    }

    /** Takes away what a run that was killed has left, as far as it would be in the way. */
    private void clearRemains() throws QmpException, IOException {
        Set<String> nodes = new HashSet<>();
        survivor.queryNamedBlockNodes(QueryNamedBlockNodesArguments.builder().flat(true).build())
                .forEach(node -> nodes.add(orEmpty(node.nodeName())));
        copying = nodes.contains(COPY);
        if (!copying && !nodes.contains(REPLICATION)) {
            return;
        }
        progress.accept("what an interrupted run has left is taken away");
        letGuestRun();
        undo.push(this::dropTarget);
        for (JobInfo job : survivor.queryJobs()) {
            if (job.id().equals(COPY)) {
                undo.push(this::giveCopyUp);
            }
        }
        if (nodes.contains(REPLICATION)) {
            undo.push(this::dropReplication);
            undo.push(this::detachReplication);
        }
        takeBack();
    }

    private void check() throws QmpException, IOException {
        if (!survivor.queryStatus().running()) {
            throw new QmpException(
                    "the survivor's guest does not run; end the failover first"
                            + " (x-colo-lost-heartbeat)");
        }
        RunState state = secondary.queryStatus().status();
        if (state != RunState.INMIGRATE) {
            throw new QmpException(
                    "the new secondary does not wait for a migration (-incoming): its state is "
                            + state.wireName());
        }
    }

    /** The name of the survivor's bitmap that tells where the new secondary's disk may differ. */
    private String bitmap() throws QmpException, IOException {
        String peer = get(Setting.HOST) + ":" + get(Setting.NBD_PORT) + "/" + get(Setting.EXPORT);
        String wanted =
                extent == Extent.ENDED_PRIMARY ? LOST_PRIMARY_MARKS : LOST_SECONDARY_MARKS + peer;
        Set<String> known = new TreeSet<>();
        for (BlockInfo drive : survivor.queryBlock()) {
            BlockDeviceInfo node = drive.inserted();
            if (drive.device().equals(get(Setting.DISK)) && node != null) {
                for (BlockDirtyInfo info : orNone(node.dirtyBitmaps())) {
                    String name = orEmpty(info.name());
                    if (name.equals(wanted)) {
                        progress.accept(
                                "the secondary's disk may differ in %d bytes of %d"
                                        .formatted(info.count(), node.image().virtualSize()));
                        return name;
                    }
                    known.add(name);
                }
            }
        }
        if (extent == Extent.ENDED_PRIMARY) {
            throw new QmpException(
                    "the survivor has not taken over from a primary, or has not written its guest's"
                            + " changes to its disk yet; copy the whole disk");
        }
        if (known.contains(LOST_PRIMARY_MARKS)) {
            throw new QmpException(
                    "the survivor has taken over from a primary. What that wrote at the end may"
                            + " never have arrived here, so nobody knows in what its disk differs:"
                            + " copy the whole disk. Only if it ended in order,"
                            + " --primary-ended-in-order lets what is known be enough");
        }
        known.removeIf(name -> !name.startsWith(LOST_SECONDARY_MARKS));
        throw new QmpException(
                "the survivor has not been the primary of a secondary with its disk at "
                        + peer
                        + (known.isEmpty()
                                ? ""
                                : ", but of "
                                        + String.join(", ", known)
                                                .replace(LOST_SECONDARY_MARKS, ""))
                        + ": copy the whole disk");
    }

    private static List<BlockDirtyInfo> orNone(@Nullable List<BlockDirtyInfo> list) {
        return list == null ? List.of() : list;
    }

    private static String orEmpty(@Nullable String name) {
        return name == null ? "" : name;
    }

    private void takeBack() {
        while (!undo.isEmpty()) {
            try {
                undo.pop().run();
            } catch (QmpException | IOException e) {
                progress.accept("could not be taken back: " + e.getMessage());
            }
        }
    }

    private static void capability(Client machine, MigrationCapability capability, boolean on)
            throws QmpException, IOException {
        machine.migrateSetCapabilities(
                new MigrateSetCapabilitiesArguments(
                        List.of(new MigrationCapabilityStatus(capability, on))));
    }

    private void openSecondary() throws QmpException, IOException {
        capability(secondary, MigrationCapability.X_COLO, true);
        String export = get(Setting.EXPORT);
        for (BlockExportInfo info : secondary.queryBlockExports()) {
            if (info.id().equals(export)) {
                return;
            }
        }
        progress.accept("the secondary offers its disk on port " + get(Setting.NBD_PORT));
        secondary.nbdServerStart(
                NbdServerOptionsLegacy.builder()
                        .addr(legacy("0.0.0.0", get(Setting.NBD_PORT)))
                        .build());
        undo.push(secondary::nbdServerStop);
        secondary.nbdServerAdd(NbdServerAddOptions.builder().device(export).writable(true).build());
    }

    private static InetSocketAddress inet(String host, String port) {
        return InetSocketAddress.builder().host(host).port(port).build();
    }

    private static SocketAddressLegacy legacy(String host, String port) {
        return new SocketAddressLegacy.Inet(new InetSocketAddressWrapper(inet(host, port)));
    }

    // ---- character devices

    private void addDevices() throws QmpException, IOException {
        Set<String> there = new HashSet<>();
        survivor.queryChardev().forEach(c -> there.add(c.label()));
        String listen = get(Setting.LISTEN);
        addDevice(there, MIRROR_DEVICE, server(listen, get(Setting.MIRROR_PORT)));
        addDevice(there, SECONDARY_DEVICE, server(listen, get(Setting.COMPARE_PORT)));
        addLoop(there, "compare0", "compare0-0", "9001");
        addLoop(there, "compare_out", "compare_out0", "9005");
    }

    private void addLoop(Set<String> there, String server, String client, String port)
            throws QmpException, IOException {
        addDevice(there, server, server("127.0.0.1", port));
        addDevice(
                there,
                client,
                ChardevSocket.builder().addr(legacy("127.0.0.1", port)).server(false));
    }

    private static ChardevSocket.Builder server(String host, String port) {
        return ChardevSocket.builder().addr(legacy(host, port)).server(true).wait_(false);
    }

    private void addDevice(Set<String> there, String id, ChardevSocket.Builder socket)
            throws QmpException, IOException {
        if (!there.contains(id)) {
            survivor.chardevAdd(
                    new ChardevAddArguments(
                            id,
                            new ChardevBackend.Socket(new ChardevSocketWrapper(socket.build()))));
            undo.push(() -> survivor.chardevRemove(new ChardevRemoveArguments(id)));
        }
    }

    // ---- the disk

    private BlockdevOptionsNbd export() {
        return BlockdevOptionsNbd.builder()
                .server(new SocketAddress.Inet(inet(get(Setting.HOST), get(Setting.NBD_PORT))))
                .export(get(Setting.EXPORT))
                .build();
    }

    private void copyDisk(@Nullable String bitmap) throws QmpException, IOException {
        survivor.blockdevAdd(
                BlockdevOptions.Nbd.builder()
                        .nodeName(COPY)
                        .detectZeroes(BlockdevDetectZeroesOptions.ON)
                        .data(export())
                        .build());
        copying = true;
        undo.push(this::dropTarget);
        survivor.blockdevMirror(
                BlockdevMirrorArguments.builder()
                        .jobId(COPY)
                        .device(get(Setting.DISK))
                        .target(COPY)
                        .sync(MirrorSyncMode.FULL)
                        .xBitmap(bitmap)
                        .autoDismiss(false)
                        .build());
        undo.push(this::giveCopyUp);
        int told = -1;
        Progress moving = new Progress("the secondary's disk does not answer");
        while (true) {
            JobInfo job = job();
            moving.at(job.currentProgress());
            long total = Math.max(1, job.totalProgress());
            int percent = (int) (100.0 * job.currentProgress() / total);
            if (percent / 10 != told) {
                told = percent / 10;
                progress.accept("the disk is copied: " + percent + " %");
            }
            if (job.status() == JobStatus.READY) {
                progress.accept(job.currentProgress() + " bytes were copied");
                return;
            }
            if (job.status() == JobStatus.CONCLUDED) {
                throw failed(job);
            }
            pause();
        }
    }

    private JobInfo job() throws QmpException, IOException {
        for (JobInfo job : survivor.queryJobs()) {
            if (job.id().equals(COPY)) {
                return job;
            }
        }
        throw new QmpException("the job that copies the disk is gone");
    }

    private static QmpException failed(JobInfo job) {
        String why = job.error();
        return new QmpException("the disk could not be copied: " + (why == null ? "?" : why));
    }

    /** Ends the copy once all that the guest, which stands, has written is copied. */
    private void endCopy() throws QmpException, IOException {
        cancelCopy(false);
        JobInfo job = awaitEndOfCopy();
        if (job.error() != null) {
            throw failed(job);
        }
        survivor.jobDismiss(new JobDismissArguments(COPY));
        dropTarget();
    }

    private void dropTarget() throws QmpException, IOException {
        if (copying) {
            copying = false;
            survivor.blockdevDel(new BlockdevDelArguments(COPY));
        }
    }

    private void giveCopyUp() throws QmpException, IOException {
        if (copying) {
            if (job().status() != JobStatus.CONCLUDED) {
                cancelCopy(true);
                try {
                    awaitEndOfCopy();
                } catch (QmpException e) {
                    survivor.yank(
                            new YankArguments(
                                    List.of(
                                            new YankInstance.BlockNode(
                                                    new YankInstanceBlockNode(COPY)))));
                    awaitEndOfCopy();
                }
            }
            survivor.jobDismiss(new JobDismissArguments(COPY));
        }
    }

    private void cancelCopy(boolean force) throws QmpException, IOException {
        survivor.blockJobCancel(
                BlockJobCancelArguments.builder().device(COPY).force(force).build());
    }

    private JobInfo awaitEndOfCopy() throws QmpException, IOException {
        long end = System.nanoTime() + LONGEST_END_NANOS;
        while (true) {
            JobInfo job = job();
            if (job.status() == JobStatus.CONCLUDED) {
                return job;
            }
            if (System.nanoTime() > end) {
                throw new QmpException("the secondary's disk does not answer");
            }
            pause();
        }
    }

    private void replicate() throws QmpException, IOException {
        BlockdevOptions nbd = BlockdevOptions.Nbd.builder().data(export()).build();
        survivor.blockdevAdd(
                BlockdevOptions.Replication.builder()
                        .nodeName(REPLICATION)
                        .data(
                                BlockdevOptionsReplication.builder()
                                        .mode(ReplicationMode.PRIMARY)
                                        .file(new BlockdevRef.Definition(nbd))
                                        .build())
                        .build());
        undo.push(this::dropReplication);
        survivor.xBlockdevChange(
                XBlockdevChangeArguments.builder()
                        .parent(get(Setting.DISK))
                        .node(REPLICATION)
                        .build());
        undo.push(this::detachReplication);
    }

    private void detachReplication() throws QmpException, IOException {
        survivor.xBlockdevChange(
                XBlockdevChangeArguments.builder()
                        .parent(get(Setting.DISK))
                        .child("children.1")
                        .build());
    }

    private void dropReplication() throws QmpException, IOException {
        survivor.blockdevDel(new BlockdevDelArguments(REPLICATION));
    }

    // ---- the network

    private void addFilters() throws QmpException, IOException {
        Set<String> there = new HashSet<>();
        survivor.qomList(new QomListArguments("/objects")).forEach(o -> there.add(o.name()));
        // What a secondary was keeps the rewriter of its connections; the others see what the
        // client sees.
        boolean rewrites = there.contains(REWRITER);
        String netdev = get(Setting.NETDEV);
        FilterMirrorProperties.Builder mirror =
                FilterMirrorProperties.builder()
                        .netdev(netdev)
                        .status("off")
                        .queue(NetFilterDirection.TX)
                        .outdev(MIRROR_DEVICE);
        FilterRedirectorProperties.Builder back =
                FilterRedirectorProperties.builder()
                        .netdev(netdev)
                        .status("off")
                        .queue(NetFilterDirection.RX)
                        .indev("compare_out");
        FilterRedirectorProperties.Builder away =
                FilterRedirectorProperties.builder()
                        .netdev(netdev)
                        .status("off")
                        .queue(NetFilterDirection.RX)
                        .outdev("compare0");
        for (String id : FILTERS) {
            if (there.contains(id)) {
                switchFilter(id, "off");
            }
        }
        if (rewrites) {
            String place = "id=" + REWRITER;
            mirror.position(place).insert(NetfilterInsert.BEFORE);
            back.position(place).insert(NetfilterInsert.BEFORE);
            away.position(place).insert(NetfilterInsert.BEFORE);
        }
        addObject(there, "m0", new ObjectOptions.FilterMirror("m0", mirror.build()));
        addObject(there, "redire0", new ObjectOptions.FilterRedirector("redire0", back.build()));
        addObject(there, "redire1", new ObjectOptions.FilterRedirector("redire1", away.build()));
        addObject(
                there,
                "iothread1",
                new ObjectOptions.Iothread("iothread1", IothreadProperties.builder().build()));
        addObject(
                there,
                "comp0",
                new ObjectOptions.ColoCompare(
                        "comp0",
                        ColoCompareProperties.builder()
                                .primaryIn("compare0-0")
                                .secondaryIn(SECONDARY_DEVICE)
                                .outdev("compare_out0")
                                .iothread("iothread1")
                                .build()));
    }

    private void switchFilter(String id, String status) throws QmpException, IOException {
        survivor.qomSet(new QomSetArguments("/objects/" + id, "status", new JsonString(status)));
    }

    private void addObject(Set<String> there, String id, ObjectOptions object)
            throws QmpException, IOException {
        if (!there.contains(id)) {
            survivor.objectAdd(object);
            undo.push(() -> survivor.objectDel(new ObjectDelArguments(id)));
        }
    }

    // ---- the machine

    private void migrate() throws QmpException, IOException {
        progress.accept("the guest moves to the secondary, and goes on here");
        capability(survivor, MigrationCapability.X_COLO, true);
        // It cannot be switched off again while COLO runs.
        capability(survivor, MigrationCapability.PAUSE_BEFORE_SWITCHOVER, true);
        undo.push(() -> capability(survivor, MigrationCapability.PAUSE_BEFORE_SWITCHOVER, false));
        Thread rescue = new Thread(this::letGuestRun, "rescue");
        Runtime.getRuntime().addShutdownHook(rescue);
        try {
            survivor.migrate(
                    MigrateArguments.builder()
                            .uri("tcp:" + get(Setting.HOST) + ":" + get(Setting.MIGRATION_PORT))
                            .build());
            awaitMigration(MigrationStatus.PRE_SWITCHOVER);
            long stopped = System.nanoTime();
            endCopy();
            replicate();
            for (String id : FILTERS) {
                switchFilter(id, "on");
            }
            survivor.migrateContinue(new MigrateContinueArguments(MigrationStatus.PRE_SWITCHOVER));
            awaitMigration(MigrationStatus.COLO);
            progress.accept(
                    "the guest stood for %.0f ms".formatted((System.nanoTime() - stopped) / 1e6));
        } catch (QmpException | IOException e) {
            letGuestRun();
            throw e;
        } finally {
            Runtime.getRuntime().removeShutdownHook(rescue);
        }
    }

    private void awaitMigration(MigrationStatus wanted) throws QmpException, IOException {
        Progress moving = new Progress("the secondary does not take the guest");
        while (true) {
            MigrationInfo info = survivor.queryMigrate();
            MigrationStatus status = info.status();
            if (status == wanted) {
                return;
            }
            MigrationStats ram = info.ram();
            moving.at(status == MigrationStatus.ACTIVE && ram != null ? ram.transferred() : -1);
            if (status == MigrationStatus.FAILED
                    || status == MigrationStatus.CANCELLED
                    || status == MigrationStatus.COMPLETED) {
                String why = info.errorDesc();
                throw new QmpException(
                        "the migration ended as "
                                + status.wireName()
                                + (why == null ? "" : ": " + why));
            }
            pause();
        }
    }

    /** A migration that is given up leaves the guest running here; also when this program is interrupted. */
    private void letGuestRun() {
        try {
            survivor.migrateCancel();
            while (survivor.queryMigrate().status() == MigrationStatus.CANCELLING) {
                pause();
            }
        } catch (QmpException | IOException e) {
            progress.accept("the migration could not be cancelled: " + e.getMessage());
        }
    }

    /** Notices when nothing gets on. */
    private static final class Progress {
        private final String silence;
        private long last = Long.MIN_VALUE;
        private long since;

        Progress(String silence) {
            this.silence = silence;
        }

        void at(long place) throws QmpException {
            long now = System.nanoTime();
            if (place != last) {
                last = place;
                since = now;
            } else if (now - since > PATIENCE_NANOS) {
                throw new QmpException(silence);
            }
        }
    }

    private static void pause() {
        LockSupport.parkNanos(POLL_NANOS);
    }
}
