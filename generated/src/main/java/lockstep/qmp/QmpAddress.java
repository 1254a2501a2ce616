package lockstep.qmp;

import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Path;
import java.util.List;

/** Where a QMP server is. */
public sealed interface QmpAddress {
    /**
     * A UNIX-domain socket, as of {@code -qmp unix:PATH,server=on,wait=off}.
     *
     * @param path the socket's file
     */
    record Unix(Path path) implements QmpAddress {
        @Override
        public String toString() {
            return "unix:" + path;
        }
    }

    /**
     * A TCP socket, as of {@code -qmp tcp:HOST:PORT,server=on,wait=off}.
     *
     * @param host name or address
     * @param port from 1 to 65535
     */
    record Tcp(String host, int port) implements QmpAddress {
        /** Checks the port. */
        public Tcp {
            if (port < 1 || port > 65535) {
                throw new IllegalArgumentException("Port " + port + " is not from 1 to 65535.");
            }
        }

        @Override
        public String toString() {
            return "tcp:" + (host.indexOf(':') >= 0 ? "[" + host + "]" : host) + ":" + port;
        }
    }

    /**
     * A program that is started for each connection and speaks QMP on its standard input and output,
     * as {@code qemu-system-x86_64 -qmp stdio} does. Its standard error is this program's. The client
     * ends it when it closes: by SIGTERM, and by SIGKILL where that did not help.
     *
     * @param command program and arguments
     */
    record Program(List<String> command) implements QmpAddress {
        /** Copies the list. */
        public Program {
            command = List.copyOf(command);
            if (command.isEmpty()) {
                throw new IllegalArgumentException("A command needs a program.");
            }
        }

        @Override
        public String toString() {
            return "program " + command.getFirst();
        }
    }

    /**
     * Streams that are connected already: of a process, a tunnel, an accepted socket. They are closed
     * with the connection, and there is no second one.
     *
     * @param input what the server writes
     * @param output what the server reads
     */
    record Streams(InputStream input, OutputStream output) implements QmpAddress {
        @Override
        public String toString() {
            return "given streams";
        }
    }

    /** The UNIX-domain socket of that path. */
    static QmpAddress unix(Path path) {
        return new Unix(path);
    }

    /** The TCP socket of that host and port. */
    static QmpAddress tcp(String host, int port) {
        return new Tcp(host, port);
    }

    /** A program that speaks QMP on its standard input and output. */
    static QmpAddress program(String... command) {
        return new Program(List.of(command));
    }

    /** Streams that are connected already. */
    static QmpAddress streams(InputStream input, OutputStream output) {
        return new Streams(input, output);
    }

    /**
     * Reads an address of a command line: {@code unix:PATH}, {@code tcp:HOST:PORT}, {@code HOST:PORT}
     * or {@code PATH}; an IPv6 address stands in brackets. What has a slash or no colon is a path.
     *
     * @throws IllegalArgumentException when it is none of these
     */
    static QmpAddress parse(String text) {
        if (text.startsWith("unix:")) {
            return new Unix(Path.of(text.substring("unix:".length())));
        }
        String host = text.startsWith("tcp:") ? text.substring("tcp:".length()) : text;
        boolean tcp = text.startsWith("tcp:");
        int colon = host.lastIndexOf(':');
        if (!tcp && (colon < 0 || text.indexOf('/') >= 0)) {
            if (text.isEmpty()) {
                throw new IllegalArgumentException("An empty address names no socket.");
            }
            return new Unix(Path.of(text));
        }
        try {
            int port = Integer.parseInt(host.substring(colon + 1));
            String name = host.substring(0, Math.max(colon, 0));
            if (name.startsWith("[") && name.endsWith("]")) {
                name = name.substring(1, name.length() - 1);
            }
            return new Tcp(name.isEmpty() ? "localhost" : name, port);
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException(
                    "'" + text + "' is not an address: use unix:PATH or tcp:HOST:PORT.", e);
        }
    }
}
