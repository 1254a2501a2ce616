package lockstep.colo.packet;

/**
 * What makes packets belong together: addresses, protocol, and ports where the protocol has some.
 *
 * @param source IPv4 source address, its 32 bits
 * @param destination IPv4 destination address
 * @param protocol IP protocol number, 0 to 255
 * @param sourcePort 0 to 65535; 0 for a protocol without ports
 * @param destinationPort 0 to 65535
 */
public record ConnectionKey(
        int source, int destination, int protocol, int sourcePort, int destinationPort) {
    /** The key of packets that go the other way. */
    public ConnectionKey reversed() {
        return new ConnectionKey(destination, source, protocol, destinationPort, sourcePort);
    }
}
