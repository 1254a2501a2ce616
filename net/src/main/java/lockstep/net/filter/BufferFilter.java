package lockstep.net.filter;

import lockstep.net.NetException;
import lockstep.net.wire.Direction;
import lockstep.net.wire.Endpoint;
import lockstep.net.wire.NetFilter;
import lockstep.net.wire.Network;
import lockstep.net.wire.PacketQueue;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.Timer;

import org.jspecify.annotations.Nullable;

import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.function.BiConsumer;

/** filter-buffer: holds every packet and lets all go at a fixed interval of guest time. */
public final class BufferFilter extends NetFilter {
    private record Held(Endpoint sender, byte[] frame) {}

    private final long interval;
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
            throw new NetException("Property 'filter-buffer.interval' requires a positive value");
        }
        this.interval = interval;
        this.loop = loop;
        this.timer = loop.timer(ClockType.VIRTUAL, this::tick);
        arm();
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
    protected void properties(BiConsumer<String, Object> out) {
        out.accept("interval", interval);
    }

    @Override
    protected void cleanup() {
        timer.cancel();
        releaseAll();
    }
}
