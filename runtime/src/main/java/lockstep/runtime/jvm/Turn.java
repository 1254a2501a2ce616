package lockstep.runtime.jvm;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Who may run: as many vCPUs of a machine at a time as were asked for, in rounds where that is fewer than there are.
 * Also keeps all of them out while memory is mapped or its log read, and for what one of them must do alone. A vCPU that
 * accesses a device gives its turn away meanwhile, so that nobody who holds the machine lock waits for one who wants it.
 */
final class Turn {
    /** The longest that one runs while another one waits, in milliseconds. */
    private static final long SLICE = 2;

    /** Who takes turns. */
    interface Player {
        /** Has it give its turn back soon. */
        void yield();
    }

    private final int most;
    private final Deque<Player> waiting = new ArrayDeque<>();
    private final List<Player> holders = new ArrayList<>();
    private int closed;

    /** Held by the one that keeps the others out. */
    private final ReentrantLock alone = new ReentrantLock();

    /** Whether somebody waits; read by the holders without the lock. */
    private volatile boolean wanted;

    /** Lets so many run at a time. */
    Turn(int most) {
        this.most = most;
    }

    /** Waits for a turn. */
    synchronized void take(Player p) {
        if (closed != 0 || holders.size() >= most || !waiting.isEmpty()) {
            await(p);
        }
        holders.add(p);
    }

    private void await(Player p) {
        waiting.add(p);
        wanted = true;
        while (closed != 0 || holders.size() >= most || waiting.peek() != p) {
            await(SLICE);
            if (closed == 0 && holders.size() >= most && waiting.peek() == p) {
                holders.getFirst().yield();
            }
        }
        waiting.remove();
        wanted = !waiting.isEmpty();
        if (wanted) {
            notifyAll(); // there may be room for the next one
        }
    }

    /** Gives it back. */
    synchronized void give(Player p) {
        holders.remove(p);
        if (wanted || closed != 0) {
            notifyAll();
        }
    }

    /** Whether somebody waits for a turn while all are given. Any thread. */
    boolean wanted() {
        return wanted;
    }

    /** Returns when nobody has a turn; nobody gets one until {@link #open}, by the same thread. Nests. */
    void close() {
        alone.lock();
        empty();
    }

    private synchronized void empty() {
        closed++;
        while (!holders.isEmpty()) {
            holders.forEach(Player::yield);
            await(SLICE);
        }
    }

    void open() {
        reopen();
        alone.unlock();
    }

    private synchronized void reopen() {
        closed--;
        notifyAll();
    }

    private void await(long millis) {
        try {
            wait(millis);
        } catch (InterruptedException e) {
            // Nobody interrupts these threads for a reason; the condition is looked at again.
            Thread.onSpinWait();
        }
    }
}
