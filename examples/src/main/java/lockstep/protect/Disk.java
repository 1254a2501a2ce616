package lockstep.protect;

import static lockstep.protect.Pairing.numbered;

import lockstep.api.BlockDirtyInfo;
import lockstep.api.BlockJobCancelArguments;
import lockstep.api.BlockdevDelArguments;
import lockstep.api.BlockdevDetectZeroesOptions;
import lockstep.api.BlockdevMirrorArguments;
import lockstep.api.BlockdevOptions;
import lockstep.api.BlockdevOptionsNbd;
import lockstep.api.BlockdevOptionsReplication;
import lockstep.api.BlockdevRef;
import lockstep.api.InetSocketAddress;
import lockstep.api.JobDismissArguments;
import lockstep.api.JobInfo;
import lockstep.api.JobStatus;
import lockstep.api.MirrorSyncMode;
import lockstep.api.ReplicationMode;
import lockstep.api.SocketAddress;
import lockstep.api.XBlockdevChangeArguments;
import lockstep.api.YankArguments;
import lockstep.api.YankInstance;
import lockstep.api.YankInstanceBlockNode;
import lockstep.protect.Protection.Extent;
import lockstep.qmp.QmpException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/** One disk of the survivor's guest: its copy to the secondary, and the replication that takes the copy's place. */
final class Disk {
    /** The guest stands meanwhile. */
    private static final Duration LONGEST_END = Duration.ofSeconds(5);

    /** A job that is given up and waits for the other side is not waited for: its connection is cut. */
    private static final Duration BEFORE_CUT = Duration.ofSeconds(1);

    /** Names of bitmaps that the survivor keeps; the address and the export follow the secondary's. */
    private static final String LOST_SECONDARY_MARKS = "colo-secondary@";

    private static final String LOST_PRIMARY_MARKS = "colo-primary";

    private final Pairing pair;
    private final Guest.Drive drive;
    private final String export;
    private final String copy;
    private final String replication;

    /** Whether the target of the copy is there. */
    private boolean copying;

    /**
     * The survivor's {@code index}-th disk.
     *
     * @param export what the secondary's NBD server calls its disk
     */
    Disk(Pairing pair, Guest.Drive drive, String export, int index) {
        this.pair = pair;
        this.drive = drive;
        this.export = export;
        this.copy = numbered("colo-copy", index);
        this.replication = numbered("replication0", index);
    }

    String export() {
        return export;
    }

    /** Has that undone which an interrupted run has left, as far as it would be in the way; false if that is nothing. */
    boolean remains(Set<String> nodes) throws QmpException, IOException {
        copying = nodes.contains(copy);
        boolean replicates = nodes.contains(replication);
        if (copying) {
            pair.undo().push(this::dropTarget);
        }
        for (JobInfo job : pair.survivor().queryJobs()) {
            if (job.id().equals(copy)) {
                pair.undo().push(this::giveCopyUp);
            }
        }
        if (replicates) {
            pair.undo().push(this::dropReplication);
            pair.undo().push(this::detachReplication);
        }
        return copying || replicates;
    }

    void check() throws QmpException {
        if (!drive.quorum()) {
            throw new QmpException(
                    "the survivor's disk %s is no quorum, so nothing can follow its writes;"
                                    .formatted(drive.id())
                            + " --leave-out %s protects the guest without it"
                                    .formatted(drive.id()));
        }
    }

    /** The name of the survivor's bitmap that tells where the secondary's disk may differ; null if all is copied. */
    @Nullable String bitmap(Extent extent) throws QmpException {
        if (extent == Extent.WHOLE) {
            return null;
        }
        String peer = pair.get(Setting.HOST) + ":" + pair.get(Setting.NBD_PORT) + "/" + export;
        String wanted =
                extent == Extent.ENDED_PRIMARY ? LOST_PRIMARY_MARKS : LOST_SECONDARY_MARKS + peer;
        Set<String> known = new TreeSet<>();
        for (BlockDirtyInfo info : drive.bitmaps()) {
            String name = info.name();
            if (name == null) {
                continue;
            }
            if (name.equals(wanted)) {
                pair.tell(
                        "%s: the secondary's disk may differ in %d bytes of %d"
                                .formatted(drive.id(), info.count(), drive.size()));
                return name;
            }
            known.add(name);
        }
        throw new QmpException(drive.id() + ": " + why(extent, peer, known));
    }

    private static String why(Extent extent, String peer, Set<String> known) {
        if (extent == Extent.ENDED_PRIMARY) {
            return "the survivor has not taken over from a primary, or has not written its guest's"
                    + " changes to its disk yet; copy the whole disk";
        }
        if (known.contains(LOST_PRIMARY_MARKS)) {
            return "the survivor has taken over from a primary. What that wrote at the end may"
                    + " never have arrived here, so nobody knows in what its disk differs:"
                    + " copy the whole disk. Only if it ended in order,"
                    + " --primary-ended-in-order lets what is known be enough";
        }
        known.removeIf(name -> !name.startsWith(LOST_SECONDARY_MARKS));
        return "the survivor has not been the primary of a secondary with its disk at "
                + peer
                + (known.isEmpty()
                        ? ""
                        : ", but of " + String.join(", ", known).replace(LOST_SECONDARY_MARKS, ""))
                + ": copy the whole disk";
    }

