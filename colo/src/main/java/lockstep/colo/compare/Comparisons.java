package lockstep.colo.compare;

import lockstep.api.ColoCompareStats;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.BooleanSupplier;

/** The comparisons of one process, and what they share. Any thread. */
public final class Comparisons implements PacketComparison {
    private static final int DEFAULT_QUEUE = 1024;

    /** A mark is there at once, unless a comparison is so full that it reads nothing. */
    private static final long MARK_MILLIS = 20;

    private final List<ColoCompare> all = new CopyOnWriteArrayList<>();
    private volatile @Nullable Runnable listener;

    /** Whether a session of this process as the primary is over: nobody is left to compare with. */
    private volatile boolean alone;

    private volatile BooleanSupplier gate = () -> true;
    private volatile long checkpoints;
    private volatile int maxQueue = DEFAULT_QUEUE;

    /** No comparisons yet. */
    public Comparisons() {}

    void add(ColoCompare compare) {
        all.add(compare);
    }

    void remove(ColoCompare compare) {
        all.remove(compare);
    }

    /**
     * How many packets wait per queue, an unsigned number; one value for the whole process, as in
     * QEMU.
     */
    int maxQueue() {
        return maxQueue;
    }

    /** The same as a number that counts up. */
    int mostQueued() {
        int most = maxQueue;
        return most < 0 ? Integer.MAX_VALUE : most;
    }

    void maxQueue(int packets) {
        maxQueue = packets;
    }

    void requestCheckpoint() {
        Runnable l = listener;
        if (l != null) {
            l.run();
        }
    }

    @Override
    public void onCheckpointRequest(@Nullable Runnable wanted) {
        listener = wanted;
        alone = wanted == null;
        checkpoints = 0;
        all.forEach(c -> c.post(c::session));
    }

    /** Whether the primary goes on alone. */
    boolean alone() {
        return alone;
    }

    @Override
    public void gate(BooleanSupplier open) {
        gate = open;
        gateMoved();
    }

    @Override
    public void gateMoved() {
        all.forEach(c -> c.post(c::gateMoved));
    }

    /** Whether packets may leave now. */
    boolean open() {
        return gate.getAsBoolean();
    }

    /** How many checkpoints the session has seen. */
    long checkpoints() {
        return checkpoints;
    }

    /** Whether one holds as much as it may, and takes nothing of what the primary sends. */
    boolean holding() {
        return all.stream().anyMatch(ColoCompare::holding);
    }

    @Override
    public boolean apart() {
        long number = checkpoints + 1;
        List<ColoCompare> now = List.copyOf(all);
        CountDownLatch left = new CountDownLatch(now.size());
        now.forEach(c -> c.post(() -> c.whenPrimaryStands(number, left::countDown)));
        try {
            return left.await(MARK_MILLIS, TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        }
    }

    @Override
    public long checkpoint() {
        long number = checkpoints + 1;
        checkpoints = number;
        List<ColoCompare> now = List.copyOf(all);
        CountDownLatch left = new CountDownLatch(now.size());
        LongAdder waited = new LongAdder();
        for (ColoCompare c : now) {
            c.post(
                    () -> {
                        try {
                            waited.add(c.flush());
                            c.checkpoint(number);
                        } finally {
                            left.countDown();
                        }
                    });
        }
        await(left);
        return waited.sum();
    }

    @Override
    public List<ColoCompareStats> statistics() {
        return all.stream().map(ColoCompare::statistics).toList();
    }

    /** Waits for something that a loop is bound to do; an interruption is kept for the caller. */
    static void await(CountDownLatch latch) {
        boolean interrupted = false;
        while (true) {
            try {
                latch.await();
                break;
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
