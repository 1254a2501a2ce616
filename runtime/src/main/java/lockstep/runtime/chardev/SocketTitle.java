package lockstep.runtime.chardev;

import lockstep.runtime.chardev.ChardevConfig.Address;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.SocketName;
import lockstep.runtime.linux.Sockets;

import java.io.IOException;

/**
 * What a socket device is called in query-chardev, such as {@code tcp:127.0.0.1:9000,server=on}.
 *
 * @param config how it was made
 * @param address where it is, with the port that the kernel chose
 */
record SocketTitle(ChardevConfig.Socket config, Address address) {
    /** The address as users see it; of a descriptor that was handed over, that of its socket. */
    static Address of(Address wanted, Fd fd) {
        try {
            if (wanted instanceof Address.Descriptor
                    && Sockets.localName(fd.number()) instanceof SocketName.Unix u) {
                return new Address.Unix(u.path(), false, true);
            }
            if (!(wanted instanceof Address.Unix)
                    && Sockets.localName(fd.number()) instanceof SocketName.Inet real) {
                String host = SocketNames.text(new SocketName.Inet(real.address()));
                int colon = host.lastIndexOf(':');
                return new Address.Inet(
                        host.substring(0, colon).replace("[", "").replace("]", ""),
                        host.substring(colon + 1),
                        wanted instanceof Address.Inet i ? i.ipv4() : null,
                        wanted instanceof Address.Inet i ? i.ipv6() : null);
            }
        } catch (IOException e) {
            // The name as given serves as well.
        }
        return wanted;
    }

    private String protocol() {
        return config.tn3270() ? "tn3270" : config.telnet() ? "telnet" : "tcp";
    }

    private String tail() {
        return config.server() ? ",server=on" : "";
    }

    private String plain() {
        return switch (address) {
            case Address.Inet i ->
                    protocol()
                            + ":"
                            + (i.host().indexOf(':') >= 0 ? "[" + i.host() + "]" : i.host())
                            + ":"
                            + i.port()
                            + tail();
            case Address.Unix u -> "unix:" + u.path() + tail();
            case Address.Descriptor d -> "fd:" + d.name() + tail();
        };
    }

    /** Without a peer. */
    String disconnected() {
        return "disconnected:" + plain();
    }

    /** With a peer. */
    String connected(Fd fd) {
        try {
            if (Sockets.localName(fd.number()) instanceof SocketName.Inet local
                    && Sockets.peerName(fd.number()) instanceof SocketName.Inet peer) {
                return protocol()
                        + ":"
                        + SocketNames.text(local)
                        + tail()
                        + " <-> "
                        + SocketNames.text(peer);
            }
        } catch (IOException e) {
            // The peer is gone already; the next event tells.
        }
        return plain();
    }
}
