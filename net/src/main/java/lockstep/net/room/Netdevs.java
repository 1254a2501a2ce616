package lockstep.net.room;

import lockstep.api.Netdev;
import lockstep.api.NetdevHubPortOptions;
import lockstep.api.NetdevTapOptions;
import lockstep.net.NetException;
import lockstep.net.hub.Hubs;
import lockstep.net.socket.SocketBackends;
import lockstep.net.tap.TapEndpoint;
import lockstep.net.user.UserNetworks;
import lockstep.net.wire.Endpoint;
import lockstep.net.wire.Network;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.OptionText;
import lockstep.qmp.QmpException;
import lockstep.runtime.spi.Vmm;

import java.util.List;
import java.util.Locale;
import java.util.concurrent.ThreadLocalRandom;

/** Makes and removes backends. Under the machine lock. */
final class Netdevs {
    /** The types that can be made, for {@code -netdev help}. */
    static final List<String> TYPES =
            List.of("socket", "stream", "dgram", "hubport", "tap", "user");

    private final Vmm vmm;
    private final Network network;
    private final Hubs hubs;
    private final SocketBackends sockets;
    private final UserNetworks users;
    private boolean given;
    private int named;

    Netdevs(Vmm vmm, Network network) {
        this.vmm = vmm;
        this.network = network;
        this.hubs = new Hubs(network);
        this.sockets = new SocketBackends(network, vmm);
        this.users = new UserNetworks(network, vmm.mainLoop(), vmm.state());
    }

    /** The user networks. */
    UserNetworks users() {
        return users;
    }

    /** The user said something about the network, so there is no default. */
    void given() {
        given = true;
    }

    /** Whether the machine has a network because nobody said a word about one. */
    boolean byDefault() {
        return !given && vmm.defaults();
    }

    /** The id of a backend that the user does not name: one that nobody can choose, as QEMU makes it. */
    String nextId() {
        return "#net%d%02d".formatted(named++, ThreadLocalRandom.current().nextInt(100));
    }

    /** Connects a backend to a hub. */
    void join(String id, int hub) throws NetException {
        Endpoint backend = network.backend(id);
        Endpoint port = hubs.port(hub);
        network.add(port);
        port.connect(backend);
    }

    /** Makes a port of a hub for a NIC; gives its name. */
    String portForNic(int hub) {
        Endpoint port = hubs.port(hub);
        network.add(port);
        return port.name();
    }

    /** The text of {@code info usernet}. */
    String describeUsers() {
        return users.describe(hubs::number);
    }

    /**
     * Makes a backend.
     *
     * @param duplicate the end of the message about an id that exists: {@code " for netdev"} or
     *     nothing
     */
    void add(Netdev netdev, String duplicate) throws QmpException {
        String id = netdev.id();
        if (!OptionText.isIdentifier(id)) {
            throw new QmpException("Parameter 'id' expects an identifier");
        }
        make(netdev, duplicate);
    }

    /** The same with an identifier that no user can choose. */
    void make(Netdev netdev, String duplicate) throws QmpException {
        String id = netdev.id();
        if (network.findBackend(id) != null) {
            throw new QmpException("Duplicate ID '" + id + "'" + duplicate);
        }
        try {
            network.add(
                    switch (netdev) {
                        case Netdev.Unrecognized u -> throw new AssertionError(u);
                        case Netdev.Tap t -> tap(id, t.data());
                        case Netdev.Hubport h -> hubPort(id, h.data());
                        case Netdev.Socket s -> sockets.socket(id, s.data());
                        case Netdev.Stream s -> sockets.stream(id, s.data());
                        case Netdev.Dgram d -> sockets.dgram(id, d.data());
                        case Netdev.None n -> throw notBuiltIn(netdev);
                        case Netdev.Nic n -> throw notBuiltIn(netdev);
                        case Netdev.User u -> users.make(id, u.data());
                    });
        } catch (NetException e) {
            throw new QmpException(ErrorClass.GENERIC_ERROR, String.valueOf(e.getMessage()), e);
        }
    }

    private static QmpException notBuiltIn(Netdev netdev) {
        return new QmpException(
                "network backend '"
                        + netdev.type().name().toLowerCase(Locale.ROOT)
                        + "' is not compiled into this binary");
    }

    private Endpoint tap(String id, NetdevTapOptions o) throws NetException {
        Long queues = o.queues();
        if (o.fds() != null || o.vhostfds() != null || queues != null && queues != 1) {
            throw new NetException("netdev '" + id + "': only one queue is supported by a tap");
        }
        if (Boolean.TRUE.equals(o.vhost())
                || Boolean.TRUE.equals(o.vhostforce())
                || o.vhostfd() != null) {
            throw new NetException("netdev '" + id + "': vhost is not supported, use vhost=off");
        }
        if (o.helper() != null || o.br() != null) {
            throw new NetException(
                    "netdev '"
                            + id
                            + "': helper= is not supported, add the interface to its bridge in"
                            + " script=");
        }
        String fd = o.fd();
        if (fd == null) {
            return TapEndpoint.open(
                    network,
                    vmm.mainLoop(),
                    id,
                    o.ifname(),
                    o.script(),
                    o.downscript(),
                    o.sndbuf());
        }
        if (o.ifname() != null
                || o.script() != null
                || o.downscript() != null
                || o.vnetHdr() != null
                || queues != null) {
            throw new NetException(
                    "ifname=, script=, downscript=, vnet_hdr=, helper=, queues=, fds=, and"
                            + " vhostfds= are invalid with fd=");
        }
        return TapEndpoint.inherit(network, vmm.mainLoop(), id, sockets.descriptor(fd));
    }

    private Endpoint hubPort(String id, NetdevHubPortOptions o) throws NetException {
        String netdev = o.netdev();
        Endpoint backend = null;
        if (netdev != null) {
            backend = network.findBackend(netdev);
            if (backend == null) {
                throw new NetException("netdev '" + netdev + "' not found");
            }
            if (backend.peer() != null) {
                throw new NetException("netdev '" + netdev + "' is in use");
            }
        }
        Endpoint port = hubs.port(id, o.hubid());
        if (backend != null) {
            port.connect(backend);
        }
        return port;
    }

    /** Removes a backend with its filters; its NIC stays, without a cable. */
    void delete(String id) throws QmpException {
        Endpoint e = network.findBackend(id);
        if (e == null) {
            throw new QmpException(ErrorClass.DEVICE_NOT_FOUND, "Device '" + id + "' not found");
        }
        e.close();
    }
}
