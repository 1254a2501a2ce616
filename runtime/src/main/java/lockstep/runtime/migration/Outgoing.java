package lockstep.runtime.migration;

import lockstep.api.MigrationCapability;
import lockstep.api.MigrationPassEvent;
import lockstep.api.MigrationStatus;
import lockstep.api.RunState;
import lockstep.qmp.QmpException;
import lockstep.runtime.spi.BitmapHandover;
import lockstep.runtime.trace.Trace;
import lockstep.runtime.trace.TraceEvent;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateInput;
import lockstep.runtime.vmstate.StateOutput;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.EnumSet;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;

/**
 * The source of a migration: its status, its thread, the course from connecting to the guest's end here or
 * to COLO. {@link #start}, {@link #cancel} and {@link #proceed} are called under the machine lock.
 */
final class Outgoing {
    private static final Set<MigrationStatus> RUNNING =
            EnumSet.of(
                    MigrationStatus.SETUP,
                    MigrationStatus.ACTIVE,
                    MigrationStatus.WAIT_UNPLUG,
                    MigrationStatus.PRE_SWITCHOVER,
                    MigrationStatus.DEVICE,
                    MigrationStatus.CANCELLING,
                    MigrationStatus.COLO);

    private static final long WINDOW_NANOS = TimeUnit.MILLISECONDS.toNanos(100);
    private static final long PART_NANOS = TimeUnit.MILLISECONDS.toNanos(50);
    private static final TraceEvent ERROR = Trace.event("migrate_error");
    private static final TraceEvent CONNECTED = Trace.event("migration_socket_outgoing_connected");
    private static final TraceEvent CONNECT_ERROR = Trace.event("migration_socket_outgoing_error");
    private static final TraceEvent LOW_PENDING = Trace.event("migration_thread_low_pending");
    private static final TraceEvent TRANSFERRED = Trace.event("migrate_transferred");
    private static final TraceEvent CLEANUP = Trace.event("migration_cleanup");

    private final MigrationHost host;
    private final MigrationSettings settings;
    private final GlobalState globalState;
    private final Supplier<@Nullable ColoHandler> colo;
    private final StatusCell status;
    private final Object wake = new Object();

    private volatile @Nullable String error;
    private volatile RamStats stats = new RamStats();
    private volatile @Nullable MigrationChannel channel;
    private volatile Transport.Attempt attempt = new Transport.Attempt();
    private volatile long startNanos;
    private volatile long setupMillis;
    private volatile long totalMillis;
    private volatile long downtimeMillis;
    private volatile long expectedDowntimeMillis;

    // Of the migration thread.
    private @Nullable RamSource ram;
    private long bandwidth;
    private long threshold;
    private boolean guestRan;
    private @Nullable RunState stateBefore;
    private boolean disksInactive;
    private BitmapHandover.@Nullable Sending bitmaps;

    Outgoing(
            MigrationHost host,
            MigrationSettings settings,
            GlobalState globalState,
            Supplier<@Nullable ColoHandler> colo) {
        this.host = host;
        this.settings = settings;
        this.globalState = globalState;
        this.colo = colo;
        this.status = new StatusCell(host, settings);
    }

    StatusCell status() {
        return status;
    }

    /** Whether a migration is under way. */
    boolean active() {
        return RUNNING.contains(status.get());
    }

    @Nullable String error() {
        return error;
    }

    /** COLO has ended for this reason, which is told with the migration. */
    void coloFailed(String reason) {
        error = reason;
    }

    /** Whether the guest ran before it was stopped for the switchover. On the migration thread. */
    boolean guestRan() {
        return guestRan;
    }

    RamStats stats() {
        return stats;
    }

    long setupMillis() {
        return setupMillis;
    }

