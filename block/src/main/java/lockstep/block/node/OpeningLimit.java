package lockstep.block.node;

import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * Bounds how long opening a tree may wait for servers, as the machine waits with it: when one has not answered all
 * that is asked of it in time, the connections made so far are cut, and what waits for them fails.
 */
public final class OpeningLimit implements AutoCloseable {
    private final List<Runnable> cuts = new ArrayList<>();
    private @Nullable String server;
    private long deadline;
    private long seconds;
    private boolean watched;
    private boolean over;
    private boolean closed;

    OpeningLimit() {}

    /** Another server takes part, which has so many seconds from now on. */
    synchronized void server(String address, Runnable cut, int limitSeconds) {
        server = address;
        seconds = limitSeconds;
        deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(limitSeconds);
        add(cut);
        if (!watched) {
            watched = true;
            Thread.ofPlatform().daemon().name("opening-limit").start(this::watch);
        }
    }

    /** How to cut what one of the nodes waits for. */
    synchronized void add(Runnable cut) {
        if (over) {
            cut.run();
        } else if (!closed) {
            cuts.add(cut);
        }
    }

    private void watch() {
        List<Runnable> all;
        synchronized (this) {
            for (long left = 1; !closed && left > 0; left = deadline - System.nanoTime()) {
                try {
                    TimeUnit.NANOSECONDS.timedWait(this, left);
                } catch (InterruptedException e) {
                    return;
                }
            }
            if (closed) {
                return;
            }
            over = true;
            all = List.copyOf(cuts);
        }
        all.forEach(Runnable::run);
    }

    /** What a failure of the opening is told as. */
    public synchronized BlockException explain(BlockException failure) {
        return over
                ? new BlockException(
                        Errno.ETIMEDOUT,
                        "Gave up after " + seconds + " s: '" + server + "' does not answer",
                        failure)
                : failure;
    }

    /** The tree is open, or will never be. */
    @Override
    public synchronized void close() {
        closed = true;
        cuts.clear();
        notifyAll();
    }
}
