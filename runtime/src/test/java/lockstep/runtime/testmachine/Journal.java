package lockstep.runtime.testmachine;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;

/** What a machine asked of its process and told the world, in order. Any thread. */
public final class Journal {
    private static final long PATIENCE_NS = TimeUnit.SECONDS.toNanos(60);

    private final List<String> lines = new ArrayList<>();

    /** Adds a line. */
    public synchronized void add(String line) {
        lines.add(line);
        notifyAll();
    }

    /** A copy of all lines. */
    public synchronized List<String> lines() {
        return List.copyOf(lines);
    }

    /** Whether there is such a line. */
    public synchronized boolean contains(String line) {
        return lines.contains(line);
    }

    /** How many such lines there are. */
    public synchronized long count(String line) {
        return lines.stream().filter(line::equals).count();
    }

    /** Takes all such lines out; whether there were any. */
    public synchronized boolean take(String line) {
        return lines.removeAll(List.of(line));
    }

    /** Forgets all lines. */
    public synchronized void clear() {
        lines.clear();
    }

    /** Waits until the lines are as {@code condition} wants them. */
    public synchronized void await(String what, Predicate<List<String>> condition)
            throws InterruptedException {
        long end = System.nanoTime() + PATIENCE_NS;
        while (!condition.test(lines)) {
            long left = TimeUnit.NANOSECONDS.toMillis(end - System.nanoTime());
            if (left <= 0) {
                throw new AssertionError("waited for " + what + ", saw " + lines);
            }
            wait(left);
        }
    }

    /** Waits until there are that many such lines. */
    public void await(String line, long times) throws InterruptedException {
        await(times + " x " + line, l -> l.stream().filter(line::equals).count() >= times);
    }
}
