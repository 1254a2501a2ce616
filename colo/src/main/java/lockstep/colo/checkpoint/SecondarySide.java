package lockstep.colo.checkpoint;

import lockstep.api.COLOMessage;
import lockstep.api.COLOMode;
import lockstep.api.FailoverStatus;
import lockstep.block.ReplicationControl;
import lockstep.runtime.migration.ColoTarget;
import lockstep.runtime.vmstate.StateInput;

import java.io.IOException;
import java.util.Arrays;

/** The secondary: runs the same guest, becomes equal to the primary at each checkpoint. */
final class SecondarySide extends Side {
    private static final int CHUNK = 1 << 20;

    private final ColoTarget target;
    private final RamCache cache;
    private final MessageLink link;
    private final Runnable relaunch;
    private volatile boolean loading;

    /** Whether the guest is neither what it was before a checkpoint nor what it shall be. Of the session's thread. */
    private boolean torn;

    /** With what asks for a failover again. */
    SecondarySide(ColoTarget target, RamCache cache, Neighbours neighbours, Runnable relaunch) {
        super(target.host(), target.settings(), neighbours);
        this.target = target;
        this.cache = cache;
        this.link = new MessageLink(target.out(), target.in(), budget, "primary");
        this.relaunch = relaunch;
    }

    @Override
    COLOMode mode() {
        return COLOMode.SECONDARY;
    }

    @Override
    boolean inColo() {
        return target.inColo();
    }

    @Override
    void disconnect() {
        target.shutdown();
    }

    @Override
    void failed(String reason) {
        target.failed(reason);
    }

    @Override
    boolean loading() {
        return loading;
    }

    /**
     * Runs until a failover has ended the session. On the loading thread.
     *
     * @throws IOException when the guest here is not whole, and cannot go on
     */
    void run() throws IOException {
        target.enter();
        neighbours.superviseReplication(
                new ReplicationControl.Supervisor() {
                    @Override
                    public long patienceMillis() {
                        return patience();
                    }

                    @Override
                    public void failed(String reason, boolean silent) {}
                });
        session(this::loop);
        neighbours.superviseReplication(null);
        neighbours.awaitSilence();
        host.lock()
                .run(
                        () -> {
                            if (host.dirtyLog().recording()) {
                                host.dirtyLog().stop();
                            }
                        });
        cache.close();
        if (torn) {
            throw new IOException("the last checkpoint was loaded in part only");
        }
    }

    @Override
    boolean whole() {
        return !torn;
    }

    private void loop() throws IOException {
        locked(
                () -> {
                    host.activateDisks();
                    host.dirtyLog().start();
                    cache.begin(host.dirtyLog());
                    target.redirectPages(cache.caching());
                    neighbours.startReplication(false);
                    neighbours.filtersStart();
                    startGuest();
                });
        link.sendReady(target.changesOffered());
        while (true) {
            checkFailover();
            budget.rest("next checkpoint from the primary");
            COLOMessage message = link.receive();
            if (message != COLOMessage.CHECKPOINT_REQUEST) {
                throw new IOException("Got unknown COLO message: " + message.ordinal());
            }
            checkpoint();
        }
    }

    private void checkpoint() throws IOException {
        // The guest here runs on until the primary's has stopped: pages that come before go to the
        // cache alone. A QEMU primary stops its guest before it sends anything.
        link.send(COLOMessage.CHECKPOINT_REPLY);
        link.expect(COLOMessage.VMSTATE_SEND);
        budget.phase("progress of the pages from the primary", target.in()::position);
        target.loadRam(this::stand);
        stand();
        target.devices(readDevices(link.expectValue(COLOMessage.VMSTATE_SIZE)));
        link.send(COLOMessage.VMSTATE_RECEIVED);
        locked(
                () -> {
                    loading = true;
                    try {
                        // What may fail comes first and leaves all as it was.
                        budget.phase("approval of the device state");
                        neighbours.checkReplication();
                        checkDevices();
                        budget.phase("checkpoint of the disks");
                        checkpointDisks();
                        budget.phase("end of the loading");
                        torn = true;
                        cache.flush(host.dirtyLog());
                        target.loadDevices();
                        torn = false;
                        neighbours.filtersCheckpoint();
                        startGuest();
                    } finally {
                        loading = false;
                        afterLoading();
                    }
                });
        completed();
        checkFailover();
        link.send(COLOMessage.VMSTATE_LOADED);
    }

    /** The devices are as they were, or this side is torn. */
    private void checkDevices() throws IOException {
        try {
            target.tryDevices();
        } catch (IOException | RuntimeException e) {
            torn = true;
            target.restoreDevices();
            torn = false;
            throw e;
        }
    }

    /** Either all disks have taken the checkpoint, or none has, or this side is torn. */
    private void checkpointDisks() throws IOException {
        try {
            neighbours.checkpointReplication();
        } catch (IOException e) {
            try {
                neighbours.checkReplication();
                target.restoreDevices();
            } catch (IOException inPart) {
                torn = true;
            }
            throw e;
        }
    }

    private void stand() throws IOException {
        if (!standing) {
            budget.pause();
            locked(
                    () -> {
                        stopGuest();
                        // While the primary collects its own.
                        target.keepDevices();
                    });
            budget.phase("end of the last pages from the primary");
        }
    }

    /** A failover that came in between begins again now. Under the machine lock. */
    private void afterLoading() {
        if (failover.move(FailoverStatus.RELAUNCH, FailoverStatus.NONE)) {
            relaunch.run();
        }
    }

    private byte[] readDevices(long size) throws IOException {
        if (Long.compareUnsigned(size, ColoTarget.MOST_DEVICE_STATE) > 0) {
            throw new IOException(
                    "The primary announces %s bytes of device state, which cannot be"
                            .formatted(Long.toUnsignedString(size)));
        }
        StateInput in = target.in();
        budget.phase("device state from the primary");
        byte[] bytes = new byte[(int) Math.min(size, CHUNK)];
        int done = 0;
        long before = in.position();
        try {
            while (done < size) {
                if (done == bytes.length) {
                    bytes = Arrays.copyOf(bytes, (int) Math.min(size, bytes.length * 2L));
                }
                in.bytes(bytes, done, bytes.length - done);
                done = bytes.length;
            }
        } catch (IOException e) {
            throw new IOException(
                    "Got %d VMState data, less than expected %d"
                            .formatted(in.position() - before, size),
                    e);
        }
        return bytes;
    }

    @Override
    void takeOver() {
        target.complete();
        stopReplication();
        neighbours.filtersFailover();
        if (!host.autostart()) {
            host.report("\"-S\" qemu option will be ignored in secondary side");
            host.autostart(true);
        }
        disconnect();
    }
}
