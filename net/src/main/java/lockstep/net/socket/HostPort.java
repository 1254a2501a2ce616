package lockstep.net.socket;

import static java.lang.Boolean.FALSE;
import static java.lang.Boolean.TRUE;

import lockstep.net.NetException;
import lockstep.qmp.NumberText;
import lockstep.runtime.linux.SocketName;

import org.jspecify.annotations.Nullable;

import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;

/** Reads {@code host:port} and resolves it, with QEMU's words for what is wrong. */
final class HostPort {
    private HostPort() {}

    /** An empty host is every address of this machine. */
    static InetSocketAddress parse(String text) throws NetException {
        int colon = text.lastIndexOf(':');
        if (colon < 0) {
            throw new NetException(
                    "host address '" + text + "' doesn't contain ':' separating host from port");
        }
        return of(text.substring(0, colon), text.substring(colon + 1));
    }

    static InetSocketAddress of(String host, String port) throws NetException {
        int number =
                NumberText.port(port)
                        .orElseThrow(
                                () -> new NetException("port number '" + port + "' is invalid"));
        try {
            return new InetSocketAddress(
                    host.isEmpty() ? InetAddress.getByName("0.0.0.0") : InetAddress.getByName(host),
                    number);
        } catch (UnknownHostException e) {
            throw new NetException("can't resolve host address '" + host + "'", e);
        }
    }

    /**
     * An address of one family.
     *
     * @param ipv4 and {@code ipv6}: whether it may be of that family; null for what the other leaves
     */
    static InetSocketAddress of(
            String host, String port, @Nullable Boolean ipv4, @Nullable Boolean ipv6)
            throws NetException {
        InetSocketAddress any = of(host, port);
        boolean four = !FALSE.equals(ipv4) && (ipv4 != null || !TRUE.equals(ipv6));
        boolean six = !FALSE.equals(ipv6) && (ipv6 != null || !TRUE.equals(ipv4));
        try {
            for (InetAddress a : InetAddress.getAllByName(host.isEmpty() ? "0.0.0.0" : host)) {
                if (a instanceof Inet4Address ? four : six) {
                    return new InetSocketAddress(a, any.getPort());
                }
            }
        } catch (UnknownHostException e) {
            throw new NetException("can't resolve host address '" + host + "'", e);
        }
        throw new NetException(
                "address resolution failed for "
                        + host
                        + ":"
                        + port
                        + ": Address family for hostname not supported");
    }

    /** {@code 127.0.0.1:9000}, or with brackets around an IPv6 address. */
    static String text(InetSocketAddress address) {
        String host = new SocketName.Inet(address).host();
        return (host.indexOf(':') >= 0 ? "[" + host + "]" : host) + ":" + address.getPort();
    }
}
