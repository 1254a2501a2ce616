package lockstep.runtime.migration;

import lockstep.api.MigrationCapability;
import lockstep.api.MigrationStatus;
import lockstep.api.RunState;
import lockstep.runtime.spi.BitmapHandover;
import lockstep.runtime.trace.Trace;
import lockstep.runtime.trace.TraceEvent;
import lockstep.runtime.vmstate.EndOfStateException;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateInput;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.function.Supplier;

/**
 * The destination of a migration: its listener, its thread, the loading, and how the guest starts at the
 * end. {@link #start} is called under the machine lock.
 */
final class Incoming {
    private static final TraceEvent ACCEPTED = Trace.event("migration_socket_incoming_accepted");
    private static final TraceEvent POST_LOAD = Trace.event("migrate_global_state_post_load");

    private final MigrationHost host;
    private final MigrationSettings settings;
    private final GlobalState globalState;
    private final Supplier<@Nullable ColoHandler> colo;
    private final StatusCell status;

    private volatile @Nullable String error;
    private volatile @Nullable Address listening;
    private boolean exitOnError = true;

    // Of the loading thread.
    private volatile MigrationChannel channel = Nowhere.CHANNEL;
    private @Nullable StreamOutput out;
    private @Nullable ColoHandler coloHandler;
    private @Nullable ColoTarget coloTarget;
    private boolean coloAnnounced;
    private boolean returnPath;

