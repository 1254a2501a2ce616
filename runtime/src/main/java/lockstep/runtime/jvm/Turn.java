package lockstep.runtime.jvm;

import java.util.ArrayDeque;
import java.util.Deque;

/**
 * Whose turn it is: the vCPUs of a machine run one at a time, in rounds, so that the order of their accesses to memory
 * is that of x86 without further care. Also keeps all of them out while memory is mapped or its log read. A vCPU that
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

    private final Deque<Player> waiting = new ArrayDeque<>();
    private Player holder = NOBODY;
    private int closed;

    /** Whether somebody waits; read by the holder without the lock. */
    private volatile boolean wanted;

    private static final Player NOBODY = () -> {};

    /** Waits for the turn. */
    synchronized void take(Player p) {
        if (closed == 0 && holder == NOBODY && waiting.isEmpty()) {
            holder = p;
            return;
        }
        waiting.add(p);
        wanted = true;
        while (closed != 0 || holder != NOBODY || waiting.peek() != p) {
            await(SLICE);
            if (waiting.peek() == p && holder != NOBODY && closed == 0) {
                holder.yield();
            }
        }
        waiting.remove();
        wanted = !waiting.isEmpty();
        holder = p;
    }

    /** Gives it back. */
    synchronized void give() {
        holder = NOBODY;
        notifyAll();
    }

    /** Whether somebody else waits for it. Any thread. */
    boolean wanted() {
        return wanted;
    }

    /** Returns when nobody has a turn; nobody gets one until {@link #open}. Nests. */
    synchronized void close() {
        closed++;
        while (holder != NOBODY) {
            holder.yield();
            await(SLICE);
        }
    }

    synchronized void open() {
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
