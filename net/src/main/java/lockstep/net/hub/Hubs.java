package lockstep.net.hub;

import lockstep.net.wire.Endpoint;
import lockstep.net.wire.Network;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;

/** The hubs of one network by number. Under the machine lock. */
public final class Hubs {
    private final Network network;
    private final List<Hub> hubs = new ArrayList<>();

    /** No hubs yet. */
    public Hubs(Network network) {
        this.network = network;
    }

    /**
     * Adds a port with the given id to a hub, which is made if need be; the port is not listed yet.
     */
    public Endpoint port(String id, int hubId) {
        for (Hub h : hubs) {
            if (h.id == hubId) {
                return h.port(id);
            }
        }
        Hub h = new Hub(hubId);
        hubs.add(h);
        network.addHub(h);
        return h.port(id);
    }

    /** Adds a port with the name that QEMU gives one which the user does not name. */
    public Endpoint port(int hubId) {
        int made = 0;
        for (Hub h : hubs) {
            made = h.id == hubId ? h.made : made;
        }
        return port("hub" + hubId + "port" + made, hubId);
    }

    /** The number of the hub that an end of a wire is a port of, or leads to; null when there is none. */
    public @Nullable Integer number(Endpoint endpoint) {
        for (Hub h : hubs) {
            Endpoint peer = endpoint.peer();
            if (h.owns(endpoint) || peer != null && h.owns(peer)) {
                return h.id;
            }
        }
        return null;
    }

    private final class Hub implements Network.HubText {
        private final int id;

        /** Newest first; replaced, never changed, so that a packet under way is not disturbed. */
        private Port[] ports = {};

        // Each against hubs that are connected in a ring.
        private boolean flushing;
        private boolean asking;
        private boolean waking;
        private int made;

        Hub(int id) {
            this.id = id;
        }

        Port port(String name) {
            made++;
            Port p = new Port(this, name);
            Port[] more = new Port[ports.length + 1];
            more[0] = p;
            System.arraycopy(ports, 0, more, 1, ports.length);
            ports = more;
            return p;
        }

        void remove(Port port) {
            ports = Arrays.stream(ports).filter(p -> p != port).toArray(Port[]::new);
        }

        /**
         * Whether a packet from a port should wait: as long as the filters of one of its ways ask for it,
         * since the hub itself would send it there to be lost. A backend without filters that takes nothing
         * stops nobody.
         */
        boolean jammed(Port from) {
            if (asking) {
                return false;
            }
            asking = true;
            try {
                for (Port p : ports) {
                    if (p != from && p.jammedAhead()) {
                        return true;
                    }
                }
                return false;
            } finally {
                asking = false;
            }
        }

        void wake() {
            if (waking) {
                return;
            }
            waking = true;
            try {
                for (Port p : ports) {
                    p.wakePeer();
                }
            } finally {
                waking = false;
            }
        }

        @Override
        public boolean owns(Endpoint endpoint) {
            return endpoint instanceof Port p && p.hub == this;
        }

        @Override
        public void check(Consumer<String> warn) {
            boolean nic = false;
            boolean host = false;
            for (Port p : ports) {
                Endpoint peer = p.peer();
                if (peer == null) {
                    warn.accept("hub port " + p.name() + " has no peer");
                } else if (peer.nic()) {
                    nic = true;
                } else if (!(peer instanceof Port)) {
                    host = true;
                }
            }
            if (host && !nic) {
                warn.accept("hub " + id + " with no nics");
            }
            if (nic && !host) {
                warn.accept("hub " + id + " is not connected to host network");
            }
        }

        @Override
        public void describe(StringBuilder out) {
            out.append("hub ").append(id).append('\n');
            for (Port p : ports) {
                out.append(" \\ ").append(p.name());
                Endpoint peer = p.peer();
                if (peer == null) {
                    out.append('\n');
                } else {
                    out.append(": ");
                    network.describe(peer, out);
                }
            }
        }
    }

    private final class Port extends Endpoint {
        private final Hub hub;

        Port(Hub hub, String name) {
            super(Hubs.this.network, name, "hubport");
            this.hub = hub;
            info("hubid=" + hub.id);
        }

        /** A hub takes a packet if any of the other ports does; the others miss it. */
        @Override
        protected boolean canReceive() {
            boolean any = hub.ports.length == 1;
            for (Port p : hub.ports) {
                any |= p != this && p.canSend();
            }
            return any;
        }

        @Override
        protected int receive(byte[] frame, int offset, int length) {
            for (Port p : hub.ports) {
                if (p != this) {
                    p.send(frame, offset, length, null);
                }
            }
            return length;
        }

        /** The peer can take packets again: those that wait in front of the other ports may go. */
        private void room() {
            if (hub.flushing) {
                return;
            }
            hub.flushing = true;
            try {
                for (Port p : hub.ports) {
                    if (p != this) {
                        p.flushIncoming();
                    }
                }
            } finally {
                hub.flushing = false;
            }
        }

        @Override
        protected boolean jammed() {
            return super.jammed() || !linkDown() && hub.jammed(this);
        }

        /** What stopped one port's peer may have stopped all the others'. */
        @Override
        protected void wake() {
            hub.wake();
        }

        @Override
        protected void peerFlushed() {
            room();
        }

        @Override
        protected void cleanup() {
            hub.remove(this);
            if (hub.ports.length == 0) {
                hubs.remove(hub);
                network().removeHub(hub);
            }
        }
    }
}
