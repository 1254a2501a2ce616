package lockstep.block.node;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;

/**
 * The requests under way on one node, as byte ranges in the order in which they came. One that keeps others out waits
 * until the earlier ones that overlap it are over, and later ones that overlap it wait for it; all others run side by
 * side. A request waits for earlier ones of its own node only, and its work goes on further down, so that nobody waits
 * in a circle. Any thread.
 */
final class TrackedRequests {
    /** A range; used again when its request is over. */
    static final class Entry {
        private long start;
        private long end;
        private boolean exclusive;

        private boolean conflicts(Entry other) {
            return (exclusive || other.exclusive) && start < other.end && other.start < end;
        }
    }

    private final List<Entry> underWay = new ArrayList<>();
    private final List<Entry> free = new ArrayList<>();
    private int waiting;

    /**
     * Begins a request when no earlier one is in its way.
     *
     * @param piece 0 for a request that may run beside others of its kind; otherwise it keeps others out of its range,
     *     widened to multiples of this power of two
     */
    synchronized Entry begin(long offset, long length, long piece) {
        Entry entry = entry(offset, length, piece);
        boolean interrupted = false;
        while (mustWait(entry)) {
            waiting++;
            try {
                wait();
            } catch (InterruptedException e) {
                interrupted = true;
            }
            waiting--;
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        return entry;
    }

    /** Begins a request that may run beside others of its kind if no earlier one is in its way; null if there is one. */
    synchronized @Nullable Entry beginAtOnce(long offset, long length) {
        Entry entry = entry(offset, length, 0);
        if (mustWait(entry)) {
            underWay.remove(entry);
            free.add(entry);
            return null;
        }
        return entry;
    }

    private Entry entry(long offset, long length, long piece) {
        Entry entry = free.isEmpty() ? new Entry() : free.removeLast();
        long mask = Math.max(piece, 1) - 1;
        entry.start = offset & ~mask;
        entry.end = offset + length + mask & ~mask;
        entry.exclusive = piece > 0;
        underWay.add(entry);
        return entry;
    }

    private boolean mustWait(Entry entry) {
        for (Entry earlier : underWay) {
            if (earlier == entry) {
                return false;
            }
            if (earlier.conflicts(entry)) {
                return true;
            }
        }
        return false;
    }

    /** The request is over. */
    synchronized void end(Entry entry) {
        underWay.remove(entry);
        free.add(entry);
        if (waiting > 0) {
            notifyAll();
        }
    }
}
