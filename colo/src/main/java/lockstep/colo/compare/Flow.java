package lockstep.colo.compare;

import org.jspecify.annotations.Nullable;

/**
 * What belongs together, because it has the same addresses, protocol and ports: the packets that wait, and of TCP what is
 * known of both connections. One thread.
 */
final class Flow {
    // ---- for the table

    final long[] key = new long[FlowTable.KEY];
    int hash;
    @Nullable Flow chain;
    @Nullable Flow lessRecent;
    @Nullable Flow moreRecent;

    // ---- what waits: datagrams in order of arrival, data of TCP in order of sequence numbers

    final PacketList primary = new PacketList();
    final PacketList secondary = new PacketList();

    /** The primary's segments whose data were compared or that have none, and that wait for something else. */
    final PacketList ready = new PacketList();

    /** Segments that were sent again and that cannot be held against what left the first time: the other side may do the same. */
    final PacketList primaryAgain = new PacketList();

    final PacketList secondaryAgain = new PacketList();

    /** What came behind the opening of another connection between the same ends, that of TCP which is next. */
    final PacketList nextPrimary = new PacketList();

    final PacketList nextSecondary = new PacketList();

    /** A difference was found: only a checkpoint helps. */
    boolean differs;

    /** Both sides have something that the other one has not, so that it will be looked at again. */
    boolean suspect;

    /** Since when, in nanoseconds. */
    long suspectSince;

    /** As {@link Packet#protocol}. */
    int protocol;

    /** Whether it is one of TCP. */
    boolean isTcp;

    /** The queue of a side is full. */
    boolean primaryFull;

    boolean secondaryFull;

    final TcpState tcp;

    /** Something came since the last checkpoint. */
    boolean used;

    /** One that nothing is known of; the pool has room for what is to be remembered. */
    Flow(PacketPool pool) {
        tcp = new TcpState(pool);
    }

    /** Whether something of TCP that was sent again waits for the other side to do the same. */
    boolean again() {
        return !primaryAgain.isEmpty() || !secondaryAgain.isEmpty();
    }

    int primaryWaits() {
        return primary.size + ready.size + primaryAgain.size + nextPrimary.size;
    }

    int secondaryWaits() {
        return secondary.size + secondaryAgain.size + nextSecondary.size;
    }

    boolean idle() {
        return primaryWaits() == 0 && secondaryWaits() == 0 && tcp.secondaryOpening == null;
    }

    /** Forgets what waits. */
    void clear() {
        primary.clear();
        secondary.clear();
        ready.clear();
        primaryAgain.clear();
        secondaryAgain.clear();
        nextPrimary.clear();
        nextSecondary.clear();
    }

    /** Makes it new. */
    void reset() {
        differs = false;
        suspect = false;
        primaryFull = false;
        secondaryFull = false;
        tcp.reset();
    }
}
