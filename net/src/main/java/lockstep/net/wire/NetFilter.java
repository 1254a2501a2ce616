package lockstep.net.wire;

import lockstep.api.NetFilterDirection;
import lockstep.net.NetException;
import lockstep.net.NetFilters;
import lockstep.qmp.QmpException;
import lockstep.runtime.object.QomKind;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;

import org.jspecify.annotations.Nullable;

import java.util.List;

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

    private static final QomKind<NetFilterDirection> QUEUE =
            new QomKind<>(
                    "NetFilterDirection", NetFilterDirection::read, NetFilterDirection::wireName);

    /**
     * What all filters have, in the order of {@code info network}. A filter stays where it was put: as in
     * QEMU, a change of {@code position}, {@code insert} or {@code netdev} is only remembered.
     */
    public static final QomType<NetFilter> TYPE =
            QomType.<NetFilter>abstraction("netfilter")
                    .with(
                            "position",
                            QomKind.STRING,
                            null,
                            f -> f.position,
                            (f, v) -> f.position = v)
                    .with(
                            "status",
                            QomKind.STRING,
                            null,
                            f -> f.on ? "on" : "off",
                            NetFilter::setStatus)
                    .with(
                            "insert",
                            QomKind.STRING,
                            null,
                            f -> f.before ? "before" : "behind",
                            NetFilter::setInsert)
                    .with("netdev", QomKind.STRING, null, f -> f.backend, (f, v) -> f.backend = v)
                    .with(
                            "queue",
                            QUEUE,
                            null,
                            f -> NetFilterDirection.valueOf(f.queue.name()),
                            (f, v) -> f.queue = Direction.valueOf(v.name()));

    private final String type;
    private final Placement placement;
    private String position;
    private boolean before;
    private String backend;
    private Direction queue;
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
        this.position = placement.position();
        this.before = placement.before();
        this.backend = placement.netdev();
        this.queue = placement.queue();
    }

    private void setStatus(String text) throws QmpException {
        setOn(status(text));
    }

    /** Whether a filter of that {@code status} is switched on. */
    public static boolean status(String text) throws QmpException {
        return switch (text) {
            case "on" -> true;
            case "off" -> false;
            default ->
                    throw new QmpException(
                            "Invalid value for netfilter status, should be 'on' or 'off'");
        };
    }

    private void setInsert(String text) throws QmpException {
        before =
                switch (text) {
                    case "before" -> true;
                    case "behind" -> false;
                    default ->
                            throw new QmpException(
                                    "Invalid value for netfilter insert, should be 'before' or"
                                            + " 'behind'");
                };
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

    /** The backend whose packets the filter sees. */
    public final Endpoint netdev() {
        return netdev;
    }

    /** Which packets the filter sees. */
    public final Direction queue() {
        return queue;
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
            netdev.uncongested();
        }
    }

    final int offer(
            Direction direction,
            Endpoint sender,
            byte[] frame,
            int offset,
            int length,
            @Nullable Runnable sent) {
        if (!on || closed || queue != Direction.ALL && queue != direction) {
            return 0;
        }
        return process(direction, sender, frame, offset, length, sent);
    }

    final boolean pauses(Direction direction) {
        boolean sees = direction == Direction.ALL || queue == Direction.ALL || queue == direction;
        return on && sees && congested();
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

    /** Shows a packet to all filters of the chain, this one too, as if the backend had sent it; the NIC does not get it. */
    protected final void show(byte[] frame) {
        netdev().filters().pass(Direction.TX, netdev(), frame, 0, frame.length, null);
    }

    /**
     * Whether what the filter sends elsewhere is taken so slowly that who sends should pause; the
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

    /** What qom-list shows: the filter's own properties, then those of {@link #TYPE}. */
    public abstract List<QomProperty> properties();

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
        properties()
                .forEach(p -> b.append(',').append(p.name()).append('=').append(p.reader().get()));
        return b.toString();
    }
}
