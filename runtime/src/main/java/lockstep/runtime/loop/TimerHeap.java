package lockstep.runtime.loop;

import org.jspecify.annotations.Nullable;

import java.util.Arrays;

/** Armed timers of one clock, the earliest first. Guarded by its owner; moving a timer allocates nothing. */
final class TimerHeap {
    /** One timer as the heap knows it. */
    abstract static class Entry {
        private long deadline;
        private int index = -1;

        final boolean queued() {
            return index >= 0;
        }

        final long when() {
            return deadline;
        }
    }

    private @Nullable Entry[] entries = new Entry[16];
    private int size;

    /** The earliest entry, or null. */
    @Nullable Entry peek() {
        return entries[0];
    }

    /** Adds the entry, or moves it to another deadline. */
    void put(Entry e, long deadline) {
        if (e.queued()) {
            remove(e);
        }
        e.deadline = deadline;
        if (size == entries.length) {
            entries = Arrays.copyOf(entries, size * 2);
        }
        up(size++, e);
    }

    /** Takes the entry out; no effect if it is not in. */
    void remove(Entry e) {
        int i = e.index;
        if (i < 0) {
            return;
        }
        e.index = -1;
        size--;
        Entry last = at(size);
        entries[size] = null;
        if (last != e) {
            up(i, last);
            if (last.index == i) {
                down(i, last);
            }
        }
    }

    private Entry at(int i) {
        Entry e = entries[i];
        if (e == null) {
            throw new IllegalStateException("timer heap");
        }
        return e;
    }

    private void up(int start, Entry e) {
        int i = start;
        while (i > 0) {
            int parent = (i - 1) >>> 1;
            Entry p = at(parent);
            if (p.deadline <= e.deadline) {
                break;
            }
            set(i, p);
            i = parent;
        }
        set(i, e);
    }

    private void down(int start, Entry e) {
        int i = start;
        while (true) {
            int child = 2 * i + 1;
            if (child >= size) {
                break;
            }
            if (child + 1 < size && at(child + 1).deadline < at(child).deadline) {
                child++;
            }
            Entry c = at(child);
            if (c.deadline >= e.deadline) {
                break;
            }
            set(i, c);
            i = child;
        }
        set(i, e);
    }

    private void set(int i, Entry e) {
        entries[i] = e;
        e.index = i;
    }
}
