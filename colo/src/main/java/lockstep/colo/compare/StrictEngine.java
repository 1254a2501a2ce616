package lockstep.colo.compare;

import lockstep.api.ColoDifferenceKind;

import org.jspecify.annotations.Nullable;

import java.util.ArrayDeque;
import java.util.function.IntSupplier;
import java.util.function.LongSupplier;

/**
 * Lets nothing out that the secondary has not sent too, and no acknowledgement of what the secondary has not: whichever
 * guest goes on alone, its clients find what they were told. {@link TcpRules} has the rules of TCP. Everything else is
 * compared packet by packet, in any order within a flow; {@link PacketReader} says what of it.
 *
 * <p>Packets that wait are bounded by flow and altogether. At a bound a checkpoint is requested, and {@link #takes} is
 * false: whoever reads the packets holds the guest back until there is room. Nothing is allocated per packet once the pool
 * is filled.
 */
final class StrictEngine implements Engine {
    /** Flows that are remembered; also QEMU's number. */
    static final int MOST_FLOWS = 16384;

    /** Bytes of memory that the waiting packets of a side may take. */
    private static final long MOST_MEMORY = 64L << 20;

    private final Output output;
    private final LongSupplier nanos;
    private final IntSupplier maxQueue;
    private final LongSupplier settleNanos;
    private final FlowTable flows;
    private final PacketPool pool = new PacketPool();
    private final TcpRules tcp = new TcpRules(this);
    private final Reassembly primaryFragments = new Reassembly(pool);
    private final Reassembly secondaryFragments = new Reassembly(pool);
    private final CompareStatistics statistics = new CompareStatistics();
    private final ArrayDeque<Flow> suspects = new ArrayDeque<>();

    /** The frame that is being looked at; its bytes are not ours. */
    private final Packet arriving = new Packet();

    // All that waits, in order of arrival.
    private @Nullable Packet oldest;
    private @Nullable Packet newest;

    private long primaryMemory;
    private long secondaryMemory;
    private int primaryFull;
    private int secondaryFull;
    private int differing;
    private boolean lateTold;
    private boolean fullTold;

    /**
     * An engine that knows no flow.
     *
     * @param nanos the monotonic clock
     * @param maxQueue packets of one flow and side that may wait
     * @param settleNanos how long packets other than TCP that differ may wait for their likes
     * @param mostFlows flows that are remembered
     */
    StrictEngine(
            Output output,
            LongSupplier nanos,
            IntSupplier maxQueue,
            LongSupplier settleNanos,
            int mostFlows) {
        this.output = output;
        this.nanos = nanos;
        this.maxQueue = maxQueue;
        this.settleNanos = settleNanos;
        flows = new FlowTable(mostFlows, pool);
    }

    @Override
    public void primary(byte[] data, int length, int vnetHeader) {
        accept(data, length, vnetHeader, true);
    }

    @Override
    public void secondary(byte[] data, int length, int vnetHeader) {
        accept(data, length, vnetHeader, false);
    }

    private void accept(byte[] data, int length, int vnetHeader, boolean primary) {
        statistics.arrived(primary, length);
        Packet p = arriving;
        p.frame = data;
        p.length = length;
        p.vnetHeader = vnetHeader;
        p.primary = primary;
        p.arrival = nanos.getAsLong();
        PacketReader.read(p);
        if (p.fragment) {
            Packet whole = (primary ? primaryFragments : secondaryFragments).add(keep(p));
            if (whole == null) {
                checkRoom();
                return;
            }
            charge(whole, whole.content.length);
            p = whole;
        }
        Flow f = flows.get(p.key);
        f.isTcp = p.tcp;
        f.protocol = p.protocol;
        f.used = true;
        if (p.tcp) {
            if (primary) {
                tcp.primary(f, p);
            } else {
                tcp.secondary(f, p);
            }
        } else {
            datagram(f, p, primary ? f.primary : f.secondary, primary ? f.secondary : f.primary);
        }
        used(f);
    }

    private void datagram(Flow f, Packet p, PacketList own, PacketList other) {
        Packet like = other.like(p);
        if (like == null) {
            own.add(keep(p));
            return;
        }
        other.remove(like);
        release(p.primary ? p : like);
        drop(p.primary ? like : p);
    }

    /** Looks at a flow after something happened in it. */
    private void used(Flow f) {
        int limit = maxQueue.getAsInt();
        boolean full = f.primaryWaits() >= limit;
        if (full != f.primaryFull) {
            f.primaryFull = full;
            primaryFull += full ? 1 : -1;
        }
        full = f.secondaryWaits() >= limit;
        if (full != f.secondaryFull) {
            f.secondaryFull = full;
            secondaryFull += full ? 1 : -1;
        }
        if (f.idle()) {
            flows.idle(f);
        } else if (!f.suspect && suspect(f)) {
            f.suspect = true;
            f.suspectSince = nanos.getAsLong();
            suspects.add(f);
        }
        checkRoom();
    }

    private void checkRoom() {
        boolean full = !takes(true) || !takes(false);
        if (full && !fullTold) {
            statistics.count(PacketReader.NOT_IP, ColoDifferenceKind.FULL);
            ask("full queue");
        }
        fullTold = full;
    }

    @Override
    public boolean takes(boolean primary) {
        // What the secondary sends may be what the flows that fill the table wait for.
        return primary
                ? !flows.full() && primaryFull == 0 && primaryMemory < MOST_MEMORY
                : !flows.overfull() && secondaryFull == 0 && secondaryMemory < MOST_MEMORY;
    }

