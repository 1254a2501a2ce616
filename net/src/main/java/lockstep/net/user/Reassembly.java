package lockstep.net.user;

import org.jspecify.annotations.Nullable;

import java.util.Arrays;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Puts the guest's fragments together (RFC 791 3.2). The newest {@value #DATAGRAMS} datagrams are kept until they are
 * whole; one whose fragments overlap is thrown away, as none is sent that way by an honest sender.
 */
final class Reassembly {
    static final int DATAGRAMS = 16;

    /** What the fragments of a datagram have in common. */
    record Key(int source, int destination, int protocol, int identification) {}

    private static final class Datagram {
        private byte[] data = {};
        private int received;
        private int total = -1;

        /** One bit for each eight bytes that are there. */
        private final BitSet blocks = new BitSet();
    }

    private final Map<Key, Datagram> datagrams =
            new LinkedHashMap<>() {
                private static final long serialVersionUID = 1L;

                @Override
                protected boolean removeEldestEntry(Map.Entry<Key, Datagram> eldest) {
                    return size() > DATAGRAMS;
                }
            };

    /** Takes a fragment; gives the payload when it was the last that was missing. */
    byte @Nullable [] add(Key key, int place, boolean more, byte[] f, int offset, int length) {
        int end = place + length;
        if (length == 0 || end > Ethernet.LONGEST || more && length % 8 != 0) {
            return null;
        }
        Datagram d = datagrams.computeIfAbsent(key, k -> new Datagram());
        int from = place / 8;
        int to = (end + 7) / 8;
        int next = d.blocks.nextSetBit(from);
        if (next >= 0 && next < to
                || d.total >= 0 && (end > d.total || !more)
                || !more && d.data.length > end) {
            datagrams.remove(key);
            return null;
        }
        d.blocks.set(from, to);
        if (d.data.length < end) {
            d.data = Arrays.copyOf(d.data, end);
        }
        System.arraycopy(f, offset, d.data, place, length);
        d.received += length;
        if (!more) {
            d.total = end;
        }
        if (d.received != d.total) {
            return null;
        }
        datagrams.remove(key);
        return d.data;
    }
}
