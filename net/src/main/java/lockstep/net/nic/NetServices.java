package lockstep.net.nic;

import lockstep.net.MacAddress;
import lockstep.net.NetException;
import lockstep.net.NetFilters;
import lockstep.net.NicClient;
import lockstep.net.NicPort;
import lockstep.net.Nics;
import lockstep.net.wire.Endpoint;
import lockstep.net.wire.Network;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.Timer;
import lockstep.runtime.spi.NetworkAnnouncer;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.BooleanSupplier;

/** What the net room offers to devices, migration and COLO. Under the machine lock. */
public final class NetServices implements Nics, NetFilters, NetworkAnnouncer {
    private static final long MILLIS = 1_000_000;

    private final Network network;
    private final EventLoop loop;
    private final List<Wanted> wanted = new ArrayList<>();
    private @Nullable Timer announceTimer;
    private long delay;
    private long maxDelay;
    private long roundsLeft;
    private long step;
    private @Nullable List<String> announced;
    private BooleanSupplier holder = () -> false;

    /** The services of one network. */
    public NetServices(Network network, EventLoop loop) {
        this.network = network;
        this.loop = loop;
    }

    @Override
    public NicPort attach(
            String model,
            @Nullable String id,
            @Nullable String netdev,
            @Nullable MacAddress mac,
            NicClient client)
            throws NetException {
        Endpoint backend = null;
        if (netdev != null) {
            String property = "Property '" + model + ".netdev' can't ";
            backend = network.findBackend(netdev);
            if (backend == null) {
                throw new NetException(property + "find value '" + netdev + "'");
            }
            if (backend.peer() != null) {
                throw new NetException(property + "take value '" + netdev + "', it's in use");
            }
        }
        NicEndpoint port =
                new NicEndpoint(
                        network,
                        id != null ? id : model + "." + count(model),
                        model,
                        network.takeMac(mac),
                        client);
        network.add(port);
        if (backend != null) {
            port.connect(backend);
        }
        return port;
    }

    @Override
    public List<Wanted> wanted() {
        return List.copyOf(wanted);
    }

    /** Has the machine bring a NIC. */
    public void want(Wanted nic) {
        wanted.add(nic);
    }

    private int count(String model) {
        int n = 0;
        for (Endpoint e : network.endpoints()) {
            if (e instanceof NicEndpoint nic && nic.model().equals(model)) {
                n++;
            }
        }
        return n;
    }

    @Override
    public void colo(Event event) {
        network.colo(event);
    }

    @Override
    public void holder(BooleanSupplier holds) {
        holder = holds;
    }

    /** Whether a part of this process takes no packets on purpose. */
    public boolean held() {
        return holder.getAsBoolean();
    }

    @Override
    public void announce(long initialMs, long maxMs, long rounds, long stepMs) {
        announce(initialMs, maxMs, rounds, stepMs, null);
    }

    /** The same, for the NICs of the given names; null for all. */
    public void announce(
            long initialMs, long maxMs, long rounds, long stepMs, @Nullable List<String> names) {
        announced = names;
        delay = initialMs;
        maxDelay = maxMs;
        roundsLeft = rounds;
        step = stepMs;
        Timer timer = announceTimer;
        if (timer == null) {
            timer = loop.timer(ClockType.REALTIME, this::announceRound);
            announceTimer = timer;
        }
        timer.cancel();
        announceRound();
    }

    private void announceRound() {
        Timer timer = announceTimer;
        if (timer == null || roundsLeft <= 0) {
            return;
        }
        for (Endpoint e : network.endpoints()) {
            if (e instanceof NicEndpoint nic
                    && (announced == null || announced.contains(nic.name()))) {
                byte[] frame = rarp(nic.mac());
                nic.send(frame, 0, frame.length);
            }
        }
        if (--roundsLeft > 0) {
            long ms = Math.min(delay, maxDelay);
            timer.arm(loop.clocks().now(ClockType.REALTIME) + ms * MILLIS);
            delay += step;
        }
    }

    /**
     * A RARP "request reverse" (RFC 903) to all stations about the NIC itself, padded to 60 bytes.
     */
    static byte[] rarp(MacAddress mac) {
        byte[] f = new byte[60];
        byte[] own = mac.bytes();
        Arrays.fill(f, 0, 6, (byte) 0xff);
        System.arraycopy(own, 0, f, 6, 6);
        f[12] = (byte) 0x80;
        f[13] = 0x35;
        f[15] = 1; // Ethernet
        f[16] = 8; // IPv4, 0x0800
        f[18] = 6;
        f[19] = 4;
        f[21] = 3; // request reverse
        System.arraycopy(own, 0, f, 22, 6);
        System.arraycopy(own, 0, f, 32, 6);
        return f;
    }
}
