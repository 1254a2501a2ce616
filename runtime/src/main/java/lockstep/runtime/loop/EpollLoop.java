package lockstep.runtime.loop;

import lockstep.runtime.linux.AlarmFd;
import lockstep.runtime.linux.Epoll;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.EventFd;
import lockstep.runtime.linux.LinuxException;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;

/**
 * The event loop over epoll: the main loop, which holds the machine lock around every callback, and the
 * loops of I/O threads, which do not. One turn runs the tasks posted before it, the timers that are due,
 * and the handlers of ready descriptors; while tasks post tasks, only one turn of some looks for those.
 */
public final class EpollLoop implements EventLoop, AutoCloseable {
    /** Told what a callback threw. */
    @FunctionalInterface
    public interface Failures {
        /** {@code loop} is the loop's name. Called on the loop. */
        void failed(String loop, Throwable failure);
    }

    private static final long WAKE_TOKEN = -1;
    private static final long ALARM_TOKEN = -2;
    // The wall clock may be set; a timer on it is looked at this often at least.
    private static final long WALL_CLOCK_GRAIN = 1_000_000_000L;

    private final String name;
    private final VmClocks clocks;
    private final @Nullable MachineLock lock;
    private final Failures failures;

    private final Epoll epoll;
    private final EventFd wake;
    private final AlarmFd alarm;
    private long alarmSetFor = Timer.NEVER;

    private final Queue<Runnable> tasks = new ConcurrentLinkedQueue<>();
    private final AtomicBoolean asleep = new AtomicBoolean();
    private final Runnable clockChanged = this::wakeUp;
    private final AtomicLong turns = new AtomicLong();
    private volatile boolean ending;
    private volatile @Nullable Thread thread;

    private final Object timerGuard = new Object();
    private final TimerHeap[] timers = {new TimerHeap(), new TimerHeap(), new TimerHeap()};
    private final Runnable[] runDue =
            Stream.of(CLOCKS).<Runnable>map(c -> () -> runDue(c)).toArray(Runnable[]::new);
    private static final ClockType[] CLOCKS = ClockType.values();

    /** Turns in a row that run tasks only, and do not look at descriptors. */
    private static final int MOST_UNLOOKED = 7;

    private int unlooked;
    private final Object watchGuard = new Object();
    private @Nullable Descriptor[] watches = new Descriptor[16];
    private int generation;
    // Files and the like, which epoll does not take because they are always ready.
    private volatile List<Descriptor> alwaysReady = List.of();

    /**
     * Makes a loop that {@link #run} or {@link #start} sets going.
     *
     * @param lock held around callbacks; null for an I/O thread's loop
     */
    public EpollLoop(String name, VmClocks clocks, @Nullable MachineLock lock, Failures failures)
            throws LinuxException {
        this.name = name;
        this.clocks = clocks;
        this.lock = lock;
        this.failures = failures;
        epoll = new Epoll();
        wake = new EventFd();
        alarm = new AlarmFd();
        Errno.check(epoll.add(wake.number(), READ, WAKE_TOKEN), "epoll_ctl");
        Errno.check(epoll.add(alarm.number(), READ, ALARM_TOKEN), "epoll_ctl");
        clocks.onChange(clockChanged);
    }

    /** Runs the loop on a thread of its own, a daemon with the loop's name. */
    public void start() {
        Thread t = Thread.ofPlatform().name(name).daemon(true).unstarted(this::run);
        thread = t;
        t.start();
    }

    /** Runs the loop on the calling thread until {@link #stop}. */
    public void run() {
        thread = Thread.currentThread();
        while (!ending) {
            turns.lazySet(turns.getPlain() + 1);
            runTasks();
            runTimers();
            if (ending) {
                break;
            }
            if (!tasks.isEmpty() && ++unlooked <= MOST_UNLOOKED) {
                continue;
            }
            unlooked = 0;
            asleep.set(true);
            boolean idle = tasks.isEmpty() && !ending && !pollsFiles();
            int n = epoll.await(idle ? untilNextTimer() : 0);
            asleep.set(false);
            for (int i = 0; i < n; i++) {
                dispatch(epoll.token(i), epoll.events(i));
            }
            for (Descriptor d : alwaysReady) {
                d.fire(d.interest & (READ | WRITE));
            }
        }
    }

    /** How many turns it has begun; one that does not change although there is work tells that it is stuck. Any thread. */
    public long turns() {
        return turns.get();
    }

    /** Has {@link #run} return after the present turn. Any thread. */
    public void stop() {
        ending = true;
        wakeUp();
    }

