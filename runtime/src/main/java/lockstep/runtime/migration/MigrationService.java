package lockstep.runtime.migration;

import lockstep.api.InetSocketAddress;
import lockstep.api.MigrateArguments;
import lockstep.api.MigrateContinueArguments;
import lockstep.api.MigrateIncomingArguments;
import lockstep.api.MigrateRecoverArguments;
import lockstep.api.MigrateSetCapabilitiesArguments;
import lockstep.api.MigrateSetParameters;
import lockstep.api.MigrationAddress;
import lockstep.api.MigrationCapability;
import lockstep.api.MigrationCapabilityStatus;
import lockstep.api.MigrationCommands;
import lockstep.api.MigrationInfo;
import lockstep.api.MigrationParameters;
import lockstep.api.MigrationStats;
import lockstep.api.MigrationStatus;
import lockstep.api.RunState;
import lockstep.api.SocketAddress;
import lockstep.api.UnixSocketAddress;
import lockstep.qmp.QmpException;
import lockstep.runtime.spi.IncomingMigration;
import lockstep.runtime.spi.MigrationState;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.function.Supplier;

/** The migrations of one process as its monitors drive them. Called under the machine lock. */
public final class MigrationService
        implements MigrationCommands, IncomingMigration, MigrationState {
    static final String BUSY = "There's a migration process in progress";

    /** What can be switched on; all others are known by name only. */
    private static final Set<MigrationCapability> SUPPORTED =
            EnumSet.of(
                    MigrationCapability.EVENTS,
                    MigrationCapability.DIRTY_BITMAPS,
                    MigrationCapability.X_COLO,
                    MigrationCapability.RETURN_PATH,
                    MigrationCapability.PAUSE_BEFORE_SWITCHOVER,
                    MigrationCapability.ZERO_BLOCKS);

    private final MigrationHost host;
    private final MigrationSettings settings;
    private final Supplier<@Nullable ColoHandler> colo;
    private final Supplier<List<String>> blockers;
    private final Outgoing outgoing;
    private final Incoming incoming;
    private boolean incomingStarted;

    /**
     * For one process.
     *
     * @param globalState its section
     * @param blockers why migration is impossible at the moment
     * @param colo who goes on behind a migration with x-colo; null when nobody does
     */
    public MigrationService(
            MigrationHost host,
            MigrationSettings settings,
            GlobalState globalState,
            Supplier<List<String>> blockers,
            Supplier<@Nullable ColoHandler> colo) {
        this.host = host;
        this.settings = settings;
        this.colo = colo;
        this.blockers = blockers;
        this.outgoing = new Outgoing(host, settings, globalState, colo);
        this.incoming = new Incoming(host, settings, globalState, colo);
    }

    /** Capabilities and parameters. */
    public MigrationSettings settings() {
        return settings;
    }

    /** The status as the source; {@code none} before the first migration. Any thread. */
    public MigrationStatus sourceStatus() {
        return outgoing.status().get();
    }

    @Override
    public boolean busy() {
        ColoHandler handler = colo.get();
        return outgoing.active() || (handler != null && handler.active());
    }

    @Override
    public void listen(String text) throws QmpException {
        listen(parse(text), true);
    }

    private void listen(Address address, boolean exitOnError) throws QmpException {
        incomingStarted = true;
        try {
            incoming.start(address, exitOnError);
        } catch (IOException e) {
            incomingStarted = false;
            throw new QmpException(String.valueOf(e.getMessage()));
        }
    }

    private static Address parse(String uri) throws QmpException {
        try {
            return Address.parse(uri);
        } catch (IllegalArgumentException e) {
            throw new QmpException(String.valueOf(e.getMessage()));
        }
    }

    private static Address address(
            @Nullable String uri, @Nullable List<lockstep.api.MigrationChannel> channels)
            throws QmpException {
        if ((uri == null) == (channels == null || channels.isEmpty())) {
            throw new QmpException("need either 'uri' or 'channels' argument");
        }
        if (uri != null) {
            return parse(uri);
        }
        if (channels == null || channels.size() != 1) {
            throw new QmpException("Channel list must have one entry");
        }
        try {
            return switch (channels.getFirst().addr()) {
                case MigrationAddress.Unrecognized u -> throw new AssertionError(u);
                case MigrationAddress.Exec exec ->
                        new Address.Exec(exec.data().args(), String.join(" ", exec.data().args()));
                case MigrationAddress.File file ->
                        new Address.File(file.data().filename(), file.data().offset());
                case MigrationAddress.Rdma rdma ->
                        throw new QmpException("migration over rdma is not supported");
                case MigrationAddress.Socket socket ->
                        switch (socket.data()) {
                            case SocketAddress.Unrecognized u -> throw new AssertionError(u);
                            case SocketAddress.Inet inet ->
                                    new Address.Tcp(
                                            inet.data().host(),
                                            Address.port(
                                                    inet.data().port(),
                                                    inet.data().host() + ":" + inet.data().port()));
                            case SocketAddress.Unix unix -> new Address.Unix(unix.data().path());
                            case SocketAddress.Fd fd -> new Address.Descriptor(fd.data().str());
                            case SocketAddress.Vsock vsock ->
                                    throw new QmpException("migration over vsock is not supported");
                        };
            };
        } catch (IllegalArgumentException e) {
            throw new QmpException(String.valueOf(e.getMessage()));
        }
    }

    @Override
    public void migrate(MigrateArguments arguments) throws QmpException {
        Address address = address(arguments.uri(), arguments.channels());
        if (Boolean.TRUE.equals(arguments.resume())) {
            throw new QmpException("Cannot resume if there is no paused migration");
        }
        if (busy()) {
            throw new QmpException(BUSY);
        }
        RunState state = host.runState();
        if (state == RunState.INMIGRATE) {
            throw new QmpException("Guest is waiting for an incoming migration");
        }
        if (state == RunState.POSTMIGRATE) {
            throw new QmpException(
                    "Can't migrate the vm that was paused due to previous migration");
        }
        List<String> reasons = blockers.get();
        if (!reasons.isEmpty()) {
            throw new QmpException(reasons.getFirst());
        }
        if (settings.has(MigrationCapability.X_COLO)
                && !(address instanceof Address.Tcp || address instanceof Address.Unix)) {
            throw new QmpException("COLO needs a channel of two directions: tcp or unix");
        }
        try {
            outgoing.start(address);
        } catch (IOException e) {
            throw new QmpException(String.valueOf(e.getMessage()));
        }
    }

    @Override
    public void migrateStartPostcopy() throws QmpException {
        // The capability cannot be switched on here.
        throw new QmpException(
                "Enable postcopy with migrate_set_capability before the start of migration");
    }

    @Override
    public void migrateRecover(MigrateRecoverArguments arguments) throws QmpException {
        throw new QmpException("Migrate recover can only be run when postcopy is paused.");
    }

    @Override
    public void migratePause() throws QmpException {
        throw new QmpException(
                "migrate-pause is currently only supported during postcopy-active or"
                        + " postcopy-recover state");
    }

    @Override
    public void migrateIncoming(MigrateIncomingArguments arguments) throws QmpException {
        if (incomingStarted) {
            throw new QmpException("The incoming migration has already been started");
        }
        if (host.runState() != RunState.INMIGRATE) {
            throw new QmpException("'-incoming' was not specified on the command line");
        }
        Address address = address(arguments.uri(), arguments.channels());
        listen(address, !Boolean.FALSE.equals(arguments.exitOnError()));
    }

    @Override
    public void migrateCancel() throws QmpException {
        if (outgoing.status().get() == MigrationStatus.COLO) {
            throw new QmpException(
                    "COLO runs and cannot be cancelled; end it with x-colo-lost-heartbeat");
        }
        outgoing.cancel();
    }

    @Override
    public void migrateContinue(MigrateContinueArguments arguments) throws QmpException {
        MigrationStatus state = arguments.state();
        if (state != MigrationStatus.PRE_SWITCHOVER || !outgoing.proceed()) {
            throw new QmpException(
                    "Migration not in expected state: " + outgoing.status().get().wireName());
        }
    }

    @Override
    public void migrateSetCapabilities(MigrateSetCapabilitiesArguments arguments)
            throws QmpException {
        if (busy()) {
            throw new QmpException(BUSY);
        }
        Set<MigrationCapability> on = settings.enabled();
        for (MigrationCapabilityStatus change : arguments.capabilities()) {
            if (!change.state()) {
                on.remove(change.capability());
            } else if (SUPPORTED.contains(change.capability())) {
                on.add(change.capability());
            } else {
                throw new QmpException(
                        "Migration capability '"
                                + change.capability().wireName()
                                + "' is not supported");
            }
        }
        settings.enable(on);
    }

    @Override
    public List<MigrationCapabilityStatus> queryMigrateCapabilities() {
        List<MigrationCapabilityStatus> all = new ArrayList<>();
        for (MigrationCapability capability : MigrationCapability.known()) {
            all.add(new MigrationCapabilityStatus(capability, settings.has(capability)));
        }
        return all;
    }

    @Override
    public void migrateSetParameters(MigrateSetParameters arguments) throws QmpException {
        settings.parameters(ParameterChecks.merge(settings.parameters(), arguments));
        ColoHandler handler = colo.get();
        if (arguments.xCheckpointDelay() != null && handler != null) {
            handler.delayChanged();
        }
    }

    @Override
    public MigrationParameters queryMigrateParameters() {
        return settings.parameters();
    }

    @Override
    public MigrationInfo queryMigrate() {
        MigrationInfo.Builder info = MigrationInfo.builder();
        MigrationStatus source = outgoing.status().get();
        List<String> reasons = blockers.get();
        if (!reasons.isEmpty()) {
            info.blockedReasons(reasons);
        }
        if (source == MigrationStatus.NONE) {
            targetInfo(info);
            return info.build();
        }
        info.status(source);
        String error = outgoing.error();
        if (error != null) {
            info.errorDesc(error);
        }
        switch (source) {
            case ACTIVE, CANCELLING, PRE_SWITCHOVER, DEVICE -> {
                info.setupTime(outgoing.setupMillis());
                info.totalTime(outgoing.totalMillis());
                info.expectedDowntime(outgoing.expectedDowntimeMillis());
                info.ram(ram());
            }
            case COMPLETED -> {
                info.setupTime(outgoing.setupMillis());
                info.totalTime(outgoing.totalMillis());
                info.downtime(outgoing.downtimeMillis());
                info.ram(ram());
            }
            default -> {}
        }
        return info.build();
    }

    private MigrationStats ram() {
        RamStats s = outgoing.stats();
        return new MigrationStats(
                s.transferred,
                s.remainingBytes,
                s.totalBytes,
                s.zeroPages,
                s.normalPages,
                s.normalPages * 4096,
                s.dirtyPagesRate,
                s.mbps,
                s.syncs,
                0,
                4096,
                0,
                s.pagesPerSecond,
                s.precopyBytes,
                s.downtimeBytes,
                0,
                0);
    }

    private void targetInfo(MigrationInfo.Builder info) {
        MigrationStatus status = incoming.status().get();
        if (status == MigrationStatus.NONE) {
            return;
        }
        info.status(status);
        Address address = incoming.listening();
        if (address instanceof Address.Tcp tcp) {
            boolean six = tcp.host().indexOf(':') >= 0;
            InetSocketAddress.Builder inet =
                    InetSocketAddress.builder()
                            .host(tcp.host().isEmpty() ? "0.0.0.0" : tcp.host())
                            .port(Integer.toString(tcp.port()));
            if (six) {
                inet.ipv6(true);
            } else {
                inet.ipv4(true);
            }
            info.socketAddress(List.of(new SocketAddress.Inet(inet.build())));
        } else if (address instanceof Address.Unix unix) {
            info.socketAddress(
                    List.of(
                            new SocketAddress.Unix(
                                    UnixSocketAddress.builder().path(unix.path()).build())));
        }
        String error = incoming.error();
        if (error != null) {
            info.errorDesc(error);
        }
    }
}
