package lockstep.colo.compare;

import java.util.ArrayDeque;

/** Packets, and room for their bytes, that can be used again, so that a stream of them costs no memory. One thread. */
final class PacketPool {
    /** The smallest room is of this power of two, the largest holds every frame and every datagram. */
    private static final int SMALLEST = 8;

    private static final int LARGEST = 17;

    /** Bytes of room of one size that are kept for later. */
    private static final int KEPT = 4 << 20;

    private static final int MOST_PACKETS = 16384;

    /** What every flow may have for its history. */
    private static final int SHORT_HISTORY = 2 << 10;

    private static final int LONGEST_HISTORY = 128 << 10;

    /** Bytes of all histories from which on they are short. */
    private static final long MOST_HISTORY = 64 << 20;

    private final ArrayDeque<Packet> packets = new ArrayDeque<>();
    private long history;
    private final Room[] rooms = new Room[LARGEST - SMALLEST + 1];

    /** An empty pool. */
    PacketPool() {
        for (int i = 0; i < rooms.length; i++) {
            rooms[i] = new Room(1 << SMALLEST + i);
        }
    }

    private static final class Room {
        final int size;
        final ArrayDeque<byte[]> free = new ArrayDeque<>();

        Room(int size) {
            this.size = size;
        }
    }

    private Room room(int bytes) {
        if (bytes == 0) {
            return rooms[0];
        }
        return rooms[
                Math.max(0, Integer.SIZE - SMALLEST - Integer.numberOfLeadingZeros(bytes - 1))];
    }

    /** Room for a number of bytes, up to 128 KiB; what stands there is left over. */
    byte[] bytes(int length) {
        Room r = room(length);
        byte[] b = r.free.poll();
        return b == null ? new byte[r.size] : b;
    }

    /**
     * Room for more history.
     *
     * @param old what it has
     * @param wanted bytes, at least
     * @return a power of two of bytes, which may be too few, or {@code old} where there is no more
     */
    byte[] history(byte[] old, int wanted) {
        int most = history < MOST_HISTORY ? LONGEST_HISTORY : SHORT_HISTORY;
        if (old.length >= most) {
            return old;
        }
        byte[] room = bytes(Math.min(wanted, most));
        history += room.length;
        return room;
    }

    /** Takes it back. */
    void takeBackHistory(byte[] old) {
        if (old.length > 0) {
            history -= old.length;
            give(old);
        }
    }

    /** A packet like another one, with bytes of its own. */
    Packet copy(Packet o) {
        Packet p = packets.poll();
        if (p == null) {
            p = new Packet();
        }
        p.describe(o);
        p.frame = bytes(o.length);
        System.arraycopy(o.frame, 0, p.frame, 0, o.length);
        p.content = p.frame;
        if (o.content != o.frame) {
            p.content = bytes(o.to);
            System.arraycopy(o.content, 0, p.content, 0, o.to);
        }
        return p;
    }

    /** Takes a packet back, and its bytes. */
    void give(Packet p) {
        give(p.frame);
        if (p.content != p.frame) {
            give(p.content);
        }
        p.forget();
        if (packets.size() < MOST_PACKETS) {
            packets.push(p);
        }
    }

    private void give(byte[] bytes) {
        Room r = room(bytes.length);
        if (r.free.size() < KEPT / r.size) {
            r.free.push(bytes);
        }
    }
}
