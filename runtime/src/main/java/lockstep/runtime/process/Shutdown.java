package lockstep.runtime.process;

import lockstep.runtime.linux.HostProcess;
import lockstep.runtime.spi.Ending;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Function;

/**
 * The end of the process: an order, and a budget that no peer can stretch.
 *
 * <ol>
 *   <li>the main loop ends its present callback and returns,
 *   <li>the guest is paused,
 *   <li>nothing new is taken: listeners, exports,
 *   <li>what need not end well is cancelled: jobs, migrations,
 *   <li>what is under way is waited for as long as it moves; what has not moved for {@link #PATIENCE} is
 *       given up, and all connections are cut as yank cuts them,
 *   <li>what was written is made durable, likewise,
 *   <li>everything is closed: devices unless something of them is still under way, rooms, objects, monitors, character devices, vCPUs.
 * </ol>
 *
 * <p>The steps run on the main thread. A supervisor stands beside it: a step that hangs for {@link #PATIENCE}, in a
 * system call or for a lock, has the connections cut under it, and if that does not help the supervisor makes the
 * images durable as far as they let it and leaves. Whatever is given up is named on standard error.
 */
final class Shutdown {
    /** How long something may stand still. */
    private static final long PATIENCE = TimeUnit.SECONDS.toNanos(5);

    /** How long something may take to end when its connection was cut. */
    private static final long GRACE = TimeUnit.SECONDS.toNanos(2);

    /** The same of what goes to a disk of this machine: a slow one may have a lot to write. */
    private static final long DISK_GRACE = TimeUnit.SECONDS.toNanos(20);

    /** How long all may take, moving or not. */
    private static final long LIMIT = TimeUnit.SECONDS.toNanos(60);

    /** A second signal that comes earlier is the first one's twin, as when a whole process group gets it. */
    private static final long TWIN = TimeUnit.SECONDS.toNanos(1);

    private static final long POLL = TimeUnit.MILLISECONDS.toNanos(1);
    private static final int ABANDONED = 1;

    private final VmmProcess vmm;
    private final List<Ending> endings = new ArrayList<>();
    private final List<Runnable> lastRites = new ArrayList<>();
    private volatile int status;

    // Guarded by this.
    private boolean begun;
    private boolean finished;
    private boolean hurried;
    private String step = "";
    private long began;
    private long moved;

    Shutdown(VmmProcess vmm) {
        this.vmm = vmm;
    }

    /** A room's part; later ones come first. */
    synchronized void add(Ending ending) {
        endings.addFirst(ending);
    }

    /** What is done even by a process that leaves in the middle of everything; must not block. */
    synchronized void lastly(Runnable task) {
        lastRites.add(task);
    }

    /** From now on the process ends within the budget, whatever its threads do. Any thread. */
    void begin(int exitStatus) {
        synchronized (this) {
            if (begun) {
                return;
            }
            begun = true;
            status = exitStatus;
            began = System.nanoTime();
            enter("the main loop");
        }
        Thread.ofPlatform().daemon().name("shutdown").start(this::supervise);
    }

    /**
     * Someone who asked to leave waits for the main loop, which must not stand still any more: if it does, the
     * connections are cut that it may wait for, and if that is no help the end begins without it. Any thread.
     */
    void expect() {
        Thread.ofPlatform().daemon().name("leaving").start(this::awaitMainLoop);
    }

