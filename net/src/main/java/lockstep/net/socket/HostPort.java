package lockstep.net.socket;

import lockstep.net.NetException;
import lockstep.qmp.NumberText;

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

    /** {@code 127.0.0.1:9000}, or with brackets around an IPv6 address. */
    static String text(InetSocketAddress address) {
        String host = address.getAddress().getHostAddress();
        return (host.indexOf(':') >= 0 ? "[" + host + "]" : host) + ":" + address.getPort();
    }
}
