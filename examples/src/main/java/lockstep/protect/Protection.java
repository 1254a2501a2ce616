package lockstep.protect;

import lockstep.api.BlockExportInfo;
import lockstep.api.COLOMode;
import lockstep.api.Client;
import lockstep.api.ColoStats;
import lockstep.api.InetSocketAddress;
import lockstep.api.InetSocketAddressWrapper;
import lockstep.api.JobInfo;
import lockstep.api.JobStatus;
import lockstep.api.MigrateArguments;
import lockstep.api.MigrateContinueArguments;
import lockstep.api.MigrateSetParameters;
import lockstep.api.MigrationCapability;
import lockstep.api.MigrationInfo;
import lockstep.api.MigrationStats;
import lockstep.api.MigrationStatus;
import lockstep.api.NbdServerAddOptions;
import lockstep.api.NbdServerOptionsLegacy;
import lockstep.api.QueryNamedBlockNodesArguments;
import lockstep.api.RunState;
import lockstep.api.SocketAddressLegacy;
import lockstep.api.YankArguments;
import lockstep.api.YankInstance;
import lockstep.qmp.QmpException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;

/**
 * Makes the machine that is left after a failover the primary of a new secondary, which was started with {@code
 * -incoming} and waits. Its disks are copied, or what may differ of them, and what the guest writes meanwhile, until the migration
 * has stopped the guest: only then replication takes the copies' place, because it takes no writes before COLO has begun.
 * What was made is taken away again when a step fails. It works with a QEMU on either side.
 */
final class Protection {
    /** Longer than anything for which a machine waits before it answers. */
    private static final Duration LONGEST_ANSWER = Duration.ofSeconds(45);

    /** One that has not got on is given that long to take something back. */
    private static final Duration LAST_ANSWER = Duration.ofSeconds(3);

    private final Pairing pair;
    private final Client survivor;
    private final Client secondary;
    private final Extent extent;
    private final List<Disk> disks = new ArrayList<>();
    private final List<Card> cards = new ArrayList<>();

    /** What of the disks is copied. */
    enum Extent {
        /** All. */
        WHOLE,
        /** Where the disk of the secondary that was lost may differ; the new one has that disk. */
        LOST_SECONDARY,
        /** Likewise that of the primary, which ended in order. */
        ENDED_PRIMARY
    }

    /**
     * Between these two.
     *
     * @param patience how long anything may go without getting on
     * @param progress takes lines for the user
     * @throws QmpException when it is not clear whether they shall use TLS
     * @throws IOException when the connection to either is lost
     */
    Protection(
            Client survivor,
            Client secondary,
            Map<Setting, String> settings,
            Duration patience,
            Extent extent,
            Consumer<String> progress)
            throws QmpException, IOException {
        this.survivor = survivor.withTimeout(LONGEST_ANSWER);
        this.secondary = secondary.withTimeout(patience);
        this.extent = extent;
        this.pair =
                new Pairing(
                        this.survivor,
                        this.secondary,
                        settings,
                        patience,
                        Secrecy.of(this.survivor, this.secondary, settings),
                        progress,
                        new Undo(progress));
    }

    /**
     * Runs all steps; returns when the pair is in COLO and has completed a checkpoint.
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
        Set<String> leftOut = choose();
        if (clearRemains()) {
            // A copy hid what was below it.
            choose();
        }
        check();
        List<@Nullable String> bitmaps = new ArrayList<>();
        for (Disk disk : disks) {
            bitmaps.add(disk.bitmap(extent));
        }
        try {
            Capabilities.agree(survivor, secondary, pair.undo());
            openSecondary();
            for (Card card : cards) {
                card.removeFilters();
                card.addDevices();
            }
            awaitSecondary();
            copyDisks(bitmaps);
            for (Card card : cards) {
                card.addFilters();
            }
            awaitSecondary();
            migrate();
            awaitCheckpoint();
        } catch (QmpException | IOException | RuntimeException e) {
            pair.undo().run();
            throw e;
        }
        return leftOut;
    }

    /** Finds out what the guest has and where it goes. */
    private Set<String> choose() throws QmpException, IOException {
        Set<String> leftOut = pair.list(Setting.LEAVE_OUT);
        Guest guest = Guest.of(survivor);
        Guest.Choice choice =
                guest.choose(pair.list(Setting.DISK), pair.list(Setting.NETDEV), leftOut);
        guest.checkMedia(Guest.of(secondary), leftOut);
        List<String> exports = Exports.of(secondary, choice.disks(), pair.list(Setting.EXPORT));
        disks.clear();
        for (Guest.Drive drive : choice.disks()) {
            disks.add(new Disk(pair, drive, exports.get(disks.size()), disks.size()));
        }
        cards.clear();
        for (String netdev : choice.netdevs()) {
            cards.add(new Card(pair, netdev, cards.size()));
        }
        return leftOut;
    }