    private void awaitMainLoop() {
        try {
            if (standsStill(PATIENCE)) {
                vmm.report("gave up waiting for the main loop: all connections are cut");
                cut();
                if (standsStill(GRACE)) {
                    begin(0);
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Waits for the end to begin, which gives false, or for the main loop to do nothing for so long. */
    private synchronized boolean standsStill(long patience) throws InterruptedException {
        long turns = vmm.loop().turns();
        while (!begun) {
            long end = System.nanoTime() + patience;
            for (long left = patience; left > 0 && !begun; left = end - System.nanoTime()) {
                TimeUnit.NANOSECONDS.timedWait(this, left);
            }
            long now = vmm.loop().turns();
            if (!begun && now == turns) {
                return true;
            }
            turns = now;
        }
        return false;
    }

    /** The user insists: another signal came. False if it is the first. Any thread. */
    synchronized boolean hurry() {
        if (!begun) {
            return false;
        }
        hurried = true;
        notifyAll();
        return true;
    }

    /** Whether the end has begun. Any thread. */
    synchronized boolean begun() {
        return begun;
    }

    /** What the process ends with. */
    int status() {
        return status;
    }

    private synchronized void enter(String name) {
        step = name;
        moved = System.nanoTime();
        notifyAll();
    }

    // ---- the main thread

    /** Runs all steps; then only the process has to be left. */
    void run() {
        begin(status);
        enter("a thread that does not give the machine back");
        vmm.lock().run(this::steps);
        enter("a monitor");
        guarded(vmm.monitors()::join);
        synchronized (this) {
            finished = true;
            notifyAll();
        }
    }

    private void steps() {
        enter("a processor that does not stop");
        guarded(vmm::pauseGuest);
        enter("what takes from outside");
        endings.forEach(e -> guarded(e::stopTaking));
        enter("what is cancelled");
        endings.forEach(e -> guarded(e::cancel));
        drain();
        flush();
        enter("closing");
        if (endings.stream().allMatch(e -> e.underWay().isEmpty())) {
            guarded(vmm.devices()::closeAll);
            guarded(vmm::dismantle);
        }
        endings.forEach(e -> guarded(e::close));
        enter("an object that does not close");
        guarded(vmm.objects()::closeAll);
        enter("a monitor");
        guarded(vmm.monitors()::close);
        enter("a character device that does not close");
        guarded(vmm.chardevs()::closeAll);
        enter("a processor that does not end");
        guarded(vmm::endGuest);
    }

    private void guarded(Runnable task) {
        try {
            task.run();
        } catch (RuntimeException e) {
            vmm.report("cannot end in order: " + e);
        }
    }

    /** Waits for requests; those that do not end by themselves lose their connections. */
    private void drain() {
        enter("requests in flight");
        List<String> late = awaitNone(PATIENCE, Ending::underWay);
        if (!late.isEmpty()) {
            gaveUp(late);
            cut();
            awaitNone(GRACE, Ending::underWay);
        }
    }

    private void flush() {
        enter("flushing");
        endings.forEach(e -> guarded(e::flush));
        if (!awaitNone(PATIENCE, Ending::unsaved).isEmpty()) {
            cut();
            List<String> lost = awaitNone(DISK_GRACE, Ending::unsaved);
            if (!lost.isEmpty()) {
                gaveUp(lost);
            }
        }
    }

    /** Waits until nothing is left, or what is left has not changed for {@code patience}; gives what is left. */
    private List<String> awaitNone(long patience, Function<Ending, List<String>> leftOf) {
        long since = System.nanoTime();
        long pause = POLL / 8;
        List<String> before = List.of();
        while (true) {
            List<String> left = endings.stream().flatMap(e -> leftOf.apply(e).stream()).toList();
            long now = System.nanoTime();
            if (!left.equals(before)) {
                since = now;
                before = left;
            }
            if (left.isEmpty() || now - since > patience) {
                return left;
            }
            synchronized (this) {
                moved = now; // This wait has an end of its own.
            }
            pause = Math.min(pause * 2, POLL * 20);
            LockSupport.parkNanos(pause);
        }
    }

    private void gaveUp(List<String> what) {
        long seconds = TimeUnit.NANOSECONDS.toSeconds(System.nanoTime() - began);
        vmm.report("gave up after " + seconds + " s: " + String.join(", ", what));
    }

    // ---- the supervisor

    private void supervise() {
        boolean stuck = awaitStandstill();
        if (stuck && !insisted()) {
            cut();
            synchronized (this) {
                moved = System.nanoTime() - PATIENCE + GRACE;
            }
            stuck = awaitStandstill();
        }
        if (stuck) {
            abandon();
        }
    }

    /** Waits for a step that stands still, or for another reason to leave; false when all steps are done. */
    private synchronized boolean awaitStandstill() {
        while (!finished) {
            long now = System.nanoTime();
            long left = Math.min(moved + PATIENCE, began + LIMIT) - now;
            if (hurried) {
                left = Math.min(left, began + TWIN - now);
            }
            if (left <= 0) {
                return true;
            }
            try {
                TimeUnit.NANOSECONDS.timedWait(this, left);
            } catch (InterruptedException e) {
                return true;
            }
        }
        return false;
    }

    private synchronized boolean insisted() {
        return hurried;
    }

    /** On a thread of its own, as whoever hangs may do so inside what is cut. */
    private void cut() {
        Thread.ofPlatform().daemon().name("cut").start(vmm.yank()::cutAll);
    }

    private void abandon() {
        String reason;
        List<Ending> parts;
        List<Runnable> rites;
        synchronized (this) {
            reason = step;
            parts = List.copyOf(endings);
            rites = List.copyOf(lastRites);
        }
        boolean atOnce = insisted();
        CountDownLatch said = new CountDownLatch(1);
        // Standard error may be the very thing that is stuck.
        Thread.ofPlatform()
                .daemon()
                .name("last words")
                .start(
                        () -> {
                            gaveUp(atOnce ? List.of(reason) : lastFlush(reason, parts));
                            said.countDown();
                        });
        try {
            said.await(atOnce ? TWIN : 3 * GRACE, TimeUnit.NANOSECONDS);
        } catch (InterruptedException e) {
            // Then without words.
            Thread.currentThread().interrupt();
        }
        rites.forEach(this::guarded);
        HostProcess.exit(ABANDONED);
    }

    /** Makes durable what can be; gives what was given up. */
    private static List<String> lastFlush(String reason, List<Ending> parts) {
        List<String> what = new ArrayList<>(List.of(reason));
        parts.forEach(Ending::flush);
        long end = System.nanoTime() + GRACE;
        List<String> unsaved;
        do {
            LockSupport.parkNanos(10 * POLL);
            unsaved = parts.stream().flatMap(e -> e.unsaved().stream()).toList();
        } while (!unsaved.isEmpty() && System.nanoTime() < end);
        what.addAll(unsaved);
        return what;
    }
}
