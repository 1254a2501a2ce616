package lockstep.runtime.migration;

import lockstep.qmp.NumberText;

import java.util.List;

/** Where a migration goes to or comes from. */
sealed interface Address {
    /** TCP. */
    record Tcp(String host, int port) implements Address {}

    /** A unix socket. */
    record Unix(String path) implements Address {}

    /** A command whose standard input or output is the stream. */
    record Exec(List<String> command, String text) implements Address {}

    /** A file from an offset on. */
    record File(String path, long offset) implements Address {}

    /** A descriptor: its number, or the name under which a monitor got it. */
    record Descriptor(String name) implements Address {}

    /**
     * Reads the text of {@code migrate uri}, {@code -incoming}.
     *
     * @throws IllegalArgumentException with a sentence for the user
     */
    static Address parse(String uri) {
        int colon = uri.indexOf(':');
        String scheme = colon < 0 ? "" : uri.substring(0, colon);
        String rest = uri.substring(colon + 1);
        return switch (scheme) {
            case "tcp" -> tcp(rest);
            case "unix" -> new Unix(present(rest, "Unix socket"));
            case "exec" -> new Exec(List.of("/bin/sh", "-c", rest), rest);
            case "file" -> file(rest);
            case "fd" -> new Descriptor(present(rest, "file descriptor"));
            case "rdma", "vsock" ->
                    throw new IllegalArgumentException(
                            "migration over " + scheme + " is not supported; use tcp or unix");
            default -> throw new IllegalArgumentException("unknown migration protocol: " + uri);
        };
    }

    private static String present(String name, String what) {
        if (name.isEmpty()) {
            throw new IllegalArgumentException("invalid " + what + " address");
        }
        return name;
    }

    private static Address tcp(String text) {
        // Options such as ,ipv4=on follow the port; the address decides about the family anyway.
        int comma = text.indexOf(',');
        String plain = comma < 0 ? text : text.substring(0, comma);
        int colon = plain.lastIndexOf(':');
        if (colon < 0) {
            throw new IllegalArgumentException("error parsing address '" + text + "'");
        }
        String host = plain.substring(0, colon);
        if (host.startsWith("[") && host.endsWith("]")) {
            host = host.substring(1, host.length() - 1);
        }
        return new Tcp(host, port(plain.substring(colon + 1), text));
    }

    /** Reads a port number. Throws IllegalArgumentException with a sentence for the user. */
    static int port(String port, String whole) {
        return NumberText.port(port)
                .orElseThrow(
                        () ->
                                new IllegalArgumentException(
                                        "error parsing address '" + whole + "'"));
    }

    private static Address file(String text) {
        int at = text.indexOf(",offset=");
        if (at < 0) {
            return new File(text, 0);
        }
        String number = text.substring(at + ",offset=".length());
        long offset = NumberText.size(number).toOptional().orElse(-1);
        if (offset >= 0) {
            return new File(text.substring(0, at), offset);
        }
        throw new IllegalArgumentException(
                "file URI has bad offset " + number + ": Invalid argument");
    }
}
