package lockstep.block;

import lockstep.runtime.loop.EventLoop;

import org.jspecify.annotations.Nullable;

import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Executor;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;

/**
 * The requests of one backend on their way: on worker threads of its own, a bounded number of them, so that a
 * disk that hangs takes no workers from others; then, if they failed and a policy decides what becomes of that, to the
 * main loop; then to the loop that hears of their end.
 */
final class RequestQueue {
    /** Requests of a backend that run at once. */
    private static final int AT_ONCE = 16;

    private static final long IDLE_SECONDS = 10;

    private final ThreadPoolExecutor workers;
    private final Executor mainLoop;
    private final Consumer<BackendRequest> work;
    private final ErrorPolicy errors;
    private final Object monitor = new Object();
    private final Queue<BackendRequest> failed = new ConcurrentLinkedQueue<>();
    private final Queue<BackendRequest> finished = new ConcurrentLinkedQueue<>();
    private final AtomicBoolean told = new AtomicBoolean();
    private final Runnable decide = this::runDecisions;
    private final Runnable complete = this::runCompletions;
    private volatile @Nullable EventLoop loop;
    private int inFlight;

    /**
     * A queue without threads; they come with requests, and go when there are none.
     *
     * @param threads makes threads
     * @param work does a request's work, on one of them; what went wrong is in the request
     */
    RequestQueue(
            ThreadFactory threads,
            Executor mainLoop,
            Consumer<BackendRequest> work,
            ErrorPolicy errors) {
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
        this.errors = errors;
    }

    /** Has requests complete on a loop, null for the main loop. Nothing is under way. */
    void completeOn(@Nullable EventLoop loop) {
        this.loop = loop;
    }

    /** Starts a request, or has it wait for a worker. Any thread. */
    void submit(BackendRequest request) {
        synchronized (monitor) {
            inFlight++;
        }
        workers.execute(request);
    }

    /** Runs a request. Worker thread. */
    void work(BackendRequest request) {
        work.accept(request);
        boolean undecided = request.errno() != 0 && errors.decides();
        (undecided ? failed : finished).add(request);
        synchronized (monitor) {
            monitor.notifyAll();
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
            monitor.notifyAll();
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
                    try {
                        TimeUnit.NANOSECONDS.timedWait(monitor, left);
                    } catch (InterruptedException e) {
                        interrupted = true;
                    }
                }
            }
            left = end - System.nanoTime();
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        return empty;
    }
}
