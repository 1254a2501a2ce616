package lockstep.colo.checkpoint;

import static java.util.concurrent.TimeUnit.NANOSECONDS;

import lockstep.api.COLOExitReason;
import lockstep.api.COLOMode;
import lockstep.api.COLOStatus;
import lockstep.api.ColoCommands;
import lockstep.api.ColoStats;
import lockstep.api.FailoverStatus;
import lockstep.api.ReplicationStatus;
import lockstep.api.XenSetReplicationArguments;
import lockstep.colo.measure.Durations;
import lockstep.qmp.QmpException;
import lockstep.runtime.migration.ColoHandler;
import lockstep.runtime.migration.ColoSource;
import lockstep.runtime.migration.ColoTarget;
import lockstep.runtime.migration.RamSink;
import lockstep.runtime.vmstate.StateException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;

/**
 * COLO in one process: takes over from the migration, answers the commands. Commands come under the
 * machine lock; the sides run on the threads that the migration gives them.
 */
public final class ColoSession implements ColoHandler, ColoCommands {
    private final Neighbours neighbours;
    private volatile @Nullable Side side;
    private volatile COLOMode lastMode = COLOMode.NONE;
    private @Nullable RamCache cache;

    /** With the rooms that take part in a checkpoint. */
    public ColoSession(Neighbours neighbours) {
        this.neighbours = neighbours;
    }

    @Override
    public void primary(ColoSource source) {
        PrimarySide primary = new PrimarySide(source, neighbours);
        side = primary;
        primary.run();
    }

    @Override
    public RamSink prepare(ColoTarget target) throws StateException {
        RamCache fresh = new RamCache(target.host().blocks());
        cache = fresh;
        return fresh.mirroring();
    }

    @Override
    public void secondary(ColoTarget target) throws IOException {
        RamCache prepared = cache;
        if (prepared == null) {
            throw new IllegalStateException("COLO was not prepared");
        }
        cache = null;
        SecondarySide[] self = new SecondarySide[1];
        SecondarySide secondary =
                new SecondarySide(target, prepared, neighbours, () -> require(self[0]));
        self[0] = secondary;
        side = secondary;
        secondary.run();
    }

    @Override
    public void delayChanged() {
        Side s = side;
        if (s != null && s.inColo()) {
            s.requestCheckpoint();
        }
    }

    @Override
    public boolean active() {
        return mode() != COLOMode.NONE;
    }

    /** Asks for a checkpoint now; no effect on a process that is not a primary. Any thread. */
    public void requestCheckpoint() {
        delayChanged();
    }

    private COLOMode mode() {
        Side s = side;
        return s != null && s.inColo() ? s.mode() : COLOMode.NONE;
    }

    /** Which side of a pair this process is; NONE as soon as a failover is under way. Any thread. */
    public COLOMode role() {
        Side s = side;
        return s != null && s.inColo() && !s.failover.wanted() ? s.mode() : COLOMode.NONE;
    }

    private boolean require(Side s) {
        if (!s.failover.move(FailoverStatus.NONE, FailoverStatus.REQUIRE)) {
            return false;
        }
        s.host.execute(
                () -> {
                    lastMode = s.mode();
                    s.runFailover();
                });
        return true;
    }

    @Override
    public void xColoLostHeartbeat() throws QmpException {
        Side s = side;
        if (s == null || !s.inColo()) {
            throw new QmpException("VM is not in COLO mode");
        }
        if (!require(s)) {
            throw new QmpException("COLO failover is already activated");
        }
    }

    @Override
    public COLOStatus queryColoStatus() {
        Side s = side;
        COLOExitReason reason = COLOExitReason.NONE;
        if (s != null) {
            reason =
                    switch (s.failover.state()) {
                        case NONE -> COLOExitReason.NONE;
                        case COMPLETED -> COLOExitReason.REQUEST;
                        default ->
                                mode() == COLOMode.PRIMARY
                                        ? COLOExitReason.PROCESSING
                                        : COLOExitReason.ERROR;
                    };
        }
        return new COLOStatus(mode(), lastMode, reason);
    }

    @Override
    public ColoStats queryColoStats() {
        Side s = side;
        Durations pauses = s == null ? new Durations() : s.pauses();
        Sent sent = s == null ? Sent.NONE : s.sent();
        return ColoStats.builder()
                .mode(mode())
                .checkpoints(pauses.count())
                .checkpointsByTime(s == null ? 0 : s.byTime())
                .checkpointAge(s == null ? 0 : NANOSECONDS.toMicros(s.age()))
                .pauseLast(NANOSECONDS.toMicros(pauses.last()))
                .pauseMedian(NANOSECONDS.toMicros(pauses.most(0.5)))
                .pause99(NANOSECONDS.toMicros(pauses.most(0.99)))
                .pauseLongest(NANOSECONDS.toMicros(pauses.longest()))
                .pagesAhead(sent.ahead())
                .rounds(sent.rounds())
                .pagesInPause(sent.inPause())
                .deviceBytes(sent.deviceBytes())
                .compare(neighbours.comparisons())
                .build();
    }

    @Override
    public void xenSetReplication(XenSetReplicationArguments arguments) throws QmpException {
        if (arguments.enable() && arguments.failover() != null) {
            throw new QmpException("Parameter 'failover' is only for stopping replication");
        }
        run(
                () -> {
                    if (arguments.enable()) {
                        neighbours.startReplication(arguments.primary());
                    } else {
                        neighbours.stopReplication(Boolean.TRUE.equals(arguments.failover()));
                    }
                });
    }

    @Override
    public ReplicationStatus queryXenReplicationStatus() {
        try {
            neighbours.checkReplication();
            return ReplicationStatus.builder().error(false).build();
        } catch (IOException e) {
            return ReplicationStatus.builder()
                    .error(true)
                    .desc(String.valueOf(e.getMessage()))
                    .build();
        }
    }

    @Override
    public void xenColoDoCheckpoint() throws QmpException {
        run(neighbours::checkpointReplication);
        neighbours.filtersCheckpoint();
    }

    private static void run(Side.Work work) throws QmpException {
        try {
            work.run();
        } catch (IOException e) {
            throw new QmpException(String.valueOf(e.getMessage()));
        }
    }
}
