package lockstep.colo.compare;

import java.util.ArrayDeque;

/** Packets that can be used again, so that a stream of them costs no memory. One thread. */
final class PacketPool {
    /** Bytes that hold a packet of an ordinary network. */
    private static final int ORDINARY = 2048;

    private static final int MOST_ORDINARY = 4096;
    private static final int MOST_LARGE = 64;

    private final ArrayDeque<Packet> ordinary = new ArrayDeque<>();
    private final ArrayDeque<Packet> large = new ArrayDeque<>();

    /** A packet with room for a frame. */
    Packet take(int length) {
        Packet p = (length <= ORDINARY ? ordinary : large).poll();
        if (p == null) {
            p = new Packet();
        }
        if (p.frame.length < length) {
            p.frame = new byte[Math.max(length, ORDINARY)];
        }
        return p;
    }

    /** Takes a packet back. */
    void give(Packet p) {
        boolean small = p.frame.length <= ORDINARY && p.whole.length == 0;
        ArrayDeque<Packet> pool = small ? ordinary : large;
        if (pool.size() < (small ? MOST_ORDINARY : MOST_LARGE)) {
            pool.push(p);
        }
    }
}
