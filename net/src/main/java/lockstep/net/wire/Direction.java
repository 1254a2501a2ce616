package lockstep.net.wire;

/** Which way a packet goes, seen from the backend (the netdev) that carries the filters. */
public enum Direction {
    /** Both ways; only as a filter's choice, never of a packet. */
    ALL("all"),
    /** From the NIC towards the host's network. */
    RX("rx"),
    /** From the host's network towards the NIC. */
    TX("tx");

    private final String wireName;

    Direction(String wireName) {
        this.wireName = wireName;
    }

    /** The name in options: all, rx, tx. */
    public String wireName() {
        return wireName;
    }
}
