package lockstep.net.user;

/** The text of {@code info usernet}, in QEMU's columns. */
final class ConnectionTable {
    private final StringBuilder out;

    ConnectionTable(StringBuilder out) {
        this.out = out;
        out.append(
                "  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ"
                        + " SendQ\n");
    }

    /**
     * Adds a line.
     *
     * @param source and {@code destination}: addresses, 0 for any
     * @param received bytes from the guest that the host has not taken yet, {@code sent} those to the guest
     */
    void line(
            String protocol,
            int fd,
            int source,
            int port,
            int destination,
            int destinationPort,
            int received,
            int sent) {
        out.append(
                "%-19s %3d %15s %5d %15s %5d %5d %5d\n"
                        .formatted(
                                "  " + protocol,
                                fd,
                                any(source),
                                port,
                                any(destination),
                                destinationPort,
                                received,
                                sent));
    }

    /** Adds a line of a protocol without ports. */
    void line(String protocol, int fd, int source, int destination) {
        out.append(
                "%-19s %3d %15s  -    %15s  -    %5d %5d\n"
                        .formatted("  " + protocol, fd, any(source), any(destination), 0, 0));
    }

    private static String any(int address) {
        return address == 0 ? "*" : Ip.text(address);
    }
}
