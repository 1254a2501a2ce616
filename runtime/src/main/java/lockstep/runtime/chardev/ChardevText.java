package lockstep.runtime.chardev;

import lockstep.runtime.chardev.ChardevConfig.Address;
import lockstep.runtime.option.OptionException;
import lockstep.runtime.option.OptionValues;

import org.jspecify.annotations.Nullable;

import java.util.Set;
import java.util.function.Consumer;

/** Reads the texts of {@code -chardev}, and those of {@code -monitor}, {@code -qmp} and {@code -serial}. */
public final class ChardevText {
    /**
     * What a text says.
     *
     * @param id the id, or null where none was given
     * @param config the device
     * @param mux whether it is to be shared between front ends
     */
    public record Parsed(@Nullable String id, ChardevConfig config, boolean mux) {}

    private static final Set<String> KEYS =
            Set.of(
                    "id",
                    "backend",
                    "path",
                    "peer",
                    "input-path",
                    "host",
                    "port",
                    "fd",
                    "to",
                    "ipv4",
                    "ipv6",
                    "wait",
                    "server",
                    "delay",
                    "nodelay",
                    "reconnect-ms",
                    "telnet",
                    "tn3270",
                    "tls-creds",
                    "tls-authz",
                    "websocket",
                    "width",
                    "height",
                    "cols",
                    "rows",
                    "mux",
                    "signal",
                    "name",
                    "debug",
                    "size",
                    "chardev",
                    "append",
                    "logfile",
                    "logappend",
                    "mouse",
                    "clipboard",
                    "abstract",
                    "tight",
                    "localaddr",
                    "localport");
    private static final Set<String> BOOLEANS =
            Set.of(
                    "ipv4",
                    "ipv6",
                    "wait",
                    "server",
                    "delay",
                    "nodelay",
                    "telnet",
                    "tn3270",
                    "websocket",
                    "mux",
                    "signal",
                    "append",
                    "logappend",
                    "abstract",
                    "tight");

    private ChardevText() {}

    /** The answer to who asks which backends there are. */
    public static String kinds() {
        StringBuilder out = new StringBuilder("Available chardev backend types: \n");
        ChardevConfig.KINDS.forEach(k -> out.append("  ").append(k).append('\n'));
        return out.toString();
    }

    /** The text of {@code -chardev}; {@code warn} hears of deprecated spellings. */
    public static Parsed option(String text, Consumer<String> warn) throws OptionException {
        OptionValues options = OptionValues.parse(text, "backend").only(KEYS);
        for (String key : options.values().keySet()) {
            if (BOOLEANS.contains(key)) {
                options.bool(key);
            }
        }
        options.warnings().forEach(warn);
        String id = options.id();
        return new Parsed(id, device(options), options.bool("mux", false));
    }

    /** A text such as {@code telnet:127.0.0.1:4444,server,nowait}, {@code stdio}, {@code mon:stdio}. */
    public static Parsed compat(String text) throws OptionException {
        if (text.startsWith("mon:")) {
            String rest = text.substring(4);
            // A monitor that shares the terminal with a guest must not die of the guest's Ctrl-C.
            return rest.equals("stdio")
                    ? new Parsed(null, new ChardevConfig.Stdio(false), true)
                    : new Parsed(null, compat(rest).config(), true);
        }
        int colon = text.indexOf(':');
        String kind = colon < 0 ? text : text.substring(0, colon);
        String rest = colon < 0 ? "" : text.substring(colon + 1);
        ChardevConfig config =
                switch (kind) {
                    case "null", "pty", "stdio", "ringbuf" ->
                            colon < 0 || kind.equals("pty") ? named(kind, rest) : null;
                    case "vc" ->
                            throw new OptionException(
                                    "vc: this build has no graphical display to put a console on");
                    case "file" -> colon < 0 ? null : new ChardevConfig.File(rest, null, false);
                    case "pipe" -> colon < 0 ? null : new ChardevConfig.Pipe(rest);
                    case "tcp", "telnet", "tn3270", "websocket" -> network(kind, rest);
                    case "udp" -> datagrams(rest);
                    case "unix" -> colon < 0 ? null : unix(rest);
                    default -> text.startsWith("/dev/") ? new ChardevConfig.Host(text) : null;
                };
        if (config == null) {
            boolean network = Set.of("tcp", "telnet", "tn3270", "websocket", "udp").contains(kind);
            throw new OptionException(
                    (network ? "" : "'" + text + "' is not a valid char driver\n")
                            + "parse error: "
                            + text);
        }
        return new Parsed(null, config, false);
    }

    private static ChardevConfig named(String kind, String rest) {
        return switch (kind) {
            case "null" -> new ChardevConfig.Null();
            case "pty" -> new ChardevConfig.Pty(rest.isEmpty() ? null : rest);
            case "ringbuf" -> new ChardevConfig.Ringbuf(65536);
            default -> new ChardevConfig.Stdio(true);
        };
    }

    private static @Nullable ChardevConfig network(String kind, String rest)
            throws OptionException {
        int comma = rest.indexOf(',');
        String address = comma < 0 ? rest : rest.substring(0, comma);
        int colon = address.startsWith("[") ? address.indexOf("]:") + 1 : address.indexOf(':');
        if (colon < 0 || colon == address.length() - 1 || (address.startsWith("[") && colon == 0)) {
            return null;
        }
        String host = address.substring(0, colon);
        String options =
                "backend=socket,host="
                        + host
                        + ",port="
                        + address.substring(colon + 1)
                        + (comma < 0 ? "" : rest.substring(comma));
        OptionValues parsed = OptionValues.parse(options, null).only(KEYS);
        parsed.values().put("host", strip(host));
        if (!kind.equals("tcp")) {
            parsed.values().put(kind, "on");
        }
        return device(parsed);
    }

