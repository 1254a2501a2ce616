package lockstep.block;

import lockstep.block.node.Drain;
import lockstep.runtime.linux.IoUring;
import lockstep.runtime.loop.EventLoop;

import org.jspecify.annotations.Nullable;

import java.util.ArrayDeque;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Executor;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * The requests of one backend on their way: with the kernel, with a server, or on worker threads of its own, a bounded number of them,
 * so that a disk that hangs takes no workers from others; then, if they failed and a policy decides what becomes of that, to the
 * main loop; then to the loop that hears of their end.
 */
final class RequestQueue {
    /** Requests of a backend that run at once. */
    private static final int AT_ONCE = 16;

    private static final long IDLE_SECONDS = 10;

    /** Requests that are kept to be used again. */
    private static final int SPARE = 256;

    private final ThreadPoolExecutor workers;
    private final Executor mainLoop;
    private final Work work;
    private final Drain drain;
    private final ErrorPolicy errors;
    private final Object monitor = new Object();
    private final Queue<BackendRequest> failed = new ConcurrentLinkedQueue<>();
    private final Ended finished = new Ended();
    private final AtomicBoolean told = new AtomicBoolean();
    private final Runnable decide = this::runDecisions;
    private final Runnable complete = this::runCompletions;
    private volatile @Nullable EventLoop loop;
    private final ArrayDeque<BackendRequest> unused = new ArrayDeque<>();
    private int inFlight;
    private int waiting;

    /** What becomes of requests. */
    interface Work {
        /** The kernel's queue whose results the loop takes, if there is one. */
        @Nullable IoUring ring(@Nullable EventLoop loop);

        /** Has the kernel or a server do one; false when that is not to be. */
        boolean beginAtOnce(BackendRequest request, @Nullable IoUring ring);

        /** Does one, on a thread that may block; what went wrong is in the request. */
        void perform(BackendRequest request);

        /** One is over. */
        void account(BackendRequest request);
    }

    /**
     * A queue without threads; they come with requests, and go when there are none.
     *
     * @param threads makes threads
     */
    RequestQueue(
            ThreadFactory threads, Executor mainLoop, Work work, Drain drain, ErrorPolicy errors) {
        workers =
                new ThreadPoolExecutor(
                        AT_ONCE,
                        AT_ONCE,
                        IDLE_SECONDS,
                        TimeUnit.SECONDS,
                        new LinkedBlockingQueue<>(),
                        threads);
        workers.allowCoreThreadTimeOut(true);
        this.mainLoop = mainLoop;
        this.work = work;
        this.drain = drain;
        this.errors = errors;
    }

    /** Has requests complete on a loop, null for the main loop. Nothing is under way. */
    void completeOn(@Nullable EventLoop loop) {
        this.loop = loop;
    }

    /** A request to be filled in. Any thread. */
    BackendRequest request() {
        synchronized (monitor) {
            BackendRequest free = unused.pollLast();
            return free == null ? new BackendRequest(this, drain) : free;
        }
    }

    /** A request that nobody holds any more. */
    void unused(BackendRequest request) {
        synchronized (monitor) {
            if (unused.size() < SPARE) {
                unused.addLast(request);
            }
        }
    }

    /** Starts a request, or has it wait for a worker. Any thread. */
    void submit(BackendRequest request) {
        synchronized (monitor) {
            inFlight++;
        }
        if (!work.beginAtOnce(request, work.ring(loop))) {
            work(request);
        }
    }

    /** Has a worker do a request. */
    void work(BackendRequest request) {
        workers.execute(request);
    }

    /** Does a request. Worker thread. */
    void perform(BackendRequest request) {
        work.perform(request);
        over(request);
    }

    /** A request is over, if it worked or not. Any thread. */
    void over(BackendRequest request) {
        work.account(request);
        boolean undecided = request.errno() != 0 && errors.decides();
        if (undecided) {
            failed.add(request);
        } else {
            finished.add(request);
        }
        synchronized (monitor) {
            if (waiting > 0) {
                monitor.notifyAll();
            }
        }
        if (undecided) {
            mainLoop.execute(decide);
        } else {
            tell();
        }
    }

    private void tell() {
        if (told.compareAndSet(false, true)) {
            EventLoop chosen = loop;
            if (chosen == null) {
                mainLoop.execute(complete);
            } else {
                chosen.execute(complete);
            }
        }
    }

    /** Main loop. */
    private void runDecisions() {
        for (BackendRequest request = failed.poll(); request != null; request = failed.poll()) {
            if (errors.decide(request)) {
                finished.add(request);
                if (loop == null) {
                    runCompletions();
                } else {
                    tell();
                }
            } else {
                over();
            }
        }
    }

    private void runCompletions() {
        told.set(false);
        // Who hears of an end often has the next request, and many at once are one call.
        IoUring ring = work.ring(loop);
        if (ring != null) {
            ring.gather();
        }
        try {
            complete();
        } finally {
            if (ring != null) {
                ring.handOver();
                ring.reap();
            }
        }
    }

    private void complete() {
        for (BackendRequest r = finished.poll(); r != null; r = finished.poll()) {
            boolean done = false;
            try {
                r.complete();
                done = true;
            } finally {
                over();
                if (!done && !finished.isEmpty()) {
                    tell();
                }
            }
        }
    }

    private void over() {
        synchronized (monitor) {
            inFlight--;
            if (waiting > 0) {
                monitor.notifyAll();
            }
        }
    }

    /** Does what is due on this thread, which holds the machine lock. */
    private void runWhatIsDue() {
        runDecisions();
        if (completesHere()) {
            runCompletions();
        }
    }

    private boolean completesHere() {
        EventLoop chosen = loop;
        return chosen == null || chosen.inLoop();
    }

    /** How many requests are not completed; what is due on the main loop is done first. Machine lock held. */
    int underWay() {
        runWhatIsDue();
        synchronized (monitor) {
            return inFlight;
        }
    }

    /** Waits until all requests are completed, for at most so many nanoseconds; false when some are left. Machine lock held. */
    boolean drain(long patience) {
        long end = System.nanoTime() + patience;
        long left = patience;
        boolean interrupted = false;
        boolean empty = false;
        while (!empty && left > 0) {
            runWhatIsDue();
            synchronized (monitor) {
                empty = inFlight == 0;
                if (!empty && failed.isEmpty() && (finished.isEmpty() || !completesHere())) {
                    waiting++;
                    try {
                        TimeUnit.NANOSECONDS.timedWait(monitor, left);
                    } catch (InterruptedException e) {
                        interrupted = true;
                    }
                    waiting--;
                }
            }
            left = end - System.nanoTime();
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        return empty;
    }

    /** Requests in a row, linked by themselves. Any thread. */
    private static final class Ended {
        private @Nullable BackendRequest first;
        private @Nullable BackendRequest last;

        synchronized void add(BackendRequest request) {
            request.next = null;
            BackendRequest before = last;
            if (before == null) {
                first = request;
            } else {
                before.next = request;
            }
            last = request;
        }

        synchronized @Nullable BackendRequest poll() {
            BackendRequest request = first;
            if (request != null) {
                first = request.next;
                request.next = null;
                if (first == null) {
                    last = null;
                }
            }
            return request;
        }

        synchronized boolean isEmpty() {
            return first == null;
        }
    }
}
