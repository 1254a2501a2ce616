package lockstep.net.wire;

import org.jspecify.annotations.Nullable;

import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Iterator;

/**
 * Packets that wait for a receiver, in order. A sender that asked to be told when its packet is
 * gone may always add one more (it stops sending then); of the others at most {@link #LIMIT} are
 * kept and the rest is dropped, as a full wire does.
 */
public final class PacketQueue {
    /** Packets held without a sender that waits for them. QEMU: nq_maxlen. */
    public static final int LIMIT = 10000;

    /** Hands a packet to whatever is behind the queue. */
    @FunctionalInterface
    public interface Delivery {
        /**
         * Tries to deliver.
         *
         * @return bytes taken; 0 when the receiver has no room now; negative when the packet is
         *     lost
         */
        int deliver(Endpoint sender, byte[] frame, int offset, int length);
    }

    private record Packet(Endpoint sender, byte[] frame, @Nullable Runnable sent) {}

    private final Delivery delivery;
    private final ArrayDeque<Packet> packets = new ArrayDeque<>();
    private boolean delivering;

    /** A queue in front of {@code delivery}. */
    public PacketQueue(Delivery delivery) {
        this.delivery = delivery;
    }

    /** How many packets wait. */
    public int size() {
        return packets.size();
    }

    /**
     * Delivers a packet now, or keeps a copy for later.
     *
     * @param sent told once when a kept packet is gone; null for a sender that does not care
     * @return what the receiver answered; 0 when the packet was kept (or dropped at the limit)
     */
    public int send(
            Endpoint sender, byte[] frame, int offset, int length, @Nullable Runnable sent) {
        if (delivering || !packets.isEmpty() || !sender.canSend()) {
            append(sender, frame, offset, length, sent);
            return 0;
        }
        int result = deliver(sender, frame, offset, length);
        if (result == 0) {
            append(sender, frame, offset, length, sent);
            return 0;
        }
        flush();
        return result;
    }

    private int deliver(Endpoint sender, byte[] frame, int offset, int length) {
        delivering = true;
        try {
            return delivery.deliver(sender, frame, offset, length);
        } finally {
            delivering = false;
        }
    }

    private void append(
            Endpoint sender, byte[] frame, int offset, int length, @Nullable Runnable sent) {
        if (packets.size() >= LIMIT && sent == null) {
            return;
        }
        packets.add(new Packet(sender, Arrays.copyOfRange(frame, offset, offset + length), sent));
    }

    /**
     * Delivers what waits until the receiver has no room. Returns whether the queue is empty then.
     */
    public boolean flush() {
        if (delivering) {
            return false;
        }
        while (true) {
            Packet p = packets.peekFirst();
            if (p == null) {
                return true;
            }
            if (!p.sender.canSend()) {
                return false;
            }
            packets.removeFirst();
            if (deliver(p.sender, p.frame, 0, p.frame.length) == 0) {
                packets.addFirst(p);
                return false;
            }
            if (p.sent != null) {
                p.sent.run();
            }
        }
    }

    /**
     * Forgets the packets of a sender that goes away, or of all when null; waiting senders are
     * told.
     */
    public void purge(@Nullable Endpoint sender) {
        ArrayDeque<Packet> gone = new ArrayDeque<>();
        for (Iterator<Packet> i = packets.iterator(); i.hasNext(); ) {
            Packet p = i.next();
            if (sender == null || p.sender == sender) {
                i.remove();
                gone.add(p);
            }
        }
        for (Packet p : gone) {
            if (p.sent != null) {
                p.sent.run();
            }
        }
    }
}