    /** Milliseconds of the whole migration, so far or at its end. */
    long totalMillis() {
        return active()
                ? TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - startNanos)
                : totalMillis;
    }

    long downtimeMillis() {
        return downtimeMillis;
    }

    long expectedDowntimeMillis() {
        return expectedDowntimeMillis;
    }

    /**
     * Begins a migration; the caller has checked that none is under way.
     *
     * @throws IOException what cannot be opened, where that is known without waiting for a peer
     */
    void start(Address address) throws IOException {
        error = null;
        stats = new RamStats();
        setupMillis = 0;
        totalMillis = 0;
        downtimeMillis = 0;
        expectedDowntimeMillis = settings.downtimeLimit();
        startNanos = System.nanoTime();
        attempt = new Transport.Attempt();
        ram = null;
        bandwidth = 0;
        threshold = 0;
        guestRan = false;
        stateBefore = null;
        disksInactive = false;
        bitmaps = null;
        status.set(MigrationStatus.SETUP);
        MigrationChannel open = null;
        if (Transport.connectsAtOnce(address)) {
            try {
                open = Transport.connect(address, attempt, host::takeDescriptor);
            } catch (IOException e) {
                error = e.getMessage();
                status.set(MigrationStatus.FAILED);
                throw e;
            }
        }
        MigrationChannel opened = open;
        Thread.ofPlatform().daemon().name("mig/src/main").start(() -> run(address, opened));
    }

    /** Asks the migration to end; the guest goes on here. */
    void cancel() {
        MigrationStatus now = status.get();
        if (!RUNNING.contains(now) || now == MigrationStatus.CANCELLING) {
            return;
        }
        Trace.event("migration_cancel").log();
        status.set(MigrationStatus.CANCELLING);
        try {
            attempt.close();
        } catch (IOException e) {
            // The connection was being given up in any case.
        }
        MigrationChannel c = channel;
        if (c != null) {
            c.shutdown();
        }
        wakeUp();
    }

    /** Goes on behind the pause before the switchover. Returns false in any other status. */
    boolean proceed() {
        boolean moved = status.move(MigrationStatus.PRE_SWITCHOVER, MigrationStatus.DEVICE);
        wakeUp();
        return moved;
    }

    private void wakeUp() {
        synchronized (wake) {
            wake.notifyAll();
        }
    }

    private boolean cancelled() {
        return status.get() == MigrationStatus.CANCELLING;
    }

    private void run(Address address, @Nullable MigrationChannel opened) {
        MigrationChannel plain;
        try {
            plain =
                    opened != null
                            ? opened
                            : Transport.connect(address, attempt, host::takeDescriptor);
        } catch (IOException e) {
            CONNECT_ERROR.log("error=" + e.getMessage());
            fail(String.valueOf(e.getMessage()));
            return;
        }
        if (address instanceof Address.Tcp tcp) {
            CONNECTED.log("hostname=" + tcp.host());
        }
        channel = plain;
        Runnable cut = plain::shutdown;
        host.connected(cut);
        MigrationChannel c = plain;
        try {
            c = TlsLink.secured(plain, address, false, settings, host);
            channel = c;
            transfer(c);
        } catch (IOException e) {
            fail(String.valueOf(e.getMessage()));
        } catch (RuntimeException e) {
            fail("Internal error in migration: " + e);
        } finally {
            CLEANUP.log();
            RamSource r = ram;
            if (r != null) {
                r.stop();
            }
            BitmapHandover.Sending b = bitmaps;
            if (b != null) {
                host.lock().run(b::end);
            }
            host.disconnected(cut);
            c.close();
            channel = null;
        }
    }

    /** Collects the dirty log and says so. Returns how many pages the peer lacks. */
    long syncRam() {
        source().sync();
        if (settings.has(MigrationCapability.EVENTS)) {
            host.emit(new MigrationPassEvent(stats.syncs));
        }
        return source().pendingPages();
    }

    private RamSource source() {
        RamSource r = ram;
        if (r == null) {
            throw new IllegalStateException("no migration is under way");
        }
        return r;
    }

    private void transfer(MigrationChannel c) throws IOException {
        StreamOutput out = new StreamOutput(c);
        boolean intoColo = settings.has(MigrationCapability.X_COLO);
        host.lock().acquire();
        try {
            ram =
                    new RamSource(
                            host.lock(),
                            host.dirtyLog(),
                            host.blocks(),
                            stats,
                            settings.detectZeroPages());
            bitmaps = intoColo ? null : bitmapsToSend();
        } finally {
            host.lock().release();
        }
        StreamSaver saver = new StreamSaver(host.machineType(), host.state(), source());
        saver.header(out);
        StateInput in = new StateInput(new ChannelInput(c, host.lock()));
        ReturnPath back = null;
        if (settings.has(MigrationCapability.RETURN_PATH)) {
            back = new ReturnPath(in);
            saver.command(out, StreamFormat.COMMAND_OPEN_RETURN_PATH);
            saver.ping(out, 1);
            back.start();
        } else if (intoColo) {
            saver.command(out, StreamFormat.COMMAND_ENABLE_COLO);
        }
        source().start();
        syncRam();
        saver.ramStart(out);
        if (bitmaps != null) {
            saver.bitmapsStart(out, bitmaps);
        }
        out.flush();
        setupMillis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - startNanos);
        status.move(MigrationStatus.SETUP, MigrationStatus.ACTIVE);
        iterate(saver, out);
        long stopped = System.nanoTime();
        switchOver();
        completeInTime(c, saver, out);
        if (back != null) {
            // A COLO pair waits for nothing for ever.
            back.await(intoColo ? settings.coloTimeout() : 0);
        }
        if (cancelled()) {
            throw new IOException("migration cancelled");
        }
        long end = System.nanoTime();
        if (intoColo) {
            colo(c, out, in, saver);
            stats.mbps = 0;
            return;
        }
        downtimeMillis = TimeUnit.NANOSECONDS.toMillis(end - stopped);
        totalMillis = TimeUnit.NANOSECONDS.toMillis(end - startNanos);
        RamStats s = stats;
        s.mbps = s.transferred * 8.0 / 1e3 / Math.max(1, totalMillis - setupMillis);
        s.remainingBytes = 0;
        s.dirtyPagesRate = 0;
        host.lock().run(() -> host.runState(RunState.POSTMIGRATE));
        status.move(MigrationStatus.DEVICE, MigrationStatus.COMPLETED);
    }

    /** Those that move; under the machine lock. */
    private BitmapHandover.@Nullable Sending bitmapsToSend() throws IOException {
        BitmapHandover handover = host.bitmaps();
        if (handover == null || !settings.has(MigrationCapability.DIRTY_BITMAPS)) {
            return null;
        }
        try {
            return handover.send(settings.parameters().blockBitmapMapping());
        } catch (QmpException e) {
            throw new IOException(e.description(), e);
        }
    }

    /** Sends RAM while the guest runs, until what is left fits into the downtime. */
    private void iterate(StreamSaver saver, StreamOutput out) throws IOException {
        RamSource source = source();
        long windowStart = System.nanoTime();
        long windowBytes = out.position();
        long windowPages = stats.pages();
        while (true) {
            if (cancelled()) {
                throw new IOException("migration cancelled");
            }
            long partStart = out.position();
            if (source.pending() < threshold && host.running()) {
                LOW_PENDING.log(Long.toString(source.pending()));
                syncRam();
            }
            // The log is not read again of a guest that stands still, nor before the first
            // measurement, when
            // one that keeps touching a page would be asked for it again and again: the last part
            // has them.
            if (source.pending() == 0 || source.pending() < threshold) {
                break;
            }
            long perSecond = settings.maxBandwidth();
            long limit =
                    perSecond == 0 ? Long.MAX_VALUE : windowBytes + Math.max(1, perSecond / 10);
            long now = System.nanoTime();
            if (out.position() >= limit && now - windowStart < WINDOW_NANOS) {
                out.flush();
                pause(windowStart + WINDOW_NANOS - now);
            } else {
                saver.ramPart(out, now + PART_NANOS, limit);
            }
            now = System.nanoTime();
            if (now - windowStart >= WINDOW_NANOS) {
                measure(out.position() - windowBytes, now - windowStart, source.pending());
                stats.pagesPerSecond =
                        (stats.pages() - windowPages) * 1_000_000_000L / (now - windowStart);
                windowStart = now;
                windowBytes = out.position();
                windowPages = stats.pages();
            }
            stats.transferred = out.position();
            if (host.running()) {
                stats.precopyBytes += out.position() - partStart;
            } else {
                stats.downtimeBytes += out.position() - partStart;
            }
        }
        out.flush();
    }

    private void measure(long bytes, long nanos, long pending) {
        bandwidth = bytes * 1_000_000_000L / nanos;
        long expected = settings.switchoverBandwidth();
        long atSwitchover = expected > 0 ? expected : bandwidth;
        double limit = (double) atSwitchover * settings.downtimeLimit() / 1000;
        threshold = limit > Long.MAX_VALUE / 2.0 ? Long.MAX_VALUE / 2 : (long) limit;
        if (atSwitchover > 0) {
            expectedDowntimeMillis = (long) ((double) pending * 1000 / atSwitchover);
        }
        stats.mbps = bandwidth * 8.0 / 1e6;
        TRANSFERRED.log(
                "transferred %d time_spent %d bandwidth %d switchover_bw %d max_size %d",
                bytes, nanos / 1_000_000, bandwidth / 1000, expected, threshold);
    }

    private void pause(long nanos) {
        long end = System.nanoTime() + nanos;
        synchronized (wake) {
            while (!cancelled()) {
                long left = end - System.nanoTime();
                if (left <= 0) {
                    return;
                }
                try {
                    TimeUnit.NANOSECONDS.timedWait(wake, left);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                    return;
                }
            }
        }
    }

    /** Stops the guest and, if asked to, waits for the word to go on. */
    private void switchOver() throws IOException {
        host.lock()
                .run(
                        () -> {
                            RunState before = host.runState();
                            stateBefore = before;
                            guestRan = host.running() || before == RunState.SUSPENDED;
                            globalState.store(before.wireName(), host.asleep());
                            host.stop(RunState.FINISH_MIGRATE);
                        });
        if (settings.has(MigrationCapability.PAUSE_BEFORE_SWITCHOVER)) {
            status.move(MigrationStatus.ACTIVE, MigrationStatus.PRE_SWITCHOVER);
            if (!awaitWhile(() -> status.get() == MigrationStatus.PRE_SWITCHOVER)) {
                throw new IOException(
                        "COLO start: no 'migrate-continue' within %d ms of the guest's stop"
                                .formatted(standMillis()));
            }
        } else {
            status.move(MigrationStatus.ACTIVE, MigrationStatus.DEVICE);
        }
        if (cancelled()) {
            throw new IOException("migration cancelled");
        }
    }

    /** How long the guest may stand before COLO has begun: as long as this side waits for the other one; 0 for ever. */
    private long standMillis() {
        return settings.has(MigrationCapability.X_COLO) ? settings.coloTimeout() : 0;
    }

    /** Waits, for as long as the guest may stand. Returns whether the condition is over. */
    private boolean awaitWhile(BooleanSupplier condition) {
        long limit = standMillis();
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(limit);
        synchronized (wake) {
            while (condition.getAsBoolean()) {
                long left = limit == 0 ? Long.MAX_VALUE : end - System.nanoTime();
                if (left <= 0) {
                    return false;
                }
                try {
                    TimeUnit.NANOSECONDS.timedWait(wake, left);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                    return false;
                }
            }
        }
        return true;
    }

    /** As {@link #complete}; a peer that takes nothing, for which the guest would stand, is cut off. */
    private void completeInTime(MigrationChannel c, StreamSaver saver, StreamOutput out)
            throws IOException {
        AtomicBoolean under = new AtomicBoolean(true);
        AtomicBoolean late = new AtomicBoolean();
        Thread.ofPlatform()
                .daemon()
                .name("mig/limit")
                .start(
                        () -> {
                            if (!awaitWhile(under::get)) {
                                late.set(true);
                                c.shutdown();
                            }
                        });
        try {
            complete(saver, out);
        } catch (IOException e) {
            throw late.get()
                    ? new IOException(
                            "COLO start: the last pages and the device state were not taken within"
                                    + " %d ms of the guest's stop".formatted(standMillis()),
                            e)
                    : e;
        } finally {
            under.set(false);
            wakeUp();
        }
    }

    /** Sends the rest of RAM, the devices and the description. */
    private void complete(StreamSaver saver, StreamOutput out) throws IOException {
        if (!settings.has(MigrationCapability.X_COLO)) {
            host.lock().acquire();
            try {
                disksInactive = true;
                if (bitmaps != null) {
                    bitmaps.leave();
                }
                host.inactivateDisks();
            } finally {
                host.lock().release();
            }
        }
        long before = out.position();
        saver.switchoverStart(out);
        syncRam();
        saver.ramEnd(out);
        if (bitmaps != null) {
            saver.bitmapsEnd(out, bitmaps);
        }
        StateOutput devices = new StateOutput(1 << 18);
        saveDevices(saver, devices);
        out.state(devices);
        out.flush();
        stats.transferred = out.position();
        stats.downtimeBytes += out.position() - before;
    }

    private void saveDevices(StreamSaver saver, StateOutput devices) throws StateException {
        host.lock().acquire();
        try {
            saver.devicesAndDescription(devices, settings.has(MigrationCapability.X_COLO));
        } finally {
            host.lock().release();
        }
    }

    private void colo(MigrationChannel c, StreamOutput out, StateInput in, StreamSaver saver)
            throws IOException {
        ColoHandler handler = colo.get();
        if (handler == null) {
            throw new IOException("COLO is not part of this program");
        }
        status.move(MigrationStatus.DEVICE, MigrationStatus.COLO);
        try (ColoSource source = new ColoSource(this, host, settings, c, out, in, saver)) {
            handler.primary(source);
        }
        host.lock()
                .run(
                        () -> {
                            try {
                                host.activateDisks();
                            } catch (StateException e) {
                                host.report(String.valueOf(e.getMessage()));
                            }
                            host.start();
                        });
    }

    /** Ends a migration that did not succeed; the guest goes on here as it was before. */
    private void fail(String message) {
        boolean wasCancelled = cancelled();
        if (!wasCancelled) {
            if (error == null) {
                error = message;
            }
            ERROR.log("error=" + message);
            host.report(message);
        }
        host.lock().run(this::resumeHere);
        totalMillis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - startNanos);
        status.set(wasCancelled ? MigrationStatus.CANCELLED : MigrationStatus.FAILED);
    }

    private void resumeHere() {
        RunState before = stateBefore;
        if (before == null) {
            return;
        }
        if (disksInactive) {
            try {
                host.activateDisks();
            } catch (StateException e) {
                // Without its disks the guest must not run: it stays where it stopped.
                host.report(String.valueOf(e.getMessage()));
                return;
            }
        }
        if (guestRan) {
            host.start();
        } else if (host.runState() == RunState.FINISH_MIGRATE) {
            host.runState(before);
        }
    }
}
