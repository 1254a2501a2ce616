package lockstep.colo.checkpoint;

import lockstep.api.COLOMessage;
import lockstep.api.COLOMode;
import lockstep.runtime.migration.ColoSource;
import lockstep.runtime.vmstate.StateOutput;

import java.io.IOException;

/** The primary: its guest's output counts; sends a checkpoint whenever the guests may differ. */
final class PrimarySide extends Side {
    private final ColoSource source;
    private final MessageLink link;
    private final CheckpointPace pace;
    private final CheckpointTrigger trigger;
    private final PagesAhead ahead;

    /** Written by the session's thread. */
    private volatile PagesSent sent = PagesSent.NONE;

    PrimarySide(ColoSource source, Neighbours neighbours) {
        super(source.host(), neighbours);
        this.source = source;
        this.link = new MessageLink(source.out(), source.in());
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
    PagesSent sent() {
        return sent;
    }

    @Override
    void requestCheckpoint() {
        trigger.request();
    }

    /** Runs until a failover has ended the session. On the migration thread. */
    void run() {
        neighbours.onMismatch(trigger::request);
        session(this::loop);
        neighbours.onMismatch(null);
    }

    private void loop() throws IOException {
        link.expect(COLOMessage.CHECKPOINT_READY);
        locked(
                () -> {
                    neighbours.startReplication(true);
                    trigger.start();
                    startGuest();
                });
        while (true) {
            trigger.await();
            checkFailover();
            checkpoint();
        }
    }

    private void checkpoint() throws IOException {
        link.send(COLOMessage.CHECKPOINT_REQUEST);
        link.expect(COLOMessage.CHECKPOINT_REPLY);
        link.write(COLOMessage.VMSTATE_SEND);
        ahead.send();
        locked(
                () -> {
                    stopGuest();
                    neighbours.checkpointReplication();
                });
        long pages = source.sendRam();
        // On its way before the devices are saved: the secondary's guest stops meanwhile.
        link.flush();
        StateOutput[] devices = new StateOutput[1];
        locked(() -> devices[0] = source.saveDevices());
        link.write(COLOMessage.VMSTATE_SIZE, devices[0].size());
        source.out().state(devices[0]);
        link.flush();
        link.expect(COLOMessage.VMSTATE_RECEIVED);
        trigger.clear();
        neighbours.releasePackets();
        link.expect(COLOMessage.VMSTATE_LOADED);
        sent = sent.plus(ahead.pages(), ahead.rounds(), pages);
        locked(this::startGuest);
        pace.stood(completed());
    }

    @Override
    void takeOver() {
        source.complete();
        trigger.end();
        source.shutdown();
        stopReplication();
    }
}
