package lockstep.net.wire;

import lockstep.net.MacAddress;
import lockstep.net.NetException;
import lockstep.net.NetFilters;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/** All wires of one process. Used under the machine lock. */
public final class Network {
    /** The first address that is given to a NIC without {@code mac=}; the last byte counts up. */
    public static final MacAddress FIRST_MAC = new MacAddress(0x525400123456L);

    private final BooleanSupplier running;
    private final Consumer<String> warnings;
    private final List<Endpoint> endpoints = new ArrayList<>();
    private final List<MacAddress> macs = new ArrayList<>();
    private Consumer<NetFilter> filterGone = f -> {};

    /**
     * A network without endpoints.
     *
     * @param running whether the virtual machine runs; packets wait while it does not
     * @param warnings where messages for the user go
     */
    public Network(BooleanSupplier running, Consumer<String> warnings) {
        this.running = running;
        this.warnings = warnings;
    }

    /** Whether the virtual machine runs. */
    public boolean running() {
        return running.getAsBoolean();
    }

    /** Says something to the user. */
    public void warn(String message) {
        warnings.accept(message);
    }

    /** Who is told when a filter ends because its backend does. */
    public void onFilterGone(Consumer<NetFilter> listener) {
        filterGone = listener;
    }

    void filterGone(NetFilter filter) {
        filterGone.accept(filter);
    }

    /** Lists an endpoint that is ready for use. */
    public void add(Endpoint endpoint) {
        endpoints.add(endpoint);
    }

    void remove(Endpoint endpoint) {
        endpoints.remove(endpoint);
    }

    /** All endpoints in order of creation. */
    public List<Endpoint> endpoints() {
        return List.copyOf(endpoints);
    }

    /** The endpoint of that name, or null. */
    public @Nullable Endpoint find(String name) {
        for (Endpoint e : endpoints) {
            if (e.name().equals(name)) {
                return e;
            }
        }
        return null;
    }

    /** The netdev of that id, or null; NICs are not found. */
    public @Nullable Endpoint findBackend(String id) {
        for (Endpoint e : endpoints) {
            if (!e.nic() && e.name().equals(id)) {
                return e;
            }
        }
        return null;
    }

    /** The netdev of that id, as a filter wants it. */
    public Endpoint backend(String id) throws NetException {
        Endpoint e = findBackend(id);
        if (e == null) {
            throw new NetException("Parameter 'netdev' expects a network backend id");
        }
        return e;
    }

    /** The filter of that id on any backend, or null. */
    public @Nullable NetFilter findFilter(String id) {
        for (Endpoint e : endpoints) {
            for (NetFilter f : e.filters().list()) {
                if (f.id().equals(id)) {
                    return f;
                }
            }
        }
        return null;
    }

    /** Where a new filter goes in the chain of its backend. */
    public int position(NetFilter.Placement placement) throws NetException {
        Endpoint netdev = backend(placement.netdev());
        List<NetFilter> chain = netdev.filters().list();
        String position = placement.position();
        if (position.equals("head")) {
            return 0;
        }
        if (position.equals("tail")) {
            return chain.size();
        }
        if (!position.startsWith("id=")) {
            throw new NetException("Parameter 'position' expects 'head', 'tail' or 'id=<id>'");
        }
        String id = position.substring(3);
        NetFilter other = findFilter(id);
        if (other == null) {
            throw new NetException("filter '" + id + "' not found");
        }
        if (other.netdev() != netdev) {
            throw new NetException("filter '" + id + "' belongs to a different netdev");
        }
        return chain.indexOf(other) + (placement.before() ? 0 : 1);
    }

    /** Tells every filter what COLO says. */
    public void colo(NetFilters.Event event) {
        for (Endpoint e : endpoints()) {
            for (NetFilter f : e.filters().list()) {
                f.colo(event);
            }
        }
    }

