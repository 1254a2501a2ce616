package lockstep.block.qcow2;

import lockstep.block.node.BlockException;

import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Brings changed metadata to the file in the order that keeps the image valid at every moment:
 * refcounts before the tables that point to new clusters, the L2 tables before the L1 table, both
 * before the refcounts of what they let go. One at a time. The image's lock is held only while the
 * changes up to a moment are copied, so that no request waits for the file.
 */
final class WriteBack {
    private static final long[] NONE = {};

    private final Guard file;
    private final Lock lock;
    private final Refcounts refcounts;
    private final TableCache tables;
    private final L1Table l1;

    /** Taken before the image's lock by who takes both. */
    private final ReentrantLock writing = new ReentrantLock();

    private boolean anyRefcountsSinceSync;

    /**
     * A way to the file.
     *
     * @param lock the image's exclusive lock
     */
    WriteBack(Guard file, Lock lock, Refcounts refcounts, TableCache tables, L1Table l1) {
        this.file = file;
        this.lock = lock;
        this.refcounts = refcounts;
        this.tables = tables;
        this.l1 = l1;
    }

    /** Makes a change with the image's lock held and no metadata on its way to the file. */
    void alone(GuestDisk.Change change) throws BlockException {
        writing.lock();
        lock.lock();
        try {
            change.apply();
        } finally {
            lock.unlock();
            writing.unlock();
        }
    }

    /** Writes what was changed until now; called without the lock, or {@link #alone}. */
    void run() throws BlockException {
        writing.lock();
        try {
            Changes changes = new Changes();
            try {
                changes.write();
            } finally {
                changes.settle();
            }
        } finally {
            writing.unlock();
        }
    }

    /** What was changed up to a moment. */
    private final class Changes {
        private TableCache.Batch counts;
        private final TableCache.Batch entries;
        private final L1Table.Batch top;
        private long[] freed;

        Changes() {
            lock.lock();
            try {
                counts = refcounts.batch();
                entries = tables.batch();
                top = l1.batch();
                freed = refcounts.takePending();
            } finally {
                lock.unlock();
            }
        }

        void write() throws BlockException {
            writeCounts();
            if (!entries.isEmpty() || !top.isEmpty()) {
                if (anyRefcountsSinceSync) {
                    file.flush();
                    anyRefcountsSinceSync = false;
                }
                entries.write();
            }
            if (!top.isEmpty()) {
                file.flush();
                top.write();
            }
            if (freed.length > 0) {
                file.flush();
                countDown();
                writeCounts();
            }
        }

        private void writeCounts() throws BlockException {
            if (!counts.isEmpty()) {
                anyRefcountsSinceSync = true;
                counts.write();
            }
        }

        private void countDown() throws BlockException {
            lock.lock();
            try {
                long[] clusters = freed;
                freed = NONE;
                refcounts.applyFrees(clusters, tables::drop);
                counts.close();
                counts = refcounts.batch();
            } finally {
                lock.unlock();
            }
        }

        /** What could not be written is for the next time. */
        void settle() {
            lock.lock();
            try {
                counts.close();
                entries.close();
                top.close();
                refcounts.freeAgain(freed);
            } finally {
                lock.unlock();
            }
        }
    }
}
