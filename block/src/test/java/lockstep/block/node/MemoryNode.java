package lockstep.block.node;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.LockSupport;

/**
 * A disk in memory, with holes that are read from a backing node. It orders nothing by itself: between finding a hole and
 * reading what is below others get their turn.
 */
public final class MemoryNode extends BlockNode {
    private static final int CLUSTER = 4096;

    private final long length;
    private final Map<Long, byte[]> clusters = new ConcurrentHashMap<>();
    private final Random random = new Random(1);
    private int zeroRequests;
    private int unmaps;
    private int discards;

    private MemoryNode(BlockGraph graph, long length) {
        super(graph, "memory", graph.autoName(), false);
        this.length = length;
    }

    /** Makes one over a backing node, or none, and enters it; the caller holds a reference. */
    public static MemoryNode open(BlockGraph graph, long length, @Nullable BlockNode backing)
            throws BlockException {
        MemoryNode node = graph.add(new MemoryNode(graph, length));
        if (backing != null) {
            graph.attach(node, "backing", Role.BACKING, backing);
        }
        return node;
    }

    /** How many requests asked for zeroes. */
    public int zeroRequests() {
        return zeroRequests;
    }

    /** How many of these allowed to give storage back. */
    public int unmaps() {
        return unmaps;
    }

    /** How many discards there were. */
    public int discards() {
        return discards;
    }

    private interface Piece {
        void on(long cluster, int from, long at, int length) throws BlockException;
    }

    private static void pieces(long offset, long length, Piece piece) throws BlockException {
        long done = 0;
        while (done < length) {
            int from = (int) ((offset + done) % CLUSTER);
            int run = (int) Math.min(CLUSTER - from, length - done);
            piece.on((offset + done) / CLUSTER, from, done, run);
            done += run;
        }
    }

    /** Now and then lets others go first. */
    private void linger() {
        int chance;
        synchronized (random) {
            chance = random.nextInt(64);
        }
        if (chance < 4) {
            LockSupport.parkNanos(50_000L * (1 + chance));
        }
    }

    private void readBelow(long offset, Pieces destination) throws BlockException {
        ChildEdge below = child("backing");
        linger();
        if (below == null) {
            destination.zero();
        } else {
            below.read(offset, destination);
        }
    }

    @Override
    protected void read(long offset, Pieces destination) throws BlockException {
        linger();
        pieces(
                offset,
                destination.byteSize(),
                (cluster, from, at, run) -> {
                    byte[] data = clusters.get(cluster);
                    Pieces part = destination.slice(at, run);
                    if (data == null) {
                        readBelow(cluster * CLUSTER + from, part);
                    } else {
                        synchronized (data) {
                            part.copyFrom(MemorySegment.ofArray(data).asSlice(from, run));
                        }
                    }
                });
    }

    @Override
    protected void write(long offset, Pieces source) throws BlockException {
        linger();
        pieces(
                offset,
                source.byteSize(),
                (cluster, from, at, run) -> {
                    byte[] data = clusters.get(cluster);
                    if (data == null) {
                        byte[] fresh = new byte[CLUSTER];
                        readBelow(cluster * CLUSTER, Pieces.of(MemorySegment.ofArray(fresh)));
                        byte[] other = clusters.putIfAbsent(cluster, fresh);
                        data = other == null ? fresh : other;
                    }
                    synchronized (data) {
                        source.slice(at, run)
                                .copyTo(MemorySegment.ofArray(data).asSlice(from, run));
                    }
                });
    }

    @Override
    protected void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        zeroRequests++;
        unmaps += mayUnmap ? 1 : 0;
        super.writeZeroes(offset, length, mayUnmap);
    }

    @Override
    protected void discard(long offset, long length) {
        discards++;
    }

    @Override
    protected void flush() {}

    @Override
    protected long length() {
        return length;
    }

    @Override
    protected BlockStatus status(long offset, long length) {
        boolean here = clusters.containsKey(offset / CLUSTER);
        return new BlockStatus(Math.min(length, CLUSTER - offset % CLUSTER), here, !here, here);
    }

    @Override
    public boolean canMakeEmpty() {
        return true;
    }

    @Override
    protected void makeEmpty() {
        clusters.clear();
    }
}