    /**
     * The virtual machine started or stopped. Packets that waited meanwhile are delivered first,
     * then those that filters held.
     */
    public void runningChanged(boolean now) {
        for (Endpoint e : endpoints()) {
            e.runningChanged(now);
            if (now) {
                e.flushIncoming();
            }
        }
        for (Endpoint e : endpoints()) {
            for (NetFilter f : e.filters().list()) {
                f.runningChanged(now);
            }
        }
    }

    /**
     * Plugs or pulls a cable, of a NIC or of a netdev. Pulling a netdev's pulls its NIC's too.
     *
     * @return false when there is no endpoint of that name
     */
    public boolean setLink(String name, boolean up) {
        Endpoint e = find(name);
        if (e == null) {
            return false;
        }
        e.setLinkDown(!up);
        e.linkChanged();
        Endpoint peer = e.peer();
        if (peer != null) {
            if (peer.nic()) {
                peer.setLinkDown(!up);
            }
            peer.linkChanged();
        }
        e.uncongested();
        return true;
    }

    /** Reserves a NIC's address: the given one, or the next one that no NIC has. */
    public MacAddress takeMac(@Nullable MacAddress wanted) {
        MacAddress mac = wanted;
        long prefix = FIRST_MAC.value() & ~0xffL;
        for (int i = 0; mac == null && i < 256; i++) {
            MacAddress next = new MacAddress(prefix | FIRST_MAC.value() + i & 0xff);
            if (!macs.contains(next)) {
                mac = next;
            }
        }
        if (mac == null) {
            mac = FIRST_MAC;
        }
        macs.add(mac);
        return mac;
    }

    /** Gives an address back. */
    public void releaseMac(MacAddress mac) {
        macs.remove(mac);
    }

    /** Closes all endpoints, the newest first: at the end of the process. */
    public void closeAll() {
        for (Endpoint e : endpoints().reversed()) {
            e.close();
        }
    }

    /** Warns about backends that nothing is connected to, as at the end of start-up. */
    public void warnUnconnected() {
        for (HubText hub : hubs) {
            hub.check(warnings);
        }
        for (Endpoint e : endpoints) {
            if (e.peer() == null) {
                warn((e.nic() ? "nic" : "netdev") + " " + e.name() + " has no peer");
            }
        }
    }

    /** The text of {@code info network}, lines ended by LF. */
    public String describe() {
        StringBuilder b = new StringBuilder();
        for (HubText hub : hubs) {
            hub.describe(b);
        }
        for (Endpoint e : endpoints) {
            if (onHub(e)) {
                continue;
            }
            Endpoint peer = e.peer();
            if (peer == null || e.nic()) {
                describe(e, b);
            }
            if (peer != null && e.nic()) {
                b.append(" \\ ");
                describe(peer, b);
            }
        }
        return b.toString();
    }

    /** What prints itself before all endpoints: a hub. */
    public interface HubText {
        /** Appends the hub's lines. */
        void describe(StringBuilder out);

        /** Whether the endpoint is one of the hub's ports. */
        boolean owns(Endpoint endpoint);

        /** Warns about ports that nothing is connected to. */
        void check(Consumer<String> warn);
    }

    private final List<HubText> hubs = new ArrayList<>();

    /** Adds a hub in front of those there are. */
    public void addHub(HubText hub) {
        hubs.add(0, hub);
    }

    /** Removes a hub. */
    public void removeHub(HubText hub) {
        hubs.remove(hub);
    }

    private boolean onHub(Endpoint e) {
        Endpoint peer = e.peer();
        for (HubText hub : hubs) {
            if (hub.owns(e) || peer != null && hub.owns(peer)) {
                return true;
            }
        }
        return false;
    }

    /** Appends the lines of one endpoint: its own, and those of its filters. */
    public void describe(Endpoint e, StringBuilder out) {
        out.append(e.name()).append(": index=0,type=").append(e.type()).append(',');
        out.append(e.info()).append('\n');
        List<NetFilter> filters = e.filters().list();
        if (!filters.isEmpty()) {
            out.append("filters:\n");
            for (NetFilter f : filters) {
                out.append("  - ").append(f.describe()).append('\n');
            }
        }
    }
}
