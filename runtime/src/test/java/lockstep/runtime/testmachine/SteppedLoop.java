package lockstep.runtime.testmachine;

import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.Clocks;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.Timer;

import org.jspecify.annotations.Nullable;

import java.util.LinkedHashSet;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.function.Consumer;

/**
 * A loop whose clocks stand until a test moves them. What is posted runs when they are moved, or at once on a thread of
 * the loop's own after {@link #start}.
 */
public final class SteppedLoop implements EventLoop, AutoCloseable {
    private final String name;
    private final long[] time = new long[ClockType.values().length];
    private final Set<Alarm> alarms = new LinkedHashSet<>();
    private final BlockingQueue<Runnable> tasks = new LinkedBlockingQueue<>();
    private volatile @Nullable Thread thread;
    private volatile boolean closed;

    /** With all clocks at 0. */
    public SteppedLoop(String name) {
        this.name = name;
    }

    private final class Alarm implements Timer {
        final ClockType clock;
        final Runnable callback;
        private long deadline = NEVER;

        Alarm(ClockType clock, Runnable callback) {
            this.clock = clock;
            this.callback = callback;
        }

        @Override
        public void arm(long when) {
            synchronized (SteppedLoop.this) {
                deadline = when;
                if (when == NEVER) {
                    alarms.remove(this);
                } else {
                    alarms.add(this);
                }
            }
        }

        @Override
        public void cancel() {
            arm(NEVER);
        }

        @Override
        public long deadline() {
            synchronized (SteppedLoop.this) {
                return deadline;
            }
        }
    }

    /** Sets a clock; alarms that are due by then stay. */
    public synchronized void set(ClockType clock, long nanos) {
        time[clock.ordinal()] = nanos;
    }

    private synchronized long now(ClockType clock) {
        return time[clock.ordinal()];
    }

    /** Runs what was posted, lets time pass on all clocks and runs what is due, the earliest first. */
    public void advance(long nanos) {
        for (Runnable task = tasks.poll(); task != null; task = tasks.poll()) {
            task.run();
        }
        for (ClockType clock : ClockType.values()) {
            long end = now(clock) + nanos;
            for (Alarm due = due(clock, end); due != null; due = due(clock, end)) {
                set(clock, Math.max(now(clock), due.deadline()));
                due.cancel();
                due.callback.run();
            }
            set(clock, end);
        }
    }

    private synchronized @Nullable Alarm due(ClockType clock, long end) {
        Alarm due = null;
        for (Alarm a : alarms) {
            if (a.clock == clock
                    && a.deadline <= end
                    && (due == null || a.deadline < due.deadline)) {
                due = a;
            }
        }
        return due;
    }

    /** How many timers are armed. */
    public synchronized int armed() {
        return alarms.size();
    }

    /** Starts the loop's thread, which hands each task to {@code around}. */
    public void start(Consumer<Runnable> around) {
        thread = Thread.ofPlatform().daemon().name(name).start(() -> run(around));
    }

    private void run(Consumer<Runnable> around) {
        try {
            while (!closed) {
                around.accept(tasks.take());
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public boolean inLoop() {
        Thread own = thread;
        return own == null || Thread.currentThread() == own;
    }

    @Override
    public void execute(Runnable task) {
        tasks.add(task);
    }

    @Override
    public Watch watch(int fd, int interest, Ready handler) {
        // Nothing is ever ready: there is nobody who looks.
        return new Watch() {
            @Override
            public void interest(int events) {}

            @Override
            public void close() {}
        };
    }

    @Override
    public Timer timer(ClockType clock, Runnable callback) {
        return new Alarm(clock, callback);
    }

    @Override
    public Clocks clocks() {
        return this::now;
    }

    /** Ends the thread after the task that it is at. */
    @Override
    public void close() {
        closed = true;
        execute(() -> {});
    }
}
