package lockstep.colo.checkpoint;

import lockstep.api.COLOExitReason;
import lockstep.api.COLOMode;
import lockstep.api.ColoExitEvent;
import lockstep.api.FailoverStatus;
import lockstep.api.RunState;
import lockstep.colo.measure.Durations;
import lockstep.runtime.migration.MigrationHost;
import lockstep.runtime.migration.MigrationSettings;
import lockstep.runtime.trace.Trace;
import lockstep.runtime.trace.TraceEvent;

import java.io.IOException;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;

/** What both sides of a session have in common: the guest's stops and starts, the end, the failover. */
abstract class Side {
    private static final TraceEvent VM_STATE = Trace.event("colo_vm_state_change");

    /** What ends a loop that sees a failover coming. */
    static final String FAILOVER_REQUEST = "failover request";

    final MigrationHost host;
    final Neighbours neighbours;
    final Failover failover = new Failover();

    // Of the session's thread; copies for others are made under its own monitor.
    private final Durations pauses = new Durations();
    private long stoppedAt;
    private long pause;
    private long completedAt;

    /** Limits what the session's thread waits for. */
    final TimeBudget budget;

    private final LongSupplier timeout;

    /** When the time for a failover ends, by {@link System#nanoTime}; 0 for none. */
    private volatile long failoverEnd;

    /** Whether the guest stands because of this session. Of the session's thread. */
    boolean standing;

    Side(MigrationHost host, MigrationSettings settings, Neighbours neighbours) {
        this.host = host;
        this.neighbours = neighbours;
        this.timeout = settings::coloTimeout;
        this.budget = new TimeBudget("COLO checkpoint", settings::coloTimeout, this::disconnect);
    }

    /** Which side this is. */
    abstract COLOMode mode();

    /** Whether the migration's status is {@code colo}. */
    abstract boolean inColo();

    /** Whether a failover must wait for the end of the loading. */
    boolean loading() {
        return false;
    }

    /** Whether the guest here is as some checkpoint left it and then ran. Of the session's thread. */
    boolean whole() {
        return true;
    }

    /** How many pages this side has sent. Any thread. */
    Sent sent() {
        return Sent.NONE;
    }

    /** How many checkpoints the time set off on this side. Any thread. */
    long byTime() {
        return 0;
    }

    /** A checkpoint is wanted now. */
    void requestCheckpoint() {}

    /** Ends the connection; wakes who is blocked on it. Any thread. */
    abstract void disconnect();

    /** The session has ended with an error. */
    abstract void failed(String reason);

    /** The other side is given up: nothing waits for it any more. Under the machine lock. */
    void giveUpPeer() {}

    /** The side's own part of a failover, the guest stopped. Under the machine lock. */
    abstract void takeOver();

    /** Work of a session that may fail. */
    interface Work {
        /** Does it. */
        void run() throws IOException;
    }

    /** Runs {@code work} under the machine lock, unless a failover has begun. */
    void locked(Work work) throws IOException {
        host.lock().acquire();
        try {
            checkFailover();
            work.run();
        } finally {
            host.lock().release();
        }
    }

    void checkFailover() throws IOException {
        if (failover.wanted()) {
            throw new IOException(FAILOVER_REQUEST);
        }
    }

    /** Stops the guest for a checkpoint. Under the machine lock, which is given up meanwhile. */
    void stopGuest() throws IOException {
        stoppedAt = System.nanoTime();
        standing = true;
        boolean settled = stop();
        VM_STATE.log("Change 'run' => 'stop'");
        checkFailover();
        if (!settled) {
            throw new IOException("requests to the guest's disk do not end");
        }
    }

    private boolean stop() {
        long patience = patience();
        return host.stop(
                RunState.COLO,
                patience == 0 ? Long.MAX_VALUE / 2 : TimeUnit.MILLISECONDS.toNanos(patience));
    }

    /** How many milliseconds this side's disks may take for what it does now, 0 for ever. Any thread. */
    long patience() {
        long end = failoverEnd;
        long whole = timeout.getAsLong();
        return end == 0 || whole == 0
                ? budget.left()
                : Math.max(1, TimeUnit.NANOSECONDS.toMillis(end - System.nanoTime()));
    }

    /** Lets the guest go on. Under the machine lock. */
    void startGuest() {
        host.start();
        pause = System.nanoTime() - stoppedAt;
        standing = false;
        budget.rest();
        VM_STATE.log("Change 'stop' => 'run'");
    }

    /** A checkpoint is complete, and the guest runs. Returns how many nanoseconds it stood. */
    long completed() {
        synchronized (pauses) {
            pauses.add(pause);
            completedAt = System.nanoTime();
        }
        return pause;
    }

    /** How many nanoseconds ago the last checkpoint was completed; 0 when there was none. Any thread. */
    long age() {
        synchronized (pauses) {
            return pauses.count() == 0 ? 0 : System.nanoTime() - completedAt;
        }
    }

    /** How long the guest stood in each checkpoint. Any thread. */
    Durations pauses() {
        synchronized (pauses) {
            return pauses.copy();
        }
    }

    /** Runs the session's loop, then sees it to its end. Returns when a failover has ended it. */
    void session(Work loop) {
        try {
            loop.run();
        } catch (IOException e) {
            end(String.valueOf(e.getMessage()));
        } catch (RuntimeException e) {
            end("Internal error in COLO: " + e);
        }
        boolean asked = failover.wanted();
        if (asked) {
            // The loop may end before the failover that ended it has; only then its reason is
            // known.
            failover.awaitRelease();
        }
        host.emit(new ColoExitEvent(mode(), asked ? COLOExitReason.REQUEST : COLOExitReason.ERROR));
        failover.awaitRelease();
    }

    /**
     * Something ended the loop. Unless that was a failover, the peer is told by the connection's end, and a
     * guest that stands for a checkpoint goes on: nobody knows yet who goes on alone, and until somebody
     * decides, what the primary's guest sends leaves only if the secondary's sends the same.
     */
    private void end(String error) {
        String reason = error;
        if (!failover.wanted()) {
            String exceeded = budget.exceeded();
            reason = exceeded == null ? budget.tell(error) : exceeded;
            // What clients see is QEMU's.
            failed(exceeded == null ? error : exceeded);
            disconnect();
        }
        budget.rest();
        host.report(reason);
        host.lock()
                .run(
                        () -> {
                            if (standing && whole() && !failover.wanted()) {
                                startGuest();
                            }
                        });
        budget.close();
    }

    /** The failover's main part. On the main loop, under the machine lock. */
    void runFailover() {
        failoverEnd = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(timeout.getAsLong());
        if (!failover.move(FailoverStatus.REQUIRE, FailoverStatus.ACTIVE)) {
            return;
        }
        if (loading() && failover.move(FailoverStatus.ACTIVE, FailoverStatus.RELAUNCH)) {
            return;
        }
        giveUpPeer();
        if (host.running() && !stop()) {
            host.report(
                    "COLO failover: no end of the guest's disk writes within %d ms"
                            .formatted(timeout.getAsLong()));
        }
        try {
            takeOver();
        } catch (RuntimeException e) {
            // Whatever a neighbour does, the guest must get its chance to run.
            host.report("Internal error in failover: " + e);
        }
        failover.move(FailoverStatus.ACTIVE, FailoverStatus.COMPLETED);
        failover.release();
    }

    /** Ends replication; an error is told and does not hold the failover up. */
    void stopReplication() {
        try {
            neighbours.stopReplication(true);
        } catch (IOException e) {
            host.report("COLO failover: no end of the replication: " + e.getMessage());
        }
    }
}
