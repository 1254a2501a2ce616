package lockstep.colo.compare;

import org.jspecify.annotations.Nullable;

/** Packets in a row, linked by themselves. One thread. */
final class PacketList {
    @Nullable Packet first;
    @Nullable Packet last;
    int size;

    boolean isEmpty() {
        return first == null;
    }

    /** Adds at the end. */
    void add(Packet p) {
        addBehind(last, p);
    }

    /** Adds a TCP segment behind all whose data begin no later. */
    void addBySequence(Packet p) {
        Packet at = last;
        while (at != null && at.dataSequence() - p.dataSequence() > 0) {
            at = at.previous;
        }
        addBehind(at, p);
    }

    private void addBehind(@Nullable Packet at, Packet p) {
        Packet behind = at == null ? first : at.next;
        p.previous = at;
        p.next = behind;
        if (at == null) {
            first = p;
        } else {
            at.next = p;
        }
        if (behind == null) {
            last = p;
        } else {
            behind.previous = p;
        }
        size++;
    }

    void remove(Packet p) {
        Packet before = p.previous;
        Packet behind = p.next;
        if (before == null) {
            first = behind;
        } else {
            before.next = behind;
        }
        if (behind == null) {
            last = before;
        } else {
            behind.previous = before;
        }
        p.previous = null;
        p.next = null;
        size--;
    }

    /** Forgets all of them. */
    void clear() {
        first = null;
        last = null;
        size = 0;
    }

    /** The oldest that is like {@code p}, or null. */
    @Nullable Packet like(Packet p) {
        for (Packet q = first; q != null; q = q.next) {
            if (q.same(p)) {
                return q;
            }
        }
        return null;
    }
}