    /** Takes away what a run that was killed has left, as far as it would be in the way. */
    private boolean clearRemains() throws QmpException, IOException {
        Set<String> nodes = new HashSet<>();
        survivor.queryNamedBlockNodes(QueryNamedBlockNodesArguments.builder().flat(true).build())
                .forEach(node -> nodes.add(node.nodeName() == null ? "" : node.nodeName()));
        boolean remains = false;
        for (Disk disk : disks) {
            remains |= disk.remains(nodes);
        }
        if (remains) {
            pair.tell("what is left of an earlier protection is taken away");
            letGuestRun();
            pair.undo().run();
        }
        return remains;
    }

    private void check() throws QmpException, IOException {
        for (Disk disk : disks) {
            disk.check();
        }
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

    private void openSecondary() throws QmpException, IOException {
        Set<String> missing = new LinkedHashSet<>();
        disks.forEach(disk -> missing.add(disk.export()));
        int wanted = missing.size();
        for (BlockExportInfo info : secondary.queryBlockExports()) {
            missing.remove(info.id());
        }
        if (missing.isEmpty()) {
            return;
        }
        if (missing.size() == wanted) {
            String port = pair.get(Setting.NBD_PORT);
            pair.tell("the secondary offers its disk on port " + port);
            InetSocketAddress address =
                    InetSocketAddress.builder().host("0.0.0.0").port(port).build();
            secondary.nbdServerStart(
                    NbdServerOptionsLegacy.builder()
                            .addr(
                                    new SocketAddressLegacy.Inet(
                                            new InetSocketAddressWrapper(address)))
                            .tlsCreds(pair.secrecy().secondary())
                            .build());
            pair.undo().push(secondary.withTimeout(LAST_ANSWER)::nbdServerStop);
        }
        for (String export : missing) {
            secondary.nbdServerAdd(
                    NbdServerAddOptions.builder().device(export).writable(true).build());
        }
    }

    private void awaitSecondary() throws QmpException, IOException {
        for (Card card : cards) {
            card.awaitSecondary();
        }
    }

    private void copyDisks(List<@Nullable String> bitmaps) throws QmpException, IOException {
        for (int i = 0; i < disks.size(); i++) {
            disks.get(i).startCopy(bitmaps.get(i));
        }
        int told = -1;
        Waiting moving = pair.waiting("the secondary's disk has not answered");
        while (true) {
            long done = 0;
            long total = 0;
            boolean ready = true;
            for (Disk disk : disks) {
                JobInfo job = disk.copying();
                done += job.currentProgress();
                total += job.totalProgress();
                ready &= job.status() == JobStatus.READY;
            }
            int percent = (int) (100.0 * done / Math.max(1, total));
            if (percent / 10 != told) {
                told = percent / 10;
                pair.tell("the disk is copied: " + percent + " %");
            }
            if (ready) {
                pair.tell(done + " bytes were copied");
                return;
            }
            moving.at(done);
        }
    }

    // ---- the machine

    private void migrate() throws QmpException, IOException {
        pair.tell("the guest moves to the secondary, and goes on here");
        pair.secrecy().apply(survivor, pair.undo());
        // It cannot be switched off again while COLO runs.
        pauseBeforeSwitchover(true);
        pair.undo().push(() -> pauseBeforeSwitchover(false));
        Thread rescue = new Thread(this::letGuestRun, "rescue");
        Runtime.getRuntime().addShutdownHook(rescue);
        try {
            survivor.migrate(
                    MigrateArguments.builder()
                            .uri(
                                    "tcp:"
                                            + pair.get(Setting.HOST)
                                            + ":"
                                            + pair.get(Setting.MIGRATION_PORT))
                            .build());
            awaitMigration(MigrationStatus.PRE_SWITCHOVER);
            long stopped = System.nanoTime();
            switchOver();
            awaitMigration(MigrationStatus.COLO);
            pair.tell("the guest stood for %.0f ms".formatted((System.nanoTime() - stopped) / 1e6));
        } catch (QmpException | IOException e) {
            letGuestRun();
            throw e;
        } finally {
            Runtime.getRuntime().removeShutdownHook(rescue);
        }
    }

    /** The guest stands. */
    private void switchOver() throws QmpException, IOException {
        for (Disk disk : disks) {
            disk.finishCopy();
        }
        for (Disk disk : disks) {
            disk.endCopy();
        }
        for (Disk disk : disks) {
            disk.replicate();
        }
        for (Card card : cards) {
            card.switchOn();
        }
        survivor.migrateContinue(new MigrateContinueArguments(MigrationStatus.PRE_SWITCHOVER));
    }

    private void pauseBeforeSwitchover(boolean on) throws QmpException, IOException {
        Capabilities.set(survivor, Map.of(MigrationCapability.PAUSE_BEFORE_SWITCHOVER, on));
    }

    private void awaitMigration(MigrationStatus wanted) throws QmpException, IOException {
        Waiting moving = pair.waiting("the secondary has not taken the guest");
        while (true) {
            MigrationInfo info = survivor.queryMigrate();
            MigrationStatus status = info.status();
            if (status == wanted) {
                return;
            }
            if (status == MigrationStatus.FAILED
                    || status == MigrationStatus.CANCELLED
                    || status == MigrationStatus.COMPLETED) {
                String why = info.errorDesc();
                throw new QmpException(
                        "the migration ended as "
                                + status.wireName()
                                + (why == null ? "" : ": " + why));
            }
            MigrationStats ram = info.ram();
            moving.at(status == MigrationStatus.ACTIVE && ram != null ? ram.transferred() : -1);
        }
    }

    /** A migration that is given up leaves the guest running here; also when this program is interrupted. */
    private void letGuestRun() {
        try {
            survivor.migrateCancel();
            Waiting end = pair.waiting("");
            while (survivor.queryMigrate().status() == MigrationStatus.CANCELLING) {
                if (end.over()) {
                    survivor.yank(new YankArguments(List.of(new YankInstance.Migration())));
                    return;
                }
                Waiting.pause();
            }
        } catch (QmpException | IOException e) {
            pair.tell("the migration could not be cancelled: " + e.getMessage());
        }
    }

    /** The pair is one only when the secondary can also follow. The secondary of a QEMU is believed: it does not tell. */
    private void awaitCheckpoint() throws QmpException, IOException {
        Waiting first = pair.waiting("the secondary has completed no checkpoint");
        try {
            while (completedNone()) {
                // That takes a checkpoint at once.
                survivor.migrateSetParameters(
                        MigrateSetParameters.builder()
                                .xCheckpointDelay(
                                        survivor.queryMigrateParameters().xCheckpointDelay())
                                .build());
                first.at(0);
            }
        } catch (QmpException e) {
            endColo();
            throw e;
        }
    }

    private boolean completedNone() throws QmpException, IOException {
        MigrationInfo info = survivor.queryMigrate();
        String error = info.errorDesc();
        if (info.status() != MigrationStatus.COLO || error != null) {
            throw new QmpException(
                    "COLO ended before its first checkpoint" + (error == null ? "" : ": " + error));
        }
        try {
            ColoStats stats = survivor.queryColoStats();
            return stats.mode() != COLOMode.PRIMARY || stats.checkpoints() == 0;
        } catch (QmpException e) {
            return false;
        }
    }

    /** There is no copy of the guest but here, so it goes on here. */
    private void endColo() throws QmpException, IOException {
        if (survivor.queryColoStatus().mode() == COLOMode.PRIMARY) {
            survivor.xColoLostHeartbeat();
            Waiting end = pair.waiting("COLO has not ended");
            while (survivor.queryColoStatus().mode() != COLOMode.NONE) {
                end.at(0);
            }
        }
    }
}
