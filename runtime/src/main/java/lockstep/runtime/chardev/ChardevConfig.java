package lockstep.runtime.chardev;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** What kind of character device to make, as the command line or chardev-add says it. */
public sealed interface ChardevConfig {
    /** Where a socket is. */
    sealed interface Address {
        /** A TCP host and port; port 0 lets the kernel choose; null members were not given. */
        record Inet(String host, String port, @Nullable Boolean ipv4, @Nullable Boolean ipv6)
                implements Address {}

        /** A unix socket. */
        record Unix(String path, boolean isAbstract, boolean tight) implements Address {}

        /** A descriptor that the process was given: a number, or a name known to the monitor. */
        record Descriptor(String name) implements Address {}
    }

    /**
     * A stream socket.
     *
     * @param server listens, else connects
     * @param waits whether start-up waits for the first peer; null when not given
     * @param telnet speaks the telnet protocol
     * @param tn3270 speaks telnet's 3270 variety
     * @param tlsCredentials id of the object with the credentials; null without TLS
     * @param tlsAuthorization id of the object that decides about a client; null for all clients
     * @param reconnectMs milliseconds between attempts to connect; null when not given
     */
    record Socket(
            Address address,
            boolean server,
            @Nullable Boolean waits,
            boolean telnet,
            boolean tn3270,
            @Nullable String tlsCredentials,
            @Nullable String tlsAuthorization,
            @Nullable Long reconnectMs)
            implements ChardevConfig {}

    /** Standard input and output; {@code signal}: Ctrl-C ends the process, else the guest gets it. */
    record Stdio(boolean signal) implements ChardevConfig {}

    /** Output to a file, and input from another one if given. */
    record File(String out, @Nullable String in, boolean append) implements ChardevConfig {}

    /** A named pipe, or the pair {@code device.in} and {@code device.out}. */
    record Pipe(String device) implements ChardevConfig {}

    /** A device file of the host, such as a serial line. */
    record Host(String device) implements ChardevConfig {}

    /** Swallows everything. */
    record Null() implements ChardevConfig {}

    /** A pseudo terminal, with a symbolic link to it if a path is given. */
    record Pty(@Nullable String path) implements ChardevConfig {}

    /** A ring of the last {@code size} bytes, a power of two. */
    record Ringbuf(long size) implements ChardevConfig {}

    /** Lets up to four front ends share the device named {@code base}. */
    record Mux(String base) implements ChardevConfig {}

    /** An end of a pair within the process, or with {@code peer} the other end of that one. */
    record Pair(@Nullable String peer) implements ChardevConfig {}

    /** Datagrams to a remote address. */
    record Udp(Address.Inet remote, Address.@Nullable Inet local) implements ChardevConfig {}

    /** Copies of every byte go to a log file. */
    record Logged(ChardevConfig device, String file, boolean append) implements ChardevConfig {}

    /** The kinds by the names of query-chardev-backends. */
    List<String> KINDS =
            List.of(
                    "mux", "null", "file", "pair", "pipe", "pty", "ringbuf", "serial", "socket",
                    "stdio", "udp");
}
