package lockstep.runtime.loop;

/**
 * A thread that waits for file descriptors, timers and posted tasks, and runs their callbacks one at a
 * time. The main loop holds the machine lock around every callback; an I/O thread's loop does not.
 * A callback that throws is reported and does not end the loop.
 */
public interface EventLoop {
    /** Interest in input, and the event that says there is some (or an end of file). */
    int READ = 0x001;

    /** Interest in room for output. */
    int WRITE = 0x004;

    /** Reported without being asked for: error or both directions closed. */
    int ERROR = 0x008 | 0x010;

    /** What happens when a file descriptor is ready. */
    @FunctionalInterface
    interface Ready {
        /** Runs on the loop with the ready {@link #READ}, {@link #WRITE} and {@link #ERROR} bits. */
        void ready(int events);
    }

    /** One watched file descriptor. */
    interface Watch extends AutoCloseable {
        /** Changes the interest set; 0 keeps only {@link #ERROR}. */
        void interest(int events);

        /** Stops watching; no callback starts afterwards. The descriptor stays open. */
        @Override
        void close();
    }

    /** The loop's name, which is also its thread's. */
    String name();

    /** Whether the calling thread is the loop's. */
    boolean inLoop();

    /** Runs {@code task} on the loop, in order of posting. Any thread. */
    void execute(Runnable task);

    /** Watches a non-blocking file descriptor (level-triggered). Any thread. */
    Watch watch(int fd, int interest, Ready handler);

    /** Makes a timer that is not armed. */
    Timer timer(ClockType clock, Runnable callback);

    /** Reads the clocks. */
    Clocks clocks();
}
