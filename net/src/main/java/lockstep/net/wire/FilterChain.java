package lockstep.net.wire;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;

/**
 * The filters of one backend, head first. The head is nearest to the host's network, the tail
 * nearest to the NIC: packets towards the NIC (TX) walk from head to tail, packets from it (RX)
 * from tail to head.
 *
 * <p>The list is replaced, never changed, so a packet under way is not disturbed by an object-del.
 */
public final class FilterChain {
    private static final NetFilter[] NONE = {};

    private final Endpoint owner;
    private NetFilter[] filters = NONE;

    FilterChain(Endpoint owner) {
        this.owner = owner;
    }

    /** The filters, head first. */
    public List<NetFilter> list() {
        return List.of(filters);
    }

    /** Whether a filter that sees packets of that direction ({@code ALL}: of any) asks for a pause. */
    boolean congested(Direction direction) {
        for (NetFilter f : filters) {
            if (f.pauses(direction)) {
                return true;
            }
        }
        return false;
    }

    /** Adds a filter at {@code index}, 0 being the head. */
    public void insert(int index, NetFilter filter) {
        List<NetFilter> list = new ArrayList<>(list());
        list.add(index, filter);
        filters = list.toArray(NONE);
    }

    /** Takes a filter out, if it is there. */
    public void remove(NetFilter filter) {
        List<NetFilter> list = new ArrayList<>(list());
        list.remove(filter);
        filters = list.toArray(NONE);
    }

    /** Where a filter stands, or -1. */
    public int indexOf(NetFilter filter) {
        NetFilter[] f = filters;
        for (int i = 0; i < f.length; i++) {
            if (f[i] == filter) {
                return i;
            }
        }
        return -1;
    }

    /** Ends all filters, because the backend goes away. */
    void removeAll() {
        for (NetFilter f : list()) {
            f.close();
            owner.network().filterGone(f);
        }
    }

    /** Shows a packet to every filter. 0: it passed; otherwise a filter took it. */
    int pass(
            Direction direction,
            Endpoint sender,
            byte[] frame,
            int offset,
            int length,
            @Nullable Runnable sent) {
        NetFilter[] f = filters;
        return f.length == 0
                ? 0
                : walk(
                        f,
                        direction == Direction.TX ? 0 : f.length - 1,
                        direction,
                        sender,
                        frame,
                        offset,
                        length,
                        sent);
    }

    private static int walk(
            NetFilter[] f,
            int start,
            Direction direction,
            Endpoint sender,
            byte[] frame,
            int offset,
            int length,
            @Nullable Runnable sent) {
        int step = direction == Direction.TX ? 1 : -1;
        for (int i = start; i >= 0 && i < f.length; i += step) {
            int taken = f[i].offer(direction, sender, frame, offset, length, sent);
            if (taken != 0) {
                return taken;
            }
        }
        return 0;
    }

    /** Sends a packet through the filters that follow {@code after}, then to the sender's peer. */
    int passAfter(NetFilter after, Endpoint sender, byte[] frame, int offset, int length) {
        if (sender.peer() == null) {
            return length;
        }
        Direction direction = after.queue();
        if (direction == Direction.ALL) {
            direction = sender == owner ? Direction.TX : Direction.RX;
        }
        NetFilter[] f = filters;
        int at = indexOf(after);
        if (at >= 0) {
            int start = direction == Direction.TX ? at + 1 : at - 1;
            int taken = walk(f, start, direction, sender, frame, offset, length, null);
            if (taken != 0) {
                return taken;
            }
        }
        sender.sendUnfiltered(frame, offset, length);
        return length;
    }
}