    private static String strip(String host) {
        return host.startsWith("[") && host.endsWith("]")
                ? host.substring(1, host.length() - 1)
                : host;
    }

    private static ChardevConfig unix(String rest) throws OptionException {
        OptionValues parsed = OptionValues.parse(rest, "path").only(KEYS);
        parsed.values().put("backend", "socket");
        return device(parsed);
    }

    private static @Nullable ChardevConfig datagrams(String rest) {
        String remote = rest;
        String local = null;
        int at = rest.indexOf('@');
        if (at >= 0) {
            remote = rest.substring(0, at);
            local = rest.substring(at + 1);
        }
        Address.Inet to = inet(remote);
        return to == null ? null : new ChardevConfig.Udp(to, local == null ? null : inet(local));
    }

    private static Address.@Nullable Inet inet(String text) {
        int colon = text.lastIndexOf(':');
        return colon < 0 || colon == text.length() - 1
                ? null
                : new Address.Inet(
                        strip(text.substring(0, colon)), text.substring(colon + 1), null, null);
    }

    private static ChardevConfig device(OptionValues o) throws OptionException {
        String backend = o.get("backend");
        if (backend == null) {
            throw new OptionException("chardev: \"" + o.get("id", "(null)") + "\" missing backend");
        }
        String path = o.get("path");
        ChardevConfig config =
                switch (backend) {
                    case "null" -> new ChardevConfig.Null();
                    case "pty" -> new ChardevConfig.Pty(path);
                    case "stdio" -> new ChardevConfig.Stdio(o.bool("signal", true));
                    case "file" ->
                            new ChardevConfig.File(
                                    required(path, "chardev: file: no filename given"),
                                    o.get("input-path"),
                                    o.bool("append", false));
                    case "pipe" ->
                            new ChardevConfig.Pipe(
                                    required(path, "chardev: pipe: no device path given"));
                    case "serial", "tty" ->
                            new ChardevConfig.Host(
                                    required(path, "chardev: serial/tty: no device path given"));
                    case "parallel", "parport" ->
                            new ChardevConfig.Host(
                                    required(path, "chardev: parallel: no device path given"));
                    case "ringbuf", "memory" ->
                            new ChardevConfig.Ringbuf(ringSize(o.get("size", "0")));
                    case "mux" ->
                            new ChardevConfig.Mux(
                                    required(o.get("chardev"), "chardev: mux: no chardev given"));
                    case "pair" -> new ChardevConfig.Pair(o.get("peer"));
                    case "socket" -> socket(o);
                    case "udp" -> udp(o);
                    default ->
                            throw new OptionException(
                                    "'" + backend + "' is not a valid char driver name");
                };
        String log = o.get("logfile");
        return log == null
                ? config
                : new ChardevConfig.Logged(config, log, o.bool("logappend", false));
    }

    private static String required(@Nullable String value, String message) throws OptionException {
        if (value == null) {
            throw new OptionException(message);
        }
        return value;
    }

    private static ChardevConfig udp(OptionValues o) throws OptionException {
        String port = required(o.get("port"), "chardev: udp: remote port not specified");
        String localHost = o.get("localaddr");
        String localPort = o.get("localport");
        Address.Inet local =
                localHost == null && localPort == null
                        ? null
                        : new Address.Inet(
                                localHost == null ? "" : localHost,
                                localPort == null ? "0" : localPort,
                                null,
                                null);
        return new ChardevConfig.Udp(
                new Address.Inet(o.get("host", "localhost"), port, o.bool("ipv4"), o.bool("ipv6")),
                local);
    }

    private static ChardevConfig socket(OptionValues o) throws OptionException {
        String path = o.get("path");
        String host = o.get("host");
        String port = o.get("port");
        String fd = o.get("fd");
        int given = (path == null ? 0 : 1) + (host == null ? 0 : 1) + (fd == null ? 0 : 1);
        if (given > 1) {
            throw new OptionException("None or one of 'path', 'fd' or 'host' option required.");
        }
        Address address;
        if (host != null) {
            address =
                    new Address.Inet(
                            strip(host),
                            required(port, "chardev: socket: no port given"),
                            o.bool("ipv4"),
                            o.bool("ipv6"));
        } else if (path != null) {
            address = new Address.Unix(path, o.bool("abstract", false), o.bool("tight", true));
        } else if (fd != null) {
            address = new Address.Descriptor(fd);
        } else {
            throw new OptionException("Unable to parse FD number ");
        }
        if (o.bool("websocket", false)) {
            throw new OptionException("chardev: socket: websocket is not supported by this build");
        }
        boolean server = o.bool("server", false);
        Boolean wait = o.bool("wait");
        String reconnect = o.get("reconnect-ms");
        return new ChardevConfig.Socket(
                address,
                server,
                server && wait == null ? Boolean.TRUE : wait,
                o.bool("telnet", false),
                o.bool("tn3270", false),
                o.get("tls-creds"),
                o.get("tls-authz"),
                reconnect == null ? null : o.number("reconnect-ms", 0));
    }

    /** In option text 0 stands for the default. */
    private static long ringSize(String text) throws OptionException {
        long size = OptionValues.size("size", text, 'b');
        return size == 0 ? 65536 : size;
    }
}