    private BlockdevOptionsNbd nbd() {
        InetSocketAddress address =
                InetSocketAddress.builder()
                        .host(pair.get(Setting.HOST))
                        .port(pair.get(Setting.NBD_PORT))
                        .build();
        return BlockdevOptionsNbd.builder()
                .server(new SocketAddress.Inet(address))
                .export(export)
                .tlsCreds(pair.secrecy().client())
                .tlsHostname(pair.secrecy().hostname())
                .build();
    }

    void startCopy(@Nullable String bitmap) throws QmpException, IOException {
        pair.survivor()
                .blockdevAdd(
                        BlockdevOptions.Nbd.builder()
                                .nodeName(copy)
                                .detectZeroes(BlockdevDetectZeroesOptions.ON)
                                .data(nbd())
                                .build());
        copying = true;
        pair.undo().push(this::dropTarget);
        pair.survivor()
                .blockdevMirror(
                        BlockdevMirrorArguments.builder()
                                .jobId(copy)
                                .device(drive.id())
                                .target(copy)
                                .sync(MirrorSyncMode.FULL)
                                .xBitmap(bitmap)
                                .autoDismiss(false)
                                .build());
        pair.undo().push(this::giveCopyUp);
    }

    /** The job that copies; throws when it has ended. */
    JobInfo copying() throws QmpException, IOException {
        JobInfo job = job();
        if (job.status() == JobStatus.CONCLUDED) {
            throw failed(job);
        }
        return job;
    }

    private JobInfo job() throws QmpException, IOException {
        for (JobInfo job : pair.survivor().queryJobs()) {
            if (job.id().equals(copy)) {
                return job;
            }
        }
        throw new QmpException("the job that copies the disk is gone");
    }

    private QmpException failed(JobInfo job) {
        String why = job.error();
        return new QmpException(
                "disk %s could not be copied: %s".formatted(drive.id(), why == null ? "?" : why));
    }

    /** Has the copy end once all that the guest, which stands, has written is copied. */
    void finishCopy() throws QmpException, IOException {
        cancelCopy(false);
    }

    /** Waits for that end. */
    void endCopy() throws QmpException, IOException {
        JobInfo job = awaitEnd(LONGEST_END);
        if (job.error() != null) {
            throw failed(job);
        }
        pair.survivor().jobDismiss(new JobDismissArguments(copy));
        dropTarget();
    }

    private void dropTarget() throws QmpException, IOException {
        if (copying) {
            copying = false;
            pair.survivor().blockdevDel(new BlockdevDelArguments(copy));
        }
    }

    private void giveCopyUp() throws QmpException, IOException {
        if (!copying) {
            return;
        }
        if (job().status() != JobStatus.CONCLUDED) {
            cancelCopy(true);
            try {
                awaitEnd(BEFORE_CUT);
            } catch (QmpException e) {
                YankInstance target = new YankInstance.BlockNode(new YankInstanceBlockNode(copy));
                pair.survivor().yank(new YankArguments(List.of(target)));
                awaitEnd(LONGEST_END);
            }
        }
        pair.survivor().jobDismiss(new JobDismissArguments(copy));
    }

    private void cancelCopy(boolean force) throws QmpException, IOException {
        pair.survivor()
                .blockJobCancel(
                        BlockJobCancelArguments.builder().device(copy).force(force).build());
    }

    private JobInfo awaitEnd(Duration longest) throws QmpException, IOException {
        Waiting end = new Waiting(longest, "the secondary's disk does not answer");
        while (true) {
            JobInfo job = job();
            if (job.status() == JobStatus.CONCLUDED) {
                return job;
            }
            end.at(0);
        }
    }

    void replicate() throws QmpException, IOException {
        BlockdevOptions target = BlockdevOptions.Nbd.builder().data(nbd()).build();
        pair.survivor()
                .blockdevAdd(
                        BlockdevOptions.Replication.builder()
                                .nodeName(replication)
                                .data(
                                        BlockdevOptionsReplication.builder()
                                                .mode(ReplicationMode.PRIMARY)
                                                .file(new BlockdevRef.Definition(target))
                                                .build())
                                .build());
        pair.undo().push(this::dropReplication);
        pair.survivor()
                .xBlockdevChange(
                        XBlockdevChangeArguments.builder()
                                .parent(drive.id())
                                .node(replication)
                                .build());
        pair.undo().push(this::detachReplication);
    }

    private void detachReplication() throws QmpException, IOException {
        pair.survivor()
                .xBlockdevChange(
                        XBlockdevChangeArguments.builder()
                                .parent(drive.id())
                                .child("children.1")
                                .build());
    }

    private void dropReplication() throws QmpException, IOException {
        pair.survivor().blockdevDel(new BlockdevDelArguments(replication));
    }
}
