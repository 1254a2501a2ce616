package lockstep.net.socket;

import lockstep.api.FdSocketAddress;
import lockstep.api.NetdevDgramOptions;
import lockstep.api.NetdevSocketOptions;
import lockstep.api.NetdevStreamConnectedEvent;
import lockstep.api.NetdevStreamDisconnectedEvent;
import lockstep.api.NetdevStreamOptions;
import lockstep.api.SocketAddress;
import lockstep.api.UnixSocketAddress;
import lockstep.net.NetException;
import lockstep.net.wire.Endpoint;
import lockstep.net.wire.Network;
import lockstep.qmp.NumberText;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.SocketCalls;
import lockstep.runtime.linux.SocketName;
import lockstep.runtime.linux.Sockets;
import lockstep.runtime.spi.Vmm;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetAddress;
import java.net.InetSocketAddress;

/** Makes the backends socket, stream and dgram. Under the machine lock. */
public final class SocketBackends {
    // linux/in.h, asm-generic/socket.h: the same on all machines that this program runs on.
    private static final int SOL_SOCKET = 1;
    private static final int SO_REUSEADDR = 2;
    private static final int SO_TYPE = 3;
    private static final int SOCK_DGRAM = 2;
    private static final int IPPROTO_IP = 0;
    private static final int IP_MULTICAST_IF = 32;
    private static final int IP_MULTICAST_LOOP = 34;
    private static final int IP_ADD_MEMBERSHIP = 35;

    private final Network network;
    private final Vmm vmm;

    /** For the backends of one network. */
    public SocketBackends(Network network, Vmm vmm) {
        this.network = network;
        this.vmm = vmm;
    }

    /** What {@code fd=} gives: a number, or in a monitor the name of a descriptor that it was handed. */
    public int descriptor(String text) throws NetException {
        if (vmm.starting() || text.matches("[0-9].*")) {
            int number = NumberText.decimal(text).orElse(-1);
            if (number < 0) {
                throw new NetException("Invalid file descriptor number '" + text + "'");
            }
            return number;
        }
        Fd named = vmm.takeNamedDescriptor(text);
        if (named == null) {
            throw new NetException("File descriptor named '" + text + "' has not been found");
        }
        return named.release();
    }

    /** {@code -netdev socket}: one of listen=, connect=, mcast=, udp= or fd=. */
    public Endpoint socket(String id, NetdevSocketOptions o) throws NetException {
        int given = 0;
        for (String s :
                new @Nullable String[] {o.fd(), o.listen(), o.connect(), o.mcast(), o.udp()}) {
            given += s == null ? 0 : 1;
        }
        if (given != 1) {
            throw new NetException("exactly one of listen=, connect=, mcast= or udp= is required");
        }
        if (o.localaddr() != null && o.mcast() == null && o.udp() == null) {
            throw new NetException("localaddr= is only valid with mcast= or udp=");
        }
        try {
            if (o.fd() != null) {
                return inherited(id, descriptor(o.fd()));
            }
            if (o.listen() != null) {
                SocketName at = new SocketName.Inet(HostPort.parse(o.listen()));
                return StreamEndpoint.server(
                        network, vmm.mainLoop(), id, "socket", LEGACY, listener(at));
            }
            if (o.connect() != null) {
                SocketName to = new SocketName.Inet(HostPort.parse(o.connect()));
                return StreamEndpoint.client(network, vmm.mainLoop(), id, "socket", LEGACY, to, 0);
            }
            if (o.mcast() != null) {
                return multicast(
                        id, "socket", "socket: ", HostPort.parse(o.mcast()), o.localaddr());
            }
            if (o.localaddr() == null) {
                throw new NetException("localaddr= is mandatory with udp=");
            }
            InetSocketAddress to = HostPort.parse(String.valueOf(o.udp()));
            return datagram(
                    id,
                    "socket",
                    "socket: udp=" + HostPort.text(to),
                    new SocketName.Inet(HostPort.parse(o.localaddr())),
                    new SocketName.Inet(to));
        } catch (NetException e) {
            throw e;
        } catch (IOException | IllegalArgumentException e) {
            throw new NetException(String.valueOf(e.getMessage()), e);
        }
    }

    private static final StreamEndpoint.Style LEGACY =
            new StreamEndpoint.Style() {
                @Override
                public String listening(SocketName address) {
                    return "socket: wait from " + plain(address);
                }

                @Override
                public String connected(SocketName peer, boolean server) {
                    return (server ? "socket: connection from " : "socket: connect to ")
                            + plain(peer);
                }

                @Override
                public String disconnected() {
                    return "";
                }
            };

    private static String plain(SocketName name) {
        return switch (name) {
            case SocketName.Inet i -> HostPort.text(i.address());
            case SocketName.Unix u -> u.path();
            case SocketName.Unnamed u -> "";
        };
    }

