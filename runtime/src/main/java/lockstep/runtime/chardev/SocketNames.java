package lockstep.runtime.chardev;

import lockstep.qmp.NumberText;
import lockstep.runtime.chardev.ChardevConfig.Address;
import lockstep.runtime.linux.SocketName;

import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

/** Turns what users write into socket names, and socket names into what users read. */
final class SocketNames {
    private SocketNames() {}

    /** The address as error messages show it. */
    static String shown(Address address) {
        return switch (address) {
            case Address.Inet i -> i.host() + ":" + i.port();
            case Address.Unix u -> u.path();
            case Address.Descriptor d -> d.name();
        };
    }

    /** Whether {@link #resolve} may ask a name server. */
    static boolean mayBlock(Address address) {
        if (address instanceof Address.Inet i) {
            for (int k = 0; k < i.host().length(); k++) {
                char c = i.host().charAt(k);
                if (c == ':') {
                    return false;
                }
                if (c != '.' && (c < '0' || c > '9')) {
                    return true;
                }
            }
        }
        return false;
    }

    /** All names of an address, in the order in which they are tried. */
    static List<SocketName> resolve(Address address, boolean server) throws ChardevException {
        return switch (address) {
            case Address.Unix u ->
                    List.of(new SocketName.Unix(u.path(), u.isAbstract(), u.tight()));
            case Address.Inet i -> resolve(i, server);
            case Address.Descriptor d ->
                    throw new ChardevException(
                            "'" + d.name() + "' is a descriptor, not an address");
        };
    }

    private static List<SocketName> resolve(Address.Inet inet, boolean server)
            throws ChardevException {
        int port = port(inet);
        List<SocketName> names = new ArrayList<>();
        try {
            String host = inet.host().isEmpty() ? (server ? "0.0.0.0" : "127.0.0.1") : inet.host();
            for (InetAddress a : InetAddress.getAllByName(host)) {
                boolean wanted =
                        switch (a) {
                            case Inet4Address four -> !Boolean.FALSE.equals(inet.ipv4());
                            case Inet6Address six ->
                                    !Boolean.FALSE.equals(inet.ipv6())
                                            && !(Boolean.TRUE.equals(inet.ipv4())
                                                    && inet.ipv6() == null);
                            default -> false;
                        };
                if (wanted) {
                    names.add(new SocketName.Inet(new InetSocketAddress(a, port)));
                }
            }
        } catch (UnknownHostException e) {
            throw new ChardevException(
                    "address resolution failed for " + shown(inet) + ": Name or service not known");
        }
        if (names.isEmpty()) {
            throw new ChardevException(
                    "address resolution failed for "
                            + shown(inet)
                            + ": Address family for hostname not supported");
        }
        return names;
    }

    private static int port(Address.Inet inet) throws ChardevException {
        // Nor a service name; the few that matter to a VMM are numbers.
        OptionalInt port = NumberText.port(inet.port());
        if (port.isPresent()) {
            return port.getAsInt();
        }
        throw new ChardevException(
                "address resolution failed for "
                        + shown(inet)
                        + ": Servname not supported for ai_socktype");
    }

    /** {@code host:port} with IPv6 hosts in brackets, or the path. */
    static String text(SocketName name) {
        return switch (name) {
            case SocketName.Inet i -> {
                String host = i.host();
                yield (host.indexOf(':') < 0 ? host : "[" + host + "]")
                        + ":"
                        + i.address().getPort();
            }
            case SocketName.Unix u -> u.path();
            case SocketName.Unnamed n -> "";
        };
    }
}
