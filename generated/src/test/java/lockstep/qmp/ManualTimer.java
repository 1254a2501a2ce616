package lockstep.qmp;

import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** A timer whose tasks run when the test says so. */
final class ManualTimer implements QmpTimer {
    record Task(Duration delay, Runnable action) {}

    private final BlockingQueue<Task> tasks = new LinkedBlockingQueue<>();

    @Override
    public Runnable after(Duration delay, Runnable action) {
        Task task = new Task(delay, action);
        tasks.add(task);
        return () -> tasks.remove(task);
    }

    /** Waits for a task and takes it. */
    Task next() {
        try {
            Task task = tasks.poll(30, TimeUnit.SECONDS);
            if (task == null) {
                throw new AssertionError("nothing was to be done later");
            }
            return task;
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    int pending() {
        return tasks.size();
    }
}