    private Endpoint inherited(String id, int number) throws IOException {
        if (!FileIo.isOpen(number)) {
            throw new NetException(
                    id + ": Can't use file descriptor " + number + ": " + Errno.text(Errno.EBADF));
        }
        FileIo.nonBlocking(number, true);
        if (Sockets.option(number, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM) {
            return new DatagramEndpoint(
                    network,
                    vmm.mainLoop(),
                    id,
                    "socket",
                    "socket: fd=" + number + kind(number),
                    new Fd(number),
                    null);
        }
        return StreamEndpoint.connected(
                network, vmm.mainLoop(), id, "socket", LEGACY, new Fd(number));
    }

    /** The kind of addresses that a socket has. */
    private static String kind(int fd) throws IOException {
        return Sockets.localName(fd) instanceof SocketName.Inet ? " inet" : " unix";
    }

    private static Fd listener(SocketName at) throws IOException {
        Fd fd = bound(Sockets.stream(at.family()), at);
        int result = Sockets.listen(fd, 0);
        if (result < 0) {
            fd.close();
            throw new NetException("can't listen on socket: " + Errno.text(-result));
        }
        return fd;
    }

    private static Fd bound(Fd fd, SocketName at) throws NetException {
        if (at instanceof SocketName.Unix u && !u.abstractName()) {
            // What an earlier process left there.
            int result = FileIo.unlink(u.path());
            if (result < 0 && result != -Errno.ENOENT) {
                fd.close();
                throw new NetException(
                        "Failed to unlink socket " + u.path() + ": " + Errno.text(-result));
            }
        }
        Sockets.option(fd.number(), SOL_SOCKET, SO_REUSEADDR, 1);
        int result = Sockets.bind(fd, at);
        if (result < 0) {
            fd.close();
            throw new NetException("can't bind " + bare(at) + " to socket: " + Errno.text(-result));
        }
        return fd;
    }

    private static String bare(SocketName name) {
        return name instanceof SocketName.Inet i
                ? "ip=" + i.address().getAddress().getHostAddress()
                : plain(name);
    }

    private Endpoint datagram(
            String id, String type, String info, @Nullable SocketName local, SocketName remote)
            throws IOException {
        Fd fd = Sockets.datagram(remote.family());
        if (local != null) {
            fd = bound(fd, local);
        }
        return new DatagramEndpoint(network, vmm.mainLoop(), id, type, info, fd, remote);
    }

    private Endpoint multicast(
            String id, String type, String before, InetSocketAddress group, @Nullable String local)
            throws IOException {
        if (!group.getAddress().isMulticastAddress()
                || group.getAddress().getAddress().length != 4) {
            throw new NetException(
                    "specified mcastaddr "
                            + group.getAddress().getHostAddress()
                            + " (0x%08x)".formatted(group.getAddress().hashCode())
                            + " does not contain a multicast address");
        }
        SocketName name = new SocketName.Inet(group);
        Fd fd = bound(Sockets.datagram(name.family()), name);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment request = arena.allocate(8); // struct ip_mreq: group, interface
            byte[] address = group.getAddress().getAddress();
            MemorySegment.copy(address, 0, request, ValueLayout.JAVA_BYTE, 0, 4);
            if (local != null) {
                byte[] own = InetAddress.getByName(local).getAddress();
                if (own.length != 4) {
                    throw new NetException("localaddr= '" + local + "' is not an IPv4 address");
                }
                MemorySegment.copy(own, 0, request, ValueLayout.JAVA_BYTE, 4, 4);
            }
            int result =
                    SocketCalls.setsockopt(fd.number(), IPPROTO_IP, IP_ADD_MEMBERSHIP, request, 8);
            check(
                    result,
                    "can't add socket to multicast group " + group.getAddress().getHostAddress(),
                    fd);
            if (local != null) {
                MemorySegment own = request.asSlice(4, 4);
                result = SocketCalls.setsockopt(fd.number(), IPPROTO_IP, IP_MULTICAST_IF, own, 4);
                check(result, "can't set the default network send interface", fd);
            }
        }
        Sockets.option(fd.number(), IPPROTO_IP, IP_MULTICAST_LOOP, 1);
        String info = before + "mcast=" + HostPort.text(group);
        return new DatagramEndpoint(network, vmm.mainLoop(), id, type, info, fd, name);
    }

    private static void check(int result, String what, Fd fd) throws NetException {
        if (result < 0) {
            fd.close();
            throw new NetException(what + ": " + Errno.text(-result));
        }
    }

    /** {@code -netdev stream}: a server or a client on any stream address. */
    public Endpoint stream(String id, NetdevStreamOptions o) throws NetException {
        boolean server = Boolean.TRUE.equals(o.server());
        Long reconnect = o.reconnectMs();
        if (server && reconnect != null) {
            throw new NetException(
                    "'reconnect-ms' option is incompatible with socket in server mode");
        }
        StreamEndpoint.Style style = new Stream(id);
        try {
            if (o.addr() instanceof SocketAddress.Fd f) {
                return StreamEndpoint.connected(
                        network, vmm.mainLoop(), id, "stream", style, inherit(f.data()));
            }
            SocketName name = name(o.addr());
            return server
                    ? StreamEndpoint.server(
                            network, vmm.mainLoop(), id, "stream", style, listener(name))
                    : StreamEndpoint.client(
                            network,
                            vmm.mainLoop(),
                            id,
                            "stream",
                            style,
                            name,
                            reconnect == null ? 0 : reconnect);
        } catch (NetException e) {
            throw e;
        } catch (IOException | IllegalArgumentException e) {
            throw new NetException(String.valueOf(e.getMessage()), e);
        }
    }

