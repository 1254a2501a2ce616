package lockstep.colo.compare;

import lockstep.api.ColoComparePolicy;
import lockstep.api.ColoCompareStats;
import lockstep.api.ColoDifference;
import lockstep.api.ColoDifferenceKind;
import lockstep.colo.measure.Durations;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** What a comparison has done since its start, and how it is. On the comparison's loop. */
final class CompareStatistics {
    private static final String[] PROTOCOLS = {"tcp", "udp", "icmp", "icmpv6", "arp", "other"};
    private static final List<ColoDifferenceKind> KINDS = ColoDifferenceKind.known();

    private long primaryPackets;
    private long primaryBytes;
    private long secondaryPackets;
    private long secondaryBytes;
    private long releasedBytes;

    /** Packets that were lost because a queue was full; only by QEMU's rules. */
    long dropped;

    /** Packets of the secondary that came behind the checkpoint that they were sent before. */
    long stale;

    long flows;
    long evicted;

    // Packets that wait.
    long primaryHeld;
    long secondaryHeld;
    long heldBytes;
    long heldMost;

    /** How long the oldest of them has waited, in nanoseconds. */
    long oldest;

    /** How often a checkpoint was asked for. */
    long asked;

    long checkpoints;

    private final long[] differences = new long[PROTOCOLS.length * KINDS.size()];

    /** How long packets were held that left. */
    private final Durations holds = new Durations();

    /** Counts a packet of a side. */
    void arrived(boolean primary, int bytes) {
        if (primary) {
            primaryPackets++;
            primaryBytes += bytes;
        } else {
            secondaryPackets++;
            secondaryBytes += bytes;
        }
    }

    /** Counts a packet that waits now, or with -1 one that no longer does. */
    void held(Packet p, int change) {
        if (p.primary) {
            primaryHeld += change;
        } else {
            secondaryHeld += change;
        }
        heldBytes += (long) change * p.length;
        held();
    }

    /** Counts what waits now into the most. */
    void held() {
        heldMost = Math.max(heldMost, primaryHeld + secondaryHeld);
    }

    void released(int bytes, long heldNanos) {
        releasedBytes += bytes;
        holds.add(heldNanos);
    }

    void count(int protocol, ColoDifferenceKind kind) {
        differences[index(protocol) * KINDS.size() + kind.ordinal()]++;
    }

    private static int index(int protocol) {
        return switch (protocol) {
            case PacketReader.TCP -> 0;
            case PacketReader.UDP -> 1;
            case PacketReader.ICMP -> 2;
            case PacketReader.ICMPV6 -> 3;
            case PacketReader.ARP -> 4;
            default -> 5;
        };
    }

    /** A difference in words. */
    static String name(int protocol, ColoDifferenceKind kind) {
        String what =
                switch (kind) {
                    case LATE -> "late";
                    case FULL -> "full queue";
                    case ACKNOWLEDGEMENT -> "not acknowledged by both";
                    default -> "different " + kind.wireName();
                };
        return PROTOCOLS[index(protocol)] + ": " + what;
    }

    private static long micros(long nanos) {
        return TimeUnit.NANOSECONDS.toMicros(nanos);
    }

    /** All of it, for a user. */
    ColoCompareStats show(String id, ColoComparePolicy policy) {
        List<ColoDifference> shown = new ArrayList<>();
        for (int i = 0; i < differences.length; i++) {
            if (differences[i] != 0) {
                ColoDifferenceKind kind = KINDS.get(i % KINDS.size());
                shown.add(new ColoDifference(PROTOCOLS[i / KINDS.size()], kind, differences[i]));
            }
        }
        return ColoCompareStats.builder()
                .id(id)
                .policy(policy)
                .primaryPackets(primaryPackets)
                .primaryBytes(primaryBytes)
                .secondaryPackets(secondaryPackets)
                .secondaryBytes(secondaryBytes)
                .releasedPackets(holds.count())
                .releasedBytes(releasedBytes)
                .droppedPackets(dropped)
                .stalePackets(stale)
                .flows(flows)
                .evictedFlows(evicted)
                .heldPrimary(primaryHeld)
                .heldSecondary(secondaryHeld)
                .heldBytes(heldBytes)
                .heldMost(heldMost)
                .heldOldest(micros(oldest))
                .holdMedian(micros(holds.most(0.5)))
                .hold99(micros(holds.most(0.99)))
                .requests(asked)
                .checkpoints(checkpoints)
                .differences(shown)
                .build();
    }
}
