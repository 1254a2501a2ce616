package lockstep.colo.heartbeat;

import lockstep.api.COLOMode;
import lockstep.api.ColoHeartbeatProperties;
import lockstep.api.ObjectOptions;
import lockstep.colo.checkpoint.ColoSession;
import lockstep.colo.checkpoint.Silence;
import lockstep.colo.compare.PacketComparison;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.QmpException;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevException;
import lockstep.runtime.object.Iothread;
import lockstep.runtime.spi.Registration;
import lockstep.runtime.spi.Vmm;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;

/** Offers colo-heartbeat to {@code -object} and object-add. */
public final class HeartbeatObjects {
    private static final long DEFAULT_INTERVAL = 200;
    private static final long DEFAULT_LEASE = 2000;

    /** In a lease of fewer intervals one late message looks like a dead host. */
    private static final long LEAST_BEATS = 3;

    private static final long LONGEST = 3_600_000;

    private HeartbeatObjects() {}

    /** Called once, by the room. */
    public static void install(Registration offer, Vmm vmm) {
        Heartbeats heartbeats = new Heartbeats();
        vmm.publish(Silence.class, heartbeats);
        offer.objectType(
                Heartbeat.TYPE,
                ObjectOptions.ColoHeartbeat.class,
                (o, v) -> create(o.id(), o.data(), heartbeats, v));
    }

    private static Heartbeat create(
            String id, ColoHeartbeatProperties p, Heartbeats heartbeats, Vmm vmm)
            throws QmpException {
        long interval = Objects.requireNonNullElse(p.interval(), DEFAULT_INTERVAL);
        long lease = Objects.requireNonNullElse(p.lease(), DEFAULT_LEASE);
        if (interval < 1 || lease > LONGEST || lease < LEAST_BEATS * interval) {
            throw new QmpException(
                    "Parameter 'lease' expects at least %d times the interval, and at most %d ms"
                            .formatted(LEAST_BEATS, LONGEST));
        }
        if (heartbeats.heartbeat() != null) {
            throw new QmpException("There can be one colo-heartbeat only");
        }
        Iothread thread = vmm.objects().object(p.iothread(), Iothread.class);
        if (thread == null) {
            throw new QmpException("Device '" + p.iothread() + "' not found");
        }
        Chardev chardev = vmm.chardevs().find(p.chardev());
        if (chardev == null) {
            throw new QmpException("Device '" + p.chardev() + "' not found");
        }
        if (!chardev.movable() || !chardev.reconnectable()) {
            throw new QmpException("chardev \"" + p.chardev() + "\" is not a socket");
        }
        String arbiter = Objects.requireNonNullElse(p.arbiter(), "");
        if (arbiter.contains("/") && !Files.isExecutable(Path.of(arbiter))) {
            throw new QmpException("The arbiter '" + arbiter + "' is no program");
        }
        PacketComparison comparison = vmm.find(PacketComparison.class).orElseThrow();
        Heartbeat heartbeat =
                new Heartbeat(
                        new Heartbeat.Setup(
                                id,
                                p.chardev(),
                                p.iothread(),
                                interval,
                                lease,
                                arbiter,
                                thread.loop(),
                                () ->
                                        vmm.find(ColoSession.class)
                                                .map(ColoSession::role)
                                                .orElse(COLOMode.NONE),
                                comparison::gateMoved,
                                () -> vmm.mainLoop().execute(() -> goOnAlone(vmm)),
                                vmm::report,
                                () -> {
                                    comparison.gate(() -> true);
                                    heartbeats.set(null);
                                    thread.release();
                                }));
        try {
            heartbeat.start(chardev.attach(heartbeat.frontend(), thread.loop()));
        } catch (ChardevException e) {
            throw new QmpException(ErrorClass.GENERIC_ERROR, String.valueOf(e.getMessage()), e);
        }
        thread.acquire();
        heartbeats.set(heartbeat);
        comparison.gate(heartbeat::open);
        return heartbeat;
    }

    private static void goOnAlone(Vmm vmm) {
        try {
            vmm.find(ColoSession.class).orElseThrow().xColoLostHeartbeat();
        } catch (QmpException e) {
            // Somebody else was faster.
            vmm.report(e.description());
        }
    }
}