    /** Stops the loop, waits for a thread of its own to end, and frees the descriptors. */
    @Override
    public void close() {
        stop();
        Thread t = thread;
        boolean interrupted = false;
        while (t != null && t != Thread.currentThread() && t.isAlive()) {
            try {
                t.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        clocks.forget(clockChanged);
        synchronized (watchGuard) {
            Arrays.fill(watches, null);
            epoll.close();
            wake.close();
            alarm.close();
        }
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public boolean inLoop() {
        return Thread.currentThread() == thread;
    }

    @Override
    public Clocks clocks() {
        return clocks;
    }

    @Override
    public void execute(Runnable task) {
        tasks.add(task);
        wakeUp();
    }

    private void wakeUp() {
        if (asleep.getAndSet(false)) {
            wake.signal();
        }
    }

    private void runTasks() {
        // Only what was there at the start, so that a task that posts itself does not starve the
        // rest.
        Runnable last = null;
        for (int n = tasks.size(); n > 0; n--) {
            last = tasks.poll();
            if (last == null) {
                return;
            }
            guarded(last);
        }
    }

    private void guarded(Runnable callback) {
        MachineLock l = lock;
        if (l != null) {
            l.acquire();
        }
        try {
            callback.run();
        } catch (Throwable t) {
            failures.failed(name, t);
        } finally {
            if (l != null) {
                l.release();
            }
        }
    }

    // ---- timers

    private final class Alarm extends TimerHeap.Entry implements Timer {
        private final ClockType clock;
        private final Runnable callback;

        Alarm(ClockType clock, Runnable callback) {
            this.clock = clock;
            this.callback = callback;
        }

        @Override
        public void arm(long deadline) {
            if (deadline == NEVER) {
                cancel();
                return;
            }
            boolean first;
            synchronized (timerGuard) {
                TimerHeap heap = timers[clock.ordinal()];
                heap.put(this, deadline);
                first = heap.peek() == this;
            }
            if (first && !inLoop()) {
                wakeUp();
            }
        }

        @Override
        public void cancel() {
            synchronized (timerGuard) {
                timers[clock.ordinal()].remove(this);
            }
        }

        @Override
        public long deadline() {
            synchronized (timerGuard) {
                return queued() ? when() : NEVER;
            }
        }
    }

    @Override
    public Timer timer(ClockType clock, Runnable callback) {
        return new Alarm(clock, callback);
    }

    private void runTimers() {
        for (ClockType clock : CLOCKS) {
            while (due(clock) != null) {
                guarded(runDue[clock.ordinal()]);
            }
        }
    }

    /** With the machine lock held: what others did under it until now, such as to cancel a timer, holds. */
    private void runDue(ClockType clock) {
        Alarm due = due(clock);
        if (due != null) {
            due.cancel();
            due.callback.run();
        }
    }

    private @Nullable Alarm due(ClockType clock) {
        if (clock == ClockType.VIRTUAL && !clocks.virtualRunning()) {
            return null;
        }
        synchronized (timerGuard) {
            TimerHeap.Entry e = timers[clock.ordinal()].peek();
            return e == null || e.when() > clocks.now(clock) ? null : (Alarm) e;
        }
    }

    /** When the next timer of guest time is due, or {@link Timer#NEVER}; also while that stands still. Any thread. */
    public long nextVirtual() {
        synchronized (timerGuard) {
            TimerHeap.Entry e = timers[ClockType.VIRTUAL.ordinal()].peek();
            return e == null ? Timer.NEVER : e.when();
        }
    }

    /**
     * Moves guest time, which is stepped, forward to {@code target}; each timer on the way runs at its own time. On the
     * loop, within a callback. Nothing happens while the guest is stopped.
     */
    public void advance(long target) {
        while (clocks.virtualRunning() && clocks.virtual() < target) {
            long next = nextVirtual();
            boolean early = next != Timer.NEVER && next < target;
            clocks.setVirtual(early ? Math.max(next, clocks.virtual()) : target);
            while (due(ClockType.VIRTUAL) != null) {
                guarded(runDue[ClockType.VIRTUAL.ordinal()]);
            }
        }
    }

    /** Arms the alarm descriptor for the next timer; the wait in milliseconds, 0 when one is due. */
    private int untilNextTimer() {
        long soonest = Long.MAX_VALUE;
        synchronized (timerGuard) {
            for (ClockType clock : CLOCKS) {
                TimerHeap.Entry e = timers[clock.ordinal()].peek();
                if (e == null || (clock == ClockType.VIRTUAL && !clocks.virtualRunning())) {
                    continue;
                }
                long left = Math.max(0, e.when() - clocks.now(clock));
                if (left > 0 && clock == ClockType.VIRTUAL && !clocks.ticking()) {
                    continue; // whoever sets the clock wakes the loop
                }
                if (clock == ClockType.HOST) {
                    left = Math.min(left, WALL_CLOCK_GRAIN);
                }
                soonest = Math.min(soonest, left);
            }
        }
        if (soonest == 0) {
            return 0;
        }
        if (soonest == Long.MAX_VALUE) {
            if (alarmSetFor != Timer.NEVER) {
                alarm.set(-1);
                alarmSetFor = Timer.NEVER;
            }
            return -1;
        }
        // An alarm that goes off too early costs one empty turn; leave it when it is close enough.
        long at = System.nanoTime() + soonest;
        if (alarmSetFor == Timer.NEVER || Math.abs(at - alarmSetFor) > 1_000) {
            alarm.set(soonest);
            alarmSetFor = at;
        }
        return -1;
    }

    // ---- descriptors

    private final class Descriptor implements Watch {
        private final int fd;
        private final Ready handler;
        private final boolean polled;
        private final int slot;
        private final int age;
        private volatile int interest;
        private volatile boolean closed;

        Descriptor(int fd, int interest, Ready handler, int slot, int age) {
            this.fd = fd;
            this.interest = interest;
            this.handler = handler;
            this.slot = slot;
            this.age = age;
            int result = epoll.add(fd, interest, token());
            if (result < 0 && result != -Errno.EPERM) {
                throw new IllegalArgumentException(
                        "cannot watch file descriptor " + fd + ": " + Errno.text(-result));
            }
            polled = result == 0;
        }

        long token() {
            return (long) age << 32 | slot;
        }

        @Override
        public void interest(int events) {
            synchronized (watchGuard) {
                if (closed || interest == events) {
                    return;
                }
                interest = events;
                if (polled) {
                    epoll.modify(fd, events, token());
                } else {
                    wakeUp();
                }
            }
        }

        @Override
        public void close() {
            synchronized (watchGuard) {
                if (closed) {
                    return;
                }
                closed = true;
                if (watches[slot] == this) {
                    watches[slot] = null;
                    if (polled) {
                        epoll.remove(fd);
                    } else {
                        List<Descriptor> rest = new ArrayList<>(alwaysReady);
                        rest.remove(this);
                        alwaysReady = List.copyOf(rest);
                    }
                }
            }
        }

        void fire(int events) {
            MachineLock l = lock;
            if (l != null) {
                l.acquire();
            }
            try {
                // Looked at under the lock: whoever closed it or changed the interest held the
                // lock.
                int wanted = events & (interest | ERROR);
                if (!closed && wanted != 0) {
                    handler.ready(wanted);
                }
            } catch (Throwable t) {
                failures.failed(name, t);
            } finally {
                if (l != null) {
                    l.release();
                }
            }
        }
    }

    @Override
    public Watch watch(int fd, int interest, Ready handler) {
        synchronized (watchGuard) {
            int slot = 0;
            while (slot < watches.length && watches[slot] != null) {
                slot++;
            }
            if (slot == watches.length) {
                watches = Arrays.copyOf(watches, slot * 2);
            }
            generation = (generation + 1) & Integer.MAX_VALUE;
            Descriptor d = new Descriptor(fd, interest, handler, slot, generation);
            watches[slot] = d;
            if (!d.polled) {
                List<Descriptor> more = new ArrayList<>(alwaysReady);
                more.add(d);
                alwaysReady = List.copyOf(more);
                wakeUp();
            }
            return d;
        }
    }

    private boolean pollsFiles() {
        for (Descriptor d : alwaysReady) {
            if ((d.interest & (READ | WRITE)) != 0) {
                return true;
            }
        }
        return false;
    }

    private void dispatch(long token, int events) {
        if (token == WAKE_TOKEN) {
            wake.drain();
            return;
        }
        if (token == ALARM_TOKEN) {
            alarm.drain();
            alarmSetFor = Timer.NEVER;
            return;
        }
        Descriptor d;
        synchronized (watchGuard) {
            int slot = (int) token;
            d = slot >= 0 && slot < watches.length ? watches[slot] : null;
        }
        if (d != null && d.age == (int) (token >>> 32)) {
            d.fire(events);
        }
    }
}
