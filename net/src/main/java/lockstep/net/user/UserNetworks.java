package lockstep.net.user;

import lockstep.api.NetdevUserOptions;
import lockstep.api.StringValue;
import lockstep.net.NetException;
import lockstep.net.wire.Endpoint;
import lockstep.net.wire.Network;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.vmstate.StateRegistry;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.Function;

/** Makes user networks, and finds them for the monitors. Under the machine lock. */
public final class UserNetworks {
    private final Network network;
    private final EventLoop loop;

    private final StateRegistry state;
    private final List<UserEndpoint> all = new ArrayList<>();
    private final SlirpSection section;

    /**
     * None yet.
     *
     * @param state takes the section of the first one
     */
    public UserNetworks(Network network, EventLoop loop, StateRegistry state) {
        this.network = network;
        this.loop = loop;
        this.state = state;
        this.section = new SlirpSection(() -> all.getFirst().stack());
    }

    /** Makes {@code -netdev user}. */
    public Endpoint make(String id, NetdevUserOptions o) throws NetException {
        UserConfig config = UserConfig.of(o);
        List<StringValue> guestForwards = Objects.requireNonNullElse(o.guestfwd(), List.of());
        if (!guestForwards.isEmpty()) {
            throw new NetException("guestfwd= is not supported by user networking");
        }
        List<StringValue> rules = Objects.requireNonNullElse(o.hostfwd(), List.of());
        List<HostForward> forwards = new ArrayList<>();
        for (StringValue rule : rules) {
            forwards.add(HostForward.parse(rule.str(), config.dhcpStart()));
        }
        UserEndpoint endpoint = new UserEndpoint(network, loop, id, config, this::gone);
        try {
            for (int i = 0; i < forwards.size(); i++) {
                forward(endpoint, rules.get(i).str(), forwards.get(i));
            }
        } catch (NetException e) {
            endpoint.close();
            throw e;
        }
        if (all.isEmpty()) {
            state.register(section);
        }
        all.add(endpoint);
        return endpoint;
    }

    private void gone(UserEndpoint endpoint) {
        if (all.remove(endpoint) && all.isEmpty()) {
            state.unregister(section);
        }
    }

    private static void forward(UserEndpoint endpoint, String text, HostForward rule)
            throws NetException {
        try {
            endpoint.stack().forward(rule);
        } catch (NetException e) {
            throw new NetException("Could not set up host forwarding rule '" + text + "'", e);
        }
    }

    /** The text of {@code info usernet}. */
    public String describe(Function<Endpoint, @Nullable Integer> hub) {
        StringBuilder b = new StringBuilder();
        for (UserEndpoint e : all) {
            Integer number = hub.apply(e);
            b.append("Hub %d (%s):\n".formatted(number == null ? -1 : number, e.name()));
            e.stack().describe(new ConnectionTable(b));
        }
        return b.toString();
    }

    /**
     * Forwards a port at run time.
     *
     * @param id the network's, or null for the first
     */
    public void forward(@Nullable String id, String rule) throws NetException {
        UserEndpoint e = find(id);
        forward(e, rule, HostForward.parse(rule, e.stack().config().dhcpStart()));
    }

    /** Ends such a forwarding; gives the sentence that says how that went. */
    public String unforward(@Nullable String id, String place) throws NetException {
        UserEndpoint e = find(id);
        HostForward.Place p = HostForward.Place.parse(place);
        if (p == null) {
            throw new NetException("invalid format");
        }
        boolean found = e.stack().unforward(p.udp(), p.host(), p.port());
        return "host forwarding rule for " + place + (found ? " removed" : " not found");
    }

    private UserEndpoint find(@Nullable String id) throws NetException {
        if (id == null) {
            if (all.isEmpty()) {
                throw new NetException("user mode network stack not in use");
            }
            return all.getFirst();
        }
        Endpoint e = network.findBackend(id);
        if (e == null) {
            throw new NetException("unrecognized netdev id '" + id + "'");
        }
        if (e instanceof UserEndpoint user) {
            return user;
        }
        throw new NetException("invalid device specified");
    }
}
