package lockstep.colo.checkpoint;

import lockstep.api.COLOMessage;
import lockstep.api.COLOMode;
import lockstep.block.ReplicationControl;
import lockstep.runtime.migration.ColoSource;
import lockstep.runtime.vmstate.StateOutput;

import org.jspecify.annotations.Nullable;

import java.io.IOException;

/**
 * The primary: its guest's output counts; sends a checkpoint whenever the guests may differ. The guest stands until the
 * checkpoint is put aside, and goes on while it is sent and loaded. Until the secondary has it, nothing that the guest does
 * meanwhile is seen outside: its packets wait in the comparisons, and its writes in front of the secondary's disks, which
 * have to take the checkpoint before.
 */
final class PrimarySide extends Side {
    private final ColoSource source;
    private final MessageLink link;
    private final CheckpointPace pace;
    private final CheckpointTrigger trigger;
    private final PagesAhead ahead;

    /** Whether the secondary is a Lockstep, which takes the device state as what changed. Of the session's thread. */
    private boolean changes;

    /** Written by the session's thread. */
    private volatile Sent sent = Sent.NONE;

    /** Why the secondary's disks may lack a write; null as long as they do not. */
    private volatile @Nullable String disksFailed;

    private volatile long byTime;

    PrimarySide(ColoSource source, Neighbours neighbours) {
        super(source.host(), source.settings(), neighbours);
        this.source = source;
        this.link = new MessageLink(source.out(), source.in(), budget, "secondary");
        this.pace =
                new CheckpointPace(
                        source.settings()::checkpointDelay, source.settings()::checkpointPause);
        this.trigger = new CheckpointTrigger(pace::millis);
        this.ahead = new PagesAhead(source, this::checkFailover);
    }

    @Override
    COLOMode mode() {
        return COLOMode.PRIMARY;
    }

    @Override
    boolean inColo() {
        return source.inColo();
    }

    @Override
    void disconnect() {
        source.shutdown();
    }

    @Override
    void failed(String reason) {
        source.failed(reason);
    }

    @Override
    Sent sent() {
        return sent;
    }

    @Override
    long byTime() {
        return byTime;
    }

    @Override
    void requestCheckpoint() {
        trigger.request();
    }

    private void disksFailed(String reason, boolean silent) {
        if (disksFailed == null) {
            disksFailed = reason;
        }
        // The end of a connection is noticed by the next checkpoint, as with QEMU, if nobody acts
        // before.
        if (silent) {
            trigger.request();
        }
    }

    /** No checkpoint may be taken whose disk the secondary has not got: it keeps the one before. */
    private void checkDisks() throws IOException {
        String reason = disksFailed;
        if (reason != null) {
            throw new IOException("COLO checkpoint: " + reason);
        }
    }

    /** Runs until a failover has ended the session. On the migration thread. */
    void run() {
        neighbours.onMismatch(trigger::request);
        neighbours.superviseReplication(
                new ReplicationControl.Supervisor() {
                    @Override
                    public long patienceMillis() {
                        return source.settings().coloTimeout();
                    }

                    @Override
                    public void failed(String reason, boolean silent) {
                        disksFailed(reason, silent);
                    }
                });
        session(this::loop);
        neighbours.superviseReplication(null);
        neighbours.onMismatch(null);
    }

    private void loop() throws IOException {
        standing = source.guestRan();
        locked(neighbours::filtersLead);
        changes = link.expectReady();
        locked(
                () -> {
                    neighbours.startReplication(true);
                    neighbours.confirmReplication();
                    trigger.start();
                    startGuest();
                });
        while (true) {
            boolean byTime = trigger.await();
            checkFailover();
            checkpoint(byTime);
            this.byTime += byTime ? 1 : 0;
        }
    }

    private void checkpoint(boolean byTime) throws IOException {
        checkDisks();
        link.send(COLOMessage.CHECKPOINT_REQUEST);
        link.expect(COLOMessage.CHECKPOINT_REPLY);
        if (changes) {
            link.write(COLOMessage.VMSTATE_SEND);
            budget.phase("progress of the pages that are sent ahead", source.out()::sent);
            source.prepareToKeep(ahead.send());
            link.flush();
        } else {
            source.prepareToKeep(ahead.count());
        }
        budget.pause();
        locked(
                () -> {
                    stopGuest();
                    checkDisks();
                    budget.phase("checkpoint of the disks");
                    neighbours.checkpointReplication();
                    neighbours.filtersStand();
                });
        if (!changes) {
            // A QEMU 7.2 answers no client of its disks from here to the last page, so the guest
            // must have none under way.
            link.write(COLOMessage.VMSTATE_SEND);
        }
        budget.phase("end of the pages that are kept");
        long pages = source.keepRam();
        budget.phase("device state");
        StateOutput[] devices = new StateOutput[1];
        locked(() -> devices[0] = source.saveDevices(changes));
        link.writeValue(COLOMessage.VMSTATE_SIZE, devices[0].size());
        source.out().state(devices[0]);
        int deviceBytes = devices[0].size();
        boolean loaded = false;
        try {
            if (neighbours.packetsApart()) {
                locked(
                        () -> {
                            neighbours.holdWrites();
                            startGuest();
                        });
            }
            budget.phase("progress of the last pages", source.out()::sent);
            link.flush();
            link.expect(COLOMessage.VMSTATE_RECEIVED);
            link.expect(COLOMessage.VMSTATE_LOADED);
            loaded = true;
        } finally {
            if (!loaded) {
                // The secondary may be about to take the checkpoint, without the writes behind it.
                neighbours.cutReplication();
            }
        }
        // What was asked for up to now is answered; what differs behind the checkpoint is not seen
        // yet.
        trigger.clear();
        if (disksFailed != null) {
            trigger.request();
        }
        sent = sent.plus(ahead.pages(), ahead.rounds(), pages, deviceBytes);
        // Not before: a secondary that fails to load goes on with the state it had.
        long waited = neighbours.releasePackets();
        neighbours.releaseWrites();
        locked(
                () -> {
                    neighbours.confirmReplication();
                    if (standing) {
                        startGuest();
                    }
                });
        budget.rest();
        pace.stood(completed(), byTime && waited > 0);
    }

    @Override
    void giveUpPeer() {
        neighbours.cutReplication();
    }

    @Override
    void takeOver() {
        source.complete();
        trigger.end();
        disconnect();
        stopReplication();
    }
}
