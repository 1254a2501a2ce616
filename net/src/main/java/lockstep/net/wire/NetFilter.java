package lockstep.net.wire;

import lockstep.net.NetException;
import lockstep.net.NetFilters;

import org.jspecify.annotations.Nullable;

import java.util.function.BiConsumer;

/**
 * An object that sees the packets of one backend and may take, copy or inject some. Under the
 * machine lock. QEMU: filter-* objects.
 */
public abstract class NetFilter {
    /**
     * What all filters have in common, as the user gave it.
     *
     * @param id the object's id
     * @param netdev the id of the backend
     * @param queue which packets the filter sees
     * @param on whether it starts switched on
     * @param position {@code head}, {@code tail} or {@code id=<filter>}
     * @param before with {@code id=}: nearer to the head than that filter
     */
    public record Placement(
            String id,
            String netdev,
            Direction queue,
            boolean on,
            String position,
            boolean before) {}

    private final String type;
    private final Placement placement;
    private final Endpoint netdev;
    private boolean on;
    private boolean closed;

    /**
     * A filter that is not in a chain yet.
     *
     * @param type the object type, such as {@code filter-mirror}
     * @throws NetException when there is no such backend
     */
    protected NetFilter(Network network, String type, Placement placement) throws NetException {
        this.type = type;
        this.placement = placement;
        this.netdev = network.backend(placement.netdev());
        this.on = placement.on();
    }

    /** Puts the filter into its backend's chain, where its placement says. */
    public final void insert() throws NetException {
        netdev.filters().insert(netdev.network().position(placement), this);
    }

    /** The object's id. */
    public final String id() {
        return placement.id();
    }

    /** The object type. */
    public final String type() {
        return type;
    }

    /** How the filter was placed. */
    public final Placement placement() {
        return placement;
    }

    /** The backend whose packets the filter sees. */
    public final Endpoint netdev() {
        return netdev;
    }

    /** Which packets the filter sees. */
    public final Direction queue() {
        return placement.queue();
    }

    /** Whether the filter is switched on. */
    public final boolean on() {
        return on;
    }

    /** Switches the filter on or off ({@code qom-set} of {@code status}). */
    public final void setOn(boolean value) {
        if (on != value) {
            on = value;
            statusChanged();
        }
    }

    final int offer(
            Direction direction,
            Endpoint sender,
            byte[] frame,
            int offset,
            int length,
            @Nullable Runnable sent) {
        Direction queue = placement.queue();
        if (!on || closed || queue != Direction.ALL && queue != direction) {
            return 0;
        }
        return process(direction, sender, frame, offset, length, sent);
    }

    /**
     * Sees a packet; the bytes are only valid during the call.
     *
     * @return 0 to let it pass; another value when the filter took it
     */
    protected abstract int process(
            Direction direction,
            Endpoint sender,
            byte[] frame,
            int offset,
            int length,
            @Nullable Runnable sent);

    /** Sends a packet on behind this filter, as if {@code sender} had sent it. */
    protected final int passOn(Endpoint sender, byte[] frame, int offset, int length) {
        return netdev.filters().passAfter(this, sender, frame, offset, length);
    }

    /**
     * Whether what the filter sends elsewhere is taken so slowly that the backend should pause; the
     * filter then calls {@link Endpoint#uncongested} when that is over.
     */
    public boolean congested() {
        return false;
    }

    /** The filter was switched on or off. */
    protected void statusChanged() {}

    /** The virtual machine started (true) or stopped. */
    protected void runningChanged(boolean running) {}

    /** What COLO says. */
    public void colo(NetFilters.Event event) {
        if (event == NetFilters.Event.FAILOVER) {
            setOn(false);
        }
    }

    /**
     * The filter's own properties for {@code info network} and qom-get, in QEMU's order: {@code
     * String}, {@code Long} or {@code Boolean}.
     */
    protected void properties(BiConsumer<String, Object> out) {}

    /** Gives the filter's own properties to {@code out}. */
    public final void describeProperties(BiConsumer<String, Object> out) {
        properties(out);
    }

    /** Frees what the filter holds; called while it is still in its chain. Once. */
    protected void cleanup() {}

    /** Ends the filter and takes it out of its chain. Idempotent. */
    public final void close() {
        if (!closed) {
            cleanup();
            closed = true;
            netdev.filters().remove(this);
        }
    }

    /** The filter's line in {@code info network}, from the id on. */
    final String describe() {
        StringBuilder b = new StringBuilder(id()).append(": type=").append(type);
        BiConsumer<String, Object> out = (k, v) -> b.append(',').append(k).append('=').append(v);
        properties(out);
        out.accept("position", placement.position());
        out.accept("status", on ? "on" : "off");
        out.accept("insert", placement.before() ? "before" : "behind");
        out.accept("netdev", placement.netdev());
        out.accept("queue", queue().wireName());
        return b.toString();
    }
}
