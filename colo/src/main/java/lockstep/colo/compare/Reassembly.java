package lockstep.colo.compare;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Puts the fragments of one side's IP datagrams together (RFC 791, 8200), so that each is compared as a whole. What
 * overlaps never becomes whole (RFC 5722) and waits for a checkpoint. One thread.
 */
final class Reassembly {
    private static final int LONGEST = 65535;

    /** The first fragment of each datagram that is not whole, with the others behind it. */
    private final List<Packet> begun = new ArrayList<>();

    private final PacketPool pool;

    /** None has begun; the content of what becomes whole is in bytes of the pool. */
    Reassembly(PacketPool pool) {
        this.pool = pool;
    }

    /** Takes a fragment; gives its datagram once all of it is there, its frames from the first to the last. */
    @Nullable Packet add(Packet p) {
        for (int i = begun.size() - 1; i >= 0; i--) {
            Packet first = begun.get(i);
            if (first.identification == p.identification && Arrays.equals(first.key, p.key)) {
                Packet now = insert(first, p);
                int length = length(now);
                if (length < 0) {
                    begun.set(i, now);
                    return null;
                }
                begun.remove(i);
                join(now, length);
                return now;
            }
        }
        p.rest = null;
        begun.add(p);
        return null;
    }

    private static Packet insert(Packet first, Packet p) {
        if (p.fragmentOffset < first.fragmentOffset) {
            p.rest = first;
            return p;
        }
        Packet at = first;
        for (Packet next = at.rest;
                next != null && next.fragmentOffset <= p.fragmentOffset;
                next = at.rest) {
            at = next;
        }
        p.rest = at.rest;
        at.rest = p;
        return first;
    }

    /** Bytes of the datagram; negative when some are missing or there twice. */
    private static int length(Packet first) {
        int length = 0;
        for (Packet p = first; p != null; p = p.rest) {
            if (p.fragmentOffset != length) {
                return -1;
            }
            length += p.to - p.from;
            if (length > LONGEST || !p.moreFragments) {
                return length <= LONGEST && !p.moreFragments && p.rest == null ? length : -1;
            }
        }
        return -1;
    }

    private void join(Packet first, int length) {
        byte[] whole = pool.bytes(length);
        for (Packet p = first; p != null; p = p.rest) {
            System.arraycopy(p.frame, p.from, whole, p.fragmentOffset, p.to - p.from);
        }
        PacketReader.reassembled(first, whole, length);
    }

    /** How many datagrams are not whole. */
    int size() {
        return begun.size();
    }

    void clear() {
        begun.clear();
    }
}
