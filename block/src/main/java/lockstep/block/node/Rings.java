package lockstep.block.node;

import lockstep.runtime.linux.IoUring;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.trace.InternalFailure;

import org.jspecify.annotations.Nullable;

import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * The kernel's queues for files, one for each loop that takes results from one. They come with the first request; a
 * kernel that has none is asked once.
 *
 * <p>Who waits for requests while holding the machine lock keeps the main loop from taking its results: a thread takes
 * them meanwhile ({@link #help}).
 */
public final class Rings implements AutoCloseable {
    /** Requests that one loop has with the kernel at most; more take the way of those that block. */
    private static final int ENTRIES = 256;

    private static final long LOOK_AGAIN_MILLIS = 10;

    private final @Nullable EventLoop mainLoop;
    private final Map<EventLoop, Ring> rings = new HashMap<>();
    private boolean none;
    private boolean closed;
    private int waiting;
    private @Nullable Thread helper;

    private record Ring(IoUring queue, EventLoop.Watch watch) {}

    /** With the loop that holds the machine lock around what it does, null where there is none. */
    Rings(@Nullable EventLoop mainLoop) {
        this.mainLoop = mainLoop;
    }

    /** The queue whose results a loop takes, null for the main loop; there may be none. Any thread. */
    public synchronized @Nullable IoUring of(@Nullable EventLoop loop) {
        EventLoop taking = loop == null ? mainLoop : loop;
        if (taking == null || none || closed) {
            return null;
        }
        Ring ring = rings.get(taking);
        if (ring == null) {
            ring = open(taking);
            if (ring == null) {
                none = true;
                return null;
            }
            rings.put(taking, ring);
        }
        return ring.queue;
    }

    private static @Nullable Ring open(EventLoop loop) {
        IoUring queue = IoUring.open(ENTRIES);
        if (queue == null) {
            return null;
        }
        try {
            return new Ring(
                    queue, loop.watch(queue.number(), EventLoop.READ, events -> queue.reap()));
        } catch (RuntimeException e) {
            InternalFailure.log("watching an io_uring", e);
            queue.close();
            return null;
        }
    }

    /** From here to {@link #enough} the calling thread waits, and may keep the main loop from taking results. */
    public synchronized void help() {
        waiting++;
        Ring ring = mainLoop == null ? null : rings.get(mainLoop);
        if (ring == null) {
            return;
        }
        if (helper == null) {
            helper =
                    Thread.ofPlatform()
                            .daemon()
                            .name("block-results")
                            .start(() -> takeResults(ring.queue));
        }
        notifyAll();
    }

    /** The wait is over. */
    public synchronized void enough() {
        waiting--;
    }

    private void takeResults(IoUring queue) {
        try {
            while (awaitWork(queue)) {
                queue.await();
                try {
                    queue.reap();
                } catch (RuntimeException | Error e) {
                    // Nobody else takes results while somebody waits.
                    InternalFailure.log("the end of block requests", e);
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Waits until somebody waits for what is under way; false at the end. */
    private synchronized boolean awaitWork(IoUring queue) throws InterruptedException {
        while (!closed && (waiting == 0 || queue.underWay() == 0)) {
            if (waiting == 0) {
                wait();
            } else {
                TimeUnit.MILLISECONDS.timedWait(this, LOOK_AGAIN_MILLIS);
            }
        }
        return !closed;
    }

    /** No requests are under way any more. A queue that the helper may be in stays open. */
    @Override
    public synchronized void close() {
        closed = true;
        for (Ring ring : rings.values()) {
            ring.watch.close();
            if (helper == null) {
                ring.queue.close();
            }
        }
        rings.clear();
        notifyAll();
    }
}