    private Fd inherit(FdSocketAddress address) throws IOException {
        int number = descriptor(address.str());
        if (!FileIo.isOpen(number)) {
            throw new NetException(
                    "Can't use file descriptor " + number + ": " + Errno.text(Errno.EBADF));
        }
        FileIo.nonBlocking(number, true);
        return new Fd(number);
    }

    private static SocketName name(SocketAddress address) throws NetException {
        return switch (address) {
            case SocketAddress.Unrecognized u -> throw new AssertionError(u);
            case SocketAddress.Inet i ->
                    new SocketName.Inet(
                            HostPort.of(
                                    i.data().host(),
                                    i.data().port(),
                                    i.data().ipv4(),
                                    i.data().ipv6()));
            case SocketAddress.Unix u -> unix(u.data());
            case SocketAddress.Fd f ->
                    throw new NetException("a descriptor has no address to bind or connect to");
            case SocketAddress.Vsock v ->
                    throw new NetException("vsock addresses are not supported by this backend");
        };
    }

    private static SocketName unix(UnixSocketAddress u) {
        return new SocketName.Unix(
                u.path(), Boolean.TRUE.equals(u.abstract_()), !Boolean.FALSE.equals(u.tight()));
    }

    private final class Stream implements StreamEndpoint.Style {
        private final String id;

        Stream(String id) {
            this.id = id;
        }

        private static String prefixed(SocketName name) {
            return name instanceof SocketName.Inet i
                    ? "tcp:" + i.host() + ":" + i.address().getPort()
                    : "unix:" + plain(name);
        }

        @Override
        public String listening(SocketName address) {
            return "listening";
        }

        @Override
        public String connecting() {
            return "connecting";
        }

        @Override
        public String connected(SocketName peer, boolean server) {
            return prefixed(peer);
        }

        @Override
        public String disconnected() {
            return "";
        }

        @Override
        public void opened(SocketName peer) {
            vmm.emit(new NetdevStreamConnectedEvent(id, api(peer)));
        }

        @Override
        public void closed() {
            vmm.emit(new NetdevStreamDisconnectedEvent(id));
        }

        private static SocketAddress api(SocketName name) {
            if (name instanceof SocketName.Inet i) {
                InetAddress host = i.address().getAddress();
                boolean four = host.getAddress().length == 4;
                return new SocketAddress.Inet(
                        lockstep.api.InetSocketAddress.builder()
                                .host(i.host())
                                .port(Integer.toString(i.address().getPort()))
                                .ipv4(four ? Boolean.TRUE : null)
                                .ipv6(four ? null : Boolean.TRUE)
                                .build());
            }
            return new SocketAddress.Unix(UnixSocketAddress.builder().path(plain(name)).build());
        }
    }

    /** {@code -netdev dgram}: datagrams between two addresses, or to a multicast group. */
    public Endpoint dgram(String id, NetdevDgramOptions o) throws NetException {
        SocketAddress remote = o.remote();
        SocketAddress local = o.local();
        try {
            if (remote instanceof SocketAddress.Inet
                    && name(remote) instanceof SocketName.Inet group
                    && group.address().getAddress().isMulticastAddress()) {
                return multicast(id, "dgram", "", group.address(), multicastInterface(local));
            }
            if (local == null) {
                throw new NetException("dgram requires local= parameter");
            }
            if (local instanceof SocketAddress.Fd f) {
                if (remote != null) {
                    throw new NetException("don't set remote with local.fd");
                }
                Fd fd = inherit(f.data());
                String info = "fd=" + fd.number() + kind(fd.number());
                return new DatagramEndpoint(network, vmm.mainLoop(), id, "dgram", info, fd, null);
            }
            if (remote == null) {
                throw new NetException("type=inet or type=unix requires remote parameter");
            }
            if (remote.getClass() != local.getClass()) {
                throw new NetException("remote and local types must be the same");
            }
            SocketName from = name(local);
            SocketName to = name(remote);
            String between = from instanceof SocketName.Inet ? "/" : ":";
            String info = "udp=" + plain(from) + between + plain(to);
            return datagram(id, "dgram", info, from, to);
        } catch (NetException e) {
            throw e;
        } catch (IOException | IllegalArgumentException e) {
            throw new NetException(String.valueOf(e.getMessage()), e);
        }
    }

    /** The address of the interface to a group; a descriptor gives way to a socket that has joined the group. */
    private @Nullable String multicastInterface(@Nullable SocketAddress local) throws IOException {
        return switch (local) {
            case null -> null;
            case SocketAddress.Inet i -> i.data().host();
            case SocketAddress.Fd f -> {
                inherit(f.data()).close();
                yield null;
            }
            default -> throw new NetException("only support inet or fd type for local");
        };
    }
}