    // ---- differences

    private void ask(String cause) {
        CompareTrace.CHECKPOINT.log(cause);
        statistics.asked++;
        output.requestCheckpoint();
    }

    /** The guests differ in a flow. Until a checkpoint nothing of it is compared. */
    void differ(Flow f, ColoDifferenceKind kind) {
        if (f.differs) {
            return;
        }
        f.differs = true;
        differing++;
        statistics.count(f.protocol, kind);
        ask(CompareStatistics.name(f.protocol, kind));
    }

    private static boolean suspect(Flow f) {
        if (f.differs) {
            return false;
        }
        return f.isTcp ? TcpRules.suspect(f) : !f.primary.isEmpty() && !f.secondary.isEmpty();
    }

    private static long suspectSince(Flow f) {
        if (f.isTcp && !f.again()) {
            return f.suspectSince;
        }
        Packet p = (f.isTcp ? f.primaryAgain : f.primary).first;
        Packet s = (f.isTcp ? f.secondaryAgain : f.secondary).first;
        if (p == null || s == null) {
            return p != null ? p.arrival : s != null ? s.arrival : f.suspectSince;
        }
        return Math.max(p.arrival, s.arrival);
    }

    @Override
    public long settlesAt() {
        Flow f = suspects.peek();
        return f == null ? Long.MAX_VALUE : suspectSince(f) + settleNanos.getAsLong();
    }

    @Override
    public void settle() {
        long now = nanos.getAsLong();
        for (Flow f = suspects.peek(); f != null; f = suspects.peek()) {
            boolean still = suspect(f);
            if (still && suspectSince(f) + settleNanos.getAsLong() - now > 0) {
                return;
            }
            suspects.remove();
            f.suspect = false;
            if (still && (!f.isTcp || tcp.settled(f))) {
                boolean reset = f.isTcp && !f.again();
                differ(f, reset ? ColoDifferenceKind.RESET : ColoDifferenceKind.PAYLOAD);
            }
            if (still) {
                used(f);
            }
        }
    }

    @Override
    public void scan(long timeout) {
        Packet p = oldest;
        if (p != null && nanos.getAsLong() - p.arrival > timeout * 1_000_000) {
            if (!lateTold) {
                statistics.count(p.protocol, ColoDifferenceKind.LATE);
                lateTold = true;
            }
            ask("one side is late");
        } else if (differing > 0 || fullTold) {
            ask("still different");
        }
    }

    @Override
    public void flush() {
        Packet p = oldest;
        flows.forEach(this::checkpoint);
        suspects.clear();
        primaryFragments.clear();
        secondaryFragments.clear();
        oldest = null;
        newest = null;
        while (p != null) {
            Packet next = p.newer;
            if (p.primary) {
                out(p);
            }
            forget(p);
            p = next;
        }
        differing = 0;
        lateTold = false;
        fullTold = false;
        statistics.checkpoints++;
    }

    private void checkpoint(Flow f) {
        if (f.isTcp) {
            TcpRules.checkpoint(f);
        }
        f.suspect = false;
        f.differs = false;
        boolean was = flows.isIdle(f);
        f.clear();
        if (f.primaryFull) {
            f.primaryFull = false;
            primaryFull--;
        }
        if (f.secondaryFull) {
            f.secondaryFull = false;
            secondaryFull--;
        }
        if (!was) {
            flows.idle(f);
        }
    }

    // ---- what waits

    /** The packet as it can be kept. */
    Packet keep(Packet p) {
        return p == arriving ? another(p) : p;
    }

    /** A copy that waits as well. */
    Packet another(Packet p) {
        Packet kept = pool.copy(p);
        kept.older = newest;
        if (newest == null) {
            oldest = kept;
        } else {
            newest.newer = kept;
        }
        newest = kept;
        charge(kept, kept.memory());
        statistics.held(kept, 1);
        return kept;
    }

    private void charge(Packet p, int memory) {
        if (p.primary) {
            primaryMemory += memory;
        } else {
            secondaryMemory += memory;
        }
    }

    /** Sends a packet of the primary, and the other fragments of its datagram. */
    void release(Packet p) {
        if (p == arriving) {
            out(p);
            return;
        }
        for (Packet part = p; part != null; ) {
            Packet rest = part.rest;
            out(part);
            unlink(part);
            forget(part);
            part = rest;
        }
    }

    /** Forgets a packet of the secondary, and the other fragments of its datagram. */
    void drop(Packet p) {
        for (Packet part = p; part != null && part != arriving; ) {
            Packet rest = part.rest;
            unlink(part);
            forget(part);
            part = rest;
        }
    }

    private void out(Packet p) {
        statistics.released(p.length, p == arriving ? 0 : nanos.getAsLong() - p.arrival);
        output.release(p.frame, p.length, p.vnetHeader);
    }

    private void unlink(Packet p) {
        Packet older = p.older;
        Packet newer = p.newer;
        if (older == null) {
            oldest = newer;
        } else {
            older.newer = newer;
        }
        if (newer == null) {
            newest = older;
        } else {
            newer.older = older;
        }
    }

    private void forget(Packet p) {
        charge(p, -p.memory());
        statistics.held(p, -1);
        pool.give(p);
    }

    @Override
    public CompareStatistics statistics() {
        Packet p = oldest;
        statistics.flows = flows.size();
        statistics.evicted = flows.evicted();
        statistics.oldest = p == null ? 0 : nanos.getAsLong() - p.arrival;
        return statistics;
    }
}
