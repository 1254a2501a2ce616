package lockstep.net.user;

import lockstep.net.NetException;
import lockstep.qmp.NumberText;

import org.jspecify.annotations.Nullable;

/**
 * A port of the host's that leads to the guest.
 *
 * @param host the address to listen on, 0 for all
 * @param port its port, 0 for one that the kernel chooses
 * @param guest the guest's address
 * @param guestPort its port
 */
record HostForward(boolean udp, int host, int port, int guest, int guestPort) {
    /** The end on the host's side, as hostfwd_remove names it. */
    record Place(boolean udp, int host, int port) {
        /** Reads {@code [tcp|udp]:[address]:port}; null when it is no such thing. */
        static @Nullable Place parse(String text) {
            String[] parts = text.split(":", 3);
            if (parts.length < 3) {
                return null;
            }
            Boolean udp = protocol(parts[0]);
            Integer host = address(parts[1], 0);
            Integer port = number(parts[2]);
            return udp == null || host == null || port == null ? null : new Place(udp, host, port);
        }
    }

    /**
     * Reads {@code [tcp|udp]:[address]:port-[address]:port}.
     *
     * @param guest the address that is meant when none stands there
     */
    static HostForward parse(String rule, int guest) throws NetException {
        int at = rule.indexOf(':');
        if (at < 0) {
            throw invalid(rule, "No : separators");
        }
        Boolean udp = protocol(rule.substring(0, at));
        if (udp == null) {
            throw invalid(rule, "Bad protocol name");
        }
        String rest = rule.substring(at + 1);
        at = rest.indexOf(':');
        if (at < 0) {
            throw invalid(rule, "Missing : separator");
        }
        Integer host = address(rest.substring(0, at), 0);
        if (host == null) {
            throw invalid(rule, "Bad host address");
        }
        rest = rest.substring(at + 1);
        at = rest.indexOf('-');
        if (at < 0) {
            throw invalid(rule, "Bad host port separator");
        }
        Integer port = number(rest.substring(0, at));
        if (port == null) {
            throw invalid(rule, "Bad host port");
        }
        rest = rest.substring(at + 1);
        at = rest.indexOf(':');
        if (at < 0) {
            throw invalid(rule, "Missing guest address");
        }
        Integer to = address(rest.substring(0, at), guest);
        if (to == null) {
            throw invalid(rule, "Bad guest address");
        }
        Integer toPort = number(rest.substring(at + 1));
        if (toPort == null || toPort == 0) {
            throw invalid(rule, "Bad guest port");
        }
        return new HostForward(udp, host, port, to == 0 ? guest : to, toPort);
    }

    private static NetException invalid(String rule, String reason) {
        return new NetException("Invalid host forwarding rule '" + rule + "' (" + reason + ")");
    }

    private static @Nullable Boolean protocol(String text) {
        return switch (text) {
            case "", "tcp" -> false;
            case "udp" -> true;
            default -> null;
        };
    }

    private static @Nullable Integer address(String text, int otherwise) {
        return text.isEmpty() ? Integer.valueOf(otherwise) : Ip.parse(text);
    }

    private static @Nullable Integer number(String text) {
        return text.isEmpty()
                ? Integer.valueOf(0)
                : NumberText.port(text).stream().boxed().findFirst().orElse(null);
    }
}
