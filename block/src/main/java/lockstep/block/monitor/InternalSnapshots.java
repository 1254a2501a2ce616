package lockstep.block.monitor;

import lockstep.api.BlockdevSnapshotDeleteInternalSyncArguments;
import lockstep.api.BlockdevSnapshotInternal;
import lockstep.api.SnapshotInfo;
import lockstep.api.TransactionAction;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.Drain;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.block.qcow2.Snapshot;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.time.Instant;
import java.util.List;
import java.util.function.LongSupplier;

/** Snapshots of a disk inside its own image. Main loop, machine lock held. */
final class InternalSnapshots {
    private static final long SECOND = 1_000_000_000;

    private final BlockGraph graph;
    private final LongSupplier guestTime;

    /** With how long the guest has run, in nanoseconds. */
    InternalSnapshots(BlockGraph graph, LongSupplier guestTime) {
        this.graph = graph;
        this.guestTime = guestTime;
    }

    private static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    /** What concerns these snapshots; null for other actions. */
    @Nullable Step act(TransactionAction action) throws BlockException {
        return action instanceof TransactionAction.BlockdevSnapshotInternalSync a
                ? take(a.data().data())
                : null;
    }

    /** blockdev-snapshot-internal-sync. */
    Step take(BlockdevSnapshotInternal a) throws BlockException {
        BlockNode node = graph.names().lookup(a.device());
        node.refuseIfBlocked();
        if (node.readOnly()) {
            throw bad("Device '" + a.device() + "' is read only");
        }
        if (!(node instanceof Qcow2Node image)) {
            throw bad(
                    "Block format '"
                            + node.driver()
                            + "' used by device '"
                            + a.device()
                            + "' does not support internal snapshots");
        }
        if (a.name().isEmpty()) {
            throw bad("Name is empty");
        }
        if (image.snapshots().stream().anyMatch(s -> s.name().equals(a.name()))) {
            throw bad(
                    "Snapshot with name '"
                            + a.name()
                            + "' already exists on device '"
                            + a.device()
                            + "'");
        }
        Instant now = Instant.now();
        String[] id = new String[1];
        alone(
                image,
                () ->
                        id[0] =
                                image.createSnapshot(
                                        a.name(),
                                        now.getEpochSecond(),
                                        now.getNano() / 1000 * 1000,
                                        guestTime.getAsLong(),
                                        -1,
                                        0));
        return () -> forget(image, id[0]);
    }

    private void forget(Qcow2Node image, String id) {
        try {
            alone(image, () -> image.deleteSnapshotById(id));
        } catch (BlockException e) {
            // As QEMU: the transaction has failed all the same, and the snapshot does no harm.
            System.getLogger("lockstep.block")
                    .log(
                            System.Logger.Level.WARNING,
                            "snapshot " + id + " stays on " + image + ": " + e.getMessage());
        }
    }

    private void alone(Qcow2Node image, Drain.Change change) throws BlockException {
        graph.drain().drained(List.of(image), change);
    }

    /** blockdev-snapshot-delete-internal-sync. */
    SnapshotInfo delete(BlockdevSnapshotDeleteInternalSyncArguments a) throws BlockException {
        BlockNode node = graph.names().lookup(a.device());
        String id = a.id();
        String name = a.name();
        if (id == null && name == null) {
            throw bad("Name or id must be provided");
        }
        if (!(node instanceof Qcow2Node image)) {
            throw new BlockException(
                    Errno.ENOTSUP, "Failed to get a snapshot list: Operation not supported");
        }
        for (Snapshot s : image.snapshots()) {
            if ((id == null || id.equals(s.id())) && (name == null || name.equals(s.name()))) {
                alone(image, () -> image.deleteSnapshotById(s.id()));
                return info(s);
            }
        }
        throw bad(
                "Snapshot with id '"
                        + id
                        + "' and name '"
                        + name
                        + "' does not exist on device '"
                        + a.device()
                        + "'");
    }

    /** What clients are told of one. */
    static SnapshotInfo info(Snapshot s) {
        return new SnapshotInfo(
                s.id(),
                s.name(),
                s.vmStateBytes(),
                s.seconds(),
                s.nanos(),
                s.vmClockNanos() / SECOND,
                s.vmClockNanos() % SECOND,
                s.icount() < 0 ? null : Long.valueOf(s.icount()));
    }
}
