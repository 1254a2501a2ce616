package lockstep.net.wire;

import org.jspecify.annotations.Nullable;

/**
 * One end of a wire: a NIC's port, or a backend (netdev). Sends to its peer; what the peer cannot
 * take is queued in front of the peer. Used under the machine lock.
 */
public abstract class Endpoint {
    private final Network network;
    private final String name;
    private final String type;
    private final PacketQueue incoming;
    private final FilterChain filters;
    private @Nullable Endpoint peer;
    private String info = "";
    private boolean linkDown;
    private boolean receiveDisabled;
    private boolean closed;

    /**
     * An endpoint that is not yet in the network's list.
     *
     * @param name a netdev's id, or the name of a NIC's port
     * @param type {@code nic}, {@code tap}, {@code hubport}, ...
     */
    @SuppressWarnings("this-escape") // Both only keep the reference.
    protected Endpoint(Network network, String name, String type) {
        this.network = network;
        this.name = name;
        this.type = type;
        this.incoming = new PacketQueue(this::deliver);
        this.filters = new FilterChain(this);
    }

    /** The network that the endpoint belongs to. */
    public final Network network() {
        return network;
    }

    /** The id of a netdev, the name of a NIC's port. */
    public final String name() {
        return name;
    }

    /** The kind, as {@code info network} says it. */
    public final String type() {
        return type;
    }

    /** Whether this is a NIC's port; those have no filters and no netdev id. */
    public boolean nic() {
        return false;
    }

    /** The details in {@code info network}. */
    public final String info() {
        return info;
    }

    /** Sets the details for {@code info network}. */
    protected final void info(String text) {
        info = text;
    }

    /** The other end of the wire, or null. */
    public final @Nullable Endpoint peer() {
        return peer;
    }

    /** Connects two ends that have no peer. */
    public final void connect(Endpoint other) {
        if (peer != null || other.peer != null) {
            throw new IllegalStateException(name + " or " + other.name + " has a peer already");
        }
        peer = other;
        other.peer = this;
    }

    /** The filters on this endpoint, empty for a NIC. */
    public final FilterChain filters() {
        return filters;
    }

    /** Bytes of virtio header in front of each packet of this backend; plain Ethernet: 0. */
    public int vnetHeaderLength() {
        return 0;
    }

    /** Whether the link is administratively down. */
    public final boolean linkDown() {
        return linkDown;
    }

    final void setLinkDown(boolean down) {
        linkDown = down;
    }

    /** Whether a packet would be taken now. */
    protected boolean canReceive() {
        return true;
    }

    /**
     * Takes a packet; the bytes are only valid during the call.
     *
     * @return bytes taken, 0 for "not now, keep it until {@link #flushIncoming}", negative for an
     *     error
     */
    protected abstract int receive(byte[] frame, int offset, int length);

    /** This end's or the peer's link changed. */
    protected void linkChanged() {}

    /** The virtual machine started (true) or stopped. */
    protected void runningChanged(boolean running) {}

    /** Frees what the endpoint holds in the host. Once. */
    protected void cleanup() {}

    /** Whether the peer would take a packet from this end now. */
    public boolean canSend() {
        if (!network.running()) {
            return false;
        }
        Endpoint p = peer;
        return p == null || !p.receiveDisabled && p.canReceive();
    }

    /**
     * Sends a packet through the filters to the peer. Never blocks.
     *
     * @param sent told once when a packet that was queued is gone; null when not needed
     * @return 0 when the packet was queued (a sender with {@code sent} then pauses); another value
     *     when it was taken, dropped or lost
     */
    public final int send(byte[] frame, int offset, int length, @Nullable Runnable sent) {
        Endpoint p = peer;
        if (linkDown || p == null || closed) {
            return length;
        }
        int taken = filters.pass(Direction.TX, this, frame, offset, length, sent);
        if (taken == 0) {
            taken = p.filters.pass(Direction.RX, this, frame, offset, length, sent);
        }
        return taken != 0 ? taken : p.incoming.send(this, frame, offset, length, sent);
    }

    /** Whether a filter asks this backend to pause its reading: one of its own, or one behind its peer. */
    protected final boolean congested() {
        Endpoint p = peer;
        return filters.congested(Direction.ALL) || p != null && p.jammed();
    }

    /**
     * Whether a filter that packets to this end come through asks their sender to pause. Who was told so
     * gets {@link #wake} later.
     */
    protected boolean jammed() {
        return filters.congested(Direction.RX);
    }

    /** Whether a filter asks for a pause on the way from this end to its peer and further. */
    public final boolean jammedAhead() {
        Endpoint p = peer;
        return !linkDown && p != null && (filters.congested(Direction.TX) || p.jammed());
    }

    /** A filter of this end no longer asks for a pause, or packets go another way: both ends look again. */
    public final void uncongested() {
        wake();
        wakePeer();
    }

    /** Has the peer look whether it may go on. */
    public final void wakePeer() {
        Endpoint p = peer;
        if (p != null) {
            p.wake();
        }
    }

    /** What this end paused for may be over. */
    protected void wake() {}

    /** Puts a packet that left this endpoint's filters straight into the peer's queue. */
    final void sendUnfiltered(byte[] frame, int offset, int length) {
        Endpoint p = peer;
        if (p != null) {
            p.incoming.send(this, frame, offset, length, null);
        }
    }

    private int deliver(Endpoint sender, byte[] frame, int offset, int length) {
        if (linkDown || closed) {
            return length;
        }
        if (receiveDisabled) {
            return 0;
        }
        int taken = receive(frame, offset, length);
        if (taken == 0) {
            receiveDisabled = true;
        }
        return taken;
    }

    /** Says that this endpoint has room again, and delivers what waits in front of it. */
    public final void flushIncoming() {
        receiveDisabled = false;
        incoming.flush();
        Endpoint p = peer;
        if (p != null) {
            p.peerFlushed();
        }
    }

    /** The peer has room again; for endpoints behind which others wait. */
    protected void peerFlushed() {}

    /** How many packets wait in front of this endpoint. */
    public final int waiting() {
        return incoming.size();
    }

    final void purgeFrom(Endpoint sender) {
        incoming.purge(sender);
    }

    /** Whether {@link #close} was called. */
    public final boolean closed() {
        return closed;
    }

    /** Removes the endpoint's filters, disconnects it and frees its resources. Idempotent. */
    public final void close() {
        if (closed) {
            return;
        }
        filters.removeAll();
        closed = true;
        network.remove(this);
        Endpoint p = peer;
        if (p != null) {
            p.purgeFrom(this);
            p.peer = null;
            peer = null;
            if (p.nic()) {
                p.linkDown = true; // The guest sees its cable pulled.
                p.linkChanged();
            }
        }
        incoming.purge(null);
        cleanup();
    }
}
