package lockstep.net.filter;

import lockstep.net.NetException;
import lockstep.net.wire.Direction;
import lockstep.net.wire.Endpoint;
import lockstep.net.wire.NetFilter;
import lockstep.net.wire.Network;
import lockstep.net.wire.PacketQueue;
import lockstep.qmp.QmpException;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.Timer;
import lockstep.runtime.object.QomKind;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;

import org.jspecify.annotations.Nullable;

import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.List;

/** filter-buffer: holds every packet and lets all go at a fixed interval of guest time. */
public final class BufferFilter extends NetFilter {
    private static final String NO_INTERVAL =
            "Property 'filter-buffer.interval' requires a positive value";

    private record Held(Endpoint sender, byte[] frame) {}

    /** QEMU: type "filter-buffer". */
    public static final QomType<BufferFilter> TYPE =
            QomType.<BufferFilter>of("filter-buffer", NetFilter.TYPE)
                    .with(
                            "interval",
                            QomKind.UINT32,
                            null,
                            f -> f.interval,
                            BufferFilter::setInterval);

    private long interval;
    private final EventLoop loop;
    private final ArrayDeque<Held> held = new ArrayDeque<>();
    private final Timer timer;

    /**
     * A filter that holds nothing yet.
     *
     * @param interval microseconds, 1 to 2^32-1
     */
    public BufferFilter(Network network, Placement placement, EventLoop loop, long interval)
            throws NetException {
        super(network, "filter-buffer", placement);
        network.position(placement);
        if (interval == 0) {
            throw new NetException(NO_INTERVAL);
        }
        this.interval = interval;
        this.loop = loop;
        this.timer = loop.timer(ClockType.VIRTUAL, this::tick);
        arm();
    }

    /** Counts from the next release on, as in QEMU. */
    private void setInterval(long micros) throws QmpException {
        if (micros == 0) {
            throw new QmpException(NO_INTERVAL);
        }
        interval = micros;
    }

    private void arm() {
        if (on()) {
            timer.arm(loop.clocks().virtual() + interval * 1000);
        }
    }

    private void tick() {
        releaseAll();
        arm();
    }

    private void releaseAll() {
        for (Held h = held.poll(); h != null; h = held.poll()) {
            passOn(h.sender, h.frame, 0, h.frame.length);
        }
    }

    @Override
    protected int process(
            Direction direction,
            Endpoint sender,
            byte[] frame,
            int offset,
            int length,
            @Nullable Runnable sent) {
        // The sender is not told when the packet leaves: to it the packet is gone.
        if (held.size() < PacketQueue.LIMIT) {
            held.add(new Held(sender, Arrays.copyOfRange(frame, offset, offset + length)));
        }
        return length;
    }

    @Override
    protected void statusChanged() {
        if (on()) {
            arm();
        } else {
            timer.cancel();
            releaseAll();
        }
    }

    @Override
    public List<QomProperty> properties() {
        return TYPE.properties(this);
    }

    @Override
    protected void cleanup() {
        timer.cancel();
        releaseAll();
    }
}