    Incoming(
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

    @Nullable String error() {
        return error;
    }

    /** Where the source is awaited; null when nothing listens. */
    @Nullable Address listening() {
        return listening;
    }

    /**
     * Opens the place the source comes to and starts the thread that waits for it.
     *
     * @param exit whether a failure ends the process
     * @throws IOException with a sentence for the user
     */
    void start(Address address, boolean exit) throws IOException {
        Transport.Listener listener = Transport.listen(address, host::takeDescriptor);
        exitOnError = exit;
        error = null;
        globalState.forget();
        status.set(MigrationStatus.SETUP);
        if (address instanceof Address.Tcp || address instanceof Address.Unix) {
            listening = address;
        }
        Thread.ofPlatform().daemon().name("mig/dst/main").start(() -> run(listener, address));
    }

    private void run(Transport.Listener listener, Address address) {
        FrontDoor door = new FrontDoor(listener, address, settings, host);
        Runnable cut =
                () -> {
                    door.cut();
                    channel.shutdown();
                };
        try {
            host.connected(cut);
            channel = door.await();
            ACCEPTED.log();
            load();
            returnShut(0);
            finish();
        } catch (IOException e) {
            returnShut(1);
            fail(e);
        } catch (RuntimeException e) {
            returnShut(1);
            fail(new IOException("Internal error while loading: " + e, e));
        } finally {
            listening = null;
            host.disconnected(cut);
            channel.close();
            try {
                listener.close();
            } catch (IOException e) {
                // Nobody is awaited any more.
                listening = null;
            }
        }
    }

    private void load() throws IOException {
        StateInput in = new StateInput(new ChannelInput(channel, host.lock()));
        int magic = magic(in);
        if (magic != StreamFormat.MAGIC) {
            String note = "unknown channel magic: " + (magic & 0xffff_ffffL);
            if (magic == StreamFormat.MULTIFD_MAGIC) {
                note = "The source uses multifd, which is not supported";
            }
            throw new LoadException(LoadException.Kind.INVALID, note);
        }
        status.move(MigrationStatus.SETUP, MigrationStatus.ACTIVE);
        RamLoader ram;
        host.lock().acquire();
        try {
            ram = new RamLoader(host.blocks());
        } finally {
            host.lock().release();
        }
        StreamLoader[] holder = new StreamLoader[1];
        StreamLoader loader =
                new StreamLoader(
                        host.machineType(),
                        host.state(),
                        ram,
                        new StreamLoader.Commands() {
                            @Override
                            public void openReturnPath() throws IOException {
                                out = new StreamOutput(channel);
                                returnPath = true;
                                if (coloByReturnPath() && coloTarget == null) {
                                    expectColo(in, holder[0], ram);
                                }
                            }

                            @Override
                            public void ping(int value) throws IOException {
                                returnPong(value);
                            }

                            @Override
                            public void enableColo() throws IOException {
                                if (coloAnnounced) {
                                    throw new LoadException(
                                            LoadException.Kind.INVALID,
                                            "ENABLE_COLO command came a second time");
                                }
                                coloAnnounced = true;
                                if (coloTarget == null) {
                                    expectColo(in, holder[0], ram);
                                }
                            }
                        },
                        this::underLock);
        holder[0] = loader;
        BitmapHandover bitmaps = host.bitmaps();
        if (bitmaps != null) {
            loader.takeBitmaps(bitmaps.receive(settings.parameters().blockBitmapMapping()));
        }
        try {
            loader.header(in);
            loader.items(in);
            String complaint = loader.description(in);
            if (complaint != null) {
                host.report(complaint);
            }
        } catch (EndOfStateException e) {
            throw new LoadException(
                    LoadException.Kind.IO, "Failed to load section ID: stream error: -5");
        }
        ColoHandler handler = coloHandler;
        ColoTarget target = coloTarget;
        if (target == null && returnPath && settings.has(MigrationCapability.X_COLO)) {
            // A source of COLO by return path would go on with its guest as well as this side.
            throw new LoadException(
                    LoadException.Kind.INVALID,
                    "The source has a return path and says nothing of COLO: with x-colo here,"
                            + " return-path is to be set on both sides or on none");
        }
        if (handler != null && target != null) {
            returnShut(0);
            handler.secondary(target);
        }
    }

    /** The first four bytes, which stay in the stream. */
    private static int magic(StateInput in) throws IOException {
        int magic = 0;
        for (int i = 0; i < 4; i++) {
            int b = in.peek(i);
            if (b < 0) {
                throw new LoadException(
                        LoadException.Kind.IO, "Failed to peek at channel: the peer went away");
            }
            magic = magic << 8 | b;
        }
        return magic;
    }

    private void underLock(StreamLoader.Load body) throws StateException {
        host.lock().acquire();
        try {
            body.run();
        } finally {
            host.lock().release();
        }
    }

    /**
     * Whether COLO begins as between two QEMU 11: with both capabilities on both sides nothing in the stream speaks of it,
     * and the return path is closed before the first message of COLO. Without {@code return-path} it is as with QEMU up to
     * 10.2, which announces COLO by a command. Seen in the stream of a pair of QEMU 11.1.
     */
    private boolean coloByReturnPath() {
        return settings.has(MigrationCapability.X_COLO)
                && settings.has(MigrationCapability.RETURN_PATH);
    }

    private void expectColo(StateInput in, StreamLoader loader, RamLoader ram)
            throws StateException {
        if (!settings.has(MigrationCapability.X_COLO)) {
            throw new LoadException(
                    LoadException.Kind.INVALID,
                    "ENABLE_COLO command come in migration stream, but x-colo capability is not"
                            + " set");
        }
        ColoHandler handler = colo.get();
        if (handler == null) {
            throw new LoadException(
                    LoadException.Kind.UNSUPPORTED,
                    "ENABLE_COLO command come in migration stream, but the replication module is"
                            + " not built in");
        }
        ColoTarget target =
                new ColoTarget(
                        host,
                        settings,
                        status,
                        channel,
                        new StreamOutput(channel),
                        in,
                        loader,
                        ram,
                        reason -> error = reason);
        underLock(() -> ram.sink(handler.prepare(target)));
        coloHandler = handler;
        coloTarget = target;
    }

    private void returnPong(int value) throws IOException {
        StreamOutput back = out;
        if (back == null) {
            throw new LoadException(
                    LoadException.Kind.INVALID,
                    "CMD_PING (0x%x) received with no return path".formatted(value));
        }
        back.u16(StreamFormat.RETURN_PONG);
        back.u16(4);
        back.u32(value);
        back.flush();
    }

    /** The last message on the way back: how it went. */
    private void returnShut(int value) {
        StreamOutput back = out;
        if (!returnPath || back == null) {
            return;
        }
        returnPath = false;
        try {
            back.u16(StreamFormat.RETURN_SHUT);
            back.u16(4);
            back.u32(value);
            back.flush();
        } catch (IOException e) {
            // The source learns it from the closed connection.
            returnPath = false;
        }
    }

    /** Everything is loaded: this is where the guest lives now. */
    private void finish() throws IOException {
        host.lock().acquire();
        try {
            host.announce();
            host.activateDisks();
            boolean fromColo = coloTarget != null;
            String name = globalState.received();
            POST_LOAD.log("loaded state: " + (name == null ? "" : name));
            RunState before = name == null ? RunState.RUNNING : runState(name);
            host.asleep(globalState.receivedAsleep());
            boolean wasRunning = before == RunState.RUNNING || before == RunState.SUSPENDED;
            if (wasRunning && !host.autostart()) {
                host.runState(RunState.PAUSED);
            } else if (wasRunning || fromColo) {
                host.start();
            } else {
                host.runState(before);
            }
        } finally {
            host.lock().release();
        }
        status.move(MigrationStatus.ACTIVE, MigrationStatus.COMPLETED);
    }

    private static RunState runState(String name) {
        for (RunState state : RunState.known()) {
            if (state.wireName().equals(name)) {
                return state;
            }
        }
        return RunState.PAUSED;
    }

    private void fail(IOException e) {
        String message = String.valueOf(e.getMessage());
        if (e instanceof LoadException load) {
            load.notes().forEach(host::report);
            if (!message.startsWith("unknown channel magic")) {
                message = "load of migration failed: " + load.kind().text() + ": " + message;
            }
        } else {
            message = "load of migration failed: Input/output error: " + message;
        }
        error = message;
        status.set(MigrationStatus.FAILED);
        host.report(message);
        if (exitOnError) {
            host.exit(1);
        }
    }
}
